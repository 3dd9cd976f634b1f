//! Reading: a few threads with a connection each, and the queries.

use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::cache::Stored;
use super::listings::Listed;
use super::queue::{AbandonOnDrop, Queue};
use super::{refused, stopped, unavailable};
use crate::document::{Key, Listing, Order, Page, Record, Scan};
use crate::error::StoreError;
use crate::journal::Entry;

/// A read, with its answer's way back inside.
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// Serves reads until the queue is closed and empty.
pub(super) fn run(connection: &Connection, queue: &Queue<Read>) {
    let _abandon = AbandonOnDrop(queue);
    while queue.wait() {
        // Another reader may have been quicker.
        if let Some(read) = queue.take_one() {
            read(connection);
        }
    }
}

/// Has a reader run a query.
pub(super) async fn read<T: Send + 'static>(
    queue: &Queue<Read>,
    query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = oneshot::channel();
    let read: Read = Box::new(move |connection| {
        // Nobody may be waiting any more; then the query is not worth running.
        if !sender.is_closed() {
            sender.send(query(connection)).ok();
        }
    });
    queue.push(read).map_err(refused)?;
    receiver.await.map_err(|_| stopped())?.map_err(unavailable)
}

/// One document, expired or not.
pub(super) fn get(connection: &Connection, key: Key) -> rusqlite::Result<Option<Stored>> {
    let mut statement = connection.prepare_cached(include_str!("queries/document_get.sql"))?;
    let mut rows = statement.query(params![key.scope, key.kind, key.parent, key.id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let record = Record {
        revision: row.get::<_, i64>(0)?.cast_unsigned(),
        body: row.get(4)?,
        created_at_ms: row.get(1)?,
        updated_at_ms: row.get(2)?,
        key,
    };
    Ok(Some(Stored {
        record,
        expires_at_ms: row.get(3)?,
    }))
}

const LIST_BY_ID: &str = include_str!("queries/document_list_by_id.sql");
const LIST_BY_CREATED: &str = include_str!("queries/document_list_by_created.sql");
const LIST_BY_CREATED_UNDECLARED: &str =
    include_str!("queries/document_list_by_created_undeclared.sql");
const LIST_BY_UPDATED: &str = include_str!("queries/document_list_by_updated.sql");
const LIST_BY_UPDATED_UNDECLARED: &str =
    include_str!("queries/document_list_by_updated_undeclared.sql");

/// One page of documents of a kind that is `listed` so.
pub(super) fn list(
    connection: &Connection,
    listed: Listed,
    scan: &Scan,
    page: &Page,
) -> rusqlite::Result<Listing> {
    let sql = match (scan.order, listed.holds(scan.order)) {
        (Order::Id, _) => LIST_BY_ID,
        (Order::Created, true) => LIST_BY_CREATED,
        (Order::Created, false) => LIST_BY_CREATED_UNDECLARED,
        (Order::UpdatedDescending, true) => LIST_BY_UPDATED,
        (Order::UpdatedDescending, false) => LIST_BY_UPDATED_UNDECLARED,
    };
    let records = select(connection, sql, scan, page)?;
    Ok(Listing::from_sought(records, page.limit, scan.order))
}

/// What one query finds of a page, up to one document more than the page holds.
fn select(
    connection: &Connection,
    sql: &str,
    scan: &Scan,
    page: &Page,
) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection.prepare_cached(sql)?;
    let (sort, from_id) = start(scan.order, page);
    statement.raw_bind_parameter(1, &scan.scope)?;
    statement.raw_bind_parameter(2, scan.kind)?;
    statement.raw_bind_parameter(3, &scan.parent)?;
    // Not every query looks at every one of these.
    for (name, value) in [
        (4, Value::Integer(scan.now_ms)),
        (5, Value::Text(from_id)),
        (6, Value::Integer(i64::from(page.limit) + 1)),
        (7, Value::Integer(sort)),
    ] {
        if name <= statement.parameter_count() {
            statement.raw_bind_parameter(name, value)?;
        }
    }
    let mut rows = statement.raw_query();
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(Record {
            key: Key {
                scope: Arc::clone(&scan.scope),
                kind: scan.kind,
                parent: Arc::clone(&scan.parent),
                id: row.get(0)?,
            },
            revision: row.get::<_, i64>(1)?.cast_unsigned(),
            created_at_ms: row.get(2)?,
            updated_at_ms: row.get(3)?,
            body: row.get(4)?,
        });
    }
    Ok(records)
}

/// The place a page starts at, itself included: before everything, or right behind the cursor, where
/// the next possible id is the last one with a zero byte at its end.
fn start(order: Order, page: &Page) -> (i64, String) {
    match (&page.after, order) {
        (Some(after), _) => (after.sort, format!("{}\0", after.id)),
        (None, Order::Id | Order::Created) => (i64::MIN, String::new()),
        (None, Order::UpdatedDescending) => (i64::MAX, String::new()),
    }
}

/// Entries of a journal above `after`.
pub(super) fn journal(
    connection: &Connection,
    journal: &str,
    after: u64,
    limit: u32,
) -> rusqlite::Result<Vec<Entry>> {
    // A number SQLite cannot hold lies behind every entry.
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(include_str!("queries/journal_read.sql"))?;
    let mut rows = statement.query(params![journal, after, limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(Entry {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            bytes: row.get::<_, Vec<u8>>(1)?.into(),
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    /// How SQLite goes about a query, one line a step.
    fn plan(sql: &str) -> String {
        let mut connection = Connection::open_in_memory().expect("a database");
        schema::migrate(&mut connection).expect("the schema");
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .expect("the query is valid");
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().expect("the plan") {
            steps.push(row.get::<_, String>(3).expect("a step"));
        }
        steps.join("\n")
    }

    #[test]
    fn a_listing_walks_an_index_in_its_order() {
        let of = "scope=? AND kind=? AND parent=?";
        assert_eq!(
            plan(LIST_BY_ID),
            format!("SEARCH documents USING INDEX sqlite_autoindex_documents_1 ({of} AND id>?)")
        );
        assert_eq!(
            plan(LIST_BY_CREATED),
            format!(
                "SEARCH documents USING INDEX documents_created ({of} AND (created_at_ms,id)>(?,?))"
            )
        );
        assert_eq!(
            plan(LIST_BY_UPDATED),
            format!("SEARCH documents USING INDEX documents_updated ({of} AND updated_at_ms<?)")
        );
        for undeclared in [LIST_BY_CREATED_UNDECLARED, LIST_BY_UPDATED_UNDECLARED] {
            assert_eq!(
                plan(undeclared),
                format!(
                    "SEARCH documents USING INDEX sqlite_autoindex_documents_1 ({of})\nUSE TEMP B-TREE FOR ORDER BY"
                )
            );
        }
    }
}
