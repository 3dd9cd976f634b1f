INSERT INTO jobs (id, queue, due_at_ms, claimable_at_ms, attempts, lease, payload)
VALUES (?1, ?2, ?3, ?3, 0, NULL, ?4)
ON CONFLICT (id) DO UPDATE SET
    queue = excluded.queue,
    due_at_ms = excluded.due_at_ms,
    claimable_at_ms = excluded.claimable_at_ms,
    lease = NULL,
    payload = excluded.payload
