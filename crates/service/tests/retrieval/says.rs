//! A model that says what a test has it say.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures_core::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use outcrop_engine::port::{Capabilities, ModelError, ModelProvider, ModelRequest, ModelStream};
use outcrop_model::converse::{ConverseStreamOutput, StopReason};
use serde_json::Value;

use crate::model;

/// Characters of each piece of an answer that is streamed.
const PIECE: usize = 5;

/// What the model says next.
pub(crate) enum Say {
    Text(String),
    Call { name: String, input: Value },
}

impl From<&str> for Say {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A model that says what it is told to, and keeps what it is asked.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) replies: Mutex<VecDeque<Say>>,
    pub(crate) requests: Mutex<Vec<ModelRequest>>,
}

impl Model {
    pub(crate) fn says<T: Into<Say>>(&self, replies: impl IntoIterator<Item = T>) {
        let mut next = self.replies.lock().expect("unpoisoned");
        next.extend(replies.into_iter().map(Into::into));
    }

    /// The prompts so far, each as one text.
    pub(crate) fn prompts(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("unpoisoned");
        requests
            .iter()
            .map(|request| {
                let messages = serde_json::to_string(&request.messages).expect("JSON");
                format!("{}\n{messages}", request.system)
            })
            .collect()
    }
}

impl ModelProvider for Model {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        if model.contains("unknown") {
            return Err(ModelError::Unmapped {
                model: model.to_owned(),
                hint: "add a [[models]] entry".to_owned(),
            });
        }
        Ok(model::capabilities())
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        self.requests.lock().expect("unpoisoned").push(request);
        let reply = self.replies.lock().expect("unpoisoned").pop_front();
        let events = events(reply.expect("the model is asked as often as it has something to say"));
        async move { Ok(futures_util::stream::iter(events.into_iter().map(Ok)).boxed()) }.boxed()
    }
}

fn events(say: Say) -> Vec<ConverseStreamOutput> {
    let (mut events, stop_reason): (Vec<_>, _) = match say {
        Say::Text(text) => {
            let characters: Vec<char> = text.chars().collect();
            let pieces = characters.chunks(PIECE).map(String::from_iter);
            let pieces = pieces.map(|piece| model::text(0, piece));
            (pieces.collect(), StopReason::EndTurn)
        }
        Say::Call { name, input } => {
            let call = model::call(0, "tooluse_1", &name, &input);
            (call.into(), StopReason::ToolUse)
        }
    };
    events.extend(model::ending(stop_reason, (0, 0)));
    events
}

/// An answer of a model, in the form it is asked for.
pub(crate) fn answer(parts: &[(&str, &[&str])]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|(text, sources)| {
            let sources: Vec<String> = sources
                .iter()
                .map(|source| format!("<source>{source}</source>\n"))
                .collect();
            let sources = sources.concat();
            format!(
                "<answer_part>\n<text>\n{text}\n</text>\n<sources>\n{sources}</sources>\n</answer_part>\n"
            )
        })
        .collect();
    format!("<answer>\n{}</answer>", parts.concat())
}
