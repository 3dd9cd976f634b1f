//! What a model says, before a protocol renders it.

use serde::Deserialize;
use serde_json::Value;

/// About how many characters a model sends at once; text is cut at this size for streamed replies.
pub const DELTA_CHARS: usize = 6;

/// One piece of the reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// Text that streams in just these pieces, as a model's tokens fell.
    Pieces(Vec<String>),
    /// What the model thought before it spoke, in a protocol that can carry it.
    Reasoning(String),
    /// A tool call.
    Call {
        /// The call's id, unique in the conversation.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments as the model wrote them: JSON text, or not even that.
        arguments: String,
    },
}

impl Part {
    /// What a stream says of it, piece by piece.
    pub fn deltas(&self) -> Vec<&str> {
        match self {
            Self::Pieces(pieces) => pieces.iter().map(String::as_str).collect(),
            Self::Text(text) | Self::Reasoning(text) => deltas(text).collect(),
            Self::Call { arguments, .. } => deltas(arguments).collect(),
        }
    }
}

/// The tokens a reply reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Read.
    pub input: u32,
    /// Written.
    pub output: u32,
    /// Read from the prompt cache, besides `input`.
    #[serde(default)]
    pub cache_read: u32,
    /// Put into the prompt cache, besides `input`.
    #[serde(default)]
    pub cache_write: u32,
}

/// A whole reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Its tokens.
    pub usage: Usage,
    /// Overrides the reason given for stopping (in the protocol's own words).
    pub stop_reason: Option<String>,
}

impl Reply {
    /// A reply of these parts with the usage the tests expect.
    pub fn of(parts: Vec<Part>) -> Self {
        Self {
            parts,
            usage: Usage {
                input: 120,
                output: 30,
                cache_read: 0,
                cache_write: 0,
            },
            stop_reason: None,
        }
    }

    /// Whether it asks for a tool.
    pub fn calls(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Call { .. }))
    }
}

/// `arguments` as a JSON value; text that is no JSON stays a string, so that protocols which carry a
/// value can still show what the model wrote.
pub fn arguments_value(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.to_owned()))
}

/// Cuts `text` into pieces of about [`DELTA_CHARS`] characters, the way a streaming model does.
fn deltas(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .nth(DELTA_CHARS)
            .map_or(rest.len(), |(index, _)| index);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_join_to_the_text_and_respect_characters() {
        let text = "Grüße — naïve 日本語テキスト";
        let pieces: Vec<&str> = deltas(text).collect();
        assert_eq!(pieces.concat(), text);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.chars().count() <= DELTA_CHARS)
        );
        assert_eq!(deltas("").count(), 0);
    }
}
