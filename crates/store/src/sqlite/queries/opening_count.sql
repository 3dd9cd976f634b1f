UPDATE openings SET count = count + 1 RETURNING count
