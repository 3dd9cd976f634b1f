//! Reading chunks.

use std::sync::Arc;

use outcrop_engine::port::{DocumentKey, ParentChunk};
use outcrop_knowledge::metadata::Metadata;
use roaring::RoaringBitmap;

use super::{Truth, stored};
use crate::failure::Failure;
use crate::vectors::cosine;

/// A chunk as a search returns it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) document: DocumentKey,
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    pub(crate) parent: Option<(i64, Arc<ParentChunk>)>,
    pub(crate) metadata: Arc<Metadata>,
}

impl Truth {
    /// All reads until [`Truth::leave`] see the database as it is now.
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        self.connection.execute_batch("BEGIN")?;
        // SQLite takes its view with the first read.
        self.fact("")?;
        Ok(())
    }

    /// Ends what [`Truth::enter`] began.
    pub(crate) fn leave(&self) -> Result<(), Failure> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    /// The numbers of all chunks.
    pub(crate) fn live(&self) -> Result<RoaringBitmap, Failure> {
        // Read from the index over documents, which is much smaller than the table.
        let mut statement = self
            .connection
            .prepare("SELECT id FROM chunks INDEXED BY chunks_of_document")?;
        let mut numbers = statement
            .query_map([], |row| row.get::<_, u32>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        numbers.sort_unstable();
        Ok(numbers.into_iter().collect())
    }

    /// Calls `each` with all chunks' numbers and attributes, in order.
    pub(crate) fn each_metadata(
        &self,
        mut each: impl FnMut(u32, &Metadata),
    ) -> Result<(), Failure> {
        let mut statement = self.connection.prepare(
            "SELECT chunks.id, attributes.id, attributes.body FROM chunks
             JOIN attributes ON attributes.id = chunks.attributes ORDER BY chunks.id",
        )?;
        let mut rows = statement.query([])?;
        let mut last: Option<(i64, Metadata)> = None;
        while let Some(row) = rows.next()? {
            let of: i64 = row.get(1)?;
            let known = last.take().filter(|(known, _)| *known == of);
            let (_, metadata) = match known {
                Some(known) => last.insert(known),
                None => last.insert((of, stored::read_metadata(row.get_ref(2)?.as_str()?)?)),
            };
            each(row.get(0)?, metadata);
        }
        Ok(())
    }

    /// Calls `each` with the number and vector of all chunks above a number, in order.
    pub(crate) fn each_vector(
        &self,
        above: Option<u32>,
        mut each: impl FnMut(u32, &[f32]),
    ) -> Result<(), Failure> {
        let mut statement = self
            .connection
            .prepare("SELECT chunk, body FROM vectors WHERE chunk > ?1 ORDER BY chunk")?;
        let mut rows = statement.query([above.map_or(-1, i64::from)])?;
        let mut vector = Vec::new();
        while let Some(row) = rows.next()? {
            stored::read_vector(row.get_ref(1)?.as_blob()?, &mut vector);
            each(row.get(0)?, &vector);
        }
        Ok(())
    }

    /// Calls `each` with the number and text of all chunks above a number, in order.
    pub(crate) fn each_text(
        &self,
        above: Option<u32>,
        mut each: impl FnMut(u32, &str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut statement = self
            .connection
            .prepare("SELECT chunk, body FROM texts WHERE chunk > ?1 ORDER BY chunk")?;
        let mut rows = statement.query([above.map_or(-1, i64::from)])?;
        while let Some(row) = rows.next()? {
            each(row.get(0)?, row.get_ref(1)?.as_str()?)?;
        }
        Ok(())
    }

    /// The exact cosines of some chunks with a question. One that is gone has none.
    pub(crate) fn cosines(
        &self,
        question: &[f32],
        chunks: &[u32],
    ) -> Result<Vec<(u32, f64)>, Failure> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT body FROM vectors WHERE chunk = ?1")?;
        let mut vector = Vec::new();
        let mut cosines = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let mut rows = statement.query([chunk])?;
            if let Some(row) = rows.next()? {
                stored::read_vector(row.get_ref(0)?.as_blob()?, &mut vector);
                cosines.push((*chunk, cosine(question, &vector)));
            }
        }
        Ok(cosines)
    }

    /// A chunk with all that a search returns.
    pub(crate) fn row(&self, chunk: u32) -> Result<Option<Row>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT documents.source, documents.kind, documents.location, chunks.name, texts.body,
                    attributes.body, parents.id, parents.name, parents.body
             FROM chunks
             JOIN documents ON documents.id = chunks.document
             JOIN texts ON texts.chunk = chunks.id
             JOIN attributes ON attributes.id = chunks.attributes
             LEFT JOIN parents ON parents.id = chunks.parent
             WHERE chunks.id = ?1",
        )?;
        let mut rows = statement.query([chunk])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let parent = match row.get::<_, Option<i64>>(6)? {
            None => None,
            Some(number) => Some((
                number,
                Arc::new(ParentChunk {
                    id: row.get(7)?,
                    text: row.get::<_, String>(8)?.into(),
                }),
            )),
        };
        Ok(Some(Row {
            document: DocumentKey {
                data_source_id: row.get(0)?,
                location: stored::read_location(row.get(1)?, row.get(2)?)?,
            },
            name: row.get(3)?,
            text: row.get::<_, String>(4)?.into(),
            parent,
            metadata: Arc::new(stored::read_metadata(row.get_ref(5)?.as_str()?)?),
        }))
    }
}
