-- Most documents are never listed but by their id, so only those of kinds declared for an order take part
-- in the index of that order: an agent is made of half a dozen documents, of which two are listed. The
-- documents' new column stands before the body, hence the new table.
CREATE TABLE documents_new (
    row INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    sweep_hour INTEGER,
    name TEXT,
    -- The orders the document's kind is declared for: 1 by creation, 2 by update, 3 both.
    listed INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (scope, kind, parent, id)
) STRICT;

INSERT INTO documents_new
SELECT
    row, scope, kind, parent, id, revision, created_at_ms, updated_at_ms, expires_at_ms, sweep_hour, name,
    0, body
FROM documents;

DROP TABLE documents;

ALTER TABLE documents_new RENAME TO documents;

CREATE UNIQUE INDEX documents_name ON documents (scope, kind, parent, name) WHERE name IS NOT NULL;

CREATE INDEX documents_sweep ON documents (sweep_hour) WHERE sweep_hour IS NOT NULL;

CREATE INDEX documents_created ON documents (scope, kind, parent, created_at_ms, id) WHERE listed & 1;

CREATE INDEX documents_updated ON documents (scope, kind, parent, updated_at_ms DESC, id)
WHERE listed & 2;

-- The declarations the documents are indexed by.
CREATE TABLE listings (
    kind TEXT NOT NULL PRIMARY KEY,
    listed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One b-tree instead of two. Numbers are given out by the program, above all that entries use.
CREATE TABLE journals_new (
    journal TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO journals_new
SELECT journal, number
FROM journals;

DROP TABLE journals;

ALTER TABLE journals_new RENAME TO journals;
