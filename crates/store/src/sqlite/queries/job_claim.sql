UPDATE jobs
SET claimable_at_ms = ?3, attempts = min(attempts + 1, 4294967295), lease = ?4
WHERE id = (
    SELECT id
    FROM jobs
    WHERE queue = ?1 AND claimable_at_ms <= ?2
    ORDER BY claimable_at_ms, id
    LIMIT 1
)
RETURNING id, payload, attempts
