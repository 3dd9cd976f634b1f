INSERT INTO documents (
    scope, kind, parent, id, revision, created_at_ms, updated_at_ms, expires_at_ms, sweep_hour, name,
    listed, body
)
VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5, ?6, ?7, ?8, ?9, ?10)
