//! Reads: a statement each, and its rows as the store's types.

use std::sync::Arc;

use outcrop_postgres::{escape, unescape};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::failure::Failure;
use super::pool::{Pool, Query};
use crate::document::{Key, Listing, Order, Page, Record, Scan};
use crate::error::StoreError;
use crate::job::Job;
use crate::journal::Entry;

/// Runs a statement that only reads, a second time where the connection was lost: after a restart of
/// the database the connections at hand are all dead.
async fn read(
    pool: &Pool,
    query: Query,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, StoreError> {
    let rows = match pool.lend().await {
        Ok(lent) => lent.rows(query, parameters).await,
        Err(failure) => return Err(failure.into_error()),
    };
    match rows {
        Err(Failure::Lost(cause)) => {
            tracing::debug!(%cause, "a read is made again");
            let lent = pool.lend().await.map_err(Failure::into_error)?;
            lent.rows(query, parameters)
                .await
                .map_err(Failure::into_error)
        }
        other => other.map_err(Failure::into_error),
    }
}

fn unreadable(error: Error) -> StoreError {
    StoreError::Unavailable(error.into())
}

/// One document.
pub(super) async fn get(pool: &Pool, key: &Key, now_ms: i64) -> Result<Option<Record>, StoreError> {
    let (scope, parent, id) = (escape(&key.scope), escape(&key.parent), escape(&key.id));
    let rows = read(
        pool,
        Query::Get,
        &[&scope, &key.kind, &parent, &id, &now_ms],
    )
    .await?;
    let record = rows.first().map(|row| record(row, 0, key.clone()));
    record.transpose().map_err(unreadable)
}

/// Revision, body and times from a row, beginning at a column.
fn record(row: &Row, column: usize, key: Key) -> Result<Record, Error> {
    Ok(Record {
        revision: row.try_get::<_, i64>(column)?.cast_unsigned(),
        body: row.try_get::<_, &str>(column + 1)?.into(),
        created_at_ms: row.try_get(column + 2)?,
        updated_at_ms: row.try_get(column + 3)?,
        key,
    })
}

/// One page of documents.
pub(super) async fn list(pool: &Pool, scan: &Scan, page: &Page) -> Result<Listing, StoreError> {
    let (scope, parent) = (escape(&scan.scope), escape(&scan.parent));
    let (place, id) = start(scan.order, page);
    let id = escape(&id);
    let limit = i64::from(page.limit) + 1;
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &scope,
        &scan.kind,
        &parent,
        &scan.now_ms,
        &id,
        &limit,
        &place,
    ];
    let rows = match scan.order {
        Order::Id => read(pool, Query::ListById, &parameters[..6]).await?,
        Order::Created => read(pool, Query::ListByCreated, &parameters).await?,
        Order::UpdatedDescending => read(pool, Query::ListByUpdated, &parameters).await?,
    };
    let records = rows
        .iter()
        .map(|row| {
            let key = Key {
                scope: Arc::clone(&scan.scope),
                kind: scan.kind,
                parent: Arc::clone(&scan.parent),
                id: unescape(row.try_get(0)?).into(),
            };
            record(row, 1, key)
        })
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    Ok(Listing::from_sought(records, page.limit, scan.order))
}

/// The first place of a page in the order of its index: before everything, or right behind the cursor,
/// where the next possible id is the last one with a zero byte at its end.
fn start(order: Order, page: &Page) -> (i64, String) {
    let Some(after) = &page.after else {
        return (i64::MIN, String::new());
    };
    let place = match order {
        Order::Id | Order::Created => after.sort,
        Order::UpdatedDescending => after.sort.saturating_neg(),
    };
    (place, format!("{}\0", after.id))
}

/// Entries of a journal above `after`.
pub(super) async fn journal(
    pool: &Pool,
    journal: &str,
    after: u64,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    // A number the database cannot hold lies behind every entry.
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let journal = escape(journal);
    let rows = read(pool, Query::Journal, &[&journal, &after, &i64::from(limit)]).await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                seq: row.try_get::<_, i64>(0)?.cast_unsigned(),
                bytes: row.try_get::<_, Vec<u8>>(1)?.into(),
            })
        })
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}

/// A claimed job.
pub(super) fn job(row: &Row) -> Result<Job, Error> {
    Ok(Job {
        id: unescape(row.try_get(0)?).into(),
        payload: row.try_get::<_, &str>(1)?.into(),
        attempts: u32::try_from(row.try_get::<_, i64>(2)?).unwrap_or(u32::MAX),
        lease: row.try_get::<_, i64>(3)?.cast_unsigned(),
    })
}

/// The server's version, as it calls it.
pub(super) async fn version(pool: &Pool) -> Result<String, StoreError> {
    let rows = read(pool, Query::Version, &[]).await?;
    let version = rows.first().map(|row| row.try_get(0)).transpose();
    Ok(version.map_err(unreadable)?.unwrap_or_default())
}
