-- A page of a listing costs the same among a hundred documents and a hundred thousand: each order that
-- is not the key's own has an index to walk. Documents with an expiry (sessions, tokens) are left out,
-- for they are written most and listed least; sweep_hour tells them apart and, unlike the expiry,
-- seldom changes.
CREATE INDEX documents_created ON documents (scope, kind, parent, created_at_ms, id)
WHERE sweep_hour IS NULL;

-- Every write to a document moves it in this order.
CREATE INDEX documents_updated ON documents (scope, kind, parent, updated_at_ms DESC, id)
WHERE sweep_hour IS NULL;

-- Those that expire are found here when they are listed after all, and sorted.
CREATE INDEX documents_expiring ON documents (scope, kind, parent) WHERE sweep_hour IS NOT NULL;
