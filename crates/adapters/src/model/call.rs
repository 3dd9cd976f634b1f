//! The HTTP call the remote providers share: send one body, read one answer, streamed or whole.
//!
//! Knows nothing of any vendor's format; a [`Decoder`] does. Never retries. Dropping the stream closes
//! the connection, which is how a vendor learns that nobody waits any more.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use outcrop_engine::port::{ModelError, ModelStream};
use outcrop_model::converse::ConverseStreamOutput;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, Url};

use super::emitter::Emitter;
use super::fault::{self, Fault};
use crate::http::sse::{EventTooLong, SseParser};
use crate::http::{self, Deadline, HttpFailure, LazyClient, Secret, Timeouts};

/// Where one provider sends its requests.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The shared client.
    pub client: LazyClient,
    /// The operation's full URL.
    pub url: Url,
    /// Headers of every request, credentials among them.
    pub headers: HeaderMap,
    /// The key among those headers, so that it can be taken out of texts.
    pub key: Option<Secret>,
    /// Time limits of one call.
    pub timeouts: Timeouts,
}

/// Reads a vendor's answer into Converse events.
pub(crate) trait Decoder: Send + 'static {
    /// Takes the data of one server-sent event.
    fn event(&mut self, data: &[u8]) -> Result<(), DecodeError>;
    /// Takes an unstreamed answer.
    fn whole(&mut self, body: &[u8]) -> Result<(), DecodeError>;
    /// The connection has ended. Completes the answer if all that matters has come; what is missing
    /// otherwise shows in [`Emitter::is_complete`].
    fn end(&mut self);
    /// The events decoded so far.
    fn emitter(&mut self) -> &mut Emitter;
}

/// Why an answer cannot be decoded any further.
#[derive(Debug)]
pub(crate) enum DecodeError {
    /// The vendor says it failed.
    Vendor(Fault),
    /// The answer is not in the vendor's format.
    Malformed(String),
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<EventTooLong> for DecodeError {
    fn from(error: EventTooLong) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl DecodeError {
    fn into_error(self, host: &str) -> ModelError {
        match self {
            Self::Vendor(fault) => fault.into_stream_error(host),
            Self::Malformed(what) => ModelError::Malformed {
                detail: format!("{host}: {what}"),
            },
        }
    }
}

/// Whether the vendor was asked for a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Events,
    Whole,
}

impl Endpoint {
    /// Sends `body` and decodes the answer. `streamed` says what the body asks for.
    pub(crate) async fn call(
        &self,
        body: Vec<u8>,
        streamed: bool,
        decoder: impl Decoder,
    ) -> Result<ModelStream, ModelError> {
        let started = Instant::now();
        let deadline = Deadline::start(self.timeouts);
        let host: Arc<str> = http::host_of(&self.url).into();
        let response = self
            .send(body, deadline)
            .await
            .map_err(|failure| fault::of_http(&failure, &host))?;
        if !response.status().is_success() {
            return Err(self.refusal(response, deadline, &host).await);
        }
        let call = Call {
            response: Some(response),
            decoder,
            parser: SseParser::default(),
            received: 0,
            complete: false,
            failure: None,
            deadline,
            started,
            host,
            key: self.key.clone(),
        };
        match form(call.response.as_ref(), streamed) {
            Form::Events => Ok(call.into_stream()),
            Form::Whole => call.read_whole().await,
        }
    }

    /// Sends `body` and reads the answer whole, whatever it is.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Result<Bytes, ModelError> {
        let deadline = Deadline::start(self.timeouts);
        let host = http::host_of(&self.url);
        let failed = |failure: HttpFailure| fault::of_http(&failure, &host);
        let mut response = self.send(body, deadline).await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(self.refusal(response, deadline, &host).await);
        }
        http::read_body(&mut response, http::RESPONSE_BODY_LIMIT, &deadline)
            .await
            .map_err(failed)
    }

    async fn send(&self, body: Vec<u8>, deadline: Deadline) -> Result<Response, HttpFailure> {
        let request = self
            .client
            .get()?
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body)
            .send();
        let answered = deadline.response(request).await?;
        answered.map_err(|error| HttpFailure::of(&error))
    }

    /// What a response that is not a success means.
    async fn refusal(&self, mut response: Response, deadline: Deadline, host: &str) -> ModelError {
        let status = response.status().as_u16();
        if let Some(location) = response.headers().get(LOCATION) {
            let location = String::from_utf8_lossy(location.as_bytes());
            let target = Url::parse(&location).map_or_else(
                |_| location.chars().take(200).collect(),
                |url| format!("{}{}", http::host_of(&url), url.path()),
            );
            return ModelError::Rejected {
                detail: format!(
                    "{host} answered {status}: it redirects to {target}; correct base_url"
                ),
            };
        }
        let retry_after_ms = fault::retry_after_ms(response.headers());
        let read = http::read_body(&mut response, http::ERROR_BODY_LIMIT, &deadline);
        // The status is known; a body that fails to come takes nothing from it.
        let body = read.await.unwrap_or_default();
        let mut fault = Fault::read(&body);
        if status == 404 && fault.kind.is_none() {
            let path = self.url.path();
            fault.message = format!("{} (POST {path}; is base_url right?)", fault.message);
        }
        redact(
            fault.into_error(status, retry_after_ms, host),
            self.key.as_ref(),
        )
    }
}

/// Goes by what came rather than by what was asked for: some gateways never stream, or always do.
fn form(response: Option<&Response>, streamed: bool) -> Form {
    let content_type = response
        .and_then(|response| response.headers().get(CONTENT_TYPE))
        .map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.starts_with(b"text/event-stream") {
        Form::Events
    } else if content_type.starts_with(b"application/json") || !streamed {
        Form::Whole
    } else {
        Form::Events
    }
}

/// One answer being read.
struct Call<D> {
    /// Taken when the answer is over.
    response: Option<Response>,
    decoder: D,
    parser: SseParser,
    received: usize,
    /// The last event has been taken.
    complete: bool,
    /// Comes after the events decoded before it.
    failure: Option<ModelError>,
    deadline: Deadline,
    started: Instant,
    host: Arc<str>,
    key: Option<Secret>,
}

impl<D: Decoder> Call<D> {
    fn into_stream(self) -> ModelStream {
        stream::unfold(Some(Box::new(self)), |call| async move {
            let mut call = call?;
            loop {
                if let Some(event) = call.pop() {
                    return Some((Ok(event), Some(call)));
                }
                if let Some(failure) = call.failure.take() {
                    return Some((Err(redact(failure, call.key.as_ref())), None));
                }
                if call.decoder.emitter().is_complete() {
                    if let Some(response) = call.response.take() {
                        http::finish(response).await;
                    }
                    return None;
                }
                call.advance().await;
            }
        })
        .boxed()
    }

    /// Reads until something is there to be taken: events, the end, or a failure.
    async fn advance(&mut self) {
        let chunk = match &mut self.response {
            Some(response) => http::next_chunk(response, &self.deadline).await,
            None => Ok(None),
        };
        match chunk {
            Ok(Some(chunk)) => self.take(&chunk),
            Ok(None) => self.end(&HttpFailure::Unreachable {
                detail: "the connection closed before the answer was complete".to_owned(),
            }),
            Err(failure) => self.end(&failure),
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.received += chunk.len();
        if self.received > http::RESPONSE_BODY_LIMIT {
            let limit = http::RESPONSE_BODY_LIMIT;
            self.failure = Some(fault::of_http(&HttpFailure::TooLarge { limit }, &self.host));
            return;
        }
        let decoder = &mut self.decoder;
        if let Err(error) = self.parser.push(chunk, |data| decoder.event(data)) {
            self.failure = Some(error.into_error(&self.host));
        }
    }

    fn end(&mut self, failure: &HttpFailure) {
        self.response = None;
        self.decoder.end();
        if !self.decoder.emitter().is_complete() {
            self.failure = Some(fault::of_http(failure, &self.host));
        }
    }

    async fn read_whole(mut self) -> Result<ModelStream, ModelError> {
        let failed = |failure: &HttpFailure| fault::of_http(failure, &self.host);
        let Some(response) = &mut self.response else {
            return Ok(stream::empty().boxed());
        };
        let read = http::read_body(response, http::RESPONSE_BODY_LIMIT, &self.deadline);
        let body = read.await.map_err(|failure| failed(&failure))?;
        if let Err(error) = self.decoder.whole(&body) {
            return Err(redact(error.into_error(&self.host), self.key.as_ref()));
        }
        let mut events = Vec::new();
        while let Some(event) = self.pop() {
            events.push(Ok(event));
        }
        Ok(stream::iter(events).boxed())
    }

    fn pop(&mut self) -> Option<ConverseStreamOutput> {
        let mut event = self.decoder.emitter().pop()?;
        if let ConverseStreamOutput::Metadata(metadata) = &mut event {
            self.complete = true;
            let elapsed = self.started.elapsed().as_millis();
            metadata.metrics.latency_ms = i64::try_from(elapsed).unwrap_or(i64::MAX);
        }
        Some(event)
    }
}

impl<D> Drop for Call<D> {
    fn drop(&mut self) {
        // A reader may stop at the last event; the connection is worth keeping all the same.
        if self.complete
            && let Some(response) = self.response.take()
        {
            http::drain(response);
        }
    }
}

/// Takes the key out of what a vendor said.
fn redact(error: ModelError, key: Option<&Secret>) -> ModelError {
    let Some(key) = key else { return error };
    match error {
        ModelError::Unmapped { model, hint } => ModelError::Unmapped { model, hint },
        ModelError::Auth { detail } => ModelError::Auth {
            detail: key.redact(detail),
        },
        ModelError::Throttled {
            detail,
            retry_after_ms,
        } => ModelError::Throttled {
            detail: key.redact(detail),
            retry_after_ms,
        },
        // Never a vendor's text.
        ModelError::Queued { detail } => ModelError::Queued { detail },
        ModelError::NotServed { detail } => ModelError::NotServed {
            detail: key.redact(detail),
        },
        ModelError::Rejected { detail } => ModelError::Rejected {
            detail: key.redact(detail),
        },
        ModelError::Timeout { detail } => ModelError::Timeout {
            detail: key.redact(detail),
        },
        ModelError::Loading { detail } => ModelError::Loading {
            detail: key.redact(detail),
        },
        ModelError::Unavailable { detail } => ModelError::Unavailable {
            detail: key.redact(detail),
        },
        ModelError::Unreachable { detail } => ModelError::Unreachable {
            detail: key.redact(detail),
        },
        ModelError::Malformed { detail } => ModelError::Malformed {
            detail: key.redact(detail),
        },
    }
}
