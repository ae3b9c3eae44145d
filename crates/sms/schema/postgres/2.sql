-- The meaning of every table is told in ../sqlite; there was no schema 1 on PostgreSQL.

CREATE TABLE kek (
    id TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('file', 'passphrase')),
    salt BYTEA,
    cost BIGINT,
    created BIGINT NOT NULL
);

CREATE TABLE data_key (
    id BIGINT PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('values', 'marks')),
    state TEXT NOT NULL CHECK (state IN ('ACTIVE', 'RETIRED')),
    created BIGINT NOT NULL
);

CREATE TABLE wrapped_key (
    key_id BIGINT NOT NULL,
    kek TEXT COLLATE "C" NOT NULL,
    wrapped BYTEA NOT NULL,
    PRIMARY KEY (key_id, kek)
);

CREATE TABLE secret (
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('web2', 'web3', 'app', 'requester', 'storage')),
    owner BYTEA NOT NULL CHECK (length(owner) = 20),
    name TEXT COLLATE "C" NOT NULL,
    sealed BYTEA,
    key_id BIGINT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE UNIQUE INDEX secret_place ON secret (owner, kind, name);
CREATE INDEX secret_key ON secret (key_id);

CREATE TABLE secret_mark (
    kind TEXT COLLATE "C" NOT NULL,
    owner BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    mark BYTEA NOT NULL CHECK (length(mark) = 32),
    PRIMARY KEY (owner, kind, name, mark)
);

CREATE TABLE challenge (
    task BYTEA PRIMARY KEY CHECK (length(task) = 32),
    sealed BYTEA NOT NULL,
    key_id BIGINT NOT NULL,
    deadline BIGINT NOT NULL
);
CREATE INDEX challenge_deadline ON challenge (deadline);

CREATE TABLE session (
    id TEXT COLLATE "C" PRIMARY KEY,
    nonce BYTEA NOT NULL CHECK (length(nonce) = 32),
    workerpool_authorization TEXT NOT NULL,
    worker_signature TEXT NOT NULL,
    expires BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('PENDING', 'RELEASED'))
);
CREATE INDEX session_expires ON session (expires);

CREATE TABLE used_nonce (
    signer BYTEA NOT NULL CHECK (length(signer) = 20),
    nonce BYTEA NOT NULL CHECK (length(nonce) = 32),
    deadline BIGINT NOT NULL,
    PRIMARY KEY (signer, nonce)
);
CREATE INDEX used_nonce_deadline ON used_nonce (deadline);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    entry TEXT NOT NULL,
    hash BYTEA NOT NULL CHECK (length(hash) = 32)
);
CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));
