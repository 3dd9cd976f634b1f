//! A whole answer as the events it would have been streamed as.

use outcrop_model::converse::{
    Citation, CitationGeneratedContent, CitationSourceContent, CitationSourceContentDelta,
    CitationsDelta, ContentBlock, ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart,
    ContentBlockStartEvent, ContentBlockStopEvent, ConverseOutput, ConverseResponse,
    ConverseStreamMetadataEvent, ConverseStreamMetrics, ConverseStreamOutput, ConverseStreamTrace,
    MessageStartEvent, MessageStopEvent, ReasoningContentBlock, ReasoningContentBlockDelta,
    ToolUseBlockDelta, ToolUseBlockStart,
};

/// The events, in their order.
pub(super) fn events(response: ConverseResponse) -> Vec<ConverseStreamOutput> {
    let mut events = Vec::new();
    if let ConverseOutput::Message(message) = response.output {
        events.push(ConverseStreamOutput::MessageStart(MessageStartEvent {
            role: message.role,
        }));
        for (index, block) in (0..).zip(message.content) {
            self::block(index, block, &mut events);
            events.push(ConverseStreamOutput::ContentBlockStop(
                ContentBlockStopEvent {
                    content_block_index: index,
                },
            ));
        }
    }
    events.push(ConverseStreamOutput::MessageStop(MessageStopEvent {
        additional_model_response_fields: response.additional_model_response_fields,
        stop_reason: response.stop_reason,
    }));
    events.push(ConverseStreamOutput::Metadata(
        ConverseStreamMetadataEvent {
            metrics: ConverseStreamMetrics {
                latency_ms: response.metrics.latency_ms,
            },
            performance_config: response.performance_config,
            service_tier: response.service_tier,
            trace: response.trace.map(|trace| ConverseStreamTrace {
                guardrail: trace.guardrail,
                prompt_router: trace.prompt_router,
            }),
            usage: response.usage,
        },
    ));
    events
}

fn block(index: i32, block: ContentBlock, events: &mut Vec<ConverseStreamOutput>) {
    let mut delta = |delta| {
        events.push(ConverseStreamOutput::ContentBlockDelta(
            ContentBlockDeltaEvent {
                content_block_index: index,
                delta,
            },
        ));
    };
    match block {
        ContentBlock::Text(text) => delta(ContentBlockDelta::Text(text)),
        ContentBlock::CitationsContent(cited) => {
            for content in cited.content.unwrap_or_default() {
                if let CitationGeneratedContent::Text(text) = content {
                    delta(ContentBlockDelta::Text(text));
                }
            }
            for citation in cited.citations.unwrap_or_default() {
                delta(ContentBlockDelta::Citation(self::citation(citation)));
            }
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(reasoning)) => {
            let text = ReasoningContentBlockDelta::Text(reasoning.text);
            delta(ContentBlockDelta::ReasoningContent(text));
            if let Some(signature) = reasoning.signature {
                let signature = ReasoningContentBlockDelta::Signature(signature);
                delta(ContentBlockDelta::ReasoningContent(signature));
            }
        }
        ContentBlock::ReasoningContent(ReasoningContentBlock::RedactedContent(content)) => {
            let content = ReasoningContentBlockDelta::RedactedContent(content);
            delta(ContentBlockDelta::ReasoningContent(content));
        }
        ContentBlock::ToolUse(call) => {
            let input = call.input.to_string();
            events.push(ConverseStreamOutput::ContentBlockStart(
                ContentBlockStartEvent {
                    content_block_index: index,
                    start: ContentBlockStart::ToolUse(ToolUseBlockStart {
                        name: call.name,
                        tool_use_id: call.tool_use_id,
                        type_: call.type_,
                    }),
                },
            ));
            events.push(ConverseStreamOutput::ContentBlockDelta(
                ContentBlockDeltaEvent {
                    content_block_index: index,
                    delta: ContentBlockDelta::ToolUse(ToolUseBlockDelta { input }),
                },
            ));
        }
        // Providers answer with nothing else.
        _ => {}
    }
}

/// A citation as a stream has it.
fn citation(citation: Citation) -> CitationsDelta {
    let parts = citation.source_content.map(|parts| {
        let texts = parts.into_iter().filter_map(|part| match part {
            CitationSourceContent::Text(text) => Some(text),
            _ => None,
        });
        texts
            .map(|text| CitationSourceContentDelta { text: Some(text) })
            .collect()
    });
    CitationsDelta {
        location: citation.location,
        source: citation.source,
        source_content: parts,
        title: citation.title,
    }
}
