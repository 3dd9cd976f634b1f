//! A provider that answers from a script and checks every request: for the tests of other crates.
//!
//! A request that a real vendor would refuse fails here with the reason, so that a fault in the engine
//! shows in its own tests. Keeps every request for the test to look at. Time does not pass in it.

mod invariants;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use outcrop_engine::port::{
    Capabilities, Documents, ModelError, ModelProvider, ModelRequest, ModelStream,
};
use outcrop_model::converse::{ConverseStreamOutput, StopReason};
use serde_json::Value;

use super::emitter::{Emitter, Usage};

/// What the scripted model does when it is called.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with a message.
    Message(Vec<Part>),
    /// Answers with these very events, whatever they are.
    Events(Vec<Result<ConverseStreamOutput, ModelError>>),
    /// Fails before anything is sent.
    Error(ModelError),
    /// Fails after the parts have been sent.
    BreaksOff(Vec<Part>, ModelError),
    /// Takes the request and never answers.
    Hang,
}

/// One block of a scripted message.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text, sent a word at a time.
    Text(String),
    /// Reasoning.
    Reasoning(String),
    /// A tool call: id, name and arguments as the model would write them.
    Tool {
        /// Its id.
        id: String,
        /// The tool.
        name: String,
        /// JSON text; need not be valid.
        input: String,
    },
}

impl Part {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A tool call with valid arguments.
    pub fn tool(id: impl Into<String>, name: impl Into<String>, input: &Value) -> Self {
        Self::Tool {
            id: id.into(),
            name: name.into(),
            input: input.to_string(),
        }
    }
}

/// A model that follows a script.
#[derive(Debug)]
pub struct ScriptedModel {
    capabilities: Capabilities,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    requests: Vec<ModelRequest>,
}

impl ScriptedModel {
    /// A model that can do everything and answers with `replies` in turn.
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            capabilities: Capabilities {
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
            },
            state: Mutex::new(State {
                replies: replies.into_iter().collect(),
                requests: Vec::new(),
            }),
        }
    }

    /// The same model with other capabilities.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Adds a reply at the end of the script.
    pub fn push(&self, reply: Reply) {
        self.state().replies.push_back(reply);
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.state().requests.clone()
    }

    /// How many replies nobody has asked for.
    pub fn remaining(&self) -> usize {
        self.state().replies.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ModelProvider for ScriptedModel {
    fn capabilities(&self, _model: &str) -> Result<Capabilities, ModelError> {
        Ok(self.capabilities)
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        let broken = invariants::check(&request, self.capabilities);
        let reply = {
            let mut state = self.state();
            state.requests.push(request);
            state.replies.pop_front()
        };
        let refuse = |detail: String| Err(ModelError::Rejected { detail });
        Box::pin(async move {
            if let Err(reason) = broken {
                return refuse(format!("the request is wrong: {reason}"));
            }
            match reply {
                None => refuse("the script is at its end".to_owned()),
                Some(Reply::Error(error)) => Err(error),
                Some(Reply::Hang) => std::future::pending().await,
                Some(Reply::Events(events)) => Ok(stream::iter(events).boxed()),
                Some(Reply::Message(parts)) => {
                    let mut emitter = Emitter::default();
                    let stop = emit(parts, &mut emitter);
                    emitter.finish(stop, USAGE);
                    Ok(stream::iter(taken(&mut emitter)).boxed())
                }
                Some(Reply::BreaksOff(parts, error)) => {
                    let mut emitter = Emitter::default();
                    emit(parts, &mut emitter);
                    let mut events = taken(&mut emitter);
                    events.push(Err(error));
                    Ok(stream::iter(events).boxed())
                }
            }
        })
    }
}

/// What every scripted call costs.
const USAGE: Usage = Usage {
    input: 10,
    output: 5,
    cache_read: None,
    cache_write: None,
};

fn emit(parts: Vec<Part>, emitter: &mut Emitter) -> StopReason {
    let mut stop = StopReason::EndTurn;
    emitter.begin();
    for part in parts {
        match part {
            Part::Text(text) => {
                for word in text.split_inclusive(' ') {
                    emitter.text(word.to_owned());
                }
            }
            Part::Reasoning(text) => emitter.reasoning(text),
            Part::Tool { id, name, input } => {
                stop = StopReason::ToolUse;
                emitter.tool_use(id, name);
                emitter.tool_input(input);
            }
        }
        emitter.close();
    }
    stop
}

fn taken(emitter: &mut Emitter) -> Vec<Result<ConverseStreamOutput, ModelError>> {
    std::iter::from_fn(|| emitter.pop()).map(Ok).collect()
}
