-- $5 is the first id wanted.
SELECT id, revision, body, created_at_ms, updated_at_ms
FROM outcrop.documents
WHERE scope = $1 AND kind = $2 AND parent = $3
    AND (expires_at_ms IS NULL OR expires_at_ms > $4)
    AND id >= $5
ORDER BY id
LIMIT $6
