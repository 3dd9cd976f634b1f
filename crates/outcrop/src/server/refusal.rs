//! Answers given before any operation is known, in the shape that AWS's clients read: a JSON
//! `message`, the error's name in `x-amzn-errortype`, the request's id.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Why a request was turned away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The body has more bytes than it may.
    #[error(
        "The request body is larger than the {limit_bytes} bytes this server takes (limits.request_body_bytes)."
    )]
    TooLarge {
        /// `request_body_bytes`.
        limit_bytes: usize,
    },
    /// The body did not come in time.
    #[error("The request body did not arrive within {seconds} seconds (limits.body_timeout_s).")]
    Slow {
        /// `body_timeout_s`.
        seconds: u64,
    },
    /// The bodies in flight fill the budget.
    #[error(
        "The server is receiving as many request bodies as it has room for (limits.buffered_body_bytes). Retry your request."
    )]
    Busy,
    /// The body ended early or is no HTTP.
    #[error("The request body could not be read: it ended early or is not valid HTTP.")]
    Broken,
    /// A page of another site tries to use this machine's server.
    #[error(
        "Requests from pages of other sites are refused while no [[credentials]] are configured."
    )]
    ForeignPage,
    /// A handler panicked.
    #[error("An internal server error occurred. Retry your request.")]
    Fault,
    /// Nothing of ours lies there.
    #[error("There is nothing at this path.")]
    NothingHere,
}

impl Refusal {
    fn status_and_name(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException"),
            Self::Slow { .. } => (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException"),
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
            Self::Broken => (StatusCode::BAD_REQUEST, "SerializationException"),
            Self::ForeignPage => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            Self::Fault => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"),
            Self::NothingHere => (StatusCode::NOT_FOUND, "UnknownOperationException"),
        }
    }

    /// The answer.
    pub(crate) fn response(&self, request_id: &str) -> Response<Body> {
        let (status, name) = self.status_and_name();
        let mut response = Response::new(Body::from(message(&self.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ERROR_TYPE, HeaderValue::from_static(name));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }
}

/// The whole answer to a connection beyond the limit; no request of it is ever read.
pub(crate) fn too_many_connections() -> String {
    unread(
        "503 Service Unavailable",
        "ServiceUnavailableException",
        "retry-after: 1\r\n",
        "The server has as many connections open as it takes (limits.connections). Retry your request.",
    )
}

/// The whole answer to a connection that a function has made; no request of it is ever read.
pub(crate) fn from_inside() -> String {
    unread(
        "403 Forbidden",
        "AccessDeniedException",
        "",
        "A function cannot call the server that runs it.",
    )
}

fn unread(status: &str, name: &str, headers: &str, text: &str) -> String {
    let body = message(text);
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-amzn-errortype: {name}\r\n\
         content-length: {}\r\n{headers}connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn message(text: &str) -> String {
    serde_json::json!({ "message": text }).to_string()
}
