//! The server, as the commands see it: operations of the control plane and Outcrop's own endpoints.

use futures_core::future::BoxFuture;
use serde_json::Value;

/// A server.
pub trait Api: Send + Sync {
    /// One operation of `bedrock-agent` by its name, or of `bedrock` as `bedrock:Name`, as JSON in the
    /// shapes of the service model.
    fn call(&self, operation: &'static str, input: Value)
    -> BoxFuture<'_, Result<Value, ApiError>>;

    /// One of Outcrop's own endpoints.
    fn own(&self, request: OwnRequest) -> BoxFuture<'_, Result<Value, ApiError>>;
}

/// A call of one of Outcrop's own endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnRequest {
    /// `GET`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// Below `/_outcrop/v1/`, every segment percent-encoded.
    pub path: String,
    /// The revision that is to be replaced (`If-Match`).
    pub revision: Option<u64>,
    /// JSON.
    pub body: Option<Value>,
}

impl OwnRequest {
    /// A request without a body.
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            revision: None,
            body: None,
        }
    }

    /// With a body.
    #[must_use]
    pub fn with_body(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The server said no.
    #[error("{name}: {message}")]
    Refused {
        /// The exception's name.
        name: String,
        /// What it says.
        message: String,
    },
    /// No answer came, so that what became of the call is not known.
    #[error("{0}")]
    Lost(String),
}

impl ApiError {
    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.is_named("ResourceNotFoundException")
    }

    /// Whether something that exists is in the way.
    pub fn is_conflict(&self) -> bool {
        self.is_named("ConflictException")
    }

    fn is_named(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { name, .. } if name == wanted)
    }
}

/// `text` as one segment of a path.
pub fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut made, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            made.push(char::from(byte));
        } else {
            let _ = write!(made, "%{byte:02X}");
        }
        made
    })
}
