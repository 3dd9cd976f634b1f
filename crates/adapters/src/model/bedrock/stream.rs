//! Bedrock's answers to Converse events: the same events, in this project's types.
//!
//! Images have no reader in the engine; they are left out with a log line. Guardrail
//! traces do not occur, because no guardrail is ever asked for here.

use std::collections::VecDeque;
use std::time::Instant;

use aws_sdk_bedrockruntime::error::SdkError;
use aws_sdk_bedrockruntime::operation::converse::ConverseOutput as ConverseResponse;
use aws_sdk_bedrockruntime::primitives::event_stream::EventReceiver;
use aws_sdk_bedrockruntime::types as sdk;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_smithy_types::{Document, Number};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use outcrop_engine::port::{ModelError, ModelStream};
use outcrop_model::blob::Blob;
use outcrop_model::converse::{
    ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart, ContentBlockStartEvent,
    ContentBlockStopEvent, ConversationRole, ConverseStreamMetadataEvent, ConverseStreamMetrics,
    ConverseStreamOutput, MessageStartEvent, MessageStopEvent, ReasoningContentBlockDelta,
    StopReason, TokenUsage, ToolUseBlockDelta, ToolUseBlockStart,
};
use serde_json::Value;
use tracing::debug;

use super::{citation, error};
use crate::http::{Deadline, HttpFailure};
use crate::model::emitter::Emitter;
use crate::model::fault;

/// Bedrock's stream, event by event.
pub(super) fn events(
    receiver: EventReceiver<sdk::ConverseStreamOutput, ConverseStreamOutputError>,
    deadline: Deadline,
    host: String,
) -> ModelStream {
    let reading = Reading {
        receiver,
        deadline,
        host,
        stopped: false,
    };
    stream::unfold(Some(Box::new(reading)), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(event)) => Some((Ok(event), Some(reading))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Reading {
    receiver: EventReceiver<sdk::ConverseStreamOutput, ConverseStreamOutputError>,
    deadline: Deadline,
    host: String,
    /// `MessageStop` has come: nothing that matters is missing.
    stopped: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<ConverseStreamOutput>, ModelError> {
        loop {
            let received = match self.deadline.idle(self.receiver.recv()).await {
                Ok(received) => received,
                Err(_) if self.stopped => return Ok(None),
                Err(failure) => return Err(fault::of_http(&failure, &self.host)),
            };
            match received {
                Ok(Some(event)) => {
                    self.stopped |= event.is_message_stop();
                    if let Some(event) = of_event(event) {
                        return Ok(Some(event));
                    }
                }
                Ok(None) if self.stopped => return Ok(None),
                Ok(None) => return Err(self.broken()),
                Err(SdkError::ServiceError(error)) => {
                    return Err(error::of_stream(error.err(), &self.host));
                }
                Err(_) if self.stopped => return Ok(None),
                Err(failure) => {
                    return Err(error::of_broken_stream(&failure, &self.host));
                }
            }
        }
    }

    fn broken(&self) -> ModelError {
        let detail = "the connection closed before the answer was complete".to_owned();
        fault::of_http(&HttpFailure::Unreachable { detail }, &self.host)
    }
}

/// One event in this project's types; none for what has no reader.
fn of_event(event: sdk::ConverseStreamOutput) -> Option<ConverseStreamOutput> {
    use sdk::ConverseStreamOutput as Sdk;
    Some(match event {
        Sdk::MessageStart(_) => ConverseStreamOutput::MessageStart(MessageStartEvent {
            role: ConversationRole::Assistant,
        }),
        Sdk::ContentBlockStart(event) => {
            let Some(sdk::ContentBlockStart::ToolUse(tool)) = event.start else {
                return skipped("content block");
            };
            ConverseStreamOutput::ContentBlockStart(ContentBlockStartEvent {
                content_block_index: event.content_block_index,
                start: ContentBlockStart::ToolUse(ToolUseBlockStart {
                    name: tool.name,
                    tool_use_id: tool.tool_use_id,
                    type_: None,
                }),
            })
        }
        Sdk::ContentBlockDelta(event) => {
            ConverseStreamOutput::ContentBlockDelta(ContentBlockDeltaEvent {
                content_block_index: event.content_block_index,
                delta: of_delta(event.delta?)?,
            })
        }
        Sdk::ContentBlockStop(event) => {
            ConverseStreamOutput::ContentBlockStop(ContentBlockStopEvent {
                content_block_index: event.content_block_index,
            })
        }
        Sdk::MessageStop(event) => ConverseStreamOutput::MessageStop(MessageStopEvent {
            additional_model_response_fields: event
                .additional_model_response_fields
                .map(of_document),
            stop_reason: stop_reason(&event.stop_reason),
        }),
        Sdk::Metadata(event) => ConverseStreamOutput::Metadata(metadata(
            event.usage.as_ref(),
            event.metrics.map_or(0, |metrics| metrics.latency_ms),
        )),
        _ => return skipped("event"),
    })
}

fn of_delta(delta: sdk::ContentBlockDelta) -> Option<ContentBlockDelta> {
    Some(match delta {
        sdk::ContentBlockDelta::Text(text) => ContentBlockDelta::Text(text),
        sdk::ContentBlockDelta::ToolUse(tool) => {
            ContentBlockDelta::ToolUse(ToolUseBlockDelta { input: tool.input })
        }
        sdk::ContentBlockDelta::ReasoningContent(reasoning) => {
            use sdk::ReasoningContentBlockDelta as Sdk;
            ContentBlockDelta::ReasoningContent(match reasoning {
                Sdk::Text(text) => ReasoningContentBlockDelta::Text(text),
                Sdk::Signature(signature) => ReasoningContentBlockDelta::Signature(signature),
                Sdk::RedactedContent(content) => {
                    ReasoningContentBlockDelta::RedactedContent(Blob::from(content.into_inner()))
                }
                _ => return skipped("reasoning"),
            })
        }
        sdk::ContentBlockDelta::Citation(citation) => {
            ContentBlockDelta::Citation(citation::delta(citation))
        }
        _ => return skipped("delta"),
    })
}

/// An unstreamed answer, as the events it would have been streamed as.
pub(super) fn of_whole(
    response: ConverseResponse,
    started: Instant,
    host: &str,
) -> Result<ModelStream, ModelError> {
    let Some(sdk::ConverseOutput::Message(message)) = response.output else {
        return Err(ModelError::Malformed {
            detail: format!("{host}: the answer has no message"),
        });
    };
    let mut emitter = Emitter::default();
    emitter.begin();
    for block in message.content {
        of_block(block, &mut emitter);
        emitter.close();
    }
    let mut events = VecDeque::new();
    while let Some(event) = emitter.pop() {
        events.push_back(event);
    }
    events.push_back(ConverseStreamOutput::MessageStop(MessageStopEvent {
        additional_model_response_fields: response
            .additional_model_response_fields
            .map(of_document),
        stop_reason: stop_reason(&response.stop_reason),
    }));
    let elapsed = || i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let latency_ms = response
        .metrics
        .map_or_else(elapsed, |metrics| metrics.latency_ms);
    events.push_back(ConverseStreamOutput::Metadata(metadata(
        response.usage.as_ref(),
        latency_ms,
    )));
    Ok(stream::iter(events.into_iter().map(Ok)).boxed())
}

fn of_block(block: sdk::ContentBlock, emitter: &mut Emitter) {
    match block {
        sdk::ContentBlock::Text(text) => emitter.text(text),
        sdk::ContentBlock::ToolUse(call) => {
            emitter.tool_use(call.tool_use_id, call.name);
            emitter.tool_input(of_document(call.input).to_string());
        }
        sdk::ContentBlock::ReasoningContent(sdk::ReasoningContentBlock::ReasoningText(text)) => {
            emitter.reasoning(text.text);
            emitter.signature(text.signature.unwrap_or_default());
        }
        sdk::ContentBlock::ReasoningContent(sdk::ReasoningContentBlock::RedactedContent(
            content,
        )) => emitter.redacted_reasoning(Bytes::from(content.into_inner())),
        sdk::ContentBlock::CitationsContent(cited) => {
            for content in cited.content.unwrap_or_default() {
                if let sdk::CitationGeneratedContent::Text(text) = content {
                    emitter.text(text);
                }
            }
            for citation in cited.citations.unwrap_or_default() {
                emitter.citation(citation::whole(citation));
            }
        }
        _ => {
            skipped::<()>("content block");
        }
    }
}

fn metadata(usage: Option<&sdk::TokenUsage>, latency_ms: i64) -> ConverseStreamMetadataEvent {
    ConverseStreamMetadataEvent {
        metrics: ConverseStreamMetrics { latency_ms },
        performance_config: None,
        service_tier: None,
        trace: None,
        usage: usage.map_or_else(TokenUsage::default, |usage| TokenUsage {
            cache_details: None,
            cache_read_input_tokens: usage.cache_read_input_tokens,
            cache_write_input_tokens: usage.cache_write_input_tokens,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            total_tokens: usage.total_tokens,
        }),
    }
}

/// A reason newer than the SDK ends the turn, like every reason that needs no reaction.
fn stop_reason(reason: &sdk::StopReason) -> StopReason {
    reason.as_str().parse().unwrap_or(StopReason::EndTurn)
}

fn of_document(document: Document) -> Value {
    match document {
        Document::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, member)| (name, of_document(member)))
                .collect(),
        ),
        Document::Array(items) => Value::Array(items.into_iter().map(of_document).collect()),
        Document::Number(Number::PosInt(number)) => number.into(),
        Document::Number(Number::NegInt(number)) => number.into(),
        Document::Number(Number::Float(number)) => number.into(),
        Document::String(text) => Value::String(text),
        Document::Bool(value) => Value::Bool(value),
        Document::Null => Value::Null,
    }
}

fn skipped<T>(what: &str) -> Option<T> {
    debug!(what, "content of a kind that has no reader was left out");
    None
}

#[cfg(test)]
mod tests;
