//! The table made where there is none, and the one thing that is added to another's: an index over this
//! program's marks. Where it may not even do that, it does without and says so.

use super::super::failure::Failure;
use super::super::mark::MARK;
use super::super::pool::Session;
use super::super::target::{Target, lock_number, quoted};
use super::{Layout, TOKENS, read};

/// Most dimensions of an index of neighbours, pgvector's own bound. Longer vectors are all compared.
const HNSW_DIMENSIONS_MAX: u32 = 2_000;
/// Neighbours of a vector, and candidates while it finds them: pgvector's default, and twice its
/// default, which costs a third of a put and gives recall above 0.98.
const HNSW_OPTIONS: &str = "m = 16, ef_construction = 128";
/// Characters of a text that are searched by words. PostgreSQL's list of a text's words has a bound of
/// a megabyte, which this stays under whatever the words are.
const WORDS_CHARS_MAX: u32 = 100_000;
/// How long the index over this program's marks may take, in a table that somebody has filled.
const MARKS_TIMEOUT_MS: u32 = 540_000;

/// Makes a table. Whoever comes second waits and finds it.
pub(super) async fn make(
    session: &mut Session,
    target: &Target,
    dimensions: u32,
) -> Result<Layout, Failure> {
    let transaction = session.client.transaction().await?;
    let lock = lock_number(&["make", &target.table]);
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&lock])
        .await?;
    if let Some(made) = read(transaction.client(), target).await? {
        transaction.commit().await?;
        return Ok(made);
    }
    let row = transaction
        .query_one(
            "SELECT parts, coalesce(to_regnamespace(quote_ident(parts[1])) IS NOT NULL, false)
             FROM parse_ident($1) AS parts",
            &[&target.table],
        )
        .await?;
    let (parts, there): (Vec<String>, bool) = (row.try_get(0)?, row.try_get(1)?);
    if let [schema, _] = parts.as_slice()
        && !there
    {
        let schema = quoted(schema);
        transaction
            .batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))
            .await?;
    }
    let name: Vec<String> = parts.iter().map(|part| quoted(part)).collect();
    transaction
        .batch_execute(&definition(target, &name.join("."), dimensions))
        .await?;
    let made = read(transaction.client(), target).await?;
    transaction.commit().await?;
    tracing::info!(table = %target.table, dimensions, "made a table for vectors");
    made.ok_or_else(|| {
        Failure::rejected(format!(
            "the table {} was made and is not found; name its schema",
            target.table
        ))
    })
}

/// The table as AWS's guide has it, with its words beside the text and JSON taken apart.
fn definition(target: &Target, table: &str, dimensions: u32) -> String {
    let columns = &target.columns;
    let (id, vector, text) = (
        quoted(&columns.id),
        quoted(&columns.vector),
        quoted(&columns.text),
    );
    let metadata = quoted(&columns.metadata);
    let custom = columns.custom.as_deref().map(quoted);
    let custom_column = custom
        .as_ref()
        .map(|name| format!("{name} jsonb,"))
        .unwrap_or_default();
    let neighbours = if dimensions <= HNSW_DIMENSIONS_MAX {
        format!(
            "CREATE INDEX ON {table} USING hnsw ({vector} vector_cosine_ops) WITH ({HNSW_OPTIONS});"
        )
    } else {
        String::new()
    };
    let custom_index = custom
        .map(|name| format!("CREATE INDEX ON {table} USING gin ({name});"))
        .unwrap_or_default();
    format!(
        "CREATE TABLE {table} (
            {id} uuid PRIMARY KEY,
            {vector} vector({dimensions}) NOT NULL,
            {text} text NOT NULL,
            {metadata} jsonb NOT NULL,
            {custom_column}
            {TOKENS} tsvector NOT NULL
                GENERATED ALWAYS AS (to_tsvector('simple', left({text}, {WORDS_CHARS_MAX}))) STORED
        );
        CREATE INDEX ON {table} USING gin ({TOKENS});
        {neighbours}
        {custom_index}"
    )
}

/// Makes the index over this program's marks, without which documents are looked for in all rows.
pub(super) async fn index_marks(session: &mut Session, layout: &Layout) -> Result<(), Failure> {
    let sql = format!("CREATE INDEX ON {} ({})", layout.table, layout.marks());
    let transaction = session.client.transaction().await?;
    let lock = lock_number(&["marks", &layout.table]);
    transaction
        .batch_execute(&format!(
            "SET LOCAL statement_timeout = {MARKS_TIMEOUT_MS}; SET LOCAL lock_timeout = {MARKS_TIMEOUT_MS};"
        ))
        .await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&lock])
        .await?;
    let there = transaction
        .query_one(
            "SELECT EXISTS (
                SELECT FROM pg_index
                WHERE indrelid = $1::text::regclass
                    AND position($2 IN pg_get_indexdef(indexrelid)) > 0
            )",
            &[&layout.table, &MARK],
        )
        .await?;
    if there.try_get::<_, bool>(0)? {
        return Ok(());
    }
    match transaction.batch_execute(&sql).await {
        Ok(()) => Ok(transaction.commit().await?),
        Err(error) if error.code() == Some(&INSUFFICIENT_PRIVILEGE) => {
            tracing::warn!(
                table = %layout.table,
                statement = %sql,
                "the table's owner should make this index; without it each document costs a scan"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

const INSUFFICIENT_PRIVILEGE: tokio_postgres::error::SqlState =
    tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE;
