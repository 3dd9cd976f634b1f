//! Appends.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::Failure;
use crate::error::StoreError;
use crate::journal::JOURNAL_ENTRIES_MAX;
use crate::sqlite::tails::{JournalTails, Tail};

/// Bits of a position that hold the sequence number; the queries know it too.
const SEQ_BITS: u32 = 24;

const _: () = assert!(
    JOURNAL_ENTRIES_MAX < 1 << SEQ_BITS,
    "a sequence number must fit its bits of a position"
);

/// Appends entries behind the last one, which must be the expected one.
pub(super) fn append(
    connection: &Connection,
    tails: &mut JournalTails,
    index: usize,
    journal: &Arc<str>,
    expected_seq: u64,
    entries: &[Bytes],
) -> Result<(), Failure> {
    let known = match tails.get(journal) {
        Some(tail) => Some(tail),
        None => find_tail(connection, journal)?,
    };
    let actual = known.map_or(0, |tail| tail.last_seq);
    if actual != expected_seq {
        return Err(Failure::Refused(StoreError::Fenced { index, actual }));
    }
    if actual + entries.len() as u64 > JOURNAL_ENTRIES_MAX {
        return Err(Failure::Refused(StoreError::OutOfBounds(
            "a journal holds at most JOURNAL_ENTRIES_MAX entries",
        )));
    }
    if entries.is_empty() {
        return Ok(());
    }
    let mut tail = match known {
        Some(tail) => tail,
        None => create(connection, tails.next_number(), journal)?,
    };
    let mut statement = connection.prepare_cached(include_str!("../queries/journal_append.sql"))?;
    for entry in entries {
        tail.last_seq += 1;
        let position = (tail.number << SEQ_BITS) | tail.last_seq.cast_signed();
        statement.execute(params![position, &entry[..]])?;
    }
    tails.set(journal, tail);
    Ok(())
}

fn create(connection: &Connection, number: i64, journal: &Arc<str>) -> rusqlite::Result<Tail> {
    connection
        .prepare_cached(include_str!("../queries/journal_create.sql"))?
        .execute(params![journal, number])?;
    Ok(Tail {
        number,
        last_seq: 0,
    })
}

/// The highest number of a journal that has entries, and every journal has from its creation on.
pub(in crate::sqlite) fn last_number(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        include_str!("../queries/journal_last_number.sql"),
        [],
        |row| row.get(0),
    )
}

fn find_tail(connection: &Connection, journal: &Arc<str>) -> rusqlite::Result<Option<Tail>> {
    let mut statement = connection.prepare_cached(include_str!("../queries/journal_tail.sql"))?;
    let mut rows = statement.query([journal])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let number: i64 = row.get(0)?;
    let position: Option<i64> = row.get(1)?;
    let last_seq = position.map_or(0, |position| position - (number << SEQ_BITS));
    Ok(Some(Tail {
        number,
        last_seq: last_seq.cast_unsigned(),
    }))
}
