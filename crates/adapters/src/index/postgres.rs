//! Chunks in a PostgreSQL database with pgvector (ADR 0021).
//!
//! The table is the one that an RDS configuration names, in the form AWS's guide gives it, or one of
//! the knowledge base's own. Several knowledge bases may share a table, and several servers a database.
//! Nothing is opened before it is used. What is remembered of a table is looked at again when the
//! database says that it is not so.
//!
//! Not here: credentials of AWS's Secrets Manager and its Data API; the database is the configured one.

mod condition;
mod failure;
mod layout;
mod mark;
mod pool;
mod search;
mod target;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    ChunkIndex, DocumentKey, EmbeddingIdentity, Hit, IndexError, IndexPlace, IndexedChunk, Search,
};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_postgres::{Connector, DatabaseUrl, TlsError};

use layout::Layouts;
use pool::{Pool, Work};
use search::Find;
use target::Target;
use write::{Documents, HasWords, Identity, Place, Put, Remove, Which};

/// Databases of one server that are used, for a URL that names none. Knowledge bases name them; more
/// of them than this are no setup but a mistake.
const DATABASES_MAX: usize = 64;

/// How an index is opened.
#[derive(Clone, Debug)]
pub struct PostgresIndexOptions {
    /// The database. Where the URL names none, `databaseName` of the RDS configuration does.
    pub url: DatabaseUrl,
    /// Connections open at once to each database, at least 1.
    pub connections: usize,
}

/// See the module. Needs a tokio runtime.
pub struct PostgresIndex {
    connector: Connector,
    connections: usize,
    layouts: Arc<Layouts>,
    pools: Mutex<BTreeMap<Option<String>, Arc<Pool>>>,
}

impl PostgresIndex {
    /// An index that connects when it is first used.
    ///
    /// # Errors
    /// The certificates that the URL names cannot be used.
    pub fn new(options: PostgresIndexOptions) -> Result<Self, TlsError> {
        Ok(Self {
            connector: Connector::new(options.url)?,
            connections: options.connections,
            layouts: Arc::default(),
            pools: Mutex::default(),
        })
    }

    fn place(&self, place: &IndexPlace) -> Place {
        let mut target = Target::of(place, self.connector.url().schema());
        if self.connector.url().names_database() {
            target.database = None;
        }
        Place {
            layouts: Arc::clone(&self.layouts),
            target,
        }
    }

    /// The connections to the database that a place is in.
    fn pool(&self, place: &Place) -> Result<Arc<Pool>, IndexError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let database = &place.target.database;
        if let Some(pool) = pools.get(database) {
            return Ok(Arc::clone(pool));
        }
        if pools.len() >= DATABASES_MAX {
            return Err(IndexError::Rejected(format!(
                "knowledge bases name more than {DATABASES_MAX} databases of one server"
            )));
        }
        let connector = match database {
            Some(name) => self.connector.with_database(name),
            None => self.connector.clone(),
        };
        let pool = Arc::new(Pool::new(connector, self.connections));
        pools.insert(database.clone(), Arc::clone(&pool));
        Ok(pool)
    }

    async fn read<W: Work>(&self, place: &Place, work: &W) -> Result<W::Answer, IndexError> {
        self.pool(place)?.perform(work).await
    }

    /// Goes to its end even if nobody waits for it any more.
    async fn write<W: Work<Answer = ()> + 'static>(
        &self,
        place: &Place,
        work: W,
    ) -> Result<(), IndexError> {
        let pool = self.pool(place)?;
        match tokio::spawn(async move { pool.perform(&work).await }).await {
            Ok(outcome) => outcome,
            Err(cause) => Err(IndexError::Unavailable(cause.to_string())),
        }
    }
}

impl fmt::Debug for PostgresIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresIndex")
            .field("url", self.connector.url())
            .finish_non_exhaustive()
    }
}

impl ChunkIndex for PostgresIndex {
    fn is_reached_by_others(&self, _: &IndexPlace) -> bool {
        true
    }

    fn searches_text<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<bool, IndexError>> {
        Box::pin(async move {
            let place = self.place(place);
            self.read(&place.clone(), &HasWords(place)).await
        })
    }

    fn identity<'a>(
        &'a self,
        place: &'a IndexPlace,
    ) -> BoxFuture<'a, Result<Option<EmbeddingIdentity>, IndexError>> {
        Box::pin(async move {
            let place = self.place(place);
            self.read(&place.clone(), &Identity(place)).await
        })
    }

    fn put<'a>(
        &'a self,
        place: &'a IndexPlace,
        identity: &'a EmbeddingIdentity,
        document: &'a DocumentKey,
        chunks: Vec<IndexedChunk>,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(async move {
            let place = self.place(place);
            let work = Put {
                place: place.clone(),
                identity: identity.clone(),
                document: document.clone(),
                chunks,
            };
            self.write(&place, work).await
        })
    }

    fn remove<'a>(
        &'a self,
        place: &'a IndexPlace,
        documents: &'a [DocumentKey],
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let which = Which::Documents(documents.to_vec());
        Box::pin(self.remove_which(place, which))
    }

    fn remove_source<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
    ) -> BoxFuture<'a, Result<(), IndexError>> {
        let which = Which::Source(data_source_id.to_owned());
        Box::pin(self.remove_which(place, which))
    }

    fn remove_all<'a>(&'a self, place: &'a IndexPlace) -> BoxFuture<'a, Result<(), IndexError>> {
        Box::pin(self.remove_which(place, Which::All))
    }

    fn documents<'a>(
        &'a self,
        place: &'a IndexPlace,
        data_source_id: &'a str,
        after: Option<&'a DocumentLocation>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<DocumentLocation>, IndexError>> {
        Box::pin(async move {
            let place = self.place(place);
            let work = Documents {
                place: place.clone(),
                source: data_source_id.to_owned(),
                after: after.cloned(),
                limit,
            };
            self.read(&place, &work).await
        })
    }

    fn search<'a>(
        &'a self,
        place: &'a IndexPlace,
        search: Search,
    ) -> BoxFuture<'a, Result<Vec<Hit>, IndexError>> {
        Box::pin(async move {
            let place = self.place(place);
            let work = Find {
                layouts: Arc::clone(&place.layouts),
                target: place.target.clone(),
                search,
            };
            self.read(&place, &work).await
        })
    }
}

impl PostgresIndex {
    async fn remove_which(&self, place: &IndexPlace, which: Which) -> Result<(), IndexError> {
        let place = self.place(place);
        let work = Remove {
            place: place.clone(),
            which,
        };
        self.write(&place, work).await
    }
}
