UPDATE documents
SET revision = ?2, updated_at_ms = ?3, expires_at_ms = ?4, body = ?5, sweep_hour = ?6, name = ?7
WHERE row = ?1
