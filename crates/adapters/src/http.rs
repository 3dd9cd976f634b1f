//! The HTTP client every adapter shares, with its limits, time limits and handling of secrets.
//!
//! One pool of connections for the process: `TCP_NODELAY`, rustls with ring, proxies from the
//! environment, no redirects. It never retries, knows no vendor's message format, and puts no secret
//! and no query string into an error text.

pub mod aws;
pub mod egress;
mod failure;
mod flight;
pub mod oauth;
mod secret;
pub mod sse;
mod tls;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect;
use tokio::runtime::Handle;
use tokio::time::Instant;

pub use failure::{HttpFailure, host_of};
pub(crate) use flight::Flight;
pub use secret::Secret;

/// The most bytes read of one response, streamed or whole. A model's longest answer is a few hundred
/// kilobytes of text; several times that leaves room for framing and images.
pub const RESPONSE_BODY_LIMIT: usize = 32 * 1024 * 1024;

/// The most bytes read of an error response: enough for any message, too little for a flood.
pub const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// Idle connections kept for each host: the number of turns that run at once on a busy server, so
/// that a burst does not pay a handshake for each call.
const IDLE_CONNECTIONS_PER_HOST: usize = 256;

/// How long an idle connection is kept. Below the minute after which common load balancers close it.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(55);

/// How often a silent connection is probed, so that a vanished peer is noticed during a long wait.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// How long the end of a finished response is waited for: it usually comes with the last event, and
/// then the next call finds the connection free.
const END_PATIENCE: Duration = Duration::from_millis(2);

/// How long a finished response may take to reach its end before its connection is given up.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The most bytes read to bring a finished response to its end.
const DRAIN_LIMIT: usize = 64 * 1024;

/// Time limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From the request to the head of the response. An unstreamed answer has its head only when the
    /// model is done, and a model on a processor may think over a long prompt for minutes.
    pub response: Duration,
    /// The longest silence between two pieces of the body.
    pub idle: Duration,
    /// The longest the whole call may take.
    pub overall: Duration,
}

impl Default for Timeouts {
    /// A host that takes no connection within ten seconds is down; five minutes to the head, two of
    /// silence, and ten in all, which is the default length of a turn.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_mins(5),
            idle: Duration::from_mins(2),
            overall: Duration::from_mins(10),
        }
    }
}

/// A call's time limits, counted from its start.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
    timeouts: Timeouts,
}

impl Deadline {
    /// Starts counting now.
    pub fn start(timeouts: Timeouts) -> Self {
        Self {
            end: Instant::now() + timeouts.overall,
            timeouts,
        }
    }

    /// Waits for the head of the response.
    ///
    /// # Errors
    /// [`HttpFailure::Timeout`], naming the limit that was met.
    pub async fn response<T>(&self, work: impl Future<Output = T>) -> Result<T, HttpFailure> {
        self.within(self.timeouts.response, "no response within", work)
            .await
    }

    /// Waits for the next piece of the body.
    ///
    /// # Errors
    /// [`HttpFailure::Timeout`], naming the limit that was met.
    pub async fn idle<T>(&self, work: impl Future<Output = T>) -> Result<T, HttpFailure> {
        self.within(self.timeouts.idle, "silent for", work).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, HttpFailure> {
        let until = Instant::now() + limit;
        let (until, what, after) = if until < self.end {
            (until, what, limit)
        } else {
            (self.end, "not finished within", self.timeouts.overall)
        };
        let waited = tokio::time::timeout_at(until, work).await;
        waited.map_err(|_| HttpFailure::Timeout { what, after })
    }
}

/// Builds a client, to be shared by all calls with that connect timeout. Cheap: certificates are loaded
/// when the first TLS connection opens.
///
/// # Errors
/// The TLS set-up was refused, which only a broken build can cause.
pub fn client(connect_timeout: Duration) -> Result<reqwest::Client, HttpFailure> {
    builder(connect_timeout)?
        .build()
        .map_err(|error| HttpFailure::of(&error))
}

/// A client that is built at its first use, which no start of the server needs to wait for.
#[derive(Clone, Debug)]
pub struct LazyClient(Arc<Lazy>);

#[derive(Debug)]
struct Lazy {
    connect_timeout: Duration,
    client: OnceLock<reqwest::Client>,
}

impl LazyClient {
    /// A client with this connect timeout, to be shared by cloning.
    pub fn new(connect_timeout: Duration) -> Self {
        Self(Arc::new(Lazy {
            connect_timeout,
            client: OnceLock::new(),
        }))
    }

    /// The client.
    ///
    /// # Errors
    /// As [`client`].
    pub fn get(&self) -> Result<&reqwest::Client, HttpFailure> {
        let Lazy {
            connect_timeout,
            client: made,
        } = &*self.0;
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let client = client(*connect_timeout)?;
        Ok(made.get_or_init(|| client))
    }
}

fn builder(connect_timeout: Duration) -> Result<reqwest::ClientBuilder, HttpFailure> {
    let tls = tls::config().map_err(|error| HttpFailure::Setup {
        detail: error.to_string(),
    })?;
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        // A redirected POST loses its body, and a key sent in a custom header would follow the
        // redirect to another host.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("outcrop/", env!("CARGO_PKG_VERSION"))))
}

/// Reads a response to its end.
///
/// # Errors
/// The body is longer than `limit`, the connection broke, or a time limit was met.
pub async fn read_body(
    response: &mut reqwest::Response,
    limit: usize,
    deadline: &Deadline,
) -> Result<Bytes, HttpFailure> {
    // Nearly every body comes in one piece, which is then used as it is.
    let mut body = next_chunk(response, deadline).await?.unwrap_or_default();
    let mut joined: Option<BytesMut> = None;
    while let Some(chunk) = next_chunk(response, deadline).await? {
        let all = joined.get_or_insert_with(|| BytesMut::from(std::mem::take(&mut body)));
        if all.len() + chunk.len() > limit {
            return Err(HttpFailure::TooLarge { limit });
        }
        all.extend_from_slice(&chunk);
    }
    let body = joined.map_or(body, BytesMut::freeze);
    if body.len() > limit {
        return Err(HttpFailure::TooLarge { limit });
    }
    Ok(body)
}

/// The next piece of the body, `None` at its end.
///
/// # Errors
/// The connection broke, or a time limit was met.
pub async fn next_chunk(
    response: &mut reqwest::Response,
    deadline: &Deadline,
) -> Result<Option<Bytes>, HttpFailure> {
    let chunk = deadline.idle(response.chunk()).await?;
    chunk.map_err(|error| HttpFailure::of(&error))
}

/// Brings a response whose content is complete to its end, so that its connection can be used again.
///
/// A vendor's last event usually comes before the end of the body; dropping the response there would
/// close the connection. The end is waited for only a moment, and then in the background.
pub async fn finish(mut response: reqwest::Response) {
    if let Ok(Ok(Some(_))) | Err(_) = tokio::time::timeout(END_PATIENCE, response.chunk()).await {
        drain(response);
    }
}

/// The same, all in the background. Outside a runtime the connection is closed.
pub fn drain(mut response: reqwest::Response) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    let rest = async move {
        let mut taken = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            taken += chunk.len();
            if taken > DRAIN_LIMIT {
                break;
            }
        }
    };
    runtime.spawn(tokio::time::timeout(DRAIN_TIMEOUT, rest));
}
