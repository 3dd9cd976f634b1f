-- The common update. Of the indexes only the one on updates names a column of it, and that one holds few
-- kinds of documents.
UPDATE documents
SET revision = ?2, updated_at_ms = ?3, expires_at_ms = ?4, body = ?5
WHERE row = ?1
