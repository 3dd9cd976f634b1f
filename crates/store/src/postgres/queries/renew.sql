UPDATE outcrop.jobs SET claimable_at_ms = $3 WHERE id = $1 AND lease = $2 RETURNING id
