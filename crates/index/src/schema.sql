-- The truth of one knowledge base's index. Numbers of chunks are never given twice, and a row is never
-- changed: so whatever is derived (text index, vector graph) needs only to know how far it came.
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    kind INTEGER NOT NULL,
    location TEXT NOT NULL,
    UNIQUE (source, kind, location)
);

-- Chunks of a document mostly share their attributes.
CREATE TABLE attributes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX attributes_of_document ON attributes (document);

CREATE TABLE parents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX parents_of_document ON parents (document);

-- Texts and vectors stand apart, so that what goes over all chunks reads little.
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL,
    name TEXT NOT NULL,
    attributes INTEGER NOT NULL,
    parent INTEGER
);
CREATE INDEX chunks_of_document ON chunks (document);
CREATE TABLE texts (chunk INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE vectors (chunk INTEGER PRIMARY KEY, body BLOB NOT NULL);
