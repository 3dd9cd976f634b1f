//! What a run wants done. Plain data: the driver performs it, tests compare it.

use std::sync::Arc;

use outcrop_model::control::GuardrailConfiguration;
use outcrop_model::converse::Message;
use outcrop_model::runtime::{
    Attribution, KnowledgeBaseVectorSearchConfiguration, OutputFile, ReturnControlPayload, Trace,
};
use outcrop_model::timestamp::Timestamp;

use super::control::ReturnedResult;
use super::event::Budget;
use super::failure::Failure;
use crate::action::call::CalledAction;
use crate::action::lambda::Attributes;
use crate::citation::Shown;
use crate::definition::CollaboratorDefinition;
use crate::files::SessionFile;
use crate::port::{GuardrailSource, ModelRequest};

/// The effects of one step, in order.
pub type Effects = Vec<Effect>;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Call the model; answer with `ModelReplied` or `ModelFailed`.
    CallModel(Box<ModelCall>),
    /// Invoke an action; answer with `ActionReturned`. Several in one step run concurrently.
    CallAction(PendingAction),
    /// Run code; answer with `CodeExecuted`. One at a time.
    ExecuteCode(PendingCode),
    /// Call the agent's parser function; answer with `ParserReplied`.
    CallParser(PendingFunction),
    /// Call the function that plans for the agent; answer with `OrchestratorReplied`.
    CallOrchestrator(PendingFunction),
    /// Judge a text; answer with `GuardrailAssessed`.
    ApplyGuardrail(PendingAssessment),
    /// Call a collaborator; answer with `CollaboratorReplied`. Several in one step run concurrently.
    CallCollaborator(Box<PendingCollaborator>),
    /// Let the events of a collaborator's turn, of that index, pass to the client from here on. Those of
    /// several that run at once are held back until it is their turn, so that the traces nest.
    Reveal(usize),
    /// Search a knowledge base; answer with `Retrieved`. Several in one step run concurrently.
    Retrieve(Box<PendingRetrieval>),
    /// Send something to the client.
    Emit(Emission),
    /// Send this as the last event and end the response; the turn goes on with `ControlReturned`.
    ReturnControl(Box<ReturnControlPayload>),
    /// The turn is over; end the response.
    Finish(Outcome),
}

/// An action to invoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingAction {
    /// Which call of the current step; comes back in `ActionReturned`.
    pub index: usize,
    /// Lambda ARN or function name.
    pub function: String,
    /// The Lambda event.
    pub event: Vec<u8>,
    /// The same whenever this very call is made.
    pub idempotency_key: String,
    /// The call with its types, for executors that are no Lambda function.
    pub action: Arc<CalledAction>,
}

/// A model to call.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCall {
    /// The request.
    pub request: ModelRequest,
    /// How the answer is sent on while it is written; `None`: nobody reads it before it is finished.
    pub live: Option<LiveAnswer>,
}

/// How an answer is sent on while the model still writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveAnswer {
    /// As in [`crate::prompt::answer::AnswerScanner::new`].
    pub may_call_tools: bool,
    /// What the prompt lets the assistant begin its reply with; see
    /// [`crate::prompt::answer::AnswerScanner::continuing`].
    pub prefill: String,
    /// The search results that the answer may cite.
    pub shown: Shown,
    /// The guardrail that each part must pass first.
    pub guardrail: Option<LiveGuardrail>,
}

/// A guardrail on a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveGuardrail {
    /// Which.
    pub guardrail: GuardrailConfiguration,
    /// Fewest characters of a part, but for the last (`applyGuardrailInterval`).
    pub interval: usize,
    /// `traceId` of the parts' traces; `None` where nobody wants traces.
    pub trace_id: Option<String>,
}

/// A function to call that belongs to no action group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingFunction {
    /// Lambda ARN or function name.
    pub function: String,
    /// The Lambda event.
    pub event: Vec<u8>,
    /// The same whenever this very call is made.
    pub idempotency_key: String,
}

/// A text to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingAssessment {
    /// By which guardrail.
    pub guardrail: GuardrailConfiguration,
    /// Whether it is the user's input or the agent's output.
    pub source: GuardrailSource,
    /// The text.
    pub text: String,
}

/// A collaborator to call.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingCollaborator {
    /// Which call of the current step; comes back in `CollaboratorReplied`.
    pub index: usize,
    /// Whom.
    pub collaborator: CollaboratorDefinition,
    /// With what.
    pub ask: CollaboratorAsk,
    /// Session attributes that it gets with it.
    pub session_attributes: Attributes,
    /// What its turn may spend: as much as any turn, but of the tokens its share of what is left.
    pub budget: Budget,
}

/// What a collaborator is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum CollaboratorAsk {
    /// A message.
    Message {
        /// The text.
        text: String,
        /// The caller's conversation, where it is relayed.
        history: Vec<Message>,
    },
    /// To go on with these results.
    Results {
        /// `invocationId` of its return of control.
        invocation_id: String,
        /// One for each of its inputs.
        results: Vec<ReturnedResult>,
    },
}

/// A search to make.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingRetrieval {
    /// Which call of the current step; comes back in `Retrieved`.
    pub index: usize,
    /// In which knowledge base.
    pub knowledge_base_id: String,
    /// For what.
    pub query: String,
    /// How; `None`: as the knowledge base does it.
    pub configuration: Option<KnowledgeBaseVectorSearchConfiguration>,
}

/// Code to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCode {
    /// Which call of the current step; comes back in `CodeExecuted`.
    pub index: usize,
    /// The code as the model wrote it.
    pub code: String,
    /// The files that code of this session may read.
    pub files: Vec<Arc<SessionFile>>,
}

/// Something for the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Emission {
    /// One trace part; the envelope is the driver's.
    Trace {
        /// `eventTime`.
        at: Timestamp,
        /// The part.
        trace: Box<Trace>,
    },
    /// Files that code wrote.
    Files(Vec<OutputFile>),
    /// A part of the final answer.
    Chunk(String),
    /// The final answer with the sources of its parts, or, after a streamed answer, the sources alone.
    Cited {
        /// The text.
        text: String,
        /// Its sources.
        attribution: Attribution,
    },
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer, or a question to the user.
    Completed,
    /// With an exception.
    Failed(Failure),
    /// Stopped: nobody is there to be told.
    Stopped,
}
