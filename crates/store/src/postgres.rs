//! The store in a PostgreSQL database: several servers on one.
//!
//! A call is one statement, so it costs one round trip and is a transaction by itself; a batch is
//! evaluated by a function in the database (`migrations/0002_commit.sql`). Nothing is remembered here
//! between calls: another server may have written. The database's clock is never asked, and its only
//! generated number is that of a lease. It is tuned by its administrator, not by this program.
//!
//! Invariant: batches that succeed are serializable, and what an answered call was told, every later
//! call of every server sees.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio_postgres::types::ToSql;

use crate::batch::{Batch, Committed};
use crate::document::{Key, Listing, Page, Record, Scan};
use crate::error::StoreError;
use crate::job::{Job, Lease};
use crate::journal::{self, Entry};
use crate::{Durability, Health, Store};

mod batch;
mod failure;
mod pool;
mod reader;
mod schema;

use failure::Failure;
pub use outcrop_postgres::{DatabaseUrl, TlsError, UrlError};
use pool::{Connector, Pool, Query};

/// How often a batch is evaluated when other transactions come between each time.
const ATTEMPTS_MAX: u32 = 6;

/// Unit of the wait before another attempt, which grows with their square.
const RETRY_WAIT: Duration = Duration::from_millis(2);

/// Expired documents removed by one statement, so that it holds its locks for milliseconds.
const SWEEP_ROWS: i64 = 500;

/// Statements of one sweep; the next hour's goes on.
const SWEEP_ROUNDS_MAX: u32 = 200;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The database.
    pub url: DatabaseUrl,
    /// With [`Durability::Power`] a commit waits for the database's disk even where its own settings
    /// say otherwise; with [`Durability::Process`] those settings decide.
    pub durability: Durability,
    /// Connections open at once, at least 1.
    pub connections: usize,
    /// Calls that may wait for a connection; more are told that the store is busy.
    pub calls_waiting_max: usize,
}

impl PostgresOptions {
    /// The defaults for a database: its own durability, 16 connections (a server with the usual limit
    /// of 100 serves some of these), and a queue that holds a second's work and more.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            durability: Durability::default(),
            connections: 16,
            calls_waiting_max: 4_096,
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database was written by a newer version of this program.
    #[error("the database has schema version {found}, but this program knows only {known}")]
    NewerSchema {
        /// Version of the database.
        found: i32,
        /// Newest version known.
        known: i32,
    },
    /// The schema holds tables of another program.
    #[error("the schema {schema} of the database was not made by this program")]
    Foreign {
        /// Which.
        schema: String,
    },
    /// The server is too old.
    #[error("the database server is PostgreSQL {found}, but {needed} or newer is needed")]
    OldServer {
        /// Its major version.
        found: i32,
        /// The oldest that serves.
        needed: i32,
    },
    /// The database cannot hold every text.
    #[error("the database has the encoding {found}, but UTF8 is needed")]
    Encoding {
        /// Its encoding.
        found: String,
    },
    /// Certificates cannot be checked as asked.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database cannot be reached, refuses, or fails.
    #[error("cannot open the database")]
    Database(#[from] tokio_postgres::Error),
}

/// See the module. Needs a tokio runtime, that it was opened on or another that outlives it.
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    schema: String,
    /// The last hour up to which expired documents have been removed.
    swept_hour: AtomicI64,
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let schema = options.url.schema().to_owned();
        let connector = Connector {
            database: outcrop_postgres::Connector::new(options.url)?,
            flush: options.durability == Durability::Power,
        };
        let mut first = connector.connect().await?;
        schema::migrate(&connector, &mut first.client).await?;
        let first = connector.prepare(first).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                pool: Pool::new(
                    connector,
                    first,
                    options.connections.max(1),
                    options.calls_waiting_max,
                ),
                schema,
                swept_hour: AtomicI64::new(i64::MIN),
            }),
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("url", self.inner.pool.connector().database.url())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Evaluates a batch until no other transaction comes between.
    async fn commit(&self, batch: &Batch) -> Result<Committed, StoreError> {
        let mut attempt = 1;
        loop {
            match self.try_commit(batch).await {
                Err(Failure::Again(_)) if attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(RETRY_WAIT * attempt * attempt).await;
                    attempt += 1;
                }
                answer => return answer.map_err(Failure::into_error),
            }
        }
    }

    async fn try_commit(&self, batch: &Batch) -> Result<Committed, Failure> {
        let parameters = batch::Parameters::new(batch, &self.schema).list();
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters
            .iter()
            .map(|parameter| &**parameter as _)
            .collect();
        let lent = self.pool.lend().await?;
        let rows = lent.rows(Query::Commit, &parameters).await?;
        let row = rows.first().ok_or_else(|| {
            Failure::Final(StoreError::Unavailable(
                "the database gave no answer".into(),
            ))
        })?;
        batch::answer(row)?.map_err(Failure::Final)
    }

    async fn claim(&self, queue: &'static str, lease: Lease) -> Result<Option<Job>, StoreError> {
        let lent = self.pool.lend().await.map_err(Failure::into_error)?;
        let rows = lent
            .rows(Query::Claim, &[&queue, &lease.now_ms, &lease.until_ms])
            .await
            .map_err(Failure::into_error)?;
        let job = rows.first().map(reader::job).transpose();
        job.map_err(|error| StoreError::Unavailable(error.into()))
    }

    async fn renew(&self, id: &str, lease: u64, until_ms: i64) -> Result<bool, StoreError> {
        // A number the database cannot hold was never given out.
        let Ok(lease) = i64::try_from(lease) else {
            return Ok(false);
        };
        let id = outcrop_postgres::escape(id);
        let lent = self.pool.lend().await.map_err(Failure::into_error)?;
        let rows = lent
            .rows(Query::Renew, &[&id, &lease, &until_ms])
            .await
            .map_err(Failure::into_error)?;
        Ok(!rows.is_empty())
    }

    /// Whether the hour has changed since the last sweep; says so once.
    fn sweep_is_due(&self, now_ms: i64) -> bool {
        let hour = batch::passed_hour(now_ms);
        self.swept_hour.fetch_max(hour, Ordering::Relaxed) < hour
    }

    /// Removes what expired before the hour. Every server does it; they leave each other's rows alone.
    async fn sweep(&self, now_ms: i64) -> Result<(), Failure> {
        let hour = batch::passed_hour(now_ms);
        for _ in 0..SWEEP_ROUNDS_MAX {
            let lent = self.pool.lend().await?;
            let swept = lent.rows(Query::Sweep, &[&hour, &SWEEP_ROWS]).await?;
            if (swept.len() as u64) < SWEEP_ROWS.cast_unsigned() {
                break;
            }
        }
        Ok(())
    }
}

/// Runs a call to its end even if nobody waits for it any more.
async fn to_its_end<T: Send + 'static>(
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(call).await {
        Ok(answer) => answer,
        Err(cause) => Err(StoreError::Unavailable(cause.into())),
    }
}

impl Store for PostgresStore {
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(reader::get(&self.inner.pool, key, now_ms))
    }

    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move {
            page.check()?;
            reader::list(&self.inner.pool, &scan, &page).await
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            batch.check()?;
            if self.inner.sweep_is_due(batch.now_ms) {
                let inner = Arc::clone(&self.inner);
                tokio::spawn(async move {
                    if let Err(failure) = inner.sweep(batch.now_ms).await {
                        let cause = failure.into_error();
                        tracing::warn!(%cause, "expired documents could not be removed");
                    }
                });
            }
            let inner = Arc::clone(&self.inner);
            to_its_end(async move { inner.commit(&batch).await }).await
        })
    }

    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            journal::check_limit(limit)?;
            reader::journal(&self.inner.pool, journal, after, limit).await
        })
    }

    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(to_its_end(async move { inner.claim(queue, lease).await }))
    }

    fn renew_job<'a>(
        &'a self,
        id: &'a str,
        lease: u64,
        until_ms: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let inner = Arc::clone(&self.inner);
        let id: Arc<str> = id.into();
        Box::pin(to_its_end(async move {
            inner.renew(&id, lease, until_ms).await
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        Box::pin(async move {
            Ok(Health {
                backend: format!("postgres {}", reader::version(&self.inner.pool).await?),
            })
        })
    }
}
