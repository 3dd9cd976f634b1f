//! How documents get into the index of a knowledge base, and out of it again (behaviour.md 9.5).
//!
//! Everything is durable work: the Store's queue says what is to be done ([`queue`]), any process that
//! is up takes it ([`worker`]), and one that dies leaves it to be taken again. [`sync`] compares a
//! bucket, and [`web`] a web site, with what the Store says of it, [`direct`] does what the documents API
//! asks for, [`delete`] takes out what belonged to a data source or knowledge base, and [`kitchen`] makes
//! chunks of a document. What clients see of it is in [`crate::control`].
//!
//! Invariant: the Store knows of a document before the index does, until after the index does not. So
//! whatever is cut short leaves nothing in an index that nobody would take out.

mod budget;
mod content;
pub(super) mod delete;
mod direct;
pub(crate) mod kitchen;
mod ledger;
mod listing;
mod plan;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod statistics;
pub(crate) mod stored;
mod sync;
mod transform;
mod web;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use outcrop_engine::port::{IndexError, ModelError};
use outcrop_model::exception::Exception;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Committed, Key, StoreError, Write};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::background::{self, Background};
use crate::control::Lines;
use crate::ports::Ports;
use crate::records::{self, Stored};
use crate::settings::Settings;
use crate::{Service, error};
use budget::Budget;

/// Attempts at a call of a vector store that does not answer.
const INDEX_ATTEMPTS: u32 = 5;
/// The wait before the second; each later one is twice as long.
const INDEX_BACKOFF: Duration = Duration::from_millis(500);

/// The background of knowledge bases.
#[derive(Clone)]
pub(crate) struct Ingestion(Arc<Shared>);

/// What all of its work shares.
pub(crate) struct Shared {
    ports: Arc<Ports>,
    settings: Arc<Settings>,
    /// Keeps each document to one writer in this process.
    lines: Lines,
    budget: Budget,
    background: Background,
}

impl Ingestion {
    pub(crate) fn new(ports: Arc<Ports>, settings: Arc<Settings>) -> Self {
        Self(Arc::new(Shared {
            background: Background::new(&ports, &settings, CancellationToken::new()),
            ports,
            settings,
            lines: Lines::new(),
            budget: Budget::new(),
        }))
    }

    /// Begins to do what is due, now and later.
    pub(crate) fn start(&self) {
        background::start(&self.0, &worker::QUEUES);
    }

    /// Tells the background that there is something new to do, or to leave.
    pub(crate) fn wake(&self) {
        self.0.background.wake();
    }

    pub(crate) async fn shutdown(&self) {
        self.0.background.shutdown().await;
    }
}

impl Service {
    /// Does what is due in the background of knowledge bases, one thing after another, and gives how
    /// many there were: what happens by itself once the service is started.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn ingest_due(&self) -> Result<usize, Exception> {
        let done = background::run_due(&self.ingestion.0, &worker::QUEUES).await;
        done.map_err(error::store)
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Committed, StoreError> {
        self.background.commit(writes).await
    }

    async fn load<T: DeserializeOwned>(&self, key: Key) -> Result<Option<Stored<T>>, Trouble> {
        let now_ms = self.now().as_millis();
        let record = self.ports.store.get(&key, now_ms).await?;
        Ok(record.map(records::read).transpose()?)
    }

    /// Calls the index until it answers, for as long as that is worth it. What it is asked for can be
    /// asked again.
    async fn patiently<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, IndexError>
    where
        F: Future<Output = Result<T, IndexError>>,
    {
        let mut wait = INDEX_BACKOFF;
        for _ in 1..INDEX_ATTEMPTS {
            match call().await {
                Err(IndexError::Unavailable(_)) => {}
                answer => return answer,
            }
            self.ports.clock.sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
        call().await
    }
}

/// Why a piece of work has come to no end.
#[derive(Debug)]
enum Trouble {
    /// The store; the claim lapses, and the work is taken up again.
    Store(StoreError),
    /// Somebody else holds it by now.
    Lost,
    /// It is to stop.
    Stopped,
    /// It can be done by nobody as it is. The text is for the client.
    Failed(String),
}

impl From<StoreError> for Trouble {
    fn from(cause: StoreError) -> Self {
        Self::Store(cause)
    }
}

impl From<Exception> for Trouble {
    fn from(exception: Exception) -> Self {
        Self::Failed(exception.to_string())
    }
}

/// Why one document is not indexed. The texts are for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DocumentError {
    /// It cannot be, as it is. What was indexed of it before is taken out.
    Unfit(String),
    /// It could not be this time. What was indexed of it before stays.
    Unlucky(String),
    /// No document could be.
    Hopeless(String),
}

impl DocumentError {
    fn text(&self) -> &str {
        match self {
            Self::Unfit(text) | Self::Unlucky(text) | Self::Hopeless(text) => text,
        }
    }

    fn of_model(cause: &ModelError) -> Self {
        let text = format!("the text could not be embedded: {cause}");
        match cause {
            ModelError::Unmapped { .. }
            | ModelError::Auth { .. }
            | ModelError::NotServed { .. } => Self::Hopeless(text),
            ModelError::Rejected { .. } => Self::Unfit(text),
            ModelError::Throttled { .. }
            | ModelError::Queued { .. }
            | ModelError::Timeout { .. }
            | ModelError::Loading { .. }
            | ModelError::Unavailable { .. }
            | ModelError::Unreachable { .. }
            | ModelError::Malformed { .. } => Self::Unlucky(text),
        }
    }

    fn of_index(cause: &IndexError) -> Self {
        match cause {
            IndexError::Identity { .. } => Self::Hopeless(format!(
                "{cause}. The embedding model of a knowledge base cannot change once documents are indexed"
            )),
            IndexError::Unsupported(_) => Self::Hopeless(cause.to_string()),
            IndexError::Rejected(_) => Self::Unfit(cause.to_string()),
            IndexError::Unavailable(_) => Self::Unlucky(cause.to_string()),
        }
    }
}

/// Bucket and key of an `s3://` URI.
pub(crate) fn s3_uri(uri: &str) -> Option<(&str, &str)> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty() && !key.is_empty()).then_some((bucket, key))
}
