//! Runs the operations of an `OpenAPI` action group by calling the API they describe.
//!
//! What is sent is made of the plan's operation and the call's typed arguments ([`request`]); what
//! comes back becomes the reply a Lambda function would have given ([`reply`]), so that everything
//! after it is the same. Host, port and the path before the operation's own are the operator's: no
//! argument changes them. A call is sent once; it is sent again only with a new token, after the API
//! has refused the old one.

mod reply;
mod request;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outcrop_engine::action::ActionTarget;
use outcrop_engine::action::call::CalledAction;
use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use reqwest::Response;

use super::CONNECT_LIMIT;
use super::upstream::{Reach, Upstream};
use crate::http::egress::Egress;
use crate::http::oauth::TokenError;
use crate::http::{self as client, Deadline, HttpFailure, Timeouts};
pub(super) use reply::payload;
use request::{Mistake, Prepared};

/// What is asked for: text that a model can read.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, text/*;q=0.8, */*;q=0.1");
/// The draft of the HTTP working group, which the large payment APIs take.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The most of a refused request's answer that is quoted in a log tail.
const QUOTED_CHARS_MAX: usize = 1_000;

/// An API that runs the action groups it describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestApi {
    /// The API. The operation's path is added to the path of its URL.
    pub upstream: Upstream,
    /// How long one call may take.
    pub timeout: Duration,
    /// The most bytes of one response.
    pub max_reply_bytes: usize,
}

/// A checked [`RestApi`].
#[derive(Debug)]
pub(super) struct Target {
    reach: Reach,
    timeout: Duration,
    max_reply_bytes: usize,
}

/// Why a request brought no response.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Http(#[from] HttpFailure),
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Target {
    pub(super) fn new(api: RestApi, egress: &Egress) -> Result<Self, String> {
        Ok(Self {
            reach: Reach::new(api.upstream, egress)?,
            timeout: api.timeout,
            max_reply_bytes: api.max_reply_bytes,
        })
    }

    pub(super) async fn invoke(&self, call: ActionCall) -> Result<ActionReply, ActionError> {
        let function = call.function.clone();
        let failed = |detail: String| ActionError::Failed {
            function: function.clone(),
            detail,
        };
        let action = call.action.as_deref().ok_or_else(|| {
            failed("runtime = \"openapi\" runs the calls of action groups only; it takes no plain event".to_owned())
        })?;
        let prepared = self.prepare(action).map_err(|mistake| match mistake {
            Mistake::Argument(text) => ActionError::RespondToModel(text),
            Mistake::Schema(detail) => failed(detail),
        })?;
        let place = prepared.place();
        let begun = Instant::now();
        let deadline = Deadline::start(Timeouts {
            connect: CONNECT_LIMIT,
            response: self.timeout,
            idle: self.timeout,
            overall: self.timeout,
        });
        let sent = self.send(&prepared, &call.idempotency_key, &deadline).await;
        let mut response = sent.map_err(|error| failed(format!("{place}: {error}")))?;
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return Err(failed(redirected(&place, &response)));
        }
        let body = client::read_body(&mut response, self.max_reply_bytes, &deadline)
            .await
            .map_err(|failure| failed(format!("{place}: {status}, but {}", self.hint(&failure))))?;
        let text = reply::text(response.headers().get(CONTENT_TYPE), &body)
            .map_err(|refusal| failed(format!("{place} answered {status} with {refusal}")))?;
        let log_tail = log(&place, status, begun.elapsed(), &text);
        Ok(ActionReply {
            payload: Bytes::from(reply::payload(action, status.as_u16(), &text)),
            function_error: None,
            log_tail: Some(log_tail),
            request_id: None,
        })
    }

    fn prepare(&self, action: &CalledAction) -> Result<Prepared, Mistake> {
        let (ActionTarget::Api { path, method, .. }, Some(operation)) =
            (&action.target, &action.operation)
        else {
            return Err(Mistake::Schema(format!(
                "action group {} has a function schema, but runtime = \"openapi\" needs an OpenAPI schema to call the API by",
                action.action_group
            )));
        };
        request::prepare(&self.reach.url, method, path, operation, &action.arguments)
    }

    async fn send(
        &self,
        prepared: &Prepared,
        idempotency_key: &str,
        deadline: &Deadline,
    ) -> Result<Response, SendError> {
        let headers = self.headers(prepared, idempotency_key);
        let Some(tokens) = &self.reach.tokens else {
            return Ok(self.send_once(prepared, headers, deadline).await?);
        };
        let token = deadline.response(tokens.token()).await??;
        let mut authorized = headers.clone();
        authorized.insert(AUTHORIZATION, token.header()?);
        let response = self.send_once(prepared, authorized, deadline).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // Refused before anything was done, so the call may be made with a new token.
        client::finish(response).await;
        let token = deadline.response(tokens.replace(&token)).await??;
        let mut authorized = headers;
        authorized.insert(AUTHORIZATION, token.header()?);
        Ok(self.send_once(prepared, authorized, deadline).await?)
    }

    /// The call's own headers, then ours, then the operator's over both.
    fn headers(&self, prepared: &Prepared, idempotency_key: &str) -> HeaderMap {
        let mut headers = prepared.headers.clone();
        headers.entry(ACCEPT).or_insert(ACCEPTED);
        if !prepared.method.is_safe()
            && let Ok(key) = HeaderValue::from_str(idempotency_key)
        {
            headers.entry(IDEMPOTENCY_KEY).or_insert(key);
        }
        for (name, value) in &self.reach.headers {
            headers.insert(name, value.clone());
        }
        headers
    }

    async fn send_once(
        &self,
        prepared: &Prepared,
        headers: HeaderMap,
        deadline: &Deadline,
    ) -> Result<Response, HttpFailure> {
        let client = self.reach.guarded.client(&prepared.url)?;
        let mut request = client
            .request(prepared.method.clone(), prepared.url.clone())
            .headers(headers);
        if let Some(body) = &prepared.body {
            request = request.body(body.clone());
        }
        let sent = deadline.response(request.send()).await?;
        sent.map_err(|error| HttpFailure::of(&error))
    }

    fn hint(&self, failure: &HttpFailure) -> String {
        match failure {
            HttpFailure::TooLarge { limit } if *limit == self.max_reply_bytes => {
                format!("{failure} (max_reply_bytes of the function)")
            }
            other => other.to_string(),
        }
    }
}

fn redirected(place: &str, response: &Response) -> String {
    let target = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| response.url().join(location).ok())
        .map_or_else(
            || "elsewhere".to_owned(),
            |mut url| {
                url.set_query(None);
                format!("to {url}")
            },
        );
    format!(
        "{place} answered {} {target}; redirects are not followed. Set base_url to where the API really is",
        response.status()
    )
}

/// What the call did, for an exception's log tail: a refusal with the beginning of its text.
fn log(place: &str, status: StatusCode, took: Duration, text: &str) -> String {
    let mut line = format!("{place} answered {status} in {} ms", took.as_millis());
    if !status.is_success() && !text.is_empty() {
        line.push_str(": ");
        line.extend(text.chars().take(QUOTED_CHARS_MAX));
    }
    line
}
