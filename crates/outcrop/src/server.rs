//! The listener: accepts, bounds and ends connections, and gives each request to a [`Router`].
//!
//! HTTP/1.1 and HTTP/2 without TLS on one port. Knows nothing of AWS; see [`aws`] for that.
//!
//! Invariant: whatever a peer does or leaves undone, it holds at most one connection slot, one head of
//! `header_bytes` and one body counted in the shared budget, and each for a bounded time only.

pub(crate) mod aws;
pub(crate) mod body;
pub(crate) mod browser;
mod linger;
pub(crate) mod own;
pub(crate) mod refusal;
pub(crate) mod signature;
mod versions;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::config::HttpLimits;
use linger::Lent;

/// Connections that are being told that there are too many. Beyond these the peer gets no words.
const REFUSALS: usize = 64;
/// A peer that does not take one short answer in this time does not want it.
const REFUSAL_TIME: Duration = Duration::from_secs(2);
/// What a refused peer may have sent already; read so that it sees the answer and not a reset.
const REFUSAL_READ_BYTES: usize = 64 * 1024;
/// Accepting fails when the process is out of descriptors; a pause lets some be returned.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests at a time on one HTTP/2 connection.
const STREAMS_PER_CONNECTION: u32 = 128;
/// How often a silent HTTP/2 peer is asked whether it lives, and how long it has to answer.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Whether the connection between an address of the server's and another comes from where nobody may
/// come from. May read from the disk.
pub(crate) type IsClosedTo = Arc<dyn Fn(SocketAddr, SocketAddr) -> bool + Send + Sync>;

/// A bound listener.
pub(crate) struct Server {
    listener: TcpListener,
    limits: HttpLimits,
    closed_to: Option<IsClosedTo>,
}

impl Server {
    /// Binds. Port 0 lets the system choose.
    pub(crate) async fn bind(address: SocketAddr, limits: HttpLimits) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            limits,
            closed_to: None,
        })
    }

    /// Refuses connections of which this holds.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "functions are kept apart on Linux only")
    )]
    pub(crate) fn closed_to(self, closed_to: IsClosedTo) -> Self {
        Self {
            closed_to: Some(closed_to),
            ..self
        }
    }

    /// The address really bound.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves; then accepts no more, lets requests in flight go on for `grace`,
    /// and drops what is left, which cancels it.
    pub(crate) async fn run(self, router: Router, stop: impl Future<Output = ()>, grace: Duration) {
        let Self {
            listener,
            limits,
            closed_to,
        } = self;
        let shared = Shared {
            builder: Arc::new(builder(&limits)),
            service: TowerToHyperService::new(router),
            first_request: limits.header_timeout,
            closed_to,
            linger_bytes: limits.request_body_bytes,
        };
        let slots = Arc::new(Semaphore::new(limits.connections));
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Ok(slot) = slots.clone().try_acquire_owned() {
                            let shared = shared.clone();
                            connections.spawn(serve(stream, peer, slot, shared, graceful.watcher()));
                        } else if let Ok(refusal) = refusals.clone().try_acquire_owned() {
                            warn!(limit = limits.connections, "too many connections, one is refused");
                            let answer = refusal::too_many_connections();
                            connections.spawn(async move {
                                refuse(stream, &answer).await;
                                drop(refusal);
                            });
                        }
                    }
                    Err(error) => {
                        warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        info!(
            connections = graceful.count(),
            grace_s = grace.as_secs(),
            "stopping"
        );
        if tokio::time::timeout(grace, graceful.shutdown())
            .await
            .is_err()
        {
            warn!(
                connections = connections.len(),
                "requests were still in flight and are cancelled"
            );
        }
        connections.shutdown().await;
    }
}

/// What every connection uses.
#[derive(Clone)]
struct Shared {
    builder: Arc<Builder<TokioExecutor>>,
    service: TowerToHyperService<Router>,
    first_request: Duration,
    closed_to: Option<IsClosedTo>,
    /// What a peer may still send when its connection ends.
    linger_bytes: usize,
}

fn builder(limits: &HttpLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.header_count)
        .max_buf_size(limits.header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING);
    builder
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    slot: OwnedSemaphorePermit,
    shared: Shared,
    watcher: Watcher,
) {
    let _slot = slot;
    if shared.is_closed_to(&stream, peer).await {
        warn!(%peer, "a connection from inside of a function is refused");
        refuse(stream, &refusal::from_inside()).await;
        return;
    }
    // Without it each event of a stream may wait for the peer's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection went away before it was served");
        return;
    }
    let (stream, returned) = linger::lend(stream);
    speak_http(stream, &shared, watcher).await;
    if let Ok(stream) = returned.await {
        linger::close(stream, shared.linger_bytes).await;
    }
}

async fn speak_http(stream: Lent, shared: &Shared, watcher: Watcher) {
    let requested = Arc::new(AtomicBool::new(false));
    let service = {
        let requested = Arc::clone(&requested);
        let router = shared.service.clone();
        service_fn(move |request: Request<Incoming>| {
            requested.store(true, Ordering::Relaxed);
            router.call(request)
        })
    };
    let connection = shared
        .builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let mut connection = pin!(watcher.watch(connection));
    // The header timeout of HTTP/1 begins only when the protocol is known; this one covers the time before,
    // and an HTTP/2 peer that opens no stream.
    let outcome = tokio::select! {
        outcome = &mut connection => Some(outcome),
        () = tokio::time::sleep(shared.first_request) => None,
    };
    let outcome = match outcome {
        Some(outcome) => outcome,
        None if requested.load(Ordering::Relaxed) => connection.await,
        None => {
            debug!("closed a connection that sent no request");
            return;
        }
    };
    if let Err(error) = outcome {
        debug!(%error, "a connection ended early");
    }
}

impl Shared {
    async fn is_closed_to(&self, stream: &TcpStream, peer: SocketAddr) -> bool {
        let Some(closed_to) = self.closed_to.clone() else {
            return false;
        };
        let Ok(local) = stream.local_addr() else {
            return true;
        };
        let asked = tokio::task::spawn_blocking(move || closed_to(local, peer));
        // It ends without an answer only when the server does.
        asked.await.unwrap_or(true)
    }
}

/// Answers a connection without reading its request, so that the peer knows why it was refused.
async fn refuse(mut stream: TcpStream, answer: &str) {
    let written = tokio::time::timeout(REFUSAL_TIME, stream.write_all(answer.as_bytes())).await;
    if let Ok(Ok(())) = written {
        linger::close(stream, REFUSAL_READ_BYTES).await;
    }
}
