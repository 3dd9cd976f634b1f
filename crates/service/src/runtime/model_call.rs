//! One model call: fitted to the model, retried before any output, collected into one fact.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use outcrop_engine::fit::fit;
use outcrop_engine::orchestration::{
    AssembledReply, EventKind, LiveAnswer, ModelCall, ModelReplied, TurnAssembler,
};
use outcrop_engine::port::{ModelError, ModelRequest};
use tokio::sync::mpsc;
use tracing::warn;

use super::Step;
use super::envelope::chunk;
use crate::ports::Ports;

/// Attempts at one model call, the first included.
const ATTEMPTS_MAX: u32 = 4;
/// Bounds of the first wait before a retry; each later one doubles it.
const BACKOFF_MS: u64 = 200;
/// Longest wait before a retry. A provider that asks for more is believed: the turn fails at once,
/// and its client may come back then.
const BACKOFF_MS_MAX: u64 = 20_000;

/// Most bytes of answer that one chunk joins; far below AWS's own bound of 1,000,000.
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// Performs `request` and gives the event to journal. `client` takes the answer while it is written.
pub(super) async fn call(
    ports: Arc<Ports>,
    call: ModelCall,
    client: mpsc::Sender<Step>,
) -> EventKind {
    let ModelCall { mut request, live } = call;
    let started_at = ports.clock.now();
    let fitted = ports
        .models
        .capabilities(&request.model)
        .and_then(|capabilities| fit(&mut request, capabilities));
    if let Err(error) = fitted {
        return EventKind::ModelFailed(error);
    }
    let mut attempt = 1;
    loop {
        match once(&ports, &request, live.as_ref(), &client).await {
            Ok(reply) => {
                return EventKind::ModelReplied(Box::new(ModelReplied {
                    client_request_id: ports.ids.uuid(),
                    started_at,
                    message: Arc::new(reply.message),
                    stop_reason: reply.stop_reason,
                    usage: reply.usage,
                    streamed_bytes: reply.streamed_bytes,
                    guarded: None,
                    answered_by: None,
                    invocation_id: ports.ids.uuid(),
                }));
            }
            Err(Failed { error, begun }) => {
                let wait_ms = backoff_ms(&error, attempt, ports.ids.fraction());
                let Some(wait_ms) = wait_ms.filter(|_| !begun && attempt < ATTEMPTS_MAX) else {
                    warn!(model = request.model, attempt, %error, "model call failed");
                    return EventKind::ModelFailed(error);
                };
                warn!(model = request.model, attempt, wait_ms, %error, "model call will be retried");
                ports.clock.sleep(Duration::from_millis(wait_ms)).await;
                attempt += 1;
            }
        }
    }
}

struct Failed {
    error: ModelError,
    /// Whether output had begun: the call must then not be made again.
    begun: bool,
}

async fn once(
    ports: &Ports,
    request: &ModelRequest,
    live: Option<&LiveAnswer>,
    client: &mpsc::Sender<Step>,
) -> Result<AssembledReply, Failed> {
    let fail = |begun| move |error| Failed { error, begun };
    let may_call_tools = live.is_some_and(|live| live.may_call_tools);
    let mut assembler = TurnAssembler::new(live.is_some(), may_call_tools);
    let mut events = ports
        .models
        .converse(request.clone())
        .await
        .map_err(fail(false))?;
    let mut next = events.next().await;
    while let Some(event) = next {
        let event = event.map_err(fail(assembler.has_begun()))?;
        let mut text = assembler.push(event).map_err(fail(true))?;
        // What has arrived already goes out together; nothing waits for what has not.
        let mut ready = events.next().now_or_never();
        while let (Some(answer), Some(Some(Ok(_)))) = (&mut text, &ready) {
            if answer.len() >= CHUNK_BYTES_MAX {
                break;
            }
            if let Some(Some(Ok(event))) = ready {
                let more = assembler.push(event).map_err(fail(true))?;
                answer.push_str(more.as_deref().unwrap_or_default());
            }
            ready = events.next().now_or_never();
        }
        if let Some(text) = text {
            // A client that is gone is noticed by the driver, which drops this call.
            let _ = client.send(Step::more(vec![Ok(chunk(text))])).await;
        }
        next = match ready {
            Some(next) => next,
            None => events.next().await,
        };
    }
    let begun = assembler.has_begun();
    assembler.finish().map_err(fail(begun))
}

/// How long to wait before the next attempt; `None` where another one makes no sense.
fn backoff_ms(error: &ModelError, attempt: u32, fraction: f64) -> Option<u64> {
    if !error.is_retryable() {
        return None;
    }
    let ceiling = BACKOFF_MS
        .saturating_mul(1 << attempt.min(8))
        .min(BACKOFF_MS_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a fraction of a small positive number"
    )]
    let jittered = BACKOFF_MS / 2 + (fraction * ceiling as f64) as u64;
    match error {
        ModelError::Throttled {
            retry_after_ms: Some(asked),
            ..
        } if *asked > BACKOFF_MS_MAX => None,
        ModelError::Throttled {
            retry_after_ms: Some(asked),
            ..
        } => Some(jittered.max(*asked)),
        _ => Some(jittered),
    }
}
