//! How connections are opened: one place for every pragma and its reason.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Durability;

/// The writer is alone, readers never block it, and a checkpoint waits for readers only: a wait this
/// long means something is stuck, and an error is better than a hang.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// More than the number of distinct statements, so none is ever compiled twice.
const STATEMENTS_CACHED: usize = 64;

/// Page cache of the writer in KiB: the interior pages of the b-trees and the leaves in use.
const WRITER_CACHE_KIB: i64 = 8 * 1024;

/// Page cache of each reader in KiB; hot documents never reach SQLite at all.
const READER_CACHE_KIB: i64 = 2 * 1024;

/// A write-ahead log that grew past this is cut back to it once it has been checkpointed. It is what
/// the log reaches under load (see `checkpoint`): to write over pages the file has costs half of
/// writing to pages it must first be given.
const LOG_BYTES_KEPT: i64 = 24 << 20;

/// The one connection that writes.
pub(super) fn open_writer(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    // Readers go on while the writer writes, and a commit is one sequential append.
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "journal_mode {mode}"
        )));
    }
    let synchronous = match durability {
        Durability::Process => "normal",
        Durability::Power => "full",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // A checkpoint syncs two files, milliseconds that no commit should pay: see `checkpoint`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// A connection for checkpoints.
pub(super) fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    Ok(connection)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    // A connection never leaves its thread's hands, so SQLite's own mutexes are left out.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // The savepoints' undo data stays in memory.
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}
