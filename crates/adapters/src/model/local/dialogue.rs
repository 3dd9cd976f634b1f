//! The conversation as the planner reads it: who said what, which tools ran, what is asked now.
//!
//! Invariant: `entries` is in order of time and begins with the user.

use serde_json::Value;

/// Answers to the model's own questions joined to the request they belong to; more of them than
/// this are a new conversation.
const JOINED_LIMIT: usize = 4;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// The user wrote.
    User(String),
    /// The model answered.
    Assistant(String),
    /// The model called a tool.
    Call(Call),
    /// A tool answered.
    Outcome(Outcome),
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Pairs it with its outcome.
    pub(super) id: String,
    /// The tool's name on the wire.
    pub(super) tool: String,
    /// The arguments.
    pub(super) input: Value,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// The call's id.
    pub(super) id: String,
    /// Its text, or its JSON as text.
    pub(super) text: String,
    /// Whether the tool worked.
    pub(super) success: bool,
}

/// A whole conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Dialogue {
    /// The system text.
    pub(super) system: String,
    /// What happened, oldest first.
    pub(super) entries: Vec<Entry>,
}

/// A call of the running turn with its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// The call.
    pub(super) call: &'a Call,
    /// Its outcome; `None` while it has none.
    pub(super) outcome: Option<&'a Outcome>,
}

impl Dialogue {
    /// What the user wants now. An answer to a question of the model is joined to the request that
    /// led to the question.
    pub(super) fn request(&self) -> String {
        let mut texts = Vec::new();
        let mut at = self.last_user();
        while let Some(index) = at {
            let Some(Entry::User(text)) = self.entries.get(index) else {
                break;
            };
            texts.push(text.as_str());
            if texts.len() == JOINED_LIMIT || !self.answers_question(index, text) {
                break;
            }
            at = index.checked_sub(2);
        }
        texts.reverse();
        texts.join("\n")
    }

    /// The user's last message alone.
    pub(super) fn last_message(&self) -> &str {
        match self.last_user().and_then(|index| self.entries.get(index)) {
            Some(Entry::User(text)) => text,
            Some(_) | None => "",
        }
    }

    /// Calls made since the user last wrote.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        let start = self.last_user().map_or(0, |index| index + 1);
        let turn = self.entries.get(start..).unwrap_or_default();
        let outcome = |id: &str| {
            turn.iter().find_map(|entry| match entry {
                Entry::Outcome(outcome) if outcome.id == id => Some(outcome),
                _ => None,
            })
        };
        turn.iter()
            .filter_map(|entry| match entry {
                Entry::Call(call) => Some(Step {
                    call,
                    outcome: outcome(&call.id),
                }),
                _ => None,
            })
            .collect()
    }

    fn last_user(&self) -> Option<usize> {
        self.entries
            .iter()
            .rposition(|entry| matches!(entry, Entry::User(_)))
    }

    /// Whether the user text at `index` gives a value that the model has just asked for, rather than
    /// a new request.
    fn answers_question(&self, index: usize, text: &str) -> bool {
        let asked = index
            .checked_sub(1)
            .and_then(|before| self.entries.get(before));
        let after_user = index
            .checked_sub(2)
            .and_then(|before| self.entries.get(before));
        let Some(Entry::Assistant(question)) = asked else {
            return false;
        };
        matches!(after_user, Some(Entry::User(_)))
            && question.trim_end().ends_with('?')
            && !text.trim_end().ends_with('?')
            && text.split_whitespace().count() <= 12
    }
}
