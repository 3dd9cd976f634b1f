//! The truth about one knowledge base's chunks: a SQLite database.
//!
//! Everything else of the index is derived from it and can be thrown away. Rows of chunks are only put
//! in and taken out, never changed, and their numbers only rise ([`schema`](self), `schema.sql`).
//!
//! Not here: what is in memory of it (`base`).

mod read;
mod stored;

use std::path::Path;

use outcrop_engine::port::{DocumentKey, EmbeddingIdentity, IndexedChunk};
use outcrop_knowledge::document::DocumentLocation;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::failure::Failure;
use super::graph::Saved;

/// Name of the database file within the index's folder.
const FILE_NAME: &str = "chunks.db";
/// The format that this program writes.
const FORMAT: i64 = 1;
/// Vectors of 384 to 1,536 numbers fill such pages better than the default ones.
const PAGE_BYTES: i64 = 8192;
/// Memory of one connection for pages, in KiB. The operating system's own cache is behind it.
const CACHE_KIB: i64 = 2048;
/// How long to wait for a lock, in milliseconds. Only a checkpoint can be in the way.
const BUSY_MS: u64 = 10_000;

const IDENTITY: &str = "identity";
const GRAPH: &str = "graph";

/// What an answered write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, `kill -9` included.
    #[default]
    Process,
    /// A power cut too: each write is synced to disk.
    Power,
}

/// A connection to the database.
pub(super) struct Truth {
    connection: Connection,
}

/// What a write took out and put in.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Numbers of the chunks that are gone.
    pub(super) removed: Vec<u32>,
    /// Numbers of the new chunks, in the order in which they were given.
    pub(super) added: Vec<u32>,
}

impl Truth {
    /// Whether there is a database in this folder.
    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(FILE_NAME).exists()
    }

    /// Opens the database, and makes it where it is missing.
    pub(super) fn open(folder: &Path, durability: Durability) -> Result<Self, Failure> {
        let mut connection = Connection::open(folder.join(FILE_NAME))?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let synchronous = match durability {
            Durability::Process => "normal",
            Durability::Power => "full",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let transaction = connection.transaction()?;
        let format: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match format {
            0 => {
                transaction.execute_batch(include_str!("schema.sql"))?;
                transaction.pragma_update(None, "user_version", FORMAT)?;
            }
            FORMAT => {}
            found => {
                return Err(Failure::Newer {
                    found,
                    known: FORMAT,
                });
            }
        }
        transaction.commit()?;
        Ok(Self { connection })
    }

    /// What made the vectors.
    pub(super) fn identity(&self) -> Result<Option<EmbeddingIdentity>, Failure> {
        self.fact(IDENTITY)?
            .map(|value| Ok(serde_json::from_str(&value)?))
            .transpose()
    }

    /// The graph that was saved last. One that this version cannot read is none.
    pub(super) fn graph(&self) -> Result<Option<Saved>, Failure> {
        Ok(self
            .fact(GRAPH)?
            .and_then(|value| serde_json::from_str(&value).ok()))
    }

    /// Remembers the graph that was saved last.
    pub(super) fn set_graph(&self, saved: &Saved) -> Result<(), Failure> {
        set_fact(&self.connection, GRAPH, &serde_json::to_string(saved)?)
    }

    fn fact(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self
            .connection
            .prepare_cached("SELECT value FROM facts WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?)
    }

    /// Begins a write. Dropped without a commit, it did nothing.
    pub(super) fn begin(&mut self) -> Result<Write<'_>, Failure> {
        Ok(Write {
            transaction: self.connection.transaction()?,
        })
    }
}

/// A write that is not committed yet.
pub(super) struct Write<'a> {
    transaction: Transaction<'a>,
}

impl Write<'_> {
    /// Makes it last.
    pub(super) fn commit(self) -> Result<(), Failure> {
        Ok(self.transaction.commit()?)
    }

    /// Remembers what makes the vectors.
    pub(super) fn set_identity(&self, identity: &EmbeddingIdentity) -> Result<(), Failure> {
        set_fact(
            &self.transaction,
            IDENTITY,
            &serde_json::to_string(identity)?,
        )
    }

    /// Takes out a document's chunks and itself.
    pub(super) fn remove(
        &self,
        document: &DocumentKey,
        change: &mut Change,
    ) -> Result<(), Failure> {
        let (kind, location) = stored::location(&document.location);
        let id: Option<i64> = self
            .transaction
            .prepare_cached(
                "SELECT id FROM documents WHERE source = ?1 AND kind = ?2 AND location = ?3",
            )?
            .query_row(params![document.data_source_id, kind, location], |row| {
                row.get(0)
            })
            .optional()?;
        match id {
            Some(id) => self.remove_document(id, change),
            None => Ok(()),
        }
    }

    /// The numbers of some documents of a data source.
    pub(super) fn some_of_source(&self, source: &str, limit: usize) -> Result<Vec<i64>, Failure> {
        let mut statement = self
            .transaction
            .prepare_cached("SELECT id FROM documents WHERE source = ?1 LIMIT ?2")?;
        let ids = statement.query_map(params![source, stored::count(limit)], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Takes out a document by its number.
    pub(super) fn remove_document(&self, id: i64, change: &mut Change) -> Result<(), Failure> {
        let mut chunks = self
            .transaction
            .prepare_cached("SELECT id FROM chunks WHERE document = ?1 ORDER BY id")?;
        for chunk in chunks.query_map([id], |row| row.get(0))? {
            change.removed.push(chunk?);
        }
        for statement in [
            "DELETE FROM texts WHERE chunk IN (SELECT id FROM chunks WHERE document = ?1)",
            "DELETE FROM vectors WHERE chunk IN (SELECT id FROM chunks WHERE document = ?1)",
            "DELETE FROM chunks WHERE document = ?1",
            "DELETE FROM attributes WHERE document = ?1",
            "DELETE FROM parents WHERE document = ?1",
            "DELETE FROM documents WHERE id = ?1",
        ] {
            self.transaction.prepare_cached(statement)?.execute([id])?;
        }
        Ok(())
    }

    /// Puts in a document that is not there.
    pub(super) fn add(
        &self,
        document: &DocumentKey,
        chunks: &[IndexedChunk],
        change: &mut Change,
    ) -> Result<(), Failure> {
        let (kind, location) = stored::location(&document.location);
        self.transaction
            .prepare_cached("INSERT INTO documents (source, kind, location) VALUES (?1, ?2, ?3)")?
            .execute(params![document.data_source_id, kind, location])?;
        let id = self.transaction.last_insert_rowid();
        let mut attributes = None;
        let mut parent = None;
        for chunk in chunks {
            let attributes = match &attributes {
                Some((of, row)) if *of == &chunk.metadata => *row,
                _ => {
                    self.transaction
                        .prepare_cached("INSERT INTO attributes (document, body) VALUES (?1, ?2)")?
                        .execute(params![id, stored::write_metadata(&chunk.metadata)?])?;
                    let row = self.transaction.last_insert_rowid();
                    attributes = Some((&chunk.metadata, row));
                    row
                }
            };
            let parent = match (&chunk.parent, &parent) {
                (None, _) => None,
                (Some(wanted), Some((of, row))) if *of == wanted => Some(*row),
                (Some(wanted), _) => {
                    self.transaction
                        .prepare_cached(
                            "INSERT INTO parents (document, name, body) VALUES (?1, ?2, ?3)",
                        )?
                        .execute(params![id, wanted.id, &*wanted.text])?;
                    let row = self.transaction.last_insert_rowid();
                    parent = Some((wanted, row));
                    Some(row)
                }
            };
            self.transaction
                .prepare_cached(
                    "INSERT INTO chunks (document, name, attributes, parent) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![id, chunk.id, attributes, parent])?;
            let row = self.transaction.last_insert_rowid();
            let number = u32::try_from(row).map_err(|_| Failure::Exhausted)?;
            self.transaction
                .prepare_cached("INSERT INTO texts (chunk, body) VALUES (?1, ?2)")?
                .execute(params![number, &*chunk.text])?;
            self.transaction
                .prepare_cached("INSERT INTO vectors (chunk, body) VALUES (?1, ?2)")?
                .execute(params![number, stored::write_vector(&chunk.vector)])?;
            change.added.push(number);
        }
        Ok(())
    }
}

fn set_fact(connection: &Connection, name: &str, value: &str) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "INSERT INTO facts (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute([name, value])?;
    Ok(())
}

impl Truth {
    /// The documents of a data source in order, those behind `after`.
    pub(super) fn documents(
        &self,
        source: &str,
        after: Option<&DocumentLocation>,
        limit: usize,
    ) -> Result<Vec<DocumentLocation>, Failure> {
        let (kind, location) = after.map_or((-1, ""), stored::location);
        let mut statement = self.connection.prepare_cached(
            "SELECT kind, location FROM documents
             WHERE source = ?1 AND (kind, location) > (?2, ?3)
             ORDER BY kind, location LIMIT ?4",
        )?;
        let rows = statement.query_map(
            params![source, kind, location, stored::count(limit)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        rows.map(|row| {
            let (kind, location) = row?;
            stored::read_location(kind, location)
        })
        .collect()
    }
}
