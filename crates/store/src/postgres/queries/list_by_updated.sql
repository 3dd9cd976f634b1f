-- ($7, $5) is the first place wanted, $7 the update time negated. Documents that never expire come from
-- their index in order; the others, of kinds that are hardly listed this way, are sorted.
SELECT d.id, d.revision, d.body, d.created_at_ms, d.updated_at_ms
FROM (
    (
        SELECT newest_first AS place, id, revision, body, created_at_ms, updated_at_ms
        FROM outcrop.documents
        WHERE scope = $1 AND kind = $2 AND parent = $3
            AND newest_first IS NOT NULL
            AND (newest_first, id) >= ($7, $5)
        ORDER BY newest_first, id
        LIMIT $6
    )
    UNION ALL
    (
        SELECT -updated_at_ms AS place, id, revision, body, created_at_ms, updated_at_ms
        FROM outcrop.documents
        WHERE scope = $1 AND kind = $2 AND parent = $3
            AND newest_first IS NULL
            AND expires_at_ms > $4
            AND (-updated_at_ms, id) >= ($7, $5)
        ORDER BY -updated_at_ms, id
        LIMIT $6
    )
) AS d
ORDER BY d.place, d.id
LIMIT $6
