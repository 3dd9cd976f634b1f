//! What a model's answer is made of, for doubles that know what they have to say.

use outcrop_engine::port::{Capabilities, Documents};
use outcrop_model::converse::{
    ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart, ContentBlockStartEvent,
    ConverseStreamMetadataEvent, ConverseStreamMetrics, ConverseStreamOutput, MessageStopEvent,
    StopReason, TokenUsage, ToolUseBlockDelta, ToolUseBlockStart,
};
use serde_json::Value;

/// A model that takes everything.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        tools: true,
        parallel_tools: true,
        prefill: true,
        top_k: true,
        stop_sequences: true,
        sampling: true,
        temperature_with_top_p: true,
        images: true,
        documents: Documents::All,
        prompt_cache: true,
        latency: true,
    }
}

/// A piece of a content block.
pub(crate) fn delta(index: i32, delta: ContentBlockDelta) -> ConverseStreamOutput {
    ConverseStreamOutput::ContentBlockDelta(ContentBlockDeltaEvent {
        content_block_index: index,
        delta,
    })
}

/// A piece of a content block of text.
pub(crate) fn text(index: i32, text: impl Into<String>) -> ConverseStreamOutput {
    delta(index, ContentBlockDelta::Text(text.into()))
}

/// A content block that calls a tool.
pub(crate) fn call(index: i32, id: &str, name: &str, input: &Value) -> [ConverseStreamOutput; 2] {
    let start = ContentBlockStart::ToolUse(ToolUseBlockStart {
        name: name.to_owned(),
        tool_use_id: id.to_owned(),
        type_: None,
    });
    let input = ContentBlockDelta::ToolUse(ToolUseBlockDelta {
        input: input.to_string(),
    });
    [
        ConverseStreamOutput::ContentBlockStart(ContentBlockStartEvent {
            content_block_index: index,
            start,
        }),
        delta(index, input),
    ]
}

/// What every answer ends with; `tokens` of input and of output.
pub(crate) fn ending(stop_reason: StopReason, tokens: (i32, i32)) -> [ConverseStreamOutput; 2] {
    let (input_tokens, output_tokens) = tokens;
    [
        ConverseStreamOutput::MessageStop(MessageStopEvent {
            additional_model_response_fields: None,
            stop_reason,
        }),
        ConverseStreamOutput::Metadata(ConverseStreamMetadataEvent {
            metrics: ConverseStreamMetrics { latency_ms: 1 },
            performance_config: None,
            service_tier: None,
            trace: None,
            usage: TokenUsage {
                input_tokens,
                output_tokens,
                total_tokens: input_tokens + output_tokens,
                ..TokenUsage::default()
            },
        }),
    ]
}
