-- The scheduler's store. `tasks.state` lists the states of `iexec_protocol::task::Task` (spec docs/spec/task.md).

-- Whose store this is, and the first block whose notices are not all in it.
CREATE TABLE cursor (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    network TEXT NOT NULL,
    next_block INTEGER NOT NULL
) STRICT;

CREATE TABLE deals (
    id TEXT PRIMARY KEY,
    block INTEGER NOT NULL,
    requester TEXT NOT NULL,
    app TEXT NOT NULL,
    tag TEXT NOT NULL,
    category INTEGER NOT NULL,
    contribution_deadline INTEGER NOT NULL,
    claim_deadline INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    deal TEXT NOT NULL REFERENCES deals (id),
    idx INTEGER NOT NULL,
    claim_deadline INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('RECEIVED', 'INITIALIZED', 'READY', 'GRANTED', 'FAILING', 'COMPLETED', 'FAILED')),
    -- The whole state as JSON; its name and holder are repeated in columns for the indexes below.
    data TEXT NOT NULL,
    worker TEXT,
    -- Counts the changes: a writer names the version it read.
    version INTEGER NOT NULL,
    message TEXT,
    UNIQUE (deal, idx)
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_unfinished ON tasks (id) WHERE state NOT IN ('COMPLETED', 'FAILED');
CREATE INDEX tasks_ready ON tasks (claim_deadline) WHERE state = 'READY';
CREATE INDEX tasks_granted ON tasks (worker) WHERE state = 'GRANTED';

-- What `task debug` shows: of the task itself where `worker` is null, else of that worker's share in it.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    task TEXT NOT NULL REFERENCES tasks (id),
    at INTEGER NOT NULL,
    worker TEXT,
    status TEXT NOT NULL,
    modifier TEXT NOT NULL,
    cause TEXT,
    message TEXT
) STRICT;

CREATE INDEX history_of_task ON history (task, worker, id);
