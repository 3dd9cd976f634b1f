//! The schema's versions and how a database gets to the newest.
//!
//! Migrations only go forward. A database written by a newer program is refused, never guessed at.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// Marks a database file as this program's: "Outc" in ASCII.
const APPLICATION_ID: i32 = 0x4f75_7463;

/// All migrations, oldest first; the version is the place in the list, from 1.
const MIGRATIONS: &[(&str, &str)] = &[
    ("initial", include_str!("migrations/0001_initial.sql")),
    (
        "listing orders",
        include_str!("migrations/0002_listing_orders.sql"),
    ),
    (
        "declared orders",
        include_str!("migrations/0003_declared_orders.sql"),
    ),
];

/// The version this program writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

const CREATE_VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_versions (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL
) STRICT";

/// Brings the database to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    claim_file(&transaction)?;
    transaction.execute(CREATE_VERSIONS, [])?;
    let found: usize = transaction.query_row(
        "SELECT coalesce(max(version), 0) FROM schema_versions",
        [],
        |row| row.get::<_, u32>(0).map(|version| version as usize),
    )?;
    if found > VERSION {
        return Err(OpenError::NewerSchema {
            found,
            known: VERSION,
        });
    }
    for (version, (name, sql)) in (1_u32..).zip(MIGRATIONS).skip(found) {
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO schema_versions (version, name) VALUES (?1, ?2)",
            (version, name),
        )?;
        tracing::info!(version, name, "store schema migrated");
    }
    transaction.commit()?;
    Ok(())
}

/// Refuses a database that another program made.
fn claim_file(connection: &Connection) -> Result<(), OpenError> {
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application == APPLICATION_ID {
        return Ok(());
    }
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != 0 || tables != 0 {
        return Err(OpenError::Foreign);
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(())
}
