SELECT
    number,
    (
        SELECT position
        FROM entries
        WHERE position BETWEEN (number << 24) AND (number << 24) + 16777215
        ORDER BY position DESC
        LIMIT 1
    )
FROM journals
WHERE journal = ?1
