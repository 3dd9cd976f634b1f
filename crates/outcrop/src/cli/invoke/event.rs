//! The events of an agent's stream, as far as a reader at a terminal cares.
//!
//! A view of its own rather than the generated shapes, because the other side may be AWS itself: a
//! trace part, an enum value or a member that is newer than our service model must not end the
//! reading. Unknown members are skipped, absent ones are empty.

#![expect(clippy::struct_field_names, reason = "the names are AWS's")]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// One event.
#[derive(Debug)]
pub(crate) enum Event {
    /// A piece of the answer.
    Chunk(Chunk),
    /// A step of the planning.
    Trace(Box<TracePart>),
    /// The agent waits for the caller's answer; the last event of its stream.
    ReturnControl(ReturnControl),
    /// Files made by the code interpreter.
    Files(Files),
    /// A kind this program does not know.
    Other(String),
}

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the {event_type} event cannot be read")]
pub(crate) struct Unreadable {
    event_type: String,
    source: serde_json::Error,
}

impl Event {
    /// Reads the payload of a frame whose `:event-type` is `event_type`.
    pub(crate) fn decode(event_type: &str, payload: &[u8]) -> Result<Self, Unreadable> {
        let event = match event_type {
            "chunk" => serde_json::from_slice(payload).map(Self::Chunk),
            "trace" => serde_json::from_slice(payload).map(Self::Trace),
            "returnControl" => serde_json::from_slice(payload).map(Self::ReturnControl),
            "files" => serde_json::from_slice(payload).map(Self::Files),
            other => Ok(Self::Other(other.to_owned())),
        };
        event.map_err(|source| Unreadable {
            event_type: event_type.to_owned(),
            source,
        })
    }
}

/// A piece of the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Chunk {
    bytes: String,
    pub(crate) attribution: Attribution,
}

impl Chunk {
    /// The text, as bytes: a piece may end within a character.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.bytes).unwrap_or_default()
    }
}

/// Where parts of the answer come from.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Attribution {
    pub(crate) citations: Vec<Citation>,
}

/// One part of the answer and its sources.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Citation {
    generated_response_part: GeneratedPart,
    pub(crate) retrieved_references: Vec<Reference>,
}

impl Citation {
    /// The part of the answer.
    pub(crate) fn text(&self) -> &str {
        &self.generated_response_part.text_response_part.text
    }
}

/// A part of the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GeneratedPart {
    text_response_part: Text,
}

/// A retrieved passage.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) content: Text,
    location: BTreeMap<String, serde_json::Value>,
}

impl Reference {
    /// Its URI, URL or id, whichever kind of location it has.
    pub(crate) fn location(&self) -> &str {
        self.location
            .values()
            .filter_map(serde_json::Value::as_object)
            .find_map(|location| {
                ["uri", "url", "id", "query"]
                    .into_iter()
                    .find_map(|key| location.get(key)?.as_str())
            })
            .unwrap_or("a passage without location")
    }
}

/// `{"text": …}` in its many places.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Text {
    pub(crate) text: String,
}

/// Files made by the code interpreter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Files {
    pub(crate) files: Vec<File>,
}

/// One of them; its bytes are of no use at a terminal.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct File {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) media_type: String,
}

/// A trace event.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TracePart {
    pub(crate) caller_chain: Vec<Caller>,
    pub(crate) collaborator_name: Option<String>,
    pub(crate) trace: Trace,
}

/// An agent on the way from the one that was asked to the one that speaks.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Caller {
    pub(crate) agent_alias_arn: String,
}

/// Which part of the planning it tells of: one member is set, or none that this program knows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Trace {
    orchestration_trace: Option<Step>,
    pre_processing_trace: Option<Step>,
    post_processing_trace: Option<Step>,
    routing_classifier_trace: Option<Step>,
    pub(crate) guardrail_trace: Option<Guardrail>,
    pub(crate) failure_trace: Option<Failure>,
    pub(crate) custom_orchestration_trace: Option<CustomStep>,
}

impl Trace {
    /// The step, whichever kind of trace it belongs to.
    pub(crate) fn step(&self) -> Option<&Step> {
        [
            &self.orchestration_trace,
            &self.pre_processing_trace,
            &self.post_processing_trace,
            &self.routing_classifier_trace,
        ]
        .into_iter()
        .find_map(Option::as_ref)
    }
}

/// One part of a step. At most one member is set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Step {
    pub(crate) model_invocation_input: Option<ModelInput>,
    pub(crate) model_invocation_output: Option<ModelOutput>,
    pub(crate) rationale: Option<Text>,
    pub(crate) invocation_input: Option<InvocationInput>,
    pub(crate) observation: Option<Observation>,
}

/// A model is about to be called.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ModelInput {
    pub(crate) foundation_model: String,
    pub(crate) trace_id: String,
    #[serde(rename = "type")]
    pub(crate) prompt_type: String,
}

/// A model has answered.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ModelOutput {
    pub(crate) metadata: Metadata,
    pub(crate) parsed_response: ParsedResponse,
}

/// What a pre- or post-processing model's answer was read as.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ParsedResponse {
    pub(crate) is_valid: Option<bool>,
    pub(crate) rationale: String,
    pub(crate) text: String,
}

/// Times and tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    total_time_ms: Option<u64>,
    operation_total_time_ms: Option<u64>,
    pub(crate) usage: Usage,
}

impl Metadata {
    /// How long it took, where that is told.
    pub(crate) fn time_ms(&self) -> Option<u64> {
        self.total_time_ms.or(self.operation_total_time_ms)
    }
}

/// Tokens of one model call.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Usage {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// Something other than a model is about to be called.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct InvocationInput {
    pub(crate) action_group_invocation_input: Option<ActionInput>,
    pub(crate) knowledge_base_lookup_input: Option<LookupInput>,
    pub(crate) agent_collaborator_invocation_input: Option<CollaboratorInput>,
    pub(crate) code_interpreter_invocation_input: Option<CodeInput>,
}

/// An action.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ActionInput {
    pub(crate) action_group_name: String,
    pub(crate) execution_type: String,
    pub(crate) function: Option<String>,
    pub(crate) api_path: Option<String>,
    pub(crate) verb: Option<String>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) request_body: RequestBody,
}

/// One argument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The body of an API operation. The trace has a list of properties under each content type, the
/// returnControl event an object that holds the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RequestBody {
    content: BTreeMap<String, Properties>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Properties {
    Bare(Vec<Parameter>),
    Wrapped { properties: Vec<Parameter> },
}

impl RequestBody {
    /// The properties of the body, whatever its content type.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &Parameter> {
        self.content
            .values()
            .flat_map(|properties| match properties {
                Properties::Bare(list) | Properties::Wrapped { properties: list } => list,
            })
    }
}

/// A retrieval.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LookupInput {
    pub(crate) knowledge_base_id: String,
    pub(crate) text: String,
}

/// A question to another agent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CollaboratorInput {
    pub(crate) agent_collaborator_alias_arn: String,
    pub(crate) agent_collaborator_name: String,
    pub(crate) input: Payload,
}

/// What agents tell each other.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Payload {
    text: String,
    #[serde(rename = "type")]
    payload_type: String,
}

impl Payload {
    /// The text, or what stands for the calls and results that are passed on.
    pub(crate) fn text(&self) -> &str {
        match self.payload_type.as_str() {
            "RETURN_CONTROL" => "(calls for the caller, and their results)",
            _ => &self.text,
        }
    }
}

/// Code about to run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CodeInput {
    pub(crate) code: String,
}

/// What came of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Observation {
    #[serde(rename = "type")]
    pub(crate) observation_type: String,
    pub(crate) action_group_invocation_output: Option<Output>,
    pub(crate) knowledge_base_lookup_output: Option<LookupOutput>,
    pub(crate) agent_collaborator_invocation_output: Option<CollaboratorOutput>,
    pub(crate) code_interpreter_invocation_output: Option<CodeOutput>,
    pub(crate) reprompt_response: Option<Output>,
    pub(crate) final_response: Option<Output>,
}

/// A text and how long it took.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) metadata: Metadata,
}

/// Passages found.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LookupOutput {
    pub(crate) retrieved_references: Vec<Reference>,
    pub(crate) metadata: Metadata,
}

/// Another agent's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CollaboratorOutput {
    pub(crate) agent_collaborator_name: String,
    pub(crate) output: Payload,
    pub(crate) metadata: Metadata,
}

/// What code printed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CodeOutput {
    pub(crate) execution_output: String,
    pub(crate) execution_error: String,
    pub(crate) execution_timeout: bool,
    pub(crate) files: Vec<String>,
    pub(crate) metadata: Metadata,
}

/// A guardrail's assessments.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Guardrail {
    pub(crate) action: String,
    pub(crate) input_assessments: Option<Vec<Assessment>>,
    pub(crate) output_assessments: Option<Vec<Assessment>>,
    pub(crate) metadata: Metadata,
}

/// What was found, by policy; as it is, for policies and their members are still growing.
pub(crate) type Assessment = serde_json::Map<String, serde_json::Value>;

/// The turn failed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) failure_code: Option<i64>,
    pub(crate) failure_reason: String,
}

/// What an orchestration Lambda says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CustomStep {
    pub(crate) event: Text,
}

/// The agent waits for the caller.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ReturnControl {
    pub(crate) invocation_id: String,
    pub(crate) invocation_inputs: Vec<ReturnedCall>,
}

/// One call that the caller makes for the agent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ReturnedCall {
    /// Of a function schema.
    FunctionInvocationInput(FunctionCall),
    /// Of an API schema.
    ApiInvocationInput(ApiCall),
}

/// What the caller is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Wanted {
    /// The result.
    #[default]
    Result,
    /// A yes or no; the agent makes the call.
    UserConfirmation,
    /// A yes or no and, for yes, the result.
    UserConfirmationAndResult,
}

/// A function to call.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FunctionCall {
    pub(crate) action_group: String,
    #[serde(rename = "actionInvocationType")]
    pub(crate) wanted: Wanted,
    pub(crate) agent_id: Option<String>,
    pub(crate) collaborator_name: Option<String>,
    pub(crate) function: String,
    pub(crate) parameters: Vec<Parameter>,
}

/// An API operation to call.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ApiCall {
    pub(crate) action_group: String,
    #[serde(rename = "actionInvocationType")]
    pub(crate) wanted: Wanted,
    pub(crate) agent_id: Option<String>,
    pub(crate) collaborator_name: Option<String>,
    pub(crate) api_path: String,
    pub(crate) http_method: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) request_body: RequestBody,
}
