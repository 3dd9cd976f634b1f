//! Carries a decision out: the events of one answer.
//!
//! Texts of the planner come in one piece, free conversation piece by piece. Invariant: a stop
//! sequence never reaches the reader, not even in part.

use outcrop_model::converse::StopReason;
use serde_json::{Value, json};

use outcrop_engine::plan::ASK_USER_TOOL;

use super::dialogue::{Dialogue, Entry};
use super::planner::Decision;
use super::prompt;
use super::read::Work;
use crate::model::emitter::{Emitter, Usage};
use outcrop_llm::Llm;
use outcrop_llm::{Ended, LanguageModel, LlmError};

/// Tokens of a free answer when the request sets no limit. Longer ones of this model ramble.
const ANSWER_TOKENS: usize = 256;
/// Tokens of a free answer whatever the request says, which bounds the time and the queue of events.
const ANSWER_TOKENS_LIMIT: usize = 1024;
/// Sentences of a free answer beside tools: a greeting or a thanks takes no more, and what follows is
/// seldom sense.
const SMALL_TALK_SENTENCES: usize = 2;
/// Characters of the system text that a conversation beside tools begins with: the agent's own
/// instruction. The rules that follow it are the planner's business and only confuse the model.
const INSTRUCTION_CHARS: usize = 500;

/// Emits `decision`; `flush` is called whenever events are ready and answers whether anybody reads.
pub(super) fn speak(
    llm: &mut Llm<'_>,
    work: &Work,
    decision: Decision,
    call_id: &str,
    emitter: &mut Emitter,
    flush: &mut dyn FnMut(&mut Emitter) -> bool,
) -> Result<(), LlmError> {
    emitter.begin();
    let mut said = String::new();
    let stop_reason = match decision {
        Decision::Call {
            tool,
            input,
            rationale,
        } => {
            emitter.text(format!("<thinking>{rationale}</thinking>"));
            call(emitter, call_id, tool, &input);
            said = format!("{rationale} {input}");
            StopReason::ToolUse
        }
        Decision::Ask(question) if work.asks_by_tool => {
            said.clone_from(&question);
            call(
                emitter,
                call_id,
                ASK_USER_TOOL.to_owned(),
                &json!({ "question": question }),
            );
            StopReason::ToolUse
        }
        Decision::Ask(text) | Decision::Answer(text) => {
            let mut stop = StopFilter::new(&work.stop_sequences);
            let mut kept = stop.feed(&text);
            kept.push_str(&stop.finish());
            said.clone_from(&kept);
            emitter.text(kept);
            if stop.stopped {
                StopReason::StopSequence
            } else {
                StopReason::EndTurn
            }
        }
        Decision::Converse => converse(llm, work, emitter, flush)?,
    };
    let spent = llm.spent();
    let output = if said.is_empty() {
        spent.generated
    } else {
        llm.count(&said)
    };
    let count = |tokens: usize| u64::try_from(tokens).unwrap_or(u64::MAX);
    emitter.finish(
        stop_reason,
        Usage {
            input: count(spent.prompt - spent.cached),
            output: count(output),
            cache_read: Some(count(spent.cached)),
            cache_write: None,
        },
    );
    flush(emitter);
    Ok(())
}

fn call(emitter: &mut Emitter, id: &str, name: String, input: &Value) {
    emitter.tool_use(id.to_owned(), name);
    emitter.tool_input(input.to_string());
}

fn converse(
    llm: &mut Llm<'_>,
    work: &Work,
    emitter: &mut Emitter,
    flush: &mut dyn FnMut(&mut Emitter) -> bool,
) -> Result<StopReason, LlmError> {
    let asked = work
        .max_tokens
        .and_then(|tokens| usize::try_from(tokens).ok());
    let limit = asked.unwrap_or(ANSWER_TOKENS).min(ANSWER_TOKENS_LIMIT);
    let prompt = conversation(llm, work);
    let mut stop = StopFilter::new(&work.stop_sequences);
    let mut read = true;
    let mut sentences = 0;
    let ended = llm.generate(&prompt, limit, &mut |piece| {
        emitter.text(stop.feed(piece));
        read = flush(emitter);
        sentences += usize::from(piece.ends_with(['.', '!', '?']));
        let is_enough = !work.tools.is_empty() && sentences >= SMALL_TALK_SENTENCES;
        read && !stop.stopped && !is_enough
    })?;
    if !read {
        return Err(LlmError::Cancelled);
    }
    emitter.text(stop.finish());
    Ok(match ended {
        _ if stop.stopped => StopReason::StopSequence,
        Ended::Complete => StopReason::EndTurn,
        Ended::Limit => StopReason::MaxTokens,
    })
}

/// The conversation as a prompt. What does not fit goes from its oldest messages, then from the end
/// of the system text.
fn conversation(llm: &Llm<'_>, work: &Work) -> String {
    let limit = llm.prompt_limit();
    let system = system(work);
    let mut messages = Vec::new();
    let mut left = limit.saturating_sub(llm.count(&system) + 16);
    for (role, text) in turns(&work.dialogue).into_iter().rev() {
        let message = prompt::message(role, &text);
        let tokens = llm.count(&message);
        if tokens > left {
            break;
        }
        left -= tokens;
        messages.push(message);
    }
    if messages.is_empty() {
        return last_resort(llm, &work.dialogue);
    }
    messages.reverse();
    format!("{system}{}{}", messages.concat(), prompt::ASSISTANT)
}

/// A message that alone exceeds the context is cut to its beginning.
fn last_resort(llm: &Llm<'_>, dialogue: &Dialogue) -> String {
    let mut text = dialogue.last_message().to_owned();
    loop {
        let prompt = format!("{}{}", prompt::message("user", &text), prompt::ASSISTANT);
        if llm.count(&prompt) <= llm.prompt_limit() || text.is_empty() {
            return prompt;
        }
        let half = text.chars().count() / 2;
        text = text.chars().take(half).collect();
    }
}

fn system(work: &Work) -> String {
    let system = work.dialogue.system.trim();
    if system.is_empty() {
        return String::new();
    }
    if work.tools.is_empty() {
        return prompt::message("system", system);
    }
    let instruction = system
        .split(['<', '\n'])
        .find(|line| !line.trim().is_empty());
    let instruction: String = instruction
        .unwrap_or_default()
        .trim()
        .chars()
        .take(INSTRUCTION_CHARS)
        .collect();
    prompt::message("system", &instruction)
}

fn turns(dialogue: &Dialogue) -> Vec<(&'static str, String)> {
    let told = |entry: &Entry| match entry {
        Entry::User(text) => ("user", text.clone()),
        Entry::Assistant(text) => ("assistant", text.clone()),
        Entry::Call(call) => ("assistant", format!("[{} {}]", call.tool, call.input)),
        Entry::Outcome(outcome) => ("user", format!("[result: {}]", outcome.text)),
    };
    dialogue.entries.iter().map(told).collect()
}

/// Lets text through up to the first stop sequence, holding back what may be the beginning of one.
struct StopFilter<'a> {
    sequences: &'a [String],
    held: String,
    stopped: bool,
}

impl<'a> StopFilter<'a> {
    fn new(sequences: &'a [String]) -> Self {
        Self {
            sequences,
            held: String::new(),
            stopped: false,
        }
    }

    fn feed(&mut self, piece: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(piece);
        let found = self.sequences.iter().filter(|stop| !stop.is_empty());
        if let Some(at) = found.filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let safe = self
            .held
            .char_indices()
            .map(|(at, _)| at)
            .find(|at| {
                self.sequences
                    .iter()
                    .any(|stop| stop.starts_with(&self.held[*at..]))
            })
            .unwrap_or(self.held.len());
        let rest = self.held.split_off(safe);
        std::mem::replace(&mut self.held, rest)
    }

    fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::StopFilter;

    fn filtered(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(ToString::to_string).collect();
        let mut filter = StopFilter::new(&stops);
        let mut text: String = pieces.iter().map(|piece| filter.feed(piece)).collect();
        if !filter.stopped {
            text.push_str(&filter.finish());
        }
        (text, filter.stopped)
    }

    #[test]
    fn a_stop_sequence_ends_the_text_wherever_it_is_split() {
        assert_eq!(
            filtered(&["END"], &["a E", "N", "D b"]),
            ("a ".to_owned(), true)
        );
        assert_eq!(
            filtered(&["END"], &["a E", "N", "ough"]),
            ("a ENough".to_owned(), false)
        );
        assert_eq!(filtered(&["b", "ab"], &["xab"]), ("x".to_owned(), true));
        assert_eq!(
            filtered(&[], &["any", "thing"]),
            ("anything".to_owned(), false)
        );
        assert_eq!(filtered(&["EN"], &["a E"]), ("a E".to_owned(), false));
    }
}
