//! Connections: a bounded number, lent to one call at a time, and nothing that can wait without end.
//!
//! A call waits for a connection for a while and then hears that the store is busy; its statement has a
//! time limit on the server, and a longer one here for a server that no longer answers. A call that is
//! dropped leaves its statement to the server and its connection to the next, which reads on behind it.
//!
//! Invariant: every statement is a transaction of its own, so a connection is never lent in the midst
//! of one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::failure::Failure;
use crate::error::StoreError;

/// The longest a call waits for a connection to be free.
const WAIT: Duration = Duration::from_secs(5);

/// The longest the server may work on one statement. None of them takes more than milliseconds.
const STATEMENT_TIMEOUT_MS: u32 = 10_000;

/// The longest a statement may wait for a lock another transaction holds.
const LOCK_TIMEOUT_MS: u32 = 5_000;

/// The longest a call waits for its answer: when the server has not even said that its own limit has
/// passed, it is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The statements a connection has ready, in the order of [`Query`].
const QUERIES: [&str; 10] = [
    include_str!("queries/get.sql"),
    include_str!("queries/list_by_id.sql"),
    include_str!("queries/list_by_created.sql"),
    include_str!("queries/list_by_updated.sql"),
    include_str!("queries/commit.sql"),
    include_str!("queries/journal.sql"),
    include_str!("queries/claim.sql"),
    include_str!("queries/renew.sql"),
    include_str!("queries/sweep.sql"),
    "SELECT current_setting('server_version')",
];

/// A prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    Get,
    ListById,
    ListByCreated,
    ListByUpdated,
    Commit,
    Journal,
    Claim,
    Renew,
    Sweep,
    Version,
}

/// How connections are made.
pub(super) struct Connector {
    pub(super) database: outcrop_postgres::Connector,
    /// Whether a commit waits for the disk whatever the database's own setting is.
    pub(super) flush: bool,
}

impl Connector {
    /// A connection with its session set up, and no statements yet.
    pub(super) async fn connect(&self) -> Result<Connection, tokio_postgres::Error> {
        let (client, driver) = self.database.connect().await?;
        let connection = Connection {
            client,
            statements: Vec::new(),
            driver,
        };
        connection.client.batch_execute(&self.session()).await?;
        Ok(connection)
    }

    /// Prepares a connection's statements; the schema must be there.
    pub(super) async fn prepare(
        &self,
        mut connection: Connection,
    ) -> Result<Connection, tokio_postgres::Error> {
        let texts = QUERIES.map(|text| self.sql(text));
        // All at once: one round trip.
        let prepared = texts.iter().map(|text| connection.client.prepare(text));
        connection.statements = try_join_all(prepared).await?;
        Ok(connection)
    }

    /// A statement of this program's files, for this schema.
    pub(super) fn sql(&self, text: &str) -> String {
        text.replace("outcrop.", &format!("{}.", self.database.url().schema()))
    }

    fn session(&self) -> String {
        let flush = if self.flush {
            "SET synchronous_commit = on;"
        } else {
            ""
        };
        // Every statement finds its rows by an index. The planner, which prefers to read all of a
        // table while that is small, is not to keep a plan made then; and compiling a plan costs more
        // than running one of these.
        format!(
            "SET statement_timeout = {STATEMENT_TIMEOUT_MS};
             SET lock_timeout = {LOCK_TIMEOUT_MS};
             SET idle_in_transaction_session_timeout = {STATEMENT_TIMEOUT_MS};
             SET default_transaction_isolation = 'read committed';
             SET search_path = pg_catalog;
             SET plan_cache_mode = force_generic_plan;
             SET enable_seqscan = off;
             SET enable_bitmapscan = off;
             SET jit = off;
             {flush}"
        )
    }
}

/// One connection.
pub(super) struct Connection {
    pub(super) client: Client,
    statements: Vec<Statement>,
    driver: JoinHandle<()>,
}

/// See the module.
pub(super) struct Pool {
    connector: Connector,
    idle: Mutex<Vec<Connection>>,
    /// One a connection that may be in use.
    slots: Arc<Semaphore>,
    /// One a call that may be in progress or wait.
    places: Arc<Semaphore>,
}

impl Pool {
    /// A pool that holds one connection already.
    pub(super) fn new(
        connector: Connector,
        first: Connection,
        connections: usize,
        waiting_max: usize,
    ) -> Self {
        Self {
            connector,
            idle: Mutex::new(vec![first]),
            slots: Arc::new(Semaphore::new(connections)),
            places: Arc::new(Semaphore::new(connections.saturating_add(waiting_max))),
        }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// A connection for one call.
    pub(super) async fn lend(&self) -> Result<Lent<'_>, Failure> {
        let busy = || Failure::Final(StoreError::Busy);
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let slot = tokio::time::timeout(WAIT, Arc::clone(&self.slots).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        let connection = if let Some(connection) = self.take_idle() {
            connection
        } else {
            let connection = self.connector.connect().await?;
            self.connector.prepare(connection).await?
        };
        Ok(Lent {
            pool: self,
            connection: Some(connection),
            _slot: slot,
            _place: place,
        })
    }

    /// The connection used last, so that those too many in a quiet time stay unused.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // A server that was stopped has closed them; others are there, or are made.
        idle.retain(|connection| !connection.client.is_closed());
        idle.pop()
    }
}

/// A connection on loan.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    /// Gone once it is of no further use.
    connection: Option<Connection>,
    _slot: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Lent<'_> {
    /// Runs a statement.
    pub(super) async fn rows(
        mut self,
        query: Query,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        let connection = self.connection.as_ref().expect("it is on loan");
        let statement = &connection.statements[query as usize];
        let answer = connection.client.query(statement, parameters);
        if let Ok(answer) = tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            return answer.map_err(Failure::from);
        }
        if let Some(connection) = self.connection.take() {
            connection.driver.abort();
        }
        Err(Failure::Final(StoreError::Unavailable(
            "the database does not answer".into(),
        )))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if !connection.client.is_closed() {
            let mut idle = self
                .pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            idle.push(connection);
        }
    }
}
