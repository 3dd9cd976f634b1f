//! What a run wants done. Plain data: the driver performs it, tests compare it.

use std::sync::Arc;

use outcrop_model::runtime::{OutputFile, ReturnControlPayload, Trace};
use outcrop_model::timestamp::Timestamp;

use super::failure::Failure;
use crate::action::call::CalledAction;
use crate::files::SessionFile;
use crate::port::ModelRequest;

/// The effects of one step, in order.
pub type Effects = Vec<Effect>;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Call the model; answer with `ModelReplied` or `ModelFailed`.
    CallModel(Box<ModelRequest>),
    /// Invoke an action; answer with `ActionReturned`. Several in one step run concurrently.
    CallAction(PendingAction),
    /// Run code; answer with `CodeExecuted`. One at a time.
    ExecuteCode(PendingCode),
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
