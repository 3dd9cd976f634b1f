-- Those that expire but have not yet.
SELECT id, revision, created_at_ms, updated_at_ms, body
FROM documents
WHERE scope = ?1 AND kind = ?2 AND parent = ?3 AND sweep_hour IS NOT NULL
    AND expires_at_ms > ?4
    AND updated_at_ms <= ?7 AND (updated_at_ms < ?7 OR id >= ?5)
ORDER BY updated_at_ms DESC, id
LIMIT ?6
