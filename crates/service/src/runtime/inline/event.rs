//! The events of a turn as `InvokeInlineAgent` sends them.
//!
//! Its stream has shapes of its own, with fewer members: no part of a trace says which agent, alias and
//! version it is of, the caller chain aside (behaviour.md 6.1), and a model's parameters are only shown
//! where the request gave some (trace-order.md 3).

use outcrop_model::exception::Exception;
use outcrop_model::runtime::{
    Caller, CreationMode, InlineAgentFilePart, InlineAgentPayloadPart, InlineAgentResponseStream,
    InlineAgentReturnControlPayload, InlineAgentTracePart, ModelInvocationInput,
    OrchestrationTrace, PostProcessingTrace, PreProcessingTrace, ResponseStream,
    RoutingClassifierTrace, Trace, TracePart,
};

use crate::control::INLINE_AGENT;

/// One event of the turn's stream.
pub(super) fn event(event: ResponseStream) -> Result<InlineAgentResponseStream, Exception> {
    Ok(match event {
        ResponseStream::Chunk(part) => InlineAgentResponseStream::Chunk(InlineAgentPayloadPart {
            attribution: part.attribution,
            bytes: part.bytes,
        }),
        ResponseStream::Files(part) => {
            InlineAgentResponseStream::Files(InlineAgentFilePart { files: part.files })
        }
        ResponseStream::ReturnControl(payload) => {
            InlineAgentResponseStream::ReturnControl(InlineAgentReturnControlPayload {
                invocation_id: payload.invocation_id,
                invocation_inputs: payload.invocation_inputs,
            })
        }
        ResponseStream::Trace(part) => InlineAgentResponseStream::Trace(trace_part(part)),
        _ => {
            return Err(Exception::internal(
                "an event that inline agents do not have",
            ));
        }
    })
}

fn trace_part(part: TracePart) -> InlineAgentTracePart {
    let is_inline = part
        .caller_chain
        .as_ref()
        .and_then(|chain| chain.last())
        .is_some_and(is_inline);
    let mut trace = part.trace;
    if is_inline && let Some(input) = trace.as_mut().and_then(model_invocation_input) {
        hide_defaults(input);
    }
    InlineAgentTracePart {
        caller_chain: part.caller_chain,
        collaborator_name: part.collaborator_name,
        event_time: part.event_time,
        session_id: part.session_id,
        trace,
    }
}

/// Whether the request defined the agent; a collaborator may be one that is stored.
fn is_inline(caller: &Caller) -> bool {
    match caller {
        Caller::AgentAliasArn(arn) => arn.split('/').any(|segment| segment == INLINE_AGENT),
        _ => false,
    }
}

fn model_invocation_input(trace: &mut Trace) -> Option<&mut ModelInvocationInput> {
    match trace {
        Trace::OrchestrationTrace(OrchestrationTrace::ModelInvocationInput(input))
        | Trace::PreProcessingTrace(PreProcessingTrace::ModelInvocationInput(input))
        | Trace::PostProcessingTrace(PostProcessingTrace::ModelInvocationInput(input))
        | Trace::RoutingClassifierTrace(RoutingClassifierTrace::ModelInvocationInput(input)) => {
            Some(input)
        }
        _ => None,
    }
}

fn hide_defaults(input: &mut ModelInvocationInput) {
    if input.prompt_creation_mode != Some(CreationMode::Overridden) {
        input.inference_configuration = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::event;

    fn sent(part: &Value) -> Value {
        let stream = serde_json::from_value(json!({"trace": part})).unwrap();
        let sent = serde_json::to_value(event(stream).unwrap()).unwrap();
        sent["trace"].clone()
    }

    fn part(aliases: &[&str], creation_mode: Option<&str>) -> Value {
        let mut input = json!({"traceId": "t-0", "inferenceConfiguration": {"temperature": 0.0}});
        if let Some(mode) = creation_mode {
            input["promptCreationMode"] = json!(mode);
        }
        let chain: Vec<Value> = aliases
            .iter()
            .map(|alias| json!({"agentAliasArn": format!("arn:aws:bedrock:r:1:agent-alias/{alias}")}))
            .collect();
        json!({"agentId": "A1B2C3D4E5", "agentAliasId": "F1B2C3D4E5", "agentVersion": "1", "sessionId": "s-1",
            "callerChain": chain,
            "trace": {"orchestrationTrace": {"modelInvocationInput": input}}})
    }

    #[test]
    fn a_part_names_no_agent() {
        let sent = sent(&part(&["INLINE_AGENT/TSTALIASID"], None));
        assert_eq!(
            sent,
            json!({"callerChain": [{"agentAliasArn": "arn:aws:bedrock:r:1:agent-alias/INLINE_AGENT/TSTALIASID"}],
                "sessionId": "s-1",
                "trace": {"orchestrationTrace": {"modelInvocationInput": {"traceId": "t-0"}}}})
        );
    }

    #[test]
    fn parameters_show_where_they_were_given_or_belong_to_a_stored_agent() {
        let given = &["INLINE_AGENT/TSTALIASID", "INLINE_AGENT/weather"];
        let stored = &["INLINE_AGENT/TSTALIASID", "A1B2C3D4E5/F1B2C3D4E5"];
        for (aliases, mode, shown) in [
            (given, None, false),
            (given, Some("OVERRIDDEN"), true),
            (stored, None, true),
        ] {
            let sent = sent(&part(aliases, mode));
            let input = &sent["trace"]["orchestrationTrace"]["modelInvocationInput"];
            assert_eq!(
                input.get("inferenceConfiguration").is_some(),
                shown,
                "{aliases:?} {mode:?}"
            );
        }
    }
}
