-- Keys are compared by their bytes, hence COLLATE "C". No trigger, default or generated value
-- anywhere: what a row holds is what the program wrote.
CREATE TABLE outcrop.documents (
    scope text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    parent text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    expires_at_ms bigint,
    -- The first whole hour since the epoch at which the document has expired. The sweep's index is on
    -- hours, so that a document whose expiry moves with each write seldom moves in an index.
    sweep_hour bigint,
    -- `-updated_at_ms` of a document that never expires. An indexed column that changes with each
    -- write would make every write touch every index; sessions, which change most, leave it null.
    newest_first bigint,
    name text COLLATE "C",
    body text NOT NULL,
    PRIMARY KEY (scope, kind, parent, id)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX documents_name ON outcrop.documents (scope, kind, parent, name)
WHERE name IS NOT NULL;

CREATE INDEX documents_created ON outcrop.documents (scope, kind, parent, created_at_ms, id);

CREATE INDEX documents_newest ON outcrop.documents (scope, kind, parent, newest_first, id)
WHERE newest_first IS NOT NULL;

CREATE INDEX documents_expiring ON outcrop.documents (scope, kind, parent, id)
WHERE newest_first IS NULL;

CREATE INDEX documents_sweep ON outcrop.documents (sweep_hour) WHERE sweep_hour IS NOT NULL;

CREATE TABLE outcrop.entries (
    journal text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (journal, seq)
);

CREATE TABLE outcrop.jobs (
    id text COLLATE "C" PRIMARY KEY,
    queue text COLLATE "C" NOT NULL,
    -- The due time, or the end of the lease.
    claimable_at_ms bigint NOT NULL,
    attempts bigint NOT NULL,
    -- The claim the job is under, if any.
    lease bigint,
    payload text NOT NULL
);

CREATE INDEX jobs_claimable ON outcrop.jobs (queue, claimable_at_ms, id);

-- Numbers claims; no number is ever given twice.
CREATE SEQUENCE outcrop.leases AS bigint;
