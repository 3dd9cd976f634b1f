SELECT entries.position & 16777215, entries.bytes
FROM journals
JOIN entries
    ON entries.position > (journals.number << 24) + ?2
    AND entries.position <= (journals.number << 24) + 16777215
WHERE journals.journal = ?1
ORDER BY entries.position
LIMIT ?3
