//! The event: AWS's members, and the texts that each state brings (behaviour.md 5.2).

use std::sync::Arc;

use outcrop_model::control::GuardrailConfiguration;
use outcrop_model::converse::{ContentBlock, Message, StopReason, Tool, ToolResultBlock};
use outcrop_model::runtime::RetrievedReference;
use serde::Serialize;

use super::OrchestratedTurn;
use crate::action::lambda::Attributes;

/// Everything an event is made of.
#[derive(Clone, Copy, Debug)]
pub struct EventInput<'a> {
    /// `state`.
    pub state: &'a str,
    /// `input.text`.
    pub text: &'a str,
    /// The request that the turn serves.
    pub request_id: &'a str,
    /// The session's id.
    pub session_id: &'a str,
    /// The agent's instruction.
    pub instruction: &'a str,
    /// The agent's model.
    pub default_model: &'a str,
    /// What may be invoked.
    pub tools: &'a [Tool],
    /// The agent's guardrail.
    pub guardrail: Option<&'a GuardrailConfiguration>,
    /// The turns before this one.
    pub session: &'a [Arc<OrchestratedTurn>],
    /// This turn, with the steps that have been answered.
    pub turn: &'a OrchestratedTurn,
    /// The session's attributes.
    pub session_attributes: &'a Attributes,
    /// The turn's prompt attributes.
    pub prompt_session_attributes: &'a Attributes,
}

#[derive(Serialize)]
struct EventJson<'a> {
    version: &'static str,
    state: &'a str,
    input: InputJson<'a>,
    context: ContextJson<'a>,
}

#[derive(Serialize)]
struct InputJson<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextJson<'a> {
    request_id: &'a str,
    session_id: &'a str,
    agent_configuration: AgentJson<'a>,
    session: Vec<&'a OrchestratedTurn>,
    session_attributes: &'a Attributes,
    prompt_session_attributes: &'a Attributes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentJson<'a> {
    instruction: &'a str,
    default_model_id: &'a str,
    tools: &'a [Tool],
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrails: Option<GuardrailJson<'a>>,
}

#[derive(Serialize)]
struct GuardrailJson<'a> {
    version: &'a str,
    identifier: &'a str,
}

/// The Lambda event of one call, as JSON text.
pub fn event(input: &EventInput<'_>) -> Vec<u8> {
    let turns = input.session.iter().map(AsRef::as_ref);
    let json = EventJson {
        version: "1.0",
        state: input.state,
        input: InputJson { text: input.text },
        context: ContextJson {
            request_id: input.request_id,
            session_id: input.session_id,
            agent_configuration: AgentJson {
                instruction: input.instruction,
                default_model_id: input.default_model,
                tools: input.tools,
                guardrails: input.guardrail.map(|guardrail| GuardrailJson {
                    version: guardrail.guardrail_version.as_deref().unwrap_or_default(),
                    identifier: guardrail
                        .guardrail_identifier
                        .as_deref()
                        .unwrap_or_default(),
                }),
            },
            session: turns.chain([input.turn]).collect(),
            session_attributes: input.session_attributes,
            prompt_session_attributes: input.prompt_session_attributes,
        },
    };
    serde_json::to_vec(&json).expect("an event holds only string-keyed data")
}

#[derive(Serialize)]
struct StartJson<'a> {
    text: &'a str,
}

/// `input.text` of START.
pub fn start_text(input: &str) -> String {
    text(&StartJson { text: input })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelJson<'a> {
    stop_reason: StopReason,
    output: &'a Message,
}

/// `input.text` of `MODEL_INVOKED`: the message stands right below `output`.
pub fn model_text(message: &Message, stop_reason: StopReason) -> String {
    text(&ModelJson {
        stop_reason,
        output: message,
    })
}

/// `input.text` of `TOOL_INVOKED`: one content block of Converse.
pub fn tool_text(result: ToolResultBlock) -> String {
    text(&ContentBlock::ToolResult(result))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RetrievalJson<'a> {
    retrieval_results: &'a [RetrievedReference],
}

/// What a search gives the function: the results themselves, as JSON text in the tool's result. AWS
/// adds scores and every absent member as a null, and gives the metadata empty.
pub fn retrieval_text(references: &[RetrievedReference]) -> String {
    text(&RetrievalJson {
        retrieval_results: references,
    })
}

fn text(json: &impl Serialize) -> String {
    serde_json::to_string(json).expect("it holds only string-keyed data")
}
