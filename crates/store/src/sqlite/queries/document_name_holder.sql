SELECT row, id, expires_at_ms
FROM documents
WHERE scope = ?1 AND kind = ?2 AND parent = ?3 AND name = ?4
