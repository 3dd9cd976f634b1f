-- Rows that a writer holds are left to the next sweep.
DELETE FROM outcrop.documents
WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM outcrop.documents
    WHERE sweep_hour <= $1
    ORDER BY sweep_hour
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
RETURNING 1
