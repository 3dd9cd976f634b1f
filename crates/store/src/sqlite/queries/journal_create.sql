INSERT INTO journals (journal, number) VALUES (?1, ?2)
