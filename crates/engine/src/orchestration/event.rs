//! The facts a run is made of. They are journaled, so their JSON form is a contract with the past:
//! members may be added with a default, never renamed or removed.

use std::sync::Arc;

use outcrop_model::converse::{Message, StopReason};
use outcrop_model::exception::ExceptionKind;
use outcrop_model::runtime::{
    KnowledgeBaseConfiguration, RetrievedReference, ReturnControlPayload,
};
use outcrop_model::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::control::ReturnedResult;
use crate::action::lambda::Attributes;
use crate::files::SessionFile;
use crate::port::{
    ActionError, Assessment, CodeError, CodeReply, GuardrailError, ModelError, RetrieveError,
};

/// The newest version of the journal's JSON form that is read here.
const FORMAT: u32 = 3;
/// The version of facts about code.
const FORMAT_OF_CODE: u32 = 2;
/// The version that every other kind of fact is written in, so that an older server which shares
/// the database stops only at what it does not know.
const FORMAT_OF_THE_REST: u32 = 1;

/// One fact, with the time at which it was learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// The kinds of facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// A turn began.
    Started(Box<Started>),
    /// The model answered.
    ModelReplied(Box<ModelReplied>),
    /// The model call failed for good; retries are over or would not help.
    ModelFailed(ModelError),
    /// An action came back.
    ActionReturned(Box<ActionReturned>),
    /// Code was run. Version 2 of the form.
    CodeExecuted(Box<CodeExecuted>),
    /// The agent's parser function read what the model said. Version 3, as all that follow with a
    /// number.
    ParserReplied(Box<FunctionReturned>),
    /// The function that plans for the agent decided. Version 3.
    OrchestratorReplied(Box<FunctionReturned>),
    /// A guardrail judged input or output. Version 3.
    GuardrailAssessed(Box<GuardrailAssessed>),
    /// A collaborator answered, or returned control. Version 3.
    CollaboratorReplied(Box<CollaboratorReplied>),
    /// A knowledge base was searched. Version 3.
    Retrieved(Box<Retrieved>),
    /// The caller answered a return of control.
    ControlReturned(Box<ControlReturned>),
    /// The caller began something else instead of answering a return of control.
    ControlAbandoned,
    /// The turn was stopped from outside.
    Cancelled(CancelCause),
    /// The server died during the turn.
    Interrupted,
    /// The turn's wall time is used up.
    DeadlinePassed,
}

/// A turn's beginning: everything that a later replay must not look up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Unique; prefix of the idempotency keys of this turn's actions.
    pub run_id: String,
    /// Content hash of the agent's definition.
    pub plan: String,
    /// Under which names the agent runs.
    pub agent: AgentIdentity,
    /// The session's id as the client chose it.
    pub session_id: String,
    /// The request that began the turn.
    pub request: RequestInfo,
    /// The user's input, unmodified.
    pub input_text: String,
    /// The session's attributes, the request's own merged in.
    pub session_attributes: Attributes,
    /// This turn's prompt attributes.
    pub prompt_session_attributes: Attributes,
    /// Messages the caller adds to the history (`conversationHistory`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversation_history: Vec<Message>,
    /// Files that came with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Arc<SessionFile>>,
    /// The turn's limits.
    pub budget: Budget,
    /// The agent that began this turn, for a collaborator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// `memoryId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_id: Option<String>,
    /// Summaries of earlier sessions with that memory id, oldest first (`$memory_content$`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<String>,
    /// How much of the earlier conversation the model is shown.
    #[serde(default, skip_serializing_if = "ConversationView::is_whole")]
    pub conversation_view: ConversationView,
    /// How knowledge bases are searched in this turn (`knowledgeBaseConfigurations`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knowledge_bases: Vec<KnowledgeBaseConfiguration>,
}

/// Who called a collaborator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Alias ARNs from the agent that the client invoked to the one that called, in this order.
    pub chain: Vec<String>,
    /// `collaboratorName` of the first one below the invoked agent; every trace part below names it
    /// (behaviour.md 6.1).
    pub collaborator_name: String,
}

/// `promptCreationConfigurations`: how much of the earlier conversation the model is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationView {
    /// `previousConversationTurnsToInclude`; `None`: all of them.
    pub previous_turns: Option<u32>,
    /// `excludePreviousThinkingSteps`: leaves out what was thought in earlier turns.
    pub exclude_thinking: bool,
}

impl ConversationView {
    /// Whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }
}

/// Under which names an agent runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentIdentity {
    /// Agent id.
    pub agent_id: String,
    /// Agent name.
    pub agent_name: String,
    /// Alias id.
    pub alias_id: String,
    /// `DRAFT` or the version's number.
    pub version: String,
}

/// What a run needs to know of the HTTP request it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestInfo {
    /// `x-amzn-requestid`; trace ids begin with it.
    pub request_id: String,
    /// `enableTrace`.
    pub trace: bool,
    /// `streamFinalResponse`.
    pub stream: bool,
    /// `applyGuardrailInterval`: characters of a streamed answer that are judged at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail_interval: Option<u32>,
}

/// The limits of one turn. Each ends the turn with `ServiceQuotaExceeded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Model calls.
    pub model_calls: u32,
    /// Action invocations.
    pub actions: u32,
    /// Input and output tokens, summed over the model calls.
    pub tokens: u64,
    /// Bytes of action results given to the model.
    pub observation_bytes: u64,
    /// Wall time of one request, seconds.
    pub turn_s: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            model_calls: 25,
            actions: 50,
            tokens: 2_000_000,
            observation_bytes: 8 * 1024 * 1024,
            turn_s: 600,
        }
    }
}

/// Tokens of one model call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Read, without what the cache members count.
    pub input: u32,
    /// Generated.
    pub output: u32,
    /// Read as well, from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read: u32,
    /// Read as well, and put into the provider's prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write: u32,
}

impl TokenCounts {
    /// All that was read and generated, whatever a cache made of it.
    pub fn total(self) -> u64 {
        [self.input, self.output, self.cache_read, self.cache_write]
            .into_iter()
            .map(u64::from)
            .sum()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_nothing(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A finished model call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelReplied {
    /// `metadata.clientRequestId`.
    pub client_request_id: String,
    /// When the call began.
    pub started_at: Timestamp,
    /// The assistant's message.
    pub message: Arc<Message>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Tokens.
    pub usage: TokenCounts,
    /// Bytes of the answer that were sent to the client while the model still wrote.
    #[serde(default)]
    pub streamed_bytes: usize,
    /// How many parts of the answer had their sources sent while the model still wrote.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub cited_parts: usize,
    /// What the guardrail let through of a streamed answer, all of which has been sent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded: Option<GuardedAnswer>,
    /// The model that answered, where it is another than the one asked (`fallback`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// A fresh UUID, used as `invocationId` if this reply leads to a return of control.
    pub invocation_id: String,
}

/// A finished action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionReturned {
    /// [`super::PendingAction::index`].
    pub index: usize,
    /// `metadata.clientRequestId`.
    pub client_request_id: String,
    /// When the call began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What came back.
    pub result: ActionResult,
}

/// What came back from an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ActionResult {
    /// The function was invoked.
    Replied {
        /// Its payload, as text.
        payload: String,
        /// Lambda's `X-Amz-Function-Error`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function_error: Option<String>,
        /// End of its log, where it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_tail: Option<String>,
        /// Lambda's id of the invocation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// It could not be invoked.
    Error(ActionError),
}

/// A finished run of code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodeExecuted {
    /// [`super::PendingCode::index`].
    pub index: usize,
    /// When the run began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What came of it.
    pub result: Result<CodeReply, CodeError>,
}

/// A streamed answer as a guardrail let it through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardedAnswer {
    /// What the client was sent.
    pub sent: String,
    /// Whether it ends with the guardrail's own message in place of the rest.
    pub blocked: bool,
    /// Why the guardrail could not judge; the rest of the answer was then not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<GuardrailError>,
}

/// A function besides those of action groups came back: a parser or an orchestrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionReturned {
    /// When the call began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// A fresh UUID, used as `invocationId` if this leads to a return of control.
    pub invocation_id: String,
    /// What came back.
    pub result: ActionResult,
}

/// A guardrail's judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardrailAssessed {
    /// `metadata.clientRequestId`.
    pub client_request_id: String,
    /// When it began to judge.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The judgement, or why there is none. Without one nothing passes.
    pub result: Result<Assessment, GuardrailError>,
}

/// A collaborator's turn, as its caller sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollaboratorReplied {
    /// [`super::PendingCollaborator::index`].
    pub index: usize,
    /// The collaborator's own request id; its trace ids begin with it.
    pub client_request_id: String,
    /// When the call began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it spent since it was called; its tokens count against the caller's budget.
    pub spent: Spent,
    /// What came of it.
    pub result: CollaboratorResult,
}

/// What came of a collaborator's turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CollaboratorResult {
    /// It answered.
    Answered(String),
    /// It, or one of its own collaborators, returned control.
    ReturnedControl(Box<ReturnControlPayload>),
    /// Its turn failed.
    Failed {
        /// The exception.
        kind: ExceptionKind,
        /// The exception's message.
        message: String,
    },
}

/// What a turn has used up of its [`Budget`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Model calls.
    pub model_calls: u32,
    /// Action invocations.
    pub actions: u32,
    /// Tokens.
    pub tokens: u64,
    /// Bytes of action results given to the model.
    pub observation_bytes: u64,
}

impl Spent {
    /// What has been spent since it stood at `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            model_calls: self.model_calls.saturating_sub(before.model_calls),
            actions: self.actions.saturating_sub(before.actions),
            tokens: self.tokens.saturating_sub(before.tokens),
            observation_bytes: self
                .observation_bytes
                .saturating_sub(before.observation_bytes),
        }
    }
}

/// A search in a knowledge base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrieved {
    /// [`super::PendingRetrieval::index`].
    pub index: usize,
    /// `metadata.clientRequestId`.
    pub client_request_id: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What was found, best first.
    pub result: Result<Vec<RetrievedReference>, RetrieveError>,
}

/// The caller's answer to a return of control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlReturned {
    /// The request that brought it.
    pub request: RequestInfo,
    /// One result per input, in any order.
    pub results: Vec<ReturnedResult>,
    /// A fresh UUID, used as `invocationId` if calls are left to ask for. Absent in old journals,
    /// whose steps never had more calls than fit one return of control.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub invocation_id: String,
    /// Session attributes to merge in.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub session_attributes: Attributes,
    /// Prompt attributes to merge in.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub prompt_session_attributes: Attributes,
}

/// Who stopped a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CancelCause {
    /// The client closed the connection.
    ClientGone,
    /// The server is shutting down.
    Shutdown,
}

/// Why a journal entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Not the JSON of an event.
    #[error("the journal entry is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Written by a newer version.
    #[error("the journal entry has format {0}, this version reads up to {FORMAT}")]
    Newer(u32),
}

#[derive(Serialize)]
struct EntryOut<'a> {
    v: u32,
    at: Timestamp,
    kind: &'a EventKind,
}

#[derive(Deserialize)]
struct FormatOnly {
    v: u32,
}

impl EventKind {
    /// The oldest version of the journal's form that a reader of this fact must know.
    fn format(&self) -> u32 {
        match self {
            Self::ParserReplied(_)
            | Self::OrchestratorReplied(_)
            | Self::GuardrailAssessed(_)
            | Self::CollaboratorReplied(_)
            | Self::Retrieved(_) => FORMAT,
            Self::Started(started) if started.needs_new_form() => FORMAT,
            Self::CodeExecuted(_) => FORMAT_OF_CODE,
            _ => FORMAT_OF_THE_REST,
        }
    }
}

impl Started {
    /// Whether a reader that passes over the newer members would misread the turn.
    fn needs_new_form(&self) -> bool {
        self.caller.is_some()
            || !self.memory.is_empty()
            || !self.conversation_view.is_whole()
            || !self.knowledge_bases.is_empty()
    }
}

impl Event {
    /// The event as a journal entry.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&EntryOut {
            v: self.kind.format(),
            at: self.at,
            kind: &self.kind,
        })
        .expect("an event holds only string-keyed data")
    }

    /// Reads a journal entry.
    ///
    /// # Errors
    /// [`JournalError`] for damage or an entry of a newer version.
    pub fn decode(entry: &[u8]) -> Result<Self, JournalError> {
        match serde_json::from_slice(entry) {
            Ok(event) => Ok(event),
            Err(error) => match serde_json::from_slice::<FormatOnly>(entry) {
                Ok(format) if format.v > FORMAT => Err(JournalError::Newer(format.v)),
                _ => Err(error.into()),
            },
        }
    }

    /// Whether this event opens a turn.
    pub fn opens_turn(&self) -> bool {
        matches!(self.kind, EventKind::Started(_))
    }
}
