//! What a vendor's refusal means: HTTP status and error object to [`ModelError`].
//!
//! Reads the error objects of every server this crate is used with; a body it cannot read is quoted
//! in part. Decides by status and by the vendor's error type, by wording only where there is nothing
//! else (a model that is being loaded).

use outcrop_engine::port::ModelError;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use crate::http::HttpFailure;

/// The longest quotation of a vendor's error, in characters: a message, not a web page.
const QUOTE_LIMIT: usize = 1_000;

/// Anthropic's own status for an overloaded service.
const OVERLOADED: u16 = 529;

/// A vendor's error object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What it says; empty when it says nothing readable.
    pub(crate) message: String,
    /// Its type or code, as the vendor writes it.
    pub(crate) kind: Option<String>,
    /// A status of its own, which some servers put into the object.
    pub(crate) status: Option<u16>,
}

#[derive(Deserialize)]
struct Body {
    error: Option<Value>,
    message: Option<Value>,
    detail: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    code: Option<Value>,
}

impl Fault {
    /// Reads the body of an error response.
    pub(crate) fn read(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            return Self {
                message: quote(&String::from_utf8_lossy(body)),
                ..Self::default()
            };
        };
        match body.error {
            Some(Value::Null) | None => {}
            Some(error) => return Self::of_object(&error),
        }
        // Servers made with FastAPI say `detail`, older vLLM has the error's members at the top.
        let said = body.message.or(body.detail).unwrap_or(Value::Null);
        let mut fault = Self {
            message: text(&said),
            ..Self::default()
        };
        fault.classify([body.kind.as_ref(), body.code.as_ref()]);
        fault
    }

    /// Reads the `error` member of a response or of an event: an object, or just a string.
    pub(crate) fn of_object(error: &Value) -> Self {
        let mut fault = Self {
            message: text(error.get("message").unwrap_or(error)),
            ..Self::default()
        };
        fault.classify([error.get("type"), error.get("code")]);
        fault
    }

    fn classify(&mut self, marks: [Option<&Value>; 2]) {
        for mark in marks.into_iter().flatten() {
            match mark {
                Value::String(kind) if self.kind.is_none() || known_status(kind).is_some() => {
                    self.kind = Some(kind.clone());
                }
                Value::Number(code) => {
                    self.status = code.as_u64().and_then(|code| u16::try_from(code).ok());
                }
                _ => {}
            }
        }
    }

    /// The failure of a request answered with `status`.
    pub(crate) fn into_error(
        self,
        status: u16,
        retry_after_ms: Option<u64>,
        host: &str,
    ) -> ModelError {
        let quotation = if self.message.is_empty() {
            "no explanation"
        } else {
            &self.message
        };
        let detail = format!("{host} answered {status}: {quotation}");
        if self.kind.as_deref() == Some("insufficient_quota") {
            // OpenAI sends 429 for an account without credit; waiting does not help, another vendor may.
            return ModelError::NotServed { detail };
        }
        match status {
            401 | 403 => ModelError::Auth { detail },
            402 | 404 => ModelError::NotServed { detail },
            408 | 504 => ModelError::Timeout { detail },
            429 => ModelError::Throttled {
                detail,
                retry_after_ms,
            },
            503 if self.message.to_lowercase().contains("loading") => {
                ModelError::Loading { detail }
            }
            500.. => ModelError::Unavailable { detail },
            _ => ModelError::Rejected { detail },
        }
    }

    /// The failure a vendor reports inside an answer that began well.
    pub(crate) fn into_stream_error(self, host: &str) -> ModelError {
        let by_kind = self.kind.as_deref().and_then(known_status);
        let status = by_kind
            .or(self.status.filter(|status| (400..600).contains(status)))
            .unwrap_or(500);
        self.into_error(status, None, host)
    }
}

/// The HTTP status a vendor's error type stands for.
fn known_status(kind: &str) -> Option<u16> {
    Some(match kind {
        "authentication_error" | "invalid_api_key" => 401,
        "permission_error" => 403,
        "not_found_error" | "model_not_found" => 404,
        "invalid_request_error" | "context_length_exceeded" | "billing_error" => 400,
        "request_too_large" => 413,
        "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" => 429,
        "timeout_error" => 504,
        "api_error" | "server_error" => 500,
        "overloaded_error" => OVERLOADED,
        _ => return None,
    })
}

/// A failure below the vendor's protocol.
pub(crate) fn of_http(failure: &HttpFailure, host: &str) -> ModelError {
    let detail = format!("{host}: {failure}");
    match failure {
        HttpFailure::Unreachable { .. } => ModelError::Unreachable { detail },
        HttpFailure::Timeout { .. } => ModelError::Timeout { detail },
        HttpFailure::TooLarge { .. } => ModelError::Malformed { detail },
        HttpFailure::Refused(_) | HttpFailure::Setup { .. } => ModelError::Rejected { detail },
    }
}

/// The wait a server advises: `retry-after-ms`, or `retry-after` in seconds or as a date. A date is
/// taken relative to the server's own `date`, so that its clock need not agree with this one.
pub(crate) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(ms) = header("retry-after-ms").and_then(milliseconds(1.0)) {
        return Some(ms);
    }
    let advice = header(RETRY_AFTER.as_str())?;
    if let Some(ms) = milliseconds(1_000.0)(advice) {
        return Some(ms);
    }
    let date = |text: &str| {
        let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(zoned.timestamp().as_millisecond())
    };
    let wait = date(advice)? - date(header(DATE.as_str())?)?;
    Some(u64::try_from(wait).unwrap_or(0))
}

fn milliseconds(unit: f64) -> impl Fn(&str) -> Option<u64> {
    move |text| {
        let number: f64 = text.parse().ok()?;
        let duration = std::time::Duration::try_from_secs_f64(number * unit / 1_000.0).ok()?;
        u64::try_from(duration.as_millis()).ok()
    }
}

/// The readable part of whatever stands where a message should.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quote(text),
        other => quote(&other.to_string()),
    }
}

fn quote(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(QUOTE_LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
