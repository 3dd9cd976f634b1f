INSERT INTO journals (journal) VALUES (?1)
