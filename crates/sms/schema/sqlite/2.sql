-- Schema 2: data keys wrapped by key-encryption keys, versions of secrets, used nonces, the audit log.
-- The table master_key stays until the program has made its key the first key-encryption key.

CREATE TABLE kek (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('file', 'passphrase')),
    salt BLOB,
    cost INTEGER,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE data_key (
    id INTEGER PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('values', 'marks')),
    state TEXT NOT NULL CHECK (state IN ('ACTIVE', 'RETIRED')),
    created INTEGER NOT NULL
) STRICT;

-- id and purpose of the data key are the wrapped key's associated data.
CREATE TABLE wrapped_key (
    key_id INTEGER NOT NULL,
    kek TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (key_id, kek)
) STRICT, WITHOUT ROWID;

-- kind, owner and name are the sealed value's associated data. Without a sealed value the secret is deleted; its row
-- keeps the version. web2 names are in lower case; web3 and app have none.
CREATE TABLE secret_2 (
    kind TEXT NOT NULL CHECK (kind IN ('web2', 'web3', 'app', 'requester', 'storage')),
    owner BLOB NOT NULL CHECK (length(owner) = 20),
    name TEXT NOT NULL,
    sealed BLOB,
    key_id INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
INSERT INTO secret_2 (kind, owner, name, sealed, key_id, version, created, updated)
SELECT kind, owner, name, sealed, 1,
       max(1, (SELECT count(*) FROM secret_mark AS m WHERE m.kind = s.kind AND m.owner = s.owner AND m.name = s.name)),
       unixepoch(), unixepoch()
FROM secret AS s;
DROP TABLE secret;
ALTER TABLE secret_2 RENAME TO secret;
CREATE UNIQUE INDEX secret_place ON secret (owner, kind, name);
CREATE INDEX secret_key ON secret (key_id);

ALTER TABLE challenge ADD COLUMN key_id INTEGER NOT NULL DEFAULT 1;

-- Nonces of signed requests, until their deadline.
CREATE TABLE used_nonce (
    signer BLOB NOT NULL CHECK (length(signer) = 20),
    nonce BLOB NOT NULL CHECK (length(nonce) = 32),
    deadline INTEGER NOT NULL,
    PRIMARY KEY (signer, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_nonce_deadline ON used_nonce (deadline);

-- hash = sha256(hash of the entry before ‖ entry); 32 zero bytes come before the first.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    entry TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, zeroblob(32));
