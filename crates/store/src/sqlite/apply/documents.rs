//! Puts, deletes and the sweep of what has expired.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{Changes, Failure};
use crate::batch::Expect;
use crate::document::{Key, Record, expired};
use crate::error::StoreError;
use crate::sqlite::cache::{Change, Stored};
use crate::sqlite::listings::Listed;

const HOUR_MS: i64 = 3_600_000;

/// A [`crate::Write::Put`].
pub(super) struct Put<'a> {
    pub(super) listed: Listed,
    pub(super) key: &'a Key,
    pub(super) body: &'a Arc<str>,
    pub(super) expect: Expect,
    pub(super) name: Option<&'a Arc<str>>,
    pub(super) expires_at_ms: Option<i64>,
}

/// What a write must know of the document it meets.
struct Found {
    row: i64,
    revision: u64,
    created_at_ms: i64,
    expires_at_ms: Option<i64>,
    sweep_hour: Option<i64>,
    name: Option<Arc<str>>,
}

/// Creates or replaces a document and gives its revision.
pub(super) fn put(
    connection: &Connection,
    changes: &mut Changes,
    now_ms: i64,
    index: usize,
    put: &Put<'_>,
) -> Result<u64, Failure> {
    let found = find_live(connection, now_ms, put.key)?;
    check(put.expect, found.as_ref(), index)?;
    let renamed = found
        .as_ref()
        .is_none_or(|found| found.name.as_ref() != put.name);
    if let Some(name) = put.name.filter(|_| renamed) {
        free_name(connection, changes, now_ms, index, put.key, name)?;
    }
    let (revision, created_at_ms) = match found {
        None => {
            insert(connection, now_ms, put)?;
            (1, now_ms)
        }
        Some(found) => {
            update(connection, now_ms, put, &found, renamed)?;
            (found.revision + 1, found.created_at_ms)
        }
    };
    let record = Record {
        key: put.key.clone(),
        revision,
        body: Arc::clone(put.body),
        created_at_ms,
        updated_at_ms: now_ms,
    };
    changes.push(Change::Put(Arc::new(Stored {
        record,
        expires_at_ms: put.expires_at_ms,
    })));
    Ok(revision)
}

/// Removes a document.
pub(super) fn delete(
    connection: &Connection,
    changes: &mut Changes,
    now_ms: i64,
    index: usize,
    key: &Key,
    expect: Expect,
) -> Result<(), Failure> {
    let found = find_live(connection, now_ms, key)?;
    check(expect, found.as_ref(), index)?;
    if let Some(found) = found {
        delete_row(connection, found.row)?;
    }
    changes.push(Change::Gone(key.clone()));
    Ok(())
}

/// Removes every document of a kind and parent.
pub(super) fn delete_children(
    connection: &Connection,
    changes: &mut Changes,
    scope: &Arc<str>,
    kind: &'static str,
    parent: &Arc<str>,
) -> Result<(), Failure> {
    let mut statement =
        connection.prepare_cached(include_str!("../queries/document_delete_children.sql"))?;
    let mut rows = statement.query(params![scope, kind, parent])?;
    while let Some(row) = rows.next()? {
        changes.push(Change::Gone(Key {
            scope: Arc::clone(scope),
            kind,
            parent: Arc::clone(parent),
            id: row.get(0)?,
        }));
    }
    Ok(())
}

/// Deletes up to `most` documents that expired before the hour of `now_ms` and says how many it was.
pub(in crate::sqlite) fn sweep(
    connection: &Connection,
    changes: &mut Changes,
    hour: i64,
    most: u32,
) -> rusqlite::Result<u32> {
    let mut statement = connection.prepare_cached(include_str!("../queries/document_sweep.sql"))?;
    let mut rows = statement.query(params![hour, most])?;
    let mut swept = 0;
    while let Some(row) = rows.next()? {
        changes.push(Change::Swept {
            scope: row.get(0)?,
            kind: row.get(1)?,
            parent: row.get(2)?,
            id: row.get(3)?,
        });
        swept += 1;
    }
    Ok(swept)
}

/// The last whole hour that has passed; documents with a `sweep_hour` up to it have expired.
pub(in crate::sqlite) fn passed_hour(now_ms: i64) -> i64 {
    now_ms.div_euclid(HOUR_MS)
}

/// The first whole hour at which a document that expires then has expired.
fn sweep_hour(expires_at_ms: i64) -> i64 {
    let whole = i64::from(expires_at_ms.rem_euclid(HOUR_MS) != 0);
    expires_at_ms.div_euclid(HOUR_MS) + whole
}

/// The document, if it is there and has not expired. One that has expired is deleted, so that its
/// place is free.
fn find_live(connection: &Connection, now_ms: i64, key: &Key) -> Result<Option<Found>, Failure> {
    let mut statement = connection.prepare_cached(include_str!("../queries/document_find.sql"))?;
    let mut rows = statement.query(params![key.scope, key.kind, key.parent, key.id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let found = Found {
        row: row.get(0)?,
        revision: row.get::<_, i64>(1)?.cast_unsigned(),
        created_at_ms: row.get(2)?,
        expires_at_ms: row.get(3)?,
        sweep_hour: row.get(4)?,
        name: row.get(5)?,
    };
    if expired(found.expires_at_ms, now_ms) {
        delete_row(connection, found.row)?;
        return Ok(None);
    }
    Ok(Some(found))
}

fn check(expect: Expect, found: Option<&Found>, index: usize) -> Result<(), Failure> {
    if expect.holds(found.map(|found| found.revision)) {
        Ok(())
    } else {
        Err(Failure::Refused(StoreError::Stale { index }))
    }
}

/// Sees to it that no other document has the name; one that has expired gives it up.
fn free_name(
    connection: &Connection,
    changes: &mut Changes,
    now_ms: i64,
    index: usize,
    key: &Key,
    name: &Arc<str>,
) -> Result<(), Failure> {
    let mut statement =
        connection.prepare_cached(include_str!("../queries/document_name_holder.sql"))?;
    let mut rows = statement.query(params![key.scope, key.kind, key.parent, name])?;
    let Some(row) = rows.next()? else {
        return Ok(());
    };
    let holder: Arc<str> = row.get(1)?;
    if !expired(row.get(2)?, now_ms) {
        return Err(Failure::Refused(StoreError::NameTaken { index, holder }));
    }
    delete_row(connection, row.get(0)?)?;
    changes.push(Change::Gone(Key {
        id: holder,
        ..key.clone()
    }));
    Ok(())
}

fn insert(connection: &Connection, now_ms: i64, put: &Put<'_>) -> Result<(), Failure> {
    let key = put.key;
    connection
        .prepare_cached(include_str!("../queries/document_insert.sql"))?
        .execute(params![
            key.scope,
            key.kind,
            key.parent,
            key.id,
            now_ms,
            put.expires_at_ms,
            put.expires_at_ms.map(sweep_hour),
            put.name,
            put.listed.bits(),
            put.body,
        ])?;
    Ok(())
}

fn update(
    connection: &Connection,
    now_ms: i64,
    put: &Put<'_>,
    found: &Found,
    renamed: bool,
) -> Result<(), Failure> {
    let revision = (found.revision + 1).cast_signed();
    let hour = put.expires_at_ms.map(sweep_hour);
    if renamed || hour != found.sweep_hour {
        connection
            .prepare_cached(include_str!("../queries/document_update_indexed.sql"))?
            .execute(params![
                found.row,
                revision,
                now_ms,
                put.expires_at_ms,
                put.body,
                hour,
                put.name,
            ])?;
    } else {
        connection
            .prepare_cached(include_str!("../queries/document_update.sql"))?
            .execute(params![
                found.row,
                revision,
                now_ms,
                put.expires_at_ms,
                put.body,
            ])?;
    }
    Ok(())
}

fn delete_row(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(include_str!("../queries/document_delete.sql"))?
        .execute([row])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_swept_only_after_it_expired() {
        for (expires_at_ms, hour) in [(0, 0), (1, 1), (HOUR_MS, 1), (HOUR_MS + 1, 2), (-1, 0)] {
            assert_eq!(sweep_hour(expires_at_ms), hour, "{expires_at_ms}");
            assert!(expired(Some(expires_at_ms), hour * HOUR_MS));
            assert!(passed_hour(hour * HOUR_MS - 1) < hour);
        }
    }
}
