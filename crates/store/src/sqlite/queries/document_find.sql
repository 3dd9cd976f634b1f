SELECT row, revision, created_at_ms, expires_at_ms, sweep_hour, name
FROM documents
WHERE scope = ?1 AND kind = ?2 AND parent = ?3 AND id = ?4
