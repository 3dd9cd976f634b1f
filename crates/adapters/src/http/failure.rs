//! Why an HTTP exchange did not happen, as far as HTTP itself can tell.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use reqwest::Url;

use super::egress::EgressError;

/// A failure below the level of any vendor's protocol. Texts name hosts, never secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// No connection, or it broke.
    #[error("{detail}")]
    Unreachable {
        /// What the network said.
        detail: String,
    },
    /// No answer in time.
    #[error("{what} {} s", after.as_secs_f32())]
    Timeout {
        /// Which limit was met.
        what: &'static str,
        /// That limit.
        after: Duration,
    },
    /// The response is longer than this program reads.
    #[error("the response is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The rules of egress forbid it.
    #[error(transparent)]
    Refused(#[from] EgressError),
    /// The request or the client could not be built.
    #[error("the request could not be made: {detail}")]
    Setup {
        /// Cause.
        detail: String,
    },
}

impl HttpFailure {
    /// Sorts what the HTTP client reports.
    pub fn of(error: &reqwest::Error) -> Self {
        if let Some(refusal) = refusal(error) {
            return Self::Refused(refusal);
        }
        let detail = causes(error);
        if error.is_builder() {
            Self::Setup { detail }
        } else {
            Self::Unreachable { detail }
        }
    }
}

/// The refusal by the rules of egress, if that is why no connection was made.
fn refusal(error: &reqwest::Error) -> Option<EgressError> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<EgressError>() {
            return Some(refusal.clone());
        }
        cause = error.source();
    }
    None
}

/// The causes below an error, outermost first. The error's own text is left out: the client's carries
/// the URL, whose query may hold a key.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Wrappers often repeat what they wrap.
        if !text.contains(&said) {
            let separator = if text.is_empty() { "" } else { ": " };
            let _ = write!(text, "{separator}{said}");
        }
        cause = error.source();
    }
    if text.is_empty() {
        text.push_str(if error.is_timeout() {
            "the connection timed out"
        } else {
            "the connection failed"
        });
    }
    text
}

/// The part of a URL that may be shown: scheme, host and port.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}
