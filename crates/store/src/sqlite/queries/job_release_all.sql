UPDATE jobs SET claimable_at_ms = due_at_ms, lease = NULL WHERE lease IS NOT NULL
