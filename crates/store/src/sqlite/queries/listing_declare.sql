INSERT INTO listings (kind, listed) VALUES (?1, ?2) ON CONFLICT (kind) DO UPDATE SET listed = excluded.listed
