DELETE FROM documents
WHERE row IN (
    SELECT row FROM documents WHERE sweep_hour <= ?1 ORDER BY sweep_hour LIMIT ?2
)
RETURNING scope, kind, parent, id
