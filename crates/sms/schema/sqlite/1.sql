-- A value sealed under the master key, so that another key is noticed at start.
CREATE TABLE master_key (id INTEGER PRIMARY KEY CHECK (id = 1), sealed BLOB NOT NULL) STRICT;

-- kind, owner and name are the sealed value's associated data. web2 names are in lower case; web3 and app have none.
CREATE TABLE secret (
    kind TEXT NOT NULL CHECK (kind IN ('web2', 'web3', 'app', 'requester')),
    owner BLOB NOT NULL CHECK (length(owner) = 20),
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (kind, owner, name)
) STRICT, WITHOUT ROWID;

-- Marks (keyed hashes) of every value that a secret ever had: an update must not bring an older one back.
CREATE TABLE secret_mark (
    kind TEXT NOT NULL,
    owner BLOB NOT NULL,
    name TEXT NOT NULL,
    mark BLOB NOT NULL CHECK (length(mark) = 32),
    PRIMARY KEY (kind, owner, name, mark)
) STRICT, WITHOUT ROWID;

-- One key per task; task is the sealed key's associated data.
CREATE TABLE challenge (
    task BLOB PRIMARY KEY CHECK (length(task) = 32),
    sealed BLOB NOT NULL,
    deadline INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX challenge_deadline ON challenge (deadline);

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    nonce BLOB NOT NULL CHECK (length(nonce) = 32),
    workerpool_authorization TEXT NOT NULL,
    worker_signature TEXT NOT NULL,
    expires INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('PENDING', 'RELEASED'))
) STRICT, WITHOUT ROWID;
CREATE INDEX session_expires ON session (expires);
