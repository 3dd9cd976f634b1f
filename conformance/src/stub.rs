//! The stub server: routes a request to its protocol, lets a script or the brain answer, and keeps what
//! it received for the tests to read.
//!
//! It never sleeps: a test that must stop a turn at a point holds a call by name and releases it.
//! Invariant: every request that reaches a protocol is recorded before it is answered, and its record
//! ends as `finished`, `failed` or `cancelled` (the caller went away).

mod fast;
mod record;
mod respond;
mod tool;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::protocol::Protocol;
pub use record::{Kind, State};

/// The most a request body may hold; a stub that a broken client can fill is no help.
const BODY_LIMIT_BYTES: usize = 64 << 20;

/// A response body; it fails where a script breaks the connection.
pub type Body = UnsyncBoxBody<Bytes, Broken>;

/// A connection that a script breaks on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the script breaks the connection")]
pub struct Broken;

/// How the stub answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Brain {
    /// Reads each conversation, records it, and follows scripts.
    Full,
    /// Answers by the end of the conversation, as fast as possible, and records nothing.
    Bench,
}

/// Serves until the listener fails.
///
/// # Errors
/// When accepting fails for good.
pub async fn serve(listener: TcpListener, brain: Brain) -> Result<()> {
    let state = Arc::new(State::default());
    let cache = Arc::new(fast::Cache::default());
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        let (state, cache) = (Arc::clone(&state), Arc::clone(&cache));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (state, cache) = (Arc::clone(&state), Arc::clone(&cache));
                async move {
                    match brain {
                        Brain::Full => handle(&state, request).await,
                        Brain::Bench => fast::handle(&cache, request).await,
                    }
                }
            });
            // A client that goes away is part of the tests, so its error is of no interest.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The address a listener got, as an URL.
///
/// # Errors
/// When the socket has none.
pub fn url(listener: &TcpListener) -> Result<String> {
    let address: SocketAddr = listener.local_addr().context("local address")?;
    Ok(format!("http://{address}"))
}

/// What a path asks for.
enum Target {
    Model {
        protocol: Protocol,
        model: String,
        streamed: bool,
    },
    Lambda {
        function: String,
    },
}

fn target(path: &str) -> Option<Target> {
    let mut segments = path.trim_matches('/').split('/');
    let decode = |segment: &str| {
        percent_encoding::percent_decode_str(segment)
            .decode_utf8_lossy()
            .into_owned()
    };
    if path.ends_with("/chat/completions") {
        return Some(Target::Model {
            protocol: Protocol::OpenAi,
            model: String::new(),
            streamed: false,
        });
    }
    if path.ends_with("/messages") {
        return Some(Target::Model {
            protocol: Protocol::Anthropic,
            model: String::new(),
            streamed: false,
        });
    }
    match (
        segments.next()?,
        segments.next()?,
        segments.next(),
        segments.next(),
    ) {
        ("model", id, Some(operation @ ("converse" | "converse-stream")), None) => {
            Some(Target::Model {
                protocol: Protocol::Bedrock,
                model: decode(id),
                streamed: operation == "converse-stream",
            })
        }
        ("2015-03-31", "functions", Some(name), Some("invocations")) => Some(Target::Lambda {
            function: decode(name),
        }),
        _ => None,
    }
}

async fn handle(state: &Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (parts, body) = request.into_parts();
    let Ok(body) = http_body_util::Limited::new(body, BODY_LIMIT_BYTES)
        .collect()
        .await
    else {
        return Ok(text(
            StatusCode::BAD_REQUEST,
            "the body broke off or is too long",
        ));
    };
    let body = body.to_bytes();
    let path = parts.uri.path().to_owned();
    if let Some(control) = path.strip_prefix("/_stub/") {
        return Ok(self::control(state, &parts.method, control, parts.uri.query(), &body).await);
    }
    if parts.method != Method::POST {
        return Ok(text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only POST is served here",
        ));
    }
    match target(&path) {
        Some(Target::Model {
            protocol,
            model,
            streamed,
        }) => respond::model(state, &parts, &body, protocol, &model, streamed).await,
        Some(Target::Lambda { function }) => tool::invoke(state, &parts, &body, &function).await,
        None => Ok(text(StatusCode::NOT_FOUND, "no such path in the stub")),
    }
}

/// The stub's own endpoints.
async fn control(
    state: &Arc<State>,
    method: &Method,
    name: &str,
    query: Option<&str>,
    body: &[u8],
) -> Response<Body> {
    let query = Query::parse(query.unwrap_or_default());
    match (method, name) {
        (&Method::GET, "health") => reply(StatusCode::OK, &json!({"status": "ok"})),
        (&Method::POST, "reset") => {
            state.reset();
            reply(StatusCode::OK, &json!({}))
        }
        (&Method::POST, "script") => match serde_json::from_slice(body) {
            Ok(script) => {
                state.add_script(script);
                reply(StatusCode::OK, &json!({}))
            }
            Err(error) => text(
                StatusCode::BAD_REQUEST,
                &format!("the script cannot be read: {error}"),
            ),
        },
        (&Method::POST, "release") => {
            let released: Value = serde_json::from_slice(body).unwrap_or_default();
            match released.get("name").and_then(Value::as_str) {
                Some(name) => {
                    state.release(name);
                    reply(StatusCode::OK, &json!({}))
                }
                None => text(StatusCode::BAD_REQUEST, "a release needs a name"),
            }
        }
        (&Method::GET, "requests") => reply(StatusCode::OK, &state.records(query.get("kind"))),
        (&Method::GET, "wait") => {
            if state.wait(&query).await {
                reply(StatusCode::OK, &json!({}))
            } else {
                reply(StatusCode::REQUEST_TIMEOUT, &state.records(None))
            }
        }
        _ => text(StatusCode::NOT_FOUND, "no such control endpoint"),
    }
}

/// A query string of plain names and values.
pub struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Self {
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        Self(
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of `name` as a number.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.get(name).and_then(|value| value.parse().ok())
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn text(status: StatusCode, message: &str) -> Response<Body> {
    reply(status, &json!({"message": message}))
}

fn reply(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
