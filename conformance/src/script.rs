//! Scripted behaviour: what the next model or tool call shall do instead of asking the brain.
//!
//! A test posts a list of steps; each call takes one, and the brain answers when none is left. A step
//! can wait for a release, so that a test stops a turn at an exact point without sleeping.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::brain;
use crate::reply::{Part, Reply, Usage};
use crate::transcript::Transcript;

/// What a call shall do. All members are optional; none at all means: as the brain says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// Only a call of this model takes the step, so that agents which run side by side have lines of
    /// their own.
    pub for_model: Option<String>,
    /// Waits here, before anything is sent, until this name is released.
    pub hold: Option<String>,
    /// Waits after half of the reply.
    pub hold_middle: Option<String>,
    /// Answers with this status instead of a reply.
    pub status: Option<u16>,
    /// The error's message, with `status`.
    pub message: Option<String>,
    /// Headers to add.
    pub headers: BTreeMap<String, String>,
    /// Breaks the connection.
    pub disconnect: Option<Disconnect>,
    /// Sends this text, with status 200, in place of a reply.
    pub garbage: Option<String>,
    /// Ends a Bedrock stream with this exception frame after half of it.
    pub exception: Option<String>,
    /// A model's reply, part by part.
    pub content: Option<Vec<Piece>>,
    /// The reason the model gives for stopping.
    pub stop_reason: Option<String>,
    /// The tokens it reports.
    pub usage: Option<Usage>,
    /// A tool's whole return value, as is.
    pub payload: Option<Value>,
    /// A tool's body text in a correct envelope.
    pub text: Option<String>,
    /// Members laid over the correct envelope's `response`.
    pub response: Option<serde_json::Map<String, Value>>,
    /// Members laid over the correct envelope itself.
    pub envelope: Option<serde_json::Map<String, Value>>,
    /// Lambda's `X-Amz-Function-Error`.
    pub function_error: Option<String>,
    /// The handler's log, for the log tail.
    pub log: Option<String>,
}

/// When a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disconnect {
    /// Before the response's headers.
    Before,
    /// After half of its body.
    Middle,
}

/// One part of a scripted reply.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
pub enum Piece {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// Text that streams in just these pieces.
    Pieces {
        /// The pieces.
        pieces: Vec<String>,
    },
    /// What the model thought.
    Reasoning {
        /// The thought.
        reasoning: String,
    },
    /// A tool call.
    Call {
        /// The end of an offered tool's name, or any name at all.
        tool: String,
        /// The arguments as a value.
        #[serde(default)]
        input: Value,
        /// The arguments as raw text, legal or not; wins over `input`.
        arguments: Option<String>,
        /// The call's id; a fresh one without it.
        id: Option<String>,
    },
}

impl Step {
    /// Whether a call of `model` may take it; `None` for a tool's.
    pub fn is_for(&self, model: Option<&str>) -> bool {
        self.for_model.is_none() || self.for_model.as_deref() == model
    }

    /// The model's reply to `transcript` under this step; `serial` makes call ids unique.
    pub fn reply(&self, transcript: &Transcript, serial: u64) -> Reply {
        let Some(pieces) = &self.content else {
            return brain::reply(transcript, &format!("call_{serial}_0"));
        };
        let parts = pieces
            .iter()
            .enumerate()
            .map(|(index, piece)| match piece {
                Piece::Text { text } => Part::Text(text.clone()),
                Piece::Pieces { pieces } => Part::Pieces(pieces.clone()),
                Piece::Reasoning { reasoning } => Part::Reasoning(reasoning.clone()),
                Piece::Call {
                    tool,
                    input,
                    arguments,
                    id,
                } => Part::Call {
                    id: id
                        .clone()
                        .unwrap_or_else(|| format!("call_{serial}_{index}")),
                    name: transcript
                        .tool_ending(tool)
                        .map_or_else(|| tool.clone(), |tool| tool.name.clone()),
                    arguments: arguments.clone().unwrap_or_else(|| match input {
                        Value::Null => "{}".to_owned(),
                        input => input.to_string(),
                    }),
                },
            })
            .collect();
        let mut reply = Reply {
            stop_reason: self.stop_reason.clone(),
            ..Reply::of(parts)
        };
        if let Some(usage) = self.usage {
            reply.usage = usage;
        }
        reply
    }
}
