UPDATE outcrop.jobs AS j
SET claimable_at_ms = $3,
    attempts = least(j.attempts + 1, 4294967295),
    lease = nextval('outcrop.leases')
WHERE j.id = (
    SELECT c.id
    FROM outcrop.jobs AS c
    WHERE c.queue = $1 AND c.claimable_at_ms <= $2
    ORDER BY c.claimable_at_ms, c.id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING j.id, j.payload, j.attempts, j.lease
