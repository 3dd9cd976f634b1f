SELECT revision, created_at_ms, updated_at_ms, expires_at_ms, body
FROM documents
WHERE scope = ?1 AND kind = ?2 AND parent = ?3 AND id = ?4
