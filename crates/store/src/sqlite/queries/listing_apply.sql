UPDATE documents SET listed = ?2 WHERE kind = ?1
