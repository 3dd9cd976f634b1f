//! What a turn shows that a function plans for (behaviour.md 5.4).
//!
//! The parts have the members of AWS's recording and no others: a model call shows its usage alone,
//! and its reply is the bare message. The order is the run's.

use outcrop_model::converse::Message;
use outcrop_model::runtime::{
    CustomOrchestrationTrace, CustomOrchestrationTraceEvent, InferenceConfiguration, Metadata,
    ModelInvocationInput, OrchestrationModelInvocationOutput, OrchestrationTrace, PromptType,
    RawResponse, Trace, Usage,
};

use super::clamp;
use crate::orchestration::TokenCounts;
use crate::orchestrator::ModelRequestGiven;

/// `customOrchestrationTrace`.
pub(crate) fn custom_orchestration(text: String, trace_id: String) -> Trace {
    Trace::CustomOrchestrationTrace(CustomOrchestrationTrace {
        event: Some(CustomOrchestrationTraceEvent { text: Some(text) }),
        trace_id: Some(trace_id),
    })
}

/// `modelInvocationInput` of a request that the function wrote.
pub(crate) fn given_model_input(given: &ModelRequestGiven, trace_id: String) -> OrchestrationTrace {
    let inference = &given.request.inference;
    OrchestrationTrace::ModelInvocationInput(ModelInvocationInput {
        foundation_model: Some(given.request.model.clone()),
        inference_configuration: Some(InferenceConfiguration {
            maximum_length: inference
                .max_tokens
                .and_then(|tokens| i32::try_from(tokens).ok()),
            stop_sequences: Some(inference.stop_sequences.clone()),
            temperature: inference.temperature,
            top_k: None,
            top_p: inference.top_p,
        }),
        text: Some(given.prompt.clone()),
        trace_id: Some(trace_id),
        type_: Some(PromptType::Orchestration),
        ..ModelInvocationInput::default()
    })
}

/// `modelInvocationOutput` of such a request.
pub(crate) fn given_model_output(
    message: &Message,
    usage: TokenCounts,
    trace_id: String,
) -> OrchestrationTrace {
    let content = serde_json::to_string(message).expect("a message holds only string-keyed data");
    OrchestrationTrace::ModelInvocationOutput(OrchestrationModelInvocationOutput {
        metadata: Some(Metadata {
            usage: Some(Usage {
                input_tokens: Some(clamp(usage.input)),
                output_tokens: Some(clamp(usage.output)),
            }),
            ..Metadata::default()
        }),
        raw_response: Some(RawResponse {
            content: Some(content),
        }),
        reasoning_content: None,
        trace_id: Some(trace_id),
    })
}
