-- The common update: it names no indexed column, so SQLite leaves every index alone.
UPDATE documents
SET revision = ?2, updated_at_ms = ?3, expires_at_ms = ?4, body = ?5
WHERE row = ?1
