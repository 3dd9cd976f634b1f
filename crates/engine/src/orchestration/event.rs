//! The facts a run is made of. They are journaled, so their JSON form is a contract with the past:
//! members may be added with a default, never renamed or removed.

use std::sync::Arc;

use outcrop_model::converse::{Message, StopReason};
use outcrop_model::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use super::control::ReturnedResult;
use crate::action::lambda::Attributes;
use crate::files::SessionFile;
use crate::port::{ActionError, CodeError, CodeReply, ModelError};

/// The newest version of the journal's JSON form that is read here.
const FORMAT: u32 = 2;
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
    /// Read.
    pub input: u32,
    /// Generated.
    pub output: u32,
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

impl Event {
    /// The event as a journal entry.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&EntryOut {
            v: match self.kind {
                EventKind::CodeExecuted(_) => FORMAT,
                _ => FORMAT_OF_THE_REST,
            },
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
