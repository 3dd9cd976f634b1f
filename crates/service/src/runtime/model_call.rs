//! One model call of a turn, collected into one fact.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use outcrop_engine::orchestration::{
    AssembledReply, EventKind, GuardedAnswer, LiveAnswer, ModelCall, ModelReplied, TurnAssembler,
};
use outcrop_engine::port::{ModelError, PromptCache};
use tracing::warn;

use super::live::{Client, Sink};
use crate::models::{self, Answer, Behalf};
use crate::ports::Ports;

/// Most bytes of answer that one chunk joins; far below AWS's own bound of 1,000,000.
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// Performs `request` and gives the event to journal. `client` takes the answer while it is written.
pub(super) async fn call(ports: Arc<Ports>, call: ModelCall, client: Option<Client>) -> EventKind {
    let ModelCall { mut request, live } = call;
    request.cache = PromptCache::StablePrefix;
    let started_at = ports.clock.now();
    let answer = match models::ask(&ports, &request, Behalf::Turn).await {
        Ok(answer) => answer,
        Err(error) => return EventKind::ModelFailed(error),
    };
    let answered_by = (answer.model != request.model).then(|| answer.model.clone());
    match read(answer, live.as_ref(), client).await {
        Ok((reply, guarded)) => EventKind::ModelReplied(Box::new(ModelReplied {
            client_request_id: ports.ids.uuid(),
            started_at,
            message: Arc::new(reply.message),
            stop_reason: reply.stop_reason,
            usage: reply.usage,
            streamed_bytes: reply.streamed_bytes,
            cited_parts: reply.cited_parts,
            guarded,
            answered_by,
            invocation_id: ports.ids.uuid(),
        })),
        Err(error) => {
            warn!(model = request.model, %error, "the model's answer broke off");
            EventKind::ModelFailed(error)
        }
    }
}

/// Reads an answer to its end. Output has begun: what fails now is not tried again.
async fn read(
    answer: Answer,
    live: Option<&LiveAnswer>,
    client: Option<Client>,
) -> Result<(AssembledReply, Option<GuardedAnswer>), ModelError> {
    let mut assembler = TurnAssembler::new(live);
    let mut sink = Sink::new(live, client);
    let guarded = live.is_some_and(|live| live.guardrail.is_some());
    let mut events = answer.events();
    let mut next = events.next().await;
    while let Some(event) = next {
        let mut text = assembler.push(event?)?;
        if guarded {
            // The model's pieces decide where a part for the guardrail ends (behaviour.md 6.6).
            if let Some(text) = text {
                sink.take(text).await;
            }
            next = events.next().await;
            continue;
        }
        // What has arrived already goes out together; nothing waits for what has not.
        let mut ready = events.next().now_or_never();
        while let (Some(answer), Some(Some(Ok(_)))) = (&mut text, &ready) {
            if answer.len() >= CHUNK_BYTES_MAX {
                break;
            }
            if let Some(Some(Ok(event))) = ready {
                let more = assembler.push(event)?;
                answer.push_str(more.as_deref().unwrap_or_default());
            }
            ready = events.next().now_or_never();
        }
        if let Some(text) = text {
            sink.take(text).await;
        }
        if let Some(attribution) = assembler.new_citations() {
            sink.cite(attribution).await;
        }
        next = match ready {
            Some(next) => next,
            None => events.next().await,
        };
    }
    let reply = assembler.finish()?;
    let guarded = sink.finish(&reply.rest).await;
    Ok((reply, guarded))
}
