SELECT id, revision, created_at_ms, updated_at_ms, body
FROM documents
WHERE scope = ?1 AND kind = ?2 AND parent = ?3 AND listed & 1
    AND (expires_at_ms IS NULL OR expires_at_ms > ?4)
    AND (created_at_ms, id) >= (?7, ?5)
ORDER BY created_at_ms, id
LIMIT ?6
