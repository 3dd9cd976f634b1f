DELETE FROM documents
WHERE scope = ?1 AND kind = ?2 AND parent = ?3
RETURNING id
