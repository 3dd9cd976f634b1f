//! Connections to one database: a bounded number, each with pgvector there and its settings made.
//!
//! A piece of work is done on one connection and, where that turns out to be dead or another
//! transaction came between, once more on another; so all work must be safe to repeat.
//!
//! Invariant: a connection that is lent out again is in no transaction. A transaction that is dropped
//! is rolled back before the connection does anything else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use outcrop_engine::port::IndexError;
use outcrop_postgres::Connector;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::failure::Failure;

/// The longest a call waits for a connection to be free. A put of a large document holds one for
/// seconds.
const WAIT: Duration = Duration::from_secs(30);

/// The longest the server may work on one statement: a batch of rows into an index of neighbours that
/// no longer fits in memory, or a scan of all rows.
const STATEMENT_TIMEOUT_MS: u32 = 60_000;

/// The longest a statement may wait for a lock: as long as another's put.
const LOCK_TIMEOUT_MS: u32 = 60_000;

/// The longest a piece of work may take, all its statements together. A document of 60,000 chunks is
/// written within it.
const WORK_TIMEOUT: Duration = Duration::from_mins(10);

/// How often a piece of work is begun.
const ATTEMPTS_MAX: u32 = 4;

/// Unit of the wait before another attempt, which grows with their square.
const RETRY_WAIT: Duration = Duration::from_millis(5);

/// Candidates that a search of the neighbours' index holds: recall above 0.98 at ten of a hundred
/// thousand, and a scan goes on beyond them where a filter leaves too few.
const EF_SEARCH: u32 = 200;

/// Rows that a filtered search of that index may visit before it gives up and all rows are looked at.
const SCAN_TUPLES_MAX: u32 = 200_000;

/// What pgvector must be to go on with a search of its index when a filter leaves too few.
const ITERATIVE: (u32, u32) = (0, 8);

/// A connection set up.
pub(super) struct Session {
    pub(super) client: Client,
    /// Whether searches of the index go on where a filter leaves too few.
    pub(super) iterative: bool,
    driver: JoinHandle<()>,
}

/// Something to be done on one connection, as often as needed.
pub(super) trait Work: Send + Sync {
    /// What comes of it.
    type Answer: Send;

    /// Does it.
    fn run<'c>(&'c self, session: &'c mut Session) -> BoxFuture<'c, Result<Self::Answer, Failure>>;

    /// Forgets what it remembered of the database, which may no longer be so.
    fn look_again(&self);
}

/// See the module.
pub(super) struct Pool {
    connector: Connector,
    idle: Mutex<Vec<Session>>,
    slots: Semaphore,
}

impl Pool {
    pub(super) fn new(connector: Connector, connections: usize) -> Self {
        Self {
            connector,
            idle: Mutex::new(Vec::new()),
            slots: Semaphore::new(connections.max(1)),
        }
    }

    /// Does a piece of work.
    pub(super) async fn perform<W: Work>(&self, work: &W) -> Result<W::Answer, IndexError> {
        let slot = tokio::time::timeout(WAIT, self.slots.acquire()).await;
        let _slot = slot.map_err(|_| {
            IndexError::Unavailable("all connections to the database are in use".to_owned())
        })?;
        let mut attempt = 1;
        loop {
            match self.try_perform(work).await {
                Err(Failure::Again(_)) if attempt < ATTEMPTS_MAX => {
                    work.look_again();
                    tokio::time::sleep(RETRY_WAIT * attempt * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome.map_err(Failure::into_error),
            }
        }
    }

    async fn try_perform<W: Work>(&self, work: &W) -> Result<W::Answer, Failure> {
        let mut lent = Lent {
            pool: self,
            session: Some(match self.take_idle() {
                Some(session) => session,
                None => self.connect().await?,
            }),
        };
        let session = lent.session.as_mut().expect("it is on loan");
        if let Ok(outcome) = tokio::time::timeout(WORK_TIMEOUT, work.run(session)).await {
            return outcome;
        }
        if let Some(session) = lent.session.take() {
            session.driver.abort();
        }
        Err(Failure::Final(IndexError::Unavailable(
            "the database does not answer".to_owned(),
        )))
    }

    /// The connection used last, so that those too many in a quiet time stay unused.
    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| !session.client.is_closed());
        idle.pop()
    }

    async fn connect(&self) -> Result<Session, Failure> {
        let (client, driver) = self.connector.connect().await?;
        let session = setup(client, driver).await;
        session.map_err(|failure| match failure {
            Failure::Final(IndexError::Rejected(text)) => Failure::Final(IndexError::Rejected(
                format!("{text} (database {})", self.connector.url()),
            )),
            other => other,
        })
    }
}

/// Makes a new connection ready.
async fn setup(client: Client, driver: JoinHandle<()>) -> Result<Session, Failure> {
    client
        .batch_execute(&format!(
            "SET statement_timeout = {STATEMENT_TIMEOUT_MS};
             SET lock_timeout = {LOCK_TIMEOUT_MS};
             SET idle_in_transaction_session_timeout = {STATEMENT_TIMEOUT_MS};
             SET default_transaction_isolation = 'read committed';
             SET client_min_messages = warning;
             SET jit = off;"
        ))
        .await?;
    let (version, schema) = extension(&client).await?;
    let iterative = version >= ITERATIVE;
    let more = if iterative {
        format!(
            "SET hnsw.iterative_scan = strict_order;
             SET hnsw.max_scan_tuples = {SCAN_TUPLES_MAX};"
        )
    } else {
        String::new()
    };
    // The first statement loads the library, and with it the settings.
    client
        .batch_execute(&format!(
            "SELECT set_config('search_path', current_setting('search_path') || ', {schema}', false);
             SELECT '[1]'::vector;
             SET hnsw.ef_search = {EF_SEARCH};
             {more}"
        ))
        .await?;
    Ok(Session {
        client,
        iterative,
        driver,
    })
}

/// The version of pgvector and the schema it is in, quoted; installed if that can be done.
async fn extension(client: &Client) -> Result<((u32, u32), String), Failure> {
    if let Some(found) = installed(client).await? {
        return Ok(found);
    }
    let made = client
        .batch_execute("CREATE EXTENSION IF NOT EXISTS vector")
        .await;
    // Another connection may have been quicker, which this one's attempt then stumbles over.
    match (installed(client).await?, made) {
        (Some(found), _) => Ok(found),
        (None, Ok(())) => Err(missing("it is not there after its installation")),
        (None, Err(error)) => {
            let said = error
                .as_db_error()
                .map_or_else(|| error.to_string(), |answer| answer.message().to_owned());
            Err(missing(&said))
        }
    }
}

fn missing(why: &str) -> Failure {
    Failure::Final(IndexError::Rejected(format!(
        "vectors need the extension `vector` (pgvector) in the database, which has none: {why}. \
         Install it, or name another engine under [[indexes]]"
    )))
}

async fn installed(client: &Client) -> Result<Option<((u32, u32), String)>, Failure> {
    let row = client
        .query_opt(
            "SELECT e.extversion, quote_ident(n.nspname)
             FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
             WHERE e.extname = 'vector'",
            &[],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let version: &str = row.try_get(0)?;
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let number = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    // It stands within a literal below.
    let schema = row.try_get::<_, &str>(1)?.replace('\'', "''");
    Ok(Some((number, schema)))
}

/// A connection on loan.
struct Lent<'a> {
    pool: &'a Pool,
    /// Gone once it is of no further use.
    session: Option<Session>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        if !session.client.is_closed() {
            let mut idle = self
                .pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            idle.push(session);
        }
    }
}
