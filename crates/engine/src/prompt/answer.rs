//! Reads a model's text: what is thinking, what is the answer (behaviour.md 4.7, trace-order.md 2).
//!
//! One scanner serves both the live stream and the finished message, so that the chunks a client
//! received and `finalResponse.text` are the same text by construction. What the answer says of its
//! sources is read on the way (see [`AnswerPart`]).

mod body;

#[cfg(test)]
mod tests;

use body::Body;
pub use body::{AnswerPart, part_break};

/// What models think in, so far as it stands in their text: as the prompts here ask for it, as those
/// of Claude 2 do, and as models that reason do where the server leaves it in.
pub const THOUGHTS: [(&str, &str); 3] = [
    ("<thinking>", "</thinking>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<think>", "</think>"),
];

const TAGS: [(&str, Tag); 8] = [
    (THOUGHTS[0].0, Tag::ThinkingOpen),
    (THOUGHTS[0].1, Tag::ThinkingClose),
    (THOUGHTS[1].0, Tag::ThinkingOpen),
    (THOUGHTS[1].1, Tag::ThinkingClose),
    (THOUGHTS[2].0, Tag::ThinkingOpen),
    (THOUGHTS[2].1, Tag::ThinkingClose),
    ("<answer>", Tag::AnswerOpen),
    ("</answer>", Tag::AnswerClose),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    ThinkingOpen,
    ThinkingClose,
    AnswerOpen,
    AnswerClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    Thinking,
    Answer,
    AfterAnswer,
}

/// Incremental reader of one model message's text.
#[derive(Clone, Debug)]
pub struct AnswerScanner {
    may_call_tools: bool,
    place: Place,
    untagged: bool,
    pending: String,
    thinking: Option<String>,
    outside: String,
    body: Body,
}

impl AnswerScanner {
    /// `may_call_tools`: whether untagged text may still turn out to be the preamble of a tool call.
    /// Such text is held back until the message ends.
    pub fn new(may_call_tools: bool) -> Self {
        Self {
            may_call_tools,
            place: Place::Outside,
            untagged: false,
            pending: String::new(),
            thinking: None,
            outside: String::new(),
            body: Body::default(),
        }
    }

    /// A reader that gives out the texts of an answer's parts with the white space that the model
    /// writes around them, as `RetrieveAndGenerateStream` does (behaviour.md 9.9).
    pub fn verbatim() -> Self {
        Self {
            body: Body::verbatim(),
            ..Self::new(false)
        }
    }

    /// As [`AnswerScanner::new`] for a reply that goes on from `prefill`, an assistant's text the prompt ends with
    /// (Nova's begins a thought): the reply is read from where that leaves off, and holds none of it.
    pub fn continuing(prefill: &str, may_call_tools: bool) -> Self {
        let mut begun = Self::new(may_call_tools);
        begun.feed(prefill);
        let mut scanner = Self::new(may_call_tools);
        match begun.place {
            Place::Thinking => {
                scanner.place = Place::Thinking;
                scanner.thinking = Some(String::new());
            }
            Place::Answer => scanner.place = Place::Answer,
            Place::Outside | Place::AfterAnswer => {}
        }
        scanner
    }

    /// Reads more text. What is known to be answer grows `answer()`.
    pub fn feed(&mut self, text: &str) {
        self.pending.push_str(text);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_str();
        while let Some(at) = rest.find('<') {
            self.text(&rest[..at]);
            rest = &rest[at..];
            if let Some((name, tag)) = TAGS.iter().find(|(name, _)| rest.starts_with(name)) {
                self.tag(*tag);
                rest = &rest[name.len()..];
            } else if TAGS.iter().any(|(name, _)| name.starts_with(rest)) {
                rest.clone_into(&mut self.pending);
                return;
            } else {
                self.text("<");
                rest = &rest[1..];
            }
        }
        self.text(rest);
    }

    /// The answer as far as it is known.
    pub fn answer(&self) -> &str {
        self.body.known()
    }

    /// The parts of the answer whose sources are known. Their text has been given out before.
    pub fn parts(&self) -> &[AnswerPart] {
        self.body.parts()
    }

    /// Ends the message. Without an answer tag, the text outside the thinking is the answer; where
    /// there is none, the thinking itself.
    pub fn finish(mut self) -> Reading {
        let pending = std::mem::take(&mut self.pending);
        self.text(&pending);
        let preamble = self.outside.trim().to_owned();
        let has_answer = self.untagged || matches!(self.place, Place::Answer | Place::AfterAnswer);
        if !has_answer {
            let thought = self.thinking.as_deref().unwrap_or_default().trim();
            self.body.feed(if preamble.is_empty() {
                thought
            } else {
                &preamble
            });
        }
        let (answer, parts) = self.body.finish();
        Reading {
            thinking: self.thinking.map(|text| text.trim().to_owned()),
            preamble,
            answer,
            parts,
        }
    }

    fn text(&mut self, text: &str) {
        match self.place {
            Place::Thinking => self.thinking.get_or_insert_default().push_str(text),
            Place::Answer => self.body.feed(text),
            Place::AfterAnswer => {}
            Place::Outside if self.untagged => self.body.feed(text),
            Place::Outside => {
                let begins = self.outside.is_empty() && !text.trim().is_empty();
                if begins && !self.may_call_tools {
                    self.untagged = true;
                    self.body.feed(text.trim_start());
                } else if begins || !self.outside.is_empty() {
                    self.outside.push_str(text);
                }
            }
        }
    }

    fn tag(&mut self, tag: Tag) {
        match tag {
            Tag::ThinkingOpen if self.place == Place::Outside => {
                self.place = Place::Thinking;
                let thinking = self.thinking.get_or_insert_default();
                thinking.truncate(thinking.trim_end().len());
                if !thinking.is_empty() {
                    thinking.push('\n');
                }
            }
            Tag::ThinkingClose if self.place == Place::Thinking => self.place = Place::Outside,
            // A thought without its beginning: the prompt, or the model's template, has begun it.
            Tag::ThinkingClose
                if self.place == Place::Outside && !self.untagged && self.thinking.is_none() =>
            {
                self.thinking = Some(std::mem::take(&mut self.outside));
            }
            // Once untagged text counts as answer, the tags are only decoration.
            Tag::AnswerOpen if self.place != Place::AfterAnswer && !self.untagged => {
                self.place = Place::Answer;
            }
            Tag::AnswerClose if self.place == Place::Answer => {
                self.body.close();
                self.place = Place::AfterAnswer;
            }
            Tag::ThinkingOpen | Tag::ThinkingClose | Tag::AnswerOpen | Tag::AnswerClose => {}
        }
    }
}

/// What a finished message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Trimmed text between thinking tags; `None` where there were no tags.
    pub thinking: Option<String>,
    /// Trimmed text outside of all tags.
    pub preamble: String,
    /// The answer, if this message is the final one, without the tags that name sources.
    pub answer: String,
    /// The parts of it that name their sources.
    pub parts: Vec<AnswerPart>,
}

/// The text behind the last thought.
pub fn behind_thoughts(text: &str) -> &str {
    let ends = THOUGHTS
        .iter()
        .filter_map(|(_, closing)| text.rfind(closing).map(|at| at + closing.len()));
    text.get(ends.max().unwrap_or(0)..).unwrap_or_default()
}

/// Reads a finished message's text at once.
pub fn read(text: &str, may_call_tools: bool) -> Reading {
    let mut scanner = AnswerScanner::new(may_call_tools);
    scanner.feed(text);
    scanner.finish()
}
