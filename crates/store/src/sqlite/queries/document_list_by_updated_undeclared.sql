-- Without an index in this order: all of them are read and sorted.
SELECT id, revision, created_at_ms, updated_at_ms, body
FROM documents
WHERE scope = ?1 AND kind = ?2 AND parent = ?3
    AND (expires_at_ms IS NULL OR expires_at_ms > ?4)
    AND updated_at_ms <= ?7 AND (updated_at_ms < ?7 OR id >= ?5)
ORDER BY updated_at_ms DESC, id
LIMIT ?6
