//! AWS's operations and the health page, as a [`Router`] for the listener.
//!
//! Reads each request whole, finds out who calls, and hands both to `outcrop_wire`. Every answer has a
//! request id; every request leaves one line in the log, without any of its text.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use outcrop_service::Service;
use outcrop_service::lambda::links::CODE_PATH;
use outcrop_store::Store;
use outcrop_wire::Answered;
use serde_json::json;
use tracing::{Instrument as _, debug, info, info_span, warn};
use uuid::Uuid;

use super::body::BodyReader;
use super::browser;
use super::own::{self, Own};
use super::refusal::Refusal;
use super::signature::Signatures;

/// What answers requests.
pub(crate) struct Aws {
    /// The use cases.
    pub(crate) service: Arc<Service>,
    /// Which of them a request is for.
    pub(crate) operations: outcrop_wire::Router<Service>,
    /// Who calls.
    pub(crate) signatures: Signatures,
    /// Bounds of what is read.
    pub(crate) bodies: BodyReader,
    /// Outcrop's own endpoints.
    pub(crate) own: Own,
    /// Asked for its health.
    pub(crate) store: Arc<dyn Store>,
}

/// Our own endpoints under one prefix, AWS's everywhere else.
pub(crate) fn router(aws: Aws) -> Router {
    Router::new()
        .route("/_outcrop/health", get(health))
        .route("/_outcrop/v1/{*rest}", any(answer))
        .route(&format!("{CODE_PATH}{{*link}}"), get(code))
        .route("/_outcrop/{*rest}", any(nothing_here))
        .fallback(answer)
        .with_state(Arc::new(aws))
}

async fn health(State(aws): State<Arc<Aws>>) -> Response<Body> {
    let version = env!("CARGO_PKG_VERSION");
    let (status, body) = match aws.store.check().await {
        Ok(health) => (
            StatusCode::OK,
            json!({"status": "ok", "store": health.backend, "version": version}),
        ),
        Err(error) => {
            warn!(%error, "the store does not answer");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({"status": "store unavailable", "version": version}),
            )
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The archive that a link of `GetFunction` leads to; the link itself is the permission.
async fn code(State(aws): State<Arc<Aws>>, Path(link): Path<String>) -> Response<Body> {
    match aws.service.linked_code(&link).await {
        Ok(archive) => {
            let mut response = Response::new(Body::from(archive));
            let zip = HeaderValue::from_static("application/zip");
            response.headers_mut().insert(CONTENT_TYPE, zip);
            response
        }
        Err(exception) => {
            outcrop_wire::refuse(&exception, &Uuid::new_v4().to_string()).map(into_body)
        }
    }
}

async fn nothing_here() -> Response<Body> {
    Refusal::NothingHere.response(&Uuid::new_v4().to_string())
}

async fn answer(State(aws): State<Arc<Aws>>, request: Request<Body>) -> Response<Body> {
    let begun = Instant::now();
    let request_id = Uuid::new_v4().to_string();
    let span = info_span!("request", request_id);
    let response = AssertUnwindSafe(operate(&aws, request, &request_id))
        .catch_unwind()
        .instrument(span.clone())
        .await
        // The hook of the telemetry has logged it.
        .unwrap_or_else(|_panic| Err(Refusal::Fault));
    let response = response.unwrap_or_else(|refusal| {
        debug!(%refusal, request_id, "request refused");
        refusal.response(&request_id)
    });
    let answered = response.extensions().get::<Answered>();
    span.in_scope(|| {
        info!(
            operation = answered.and_then(|answered| answered.operation),
            exception = ?answered.and_then(|answered| answered.exception),
            status = response.status().as_u16(),
            ms = begun.elapsed().as_millis(),
            "answered"
        );
    });
    response
}

async fn operate(
    aws: &Aws,
    request: Request<Body>,
    request_id: &str,
) -> Result<Response<Body>, Refusal> {
    if aws.signatures.accept_any() && browser::is_foreign_page(request.headers()) {
        return Err(Refusal::ForeignPage);
    }
    let (head, body) = request.into_parts();
    let received = aws.bodies.read(&head, body).await?;
    let request = Request::from_parts(head, received.bytes.clone());
    let response = match aws.signatures.identify(&request, request_id) {
        Ok(cx) if request.uri().path().starts_with(own::PREFIX) => {
            let answer = aws.own.answer(&cx, &request).await;
            match answer {
                Ok(response) => return Ok(response.map(Body::from)),
                Err(exception) => outcrop_wire::refuse(&exception, request_id),
            }
        }
        Ok(cx) => {
            aws.operations
                .dispatch(Arc::clone(&aws.service), cx, request)
                .await
        }
        Err(exception) => outcrop_wire::refuse(&exception, request_id),
    };
    Ok(response.map(into_body))
}

fn into_body(body: outcrop_wire::Body) -> Body {
    match body {
        outcrop_wire::Body::Full(bytes) => Body::from(bytes),
        outcrop_wire::Body::Stream(frames) => {
            Body::from_stream(frames.map(Ok::<Bytes, Infallible>))
        }
    }
}
