-- Bodies are some kilobytes, so documents live in an ordinary rowid table (a WITHOUT ROWID table would
-- push most of each body to overflow pages) and the key is an index that updates never touch.
CREATE TABLE documents (
    row INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    -- The first whole hour since the epoch at which the document has expired. The sweep's index is on
    -- hours, so that a document whose expiry moves with each write seldom moves in the index.
    sweep_hour INTEGER,
    name TEXT,
    -- Last, so that reading the columns before it never follows a body's overflow pages.
    body TEXT NOT NULL,
    UNIQUE (scope, kind, parent, id)
) STRICT;

CREATE UNIQUE INDEX documents_name ON documents (scope, kind, parent, name) WHERE name IS NOT NULL;

CREATE INDEX documents_sweep ON documents (sweep_hour) WHERE sweep_hour IS NOT NULL;

CREATE TABLE journals (
    number INTEGER PRIMARY KEY,
    journal TEXT NOT NULL UNIQUE
) STRICT;

-- position = journal number * 2^24 + sequence number: one integer key keeps a journal's entries
-- together and in order without a second index.
CREATE TABLE entries (
    position INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    queue TEXT NOT NULL,
    due_at_ms INTEGER NOT NULL,
    -- The due time, or the end of the lease.
    claimable_at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    -- The claim the job is under, if any.
    lease INTEGER,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_claimable ON jobs (queue, claimable_at_ms, id);

-- One row. Leases are numbered from the count of openings on, so no lease is ever named twice.
CREATE TABLE openings (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO openings (only, count) VALUES (1, 0);
