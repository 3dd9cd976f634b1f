//! Reads a model's text: what is thinking, what is the answer (behaviour.md 4.7, trace-order.md 2).
//!
//! One scanner serves both the live stream and the finished message, so that the chunks a client
//! received and `finalResponse.text` are the same text by construction.

const TAGS: [(&str, Tag); 4] = [
    ("<thinking>", Tag::ThinkingOpen),
    ("</thinking>", Tag::ThinkingClose),
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
    answer: String,
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
            answer: String::new(),
        }
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
        &self.answer
    }

    /// Ends the message. Without an answer tag, the text outside the thinking is the answer; where
    /// there is none, the thinking itself.
    pub fn finish(mut self) -> Reading {
        let pending = std::mem::take(&mut self.pending);
        self.text(&pending);
        let preamble = self.outside.trim().to_owned();
        let has_answer = self.untagged || matches!(self.place, Place::Answer | Place::AfterAnswer);
        let answer = if has_answer {
            self.answer
        } else if preamble.is_empty() {
            self.thinking
                .as_deref()
                .unwrap_or_default()
                .trim()
                .to_owned()
        } else {
            preamble.clone()
        };
        Reading {
            thinking: self.thinking.map(|text| text.trim().to_owned()),
            preamble,
            answer,
        }
    }

    fn text(&mut self, text: &str) {
        match self.place {
            Place::Thinking => self.thinking.get_or_insert_default().push_str(text),
            Place::Answer => self.answer.push_str(text),
            Place::AfterAnswer => {}
            Place::Outside if self.untagged => self.answer.push_str(text),
            Place::Outside => {
                let begins = self.outside.is_empty() && !text.trim().is_empty();
                if begins && !self.may_call_tools {
                    self.untagged = true;
                    self.answer.push_str(text.trim_start());
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
                if !thinking.is_empty() {
                    thinking.push('\n');
                }
            }
            Tag::ThinkingClose if self.place == Place::Thinking => self.place = Place::Outside,
            // Once untagged text counts as answer, the tags are only decoration.
            Tag::AnswerOpen if self.place != Place::AfterAnswer && !self.untagged => {
                self.place = Place::Answer;
            }
            Tag::AnswerClose if self.place == Place::Answer => self.place = Place::AfterAnswer,
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
    /// The answer, if this message is the final one.
    pub answer: String,
}

/// Reads a finished message's text at once.
pub fn read(text: &str, may_call_tools: bool) -> Reading {
    let mut scanner = AnswerScanner::new(may_call_tools);
    scanner.feed(text);
    scanner.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [&str; 9] = [
        "<thinking>look it up</thinking>\n\n<answer>It is 30.",
        "<thinking>a</thinking><answer>\n\nkept newlines</answer> trailing",
        "no tags at all",
        "preamble <answer>tagged</answer>",
        "<thinking>one</thinking>mid<thinking>two</thinking> end",
        "<thinking>never closed",
        "1 < 2 and <b>bold</b> <answer>x < y</answer>",
        "<answer>partial </answ",
        "",
    ];

    #[test]
    fn reads_thinking_and_answer() {
        let reading = read(SAMPLES[0], true);
        assert_eq!(reading.thinking.as_deref(), Some("look it up"));
        assert_eq!(reading.answer, "It is 30.");
        assert_eq!(read(SAMPLES[1], true).answer, "\n\nkept newlines");
        assert_eq!(read(SAMPLES[2], true).answer, "no tags at all");
        assert_eq!(read(SAMPLES[3], true).answer, "tagged");
        assert_eq!(read(SAMPLES[3], false).answer, "preamble tagged");
        assert_eq!(read(SAMPLES[4], true).thinking.as_deref(), Some("one\ntwo"));
        assert_eq!(read(SAMPLES[4], true).answer, "mid end");
        assert_eq!(read(SAMPLES[5], true).answer, "never closed");
        assert_eq!(read(SAMPLES[6], true).answer, "x < y");
        assert_eq!(read(SAMPLES[7], true).answer, "partial </answ");
        assert_eq!(read(SAMPLES[8], true).answer, "");
    }

    #[test]
    fn any_split_reads_the_same_and_never_takes_answer_text_back() {
        for sample in SAMPLES {
            for may_call_tools in [true, false] {
                let whole = read(sample, may_call_tools);
                for cut in 0..=sample.len() {
                    if !sample.is_char_boundary(cut) {
                        continue;
                    }
                    let mut scanner = AnswerScanner::new(may_call_tools);
                    scanner.feed(&sample[..cut]);
                    let early = scanner.answer().to_owned();
                    scanner.feed(&sample[cut..]);
                    let reading = scanner.finish();
                    assert_eq!(reading, whole, "{sample:?} cut at {cut}");
                    assert!(
                        reading.answer.starts_with(&early),
                        "{sample:?} cut at {cut}"
                    );
                }
            }
        }
    }
}
