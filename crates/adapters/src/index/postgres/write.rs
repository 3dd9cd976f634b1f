//! Writes: a document's rows replaced, taken out, counted; each call one transaction.
//!
//! Writes to one knowledge base take turns by an advisory lock, on whatever servers they are made, so
//! that the check of the model and the rows it is about cannot drift apart.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{DocumentKey, EmbeddingIdentity, IndexError, IndexedChunk};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_postgres::{escape, unescape};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::failure::Failure;
use super::layout::{KEY_CHARS_MAX, Layout, Layouts};
use super::mark::{Row, document_key, location};
use super::pool::{Session, Work};
use super::target::{Target, lock_number};

/// Rows of one statement: some megabytes of text at the longest vectors.
const BATCH_ROWS: usize = 256;

/// What every piece of work has.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) layouts: Arc<Layouts>,
    pub(super) target: Target,
}

impl Place {
    async fn lock(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let lock = lock_number(&["write", &self.target.scope, &self.target.table]);
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&lock])
            .await?;
        Ok(())
    }

    /// What made the vectors of the knowledge base.
    async fn identity(
        &self,
        client: &(impl tokio_postgres::GenericClient + Sync),
        layout: &Layout,
    ) -> Result<Option<EmbeddingIdentity>, Failure> {
        let sql = format!(
            "SELECT {}, vector_dims({}) FROM {} WHERE {} COLLATE \"C\" = $1 LIMIT 1",
            layout.mark("model"),
            layout.vector,
            layout.table,
            layout.mark("kb")
        );
        let rows = client
            .query_typed(&sql, &[(&self.target.scope, Type::TEXT)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let dimensions: i32 = row.try_get(1)?;
        Ok(Some(EmbeddingIdentity {
            model: unescape(row.try_get(0)?).into_owned(),
            dimensions: dimensions.unsigned_abs(),
        }))
    }

    async fn delete(
        &self,
        transaction: &Transaction<'_>,
        layout: &Layout,
        document: &DocumentKey,
    ) -> Result<(), Failure> {
        let key = document_key(&document.location);
        // The first part of the key is what the index has.
        let sql = format!(
            "DELETE FROM {} WHERE {} COLLATE \"C\" = $1 AND {} COLLATE \"C\" = $2
             AND left({key}, {KEY_CHARS_MAX}) COLLATE \"C\" = left($3, {KEY_CHARS_MAX})
             AND {key} = $3",
            layout.table,
            layout.mark("kb"),
            layout.mark("source"),
            key = layout.mark("document"),
        );
        let source = escape(&document.data_source_id);
        transaction
            .execute_typed(
                &sql,
                &[
                    (&self.target.scope, Type::TEXT),
                    (&source, Type::TEXT),
                    (&key, Type::TEXT),
                ],
            )
            .await?;
        Ok(())
    }
}

/// A document's chunks in place of those it had.
pub(super) struct Put {
    pub(super) place: Place,
    pub(super) identity: EmbeddingIdentity,
    pub(super) document: DocumentKey,
    pub(super) chunks: Vec<IndexedChunk>,
}

impl Put {
    fn check(&self, layout: &Layout, holds: Option<EmbeddingIdentity>) -> Result<(), Failure> {
        if let Some(holds) = holds
            && holds != self.identity
        {
            return Err(Failure::Final(IndexError::Identity {
                holds: Box::new(holds),
                wanted: Box::new(self.identity.clone()),
            }));
        }
        let wanted = self.identity.dimensions;
        if let Some(found) = layout.dimensions.filter(|found| *found != wanted) {
            return Err(Failure::rejected(format!(
                "the table {} holds vectors of {found} dimensions, the embedding model {} makes \
                 vectors of {wanted}",
                self.place.target.table, self.identity.model
            )));
        }
        let odd = self
            .chunks
            .iter()
            .find(|chunk| chunk.vector.len() != wanted as usize);
        match odd {
            None => Ok(()),
            Some(chunk) => Err(Failure::rejected(format!(
                "the vector of chunk {} has {} dimensions, not {wanted}",
                chunk.id,
                chunk.vector.len()
            ))),
        }
    }

    async fn insert(&self, transaction: &Transaction<'_>, layout: &Layout) -> Result<(), Failure> {
        let custom = layout.custom.as_ref();
        let (name, value) = custom.map_or_else(Default::default, |column| {
            let value = format!(", c::{}", column.type_name());
            (format!(", {}", column.name), value)
        });
        let sql = format!(
            "INSERT INTO {} ({}, {}, {}, {}{name})
             SELECT i::{}, v::vector, t, m::{}{value}
             FROM unnest($1, $2, $3, $4, $5) AS given (i, v, t, m, c)",
            layout.table,
            layout.id,
            layout.vector,
            layout.text,
            layout.metadata.name,
            layout.id_type,
            layout.metadata.type_name()
        );
        for (batch, chunks) in self.chunks.chunks(BATCH_ROWS).enumerate() {
            let rows = chunks.iter().enumerate().map(|(number, chunk)| {
                Row::new(
                    &self.place.target.scope,
                    &self.identity,
                    &self.document,
                    batch * BATCH_ROWS + number,
                    chunk,
                    custom.is_some(),
                )
            });
            let mut ids = Vec::with_capacity(chunks.len());
            let mut vectors = Vec::with_capacity(chunks.len());
            let mut texts = Vec::with_capacity(chunks.len());
            let mut metadata = Vec::with_capacity(chunks.len());
            let mut customs = Vec::with_capacity(chunks.len());
            for row in rows {
                ids.push(row.id);
                vectors.push(row.vector);
                texts.push(row.text);
                metadata.push(row.metadata);
                customs.push(row.custom);
            }
            let array = || Type::TEXT_ARRAY;
            transaction
                .execute_typed(
                    &sql,
                    &[
                        (&ids, array()),
                        (&vectors, array()),
                        (&texts, array()),
                        (&metadata, array()),
                        (&customs, array()),
                    ],
                )
                .await?;
        }
        Ok(())
    }
}

impl Work for Put {
    type Answer = ();

    fn run<'c>(&'c self, session: &'c mut Session) -> BoxFuture<'c, Result<(), Failure>> {
        Box::pin(async move {
            let place = &self.place;
            let found = if self.chunks.is_empty() {
                place.layouts.find(session, &place.target).await?
            } else {
                let dimensions = self.identity.dimensions;
                let found = place
                    .layouts
                    .find_or_make(session, &place.target, dimensions);
                Some(found.await?)
            };
            let Some(layout) = found else {
                return Ok(());
            };
            let transaction = session.client.transaction().await?;
            place.lock(&transaction).await?;
            let holds = place.identity(&transaction, &layout).await?;
            self.check(&layout, holds)?;
            place.delete(&transaction, &layout, &self.document).await?;
            self.insert(&transaction, &layout).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn look_again(&self) {
        self.place.layouts.forget(&self.place.target);
    }
}

/// What is to be taken out.
pub(super) enum Which {
    Documents(Vec<DocumentKey>),
    Source(String),
    All,
}

/// Rows taken out.
pub(super) struct Remove {
    pub(super) place: Place,
    pub(super) which: Which,
}

impl Work for Remove {
    type Answer = ();

    fn run<'c>(&'c self, session: &'c mut Session) -> BoxFuture<'c, Result<(), Failure>> {
        Box::pin(async move {
            let place = &self.place;
            let Some(layout) = place.layouts.find(session, &place.target).await? else {
                return Ok(());
            };
            let transaction = session.client.transaction().await?;
            place.lock(&transaction).await?;
            let of_kb = format!(
                "DELETE FROM {} WHERE {} COLLATE \"C\" = $1",
                layout.table,
                layout.mark("kb")
            );
            let scope = &place.target.scope;
            match &self.which {
                Which::Documents(documents) => {
                    for document in documents {
                        place.delete(&transaction, &layout, document).await?;
                    }
                }
                Which::Source(source) => {
                    let source = escape(source);
                    let sql = format!("{of_kb} AND {} COLLATE \"C\" = $2", layout.mark("source"));
                    let parameters = [
                        (
                            scope as &(dyn tokio_postgres::types::ToSql + Sync),
                            Type::TEXT,
                        ),
                        (&source, Type::TEXT),
                    ];
                    transaction.execute_typed(&sql, &parameters).await?;
                }
                Which::All if place.target.own => {
                    // All of the table is ours.
                    let sql = format!("DROP TABLE {}", layout.table);
                    transaction.batch_execute(&sql).await?;
                    place.layouts.forget(&place.target);
                }
                Which::All => {
                    transaction
                        .execute_typed(&of_kb, &[(scope, Type::TEXT)])
                        .await?;
                }
            }
            Ok(transaction.commit().await?)
        })
    }

    fn look_again(&self) {
        self.place.layouts.forget(&self.place.target);
    }
}

/// What made the vectors that are there.
pub(super) struct Identity(pub(super) Place);

impl Work for Identity {
    type Answer = Option<EmbeddingIdentity>;

    fn run<'c>(&'c self, session: &'c mut Session) -> BoxFuture<'c, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            match self.0.layouts.find(session, &self.0.target).await? {
                Some(layout) => self.0.identity(&session.client, &layout).await,
                None => Ok(None),
            }
        })
    }

    fn look_again(&self) {
        self.0.layouts.forget(&self.0.target);
    }
}

/// Whether texts can be searched by words: as long as there is no table, for it will be made so.
pub(super) struct HasWords(pub(super) Place);

impl Work for HasWords {
    type Answer = bool;

    fn run<'c>(&'c self, session: &'c mut Session) -> BoxFuture<'c, Result<bool, Failure>> {
        Box::pin(async move {
            let found = self.0.layouts.find(session, &self.0.target).await?;
            Ok(found.is_none_or(|layout| layout.words_indexed))
        })
    }

    fn look_again(&self) {
        self.0.layouts.forget(&self.0.target);
    }
}

/// A page of the documents of a data source.
pub(super) struct Documents {
    pub(super) place: Place,
    pub(super) source: String,
    pub(super) after: Option<DocumentLocation>,
    pub(super) limit: usize,
}

impl Work for Documents {
    type Answer = Vec<DocumentLocation>;

    fn run<'c>(&'c self, session: &'c mut Session) -> BoxFuture<'c, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            let place = &self.place;
            let Some(layout) = place.layouts.find(session, &place.target).await? else {
                return Ok(Vec::new());
            };
            let key = layout.mark("document");
            let start = format!("left({key}, {KEY_CHARS_MAX}) COLLATE \"C\"");
            let sql = format!(
                "SELECT DISTINCT {start}, {key} COLLATE \"C\" FROM {}
                 WHERE {} COLLATE \"C\" = $1 AND {} COLLATE \"C\" = $2
                 AND {start} >= left($3, {KEY_CHARS_MAX}) AND {key} COLLATE \"C\" > $3
                 ORDER BY 1, 2 LIMIT {}",
                layout.table,
                layout.mark("kb"),
                layout.mark("source"),
                self.limit
            );
            let source = escape(&self.source);
            let after = self.after.as_ref().map(document_key).unwrap_or_default();
            let parameters = [
                (
                    &place.target.scope as &(dyn tokio_postgres::types::ToSql + Sync),
                    Type::TEXT,
                ),
                (&source, Type::TEXT),
                (&after, Type::TEXT),
            ];
            let rows = session.client.query_typed(&sql, &parameters).await?;
            let mut locations = Vec::with_capacity(rows.len());
            for row in &rows {
                locations.extend(location(row.try_get(1)?));
            }
            Ok(locations)
        })
    }

    fn look_again(&self) {
        self.place.layouts.forget(&self.place.target);
    }
}
