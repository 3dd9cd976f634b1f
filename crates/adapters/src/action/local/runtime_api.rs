//! The HTTP face of the Lambda Runtime API (version 2018-06-01), one loopback listener a worker.
//!
//! The protocol has no worker identity; the listener is the identity. A worker ends with its process,
//! and the task that serves it with the worker. What it asks for is decided by the exchange. Where
//! others of this machine could connect, the [`Door`] knows whom to let in, if that can be known: outside
//! of the sandbox anybody may pose as the worker, as with AWS's own emulator.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::MAX_REPLY_BYTES;
use super::exchange::{Answer, Exchange, Invocation, UnknownRequest};

/// The runtime client keeps one connection and opens another for errors at start; a handler may look
/// around. More than this is a mistake.
const MAX_CONNECTIONS: usize = 8;
/// The runtime client describes an exception a second time in a header of up to 1 MB; endless recursion
/// makes a long one.
const MAX_HEAD_BYTES: usize = 2 * 1024 * 1024;
/// Out of file descriptors, `accept` fails at once and again; without a pause this would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const VERSION: &str = "2018-06-01";

/// Where a worker comes to.
pub(super) struct Door {
    listener: TcpListener,
    /// Whether a connection, by its two addresses, is the worker's.
    guard: Option<Box<Guard>>,
}

type Guard = dyn Fn(SocketAddr, SocketAddr) -> bool + Send + Sync;

impl Door {
    /// Lets everybody in who can connect.
    pub(super) fn open(listener: TcpListener) -> Self {
        Self {
            listener,
            guard: None,
        }
    }

    /// Lets in whom `guard` knows.
    #[cfg(target_os = "linux")]
    pub(super) fn guarded(
        listener: TcpListener,
        guard: impl Fn(SocketAddr, SocketAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            listener,
            guard: Some(Box::new(guard)),
        }
    }

    fn admits(&self, stream: &TcpStream, peer: SocketAddr) -> bool {
        let Some(guard) = &self.guard else {
            return true;
        };
        stream.local_addr().is_ok_and(|local| guard(local, peer))
    }
}

/// Serves one worker until the task is aborted.
pub(super) async fn serve(door: Door, exchange: Arc<Exchange>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = door.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, peer)) if !door.admits(&stream, peer) => {
                    warn!(%peer, "somebody else came to a worker's runtime api");
                }
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&exchange)));
                }
                Err(error) => {
                    debug!(%error, "runtime api connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, exchange: Arc<Exchange>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "runtime api connection without nodelay");
    }
    let service = service_fn(move |request| respond(request, Arc::clone(&exchange)));
    let served = hyper::server::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        debug!(%error, "runtime api connection broke");
    }
}

type Reply = Response<Full<Bytes>>;

async fn respond(request: Request<Incoming>, exchange: Arc<Exchange>) -> Result<Reply, Infallible> {
    let (parts, body) = request.into_parts();
    let segments: Vec<&str> = parts
        .uri
        .path()
        .trim_start_matches('/')
        .split('/')
        .collect();
    let reply = match (&parts.method, segments.as_slice()) {
        (&Method::GET, [VERSION, "runtime", "invocation", "next"]) => next(exchange.next().await),
        (&Method::POST, [VERSION, "runtime", "invocation", request_id, "response"]) => {
            finish(&exchange, request_id, body, Answer::Returned).await
        }
        (&Method::POST, [VERSION, "runtime", "invocation", request_id, "error"]) => {
            finish(&exchange, request_id, body, Answer::Raised).await
        }
        (&Method::POST, [VERSION, "runtime", "init", "error"]) => match read(body).await {
            Ok(error) => {
                exchange.fail(error);
                accepted()
            }
            Err(refusal) => refusal.reply(),
        },
        _ => problem(
            StatusCode::NOT_FOUND,
            "NotFound",
            "no such operation of the runtime api",
        ),
    };
    Ok(reply)
}

fn next(invocation: Invocation) -> Reply {
    let mut reply = Response::new(Full::new(invocation.event));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("lambda-runtime-deadline-ms", invocation.deadline_ms.into());
    for (name, value) in [
        ("lambda-runtime-aws-request-id", invocation.request_id),
        (
            "lambda-runtime-invoked-function-arn",
            invocation.function_arn,
        ),
        ("lambda-runtime-trace-id", invocation.trace_id),
        ("lambda-runtime-client-context", invocation.client_context),
    ] {
        match HeaderValue::try_from(value) {
            Ok(value) => {
                headers.insert(name, value);
            }
            Err(error) => debug!(name, %error, "value left out: not fit for a header"),
        }
    }
    reply
}

async fn finish(
    exchange: &Exchange,
    request_id: &str,
    body: Incoming,
    kind: fn(Bytes) -> Answer,
) -> Reply {
    let (answer, reply) = match read(body).await {
        Ok(payload) => (kind(payload), accepted()),
        Err(Refusal::TooLarge) => (Answer::TooLarge, Refusal::TooLarge.reply()),
        Err(Refusal::Broken) => return Refusal::Broken.reply(),
    };
    match exchange.answer(request_id, answer) {
        Ok(()) => reply,
        Err(UnknownRequest) => problem(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "the request id is not the open one",
        ),
    }
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_REPLY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Err(_) => Err(Refusal::Broken),
    }
}

/// Why a body was not taken.
enum Refusal {
    TooLarge,
    Broken,
}

impl Refusal {
    fn reply(&self) -> Reply {
        match self {
            Self::TooLarge => problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                "the body is larger than a function may return",
            ),
            Self::Broken => problem(
                StatusCode::BAD_REQUEST,
                "InvalidBody",
                "the body ended early",
            ),
        }
    }
}

fn accepted() -> Reply {
    json_reply(StatusCode::ACCEPTED, &serde_json::json!({"status": "OK"}))
}

fn problem(status: StatusCode, kind: &str, message: &str) -> Reply {
    json_reply(
        status,
        &serde_json::json!({"errorType": kind, "errorMessage": message}),
    )
}

fn json_reply(status: StatusCode, body: &serde_json::Value) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body.to_string())));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
