SELECT coalesce(max(position), 0) >> 24 FROM entries
