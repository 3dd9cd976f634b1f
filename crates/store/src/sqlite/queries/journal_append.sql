INSERT INTO entries (position, bytes) VALUES (?1, ?2)
