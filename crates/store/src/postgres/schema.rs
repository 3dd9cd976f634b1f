//! The schema's versions and how a database gets to the newest.
//!
//! Migrations only go forward, all in one transaction under an advisory lock, so that servers starting
//! at once do it once. A database written by a newer program is refused, never guessed at. A role that
//! may only read and write rows is enough for a database that is up to date.

use tokio_postgres::Client;

use super::OpenError;
use super::batch::family;
use super::pool::Connector;

/// All migrations, oldest first; the version is the place in the list, from 1.
const MIGRATIONS: &[(&str, &str)] = &[
    ("initial", include_str!("migrations/0001_initial.sql")),
    ("commit", include_str!("migrations/0002_commit.sql")),
];

/// Oldest server with everything that is used, and still cared for by its makers.
const SERVER_VERSION_MIN: i32 = 130_000;

/// The longest to wait for another server's migration, and for one statement of an own one.
const MIGRATION_TIMEOUT_MS: u32 = 300_000;

const VERSIONS: &str = "CREATE TABLE outcrop.schema_versions (
    version integer PRIMARY KEY,
    name text NOT NULL
)";

/// The version this program writes.
fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("there are a few migrations")
}

/// Brings the database to the newest version this program knows.
pub(super) async fn migrate(connector: &Connector, client: &mut Client) -> Result<(), OpenError> {
    check_server(client).await?;
    if version(connector, client).await? == Some(known()) {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!(
            "SET LOCAL lock_timeout = {MIGRATION_TIMEOUT_MS};
             SET LOCAL statement_timeout = {MIGRATION_TIMEOUT_MS};"
        ))
        .await?;
    let schema = connector.database.url().schema();
    let lock = family(&["migration", schema]);
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&lock])
        .await?;
    // Read again: another server may just have done it.
    let found = version(connector, transaction.client()).await?;
    if found.is_none() {
        create(connector, transaction.client()).await?;
    }
    let found = found.unwrap_or_default().cast_unsigned() as usize;
    for (version, (name, sql)) in (1_i32..).zip(MIGRATIONS).skip(found) {
        transaction.batch_execute(&connector.sql(sql)).await?;
        let insert = connector.sql("INSERT INTO outcrop.schema_versions VALUES ($1, $2)");
        transaction.execute(&insert, &[&version, name]).await?;
        tracing::info!(version, name, "store schema migrated");
    }
    transaction.commit().await?;
    Ok(())
}

/// Refuses a server that would fail later, in ways harder to understand.
async fn check_server(client: &Client) -> Result<(), OpenError> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')",
            &[],
        )
        .await?;
    let version: i32 = row.try_get(0)?;
    if version < SERVER_VERSION_MIN {
        return Err(OpenError::OldServer {
            found: version / 10_000,
            needed: SERVER_VERSION_MIN / 10_000,
        });
    }
    let encoding: String = row.try_get(1)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { found: encoding });
    }
    Ok(())
}

/// The database's version; `None` where it has none yet.
async fn version(connector: &Connector, client: &Client) -> Result<Option<i32>, OpenError> {
    // Looked up in the catalogues themselves: the cache behind `to_regclass` may be older than the lock
    // of a migration.
    let there = client
        .query_one(
            "SELECT EXISTS (
                SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = $1 AND c.relname = 'schema_versions'
            )",
            &[&connector.database.url().schema()],
        )
        .await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let select =
        connector.sql("SELECT coalesce(max(version), 0)::integer FROM outcrop.schema_versions");
    let found: i32 = client.query_one(&select, &[]).await?.try_get(0)?;
    if found > known() {
        return Err(OpenError::NewerSchema {
            found,
            known: known(),
        });
    }
    Ok(Some(found))
}

/// Makes the schema, unless it is there, made for this by an administrator; it must then be empty.
async fn create(connector: &Connector, client: &Client) -> Result<(), OpenError> {
    let schema = connector.database.url().schema();
    let row = client
        .query_one(
            "SELECT
                EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
                EXISTS (
                    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                    WHERE n.nspname = $1
                )",
            &[&schema],
        )
        .await?;
    let (there, filled): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if filled {
        return Err(OpenError::Foreign {
            schema: schema.to_owned(),
        });
    }
    if !there {
        client
            .batch_execute(&format!("CREATE SCHEMA {schema}"))
            .await?;
    }
    client.batch_execute(&connector.sql(VERSIONS)).await?;
    Ok(())
}
