DELETE FROM documents WHERE row = ?1
