SELECT seq, bytes
FROM outcrop.entries
WHERE journal = $1 AND seq > $2
ORDER BY seq
LIMIT $3
