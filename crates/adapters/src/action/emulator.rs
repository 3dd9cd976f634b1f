//! Functions behind a Runtime Interface Emulator: AWS's container images for Lambda answer to one URL
//! for whatever function they hold.
//!
//! The emulator's protocol is Lambda's Invoke without signature and without logs. A failed function is
//! told by the header `X-Amz-Function-Error`. Where an emulator leaves it out, the error object is
//! passed on as a reply like any other, since a handler may return one too.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use reqwest::Url;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::CONNECT_LIMIT;
use crate::http::{self as client, Deadline, HttpFailure, LazyClient, Timeouts};

const PATH: &str = "/2015-03-31/functions/function/invocations";
/// Lambda's limit of a synchronous reply, and room for a payload escaped less tightly.
const MAX_REPLY_BYTES: usize = 8 * 1024 * 1024;

/// A function behind a Runtime Interface Emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatedFunction {
    /// Scheme, host and port: `http://127.0.0.1:9000`.
    pub url: String,
    /// How long one invocation may take.
    pub timeout: Duration,
}

/// A checked [`EmulatedFunction`].
#[derive(Debug)]
pub(super) struct Target {
    url: Url,
    timeout: Duration,
}

impl Target {
    pub(super) fn new(function: &EmulatedFunction) -> Result<Self, String> {
        let text = format!("{}{PATH}", function.url.trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("{} is not an http url", function.url));
        }
        Ok(Self {
            url,
            timeout: function.timeout,
        })
    }
}

/// The connections to all emulators.
#[derive(Debug)]
pub(super) struct Emulators {
    client: LazyClient,
}

impl Emulators {
    pub(super) fn new() -> Self {
        Self {
            client: LazyClient::new(CONNECT_LIMIT),
        }
    }

    pub(super) async fn invoke(
        &self,
        target: &Target,
        call: ActionCall,
    ) -> Result<ActionReply, ActionError> {
        let ActionCall {
            function,
            event,
            idempotency_key,
            client_context,
            request_id,
            action: _,
        } = call;
        let failed = |detail: String| ActionError::Failed {
            function: function.clone(),
            detail,
        };
        let client = self
            .client
            .get()
            .map_err(|failure| failed(failure.to_string()))?;
        let sent = client
            .post(target.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(
                "x-amz-client-context",
                STANDARD.encode(super::client_context(
                    client_context.as_deref(),
                    &idempotency_key,
                )),
            )
            .header("x-amzn-requestid", request_id)
            .body(event)
            .send();
        let deadline = Deadline::start(Timeouts {
            connect: CONNECT_LIMIT,
            response: target.timeout,
            idle: target.timeout,
            overall: target.timeout,
        });
        let mut response = match deadline.response(sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failed(HttpFailure::of(&error).to_string())),
            Err(failure) => return Err(failed(failure.to_string())),
        };
        let payload = client::read_body(&mut response, MAX_REPLY_BYTES, &deadline)
            .await
            .map_err(|failure| failed(failure.to_string()))?;
        if !response.status().is_success() {
            let text = String::from_utf8_lossy(&payload);
            return Err(failed(format!(
                "{} answered {}: {text}",
                target.url,
                response.status()
            )));
        }
        Ok(ActionReply {
            payload,
            function_error: header(response.headers(), "x-amz-function-error"),
            log_tail: None,
            request_id: header(response.headers(), "x-amzn-requestid"),
        })
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
