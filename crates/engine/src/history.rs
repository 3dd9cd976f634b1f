//! The conversation of a session as the model sees it: shared, append-only, cheap to extend.
//!
//! An [`Utterance`] is written once and shared by every later prompt and trace of the session; its
//! rendering for traces is made at most once, so that turn 200 costs little more than turn 1.

use std::sync::{Arc, OnceLock};

use outcrop_model::converse::{
    ContentBlock, ConversationRole, DocumentSource, ImageBlock, ImageSource, Message,
    ToolResultContentBlock,
};

use crate::orchestration::ConversationView;
use crate::prompt::answer::THOUGHTS;

/// A guess at the size of a block that is not text, bytes.
const OTHER_BLOCK_BYTES: u64 = 256;

/// One message of a conversation.
#[derive(Debug)]
pub struct Utterance {
    message: Arc<Message>,
    traced: OnceLock<Box<str>>,
    /// Whether a turn begins with it.
    opens_turn: bool,
}

impl Utterance {
    /// The message that a turn begins with.
    pub fn opening(message: Arc<Message>) -> Arc<Self> {
        Arc::new(Self {
            message,
            traced: OnceLock::new(),
            opens_turn: true,
        })
    }

    /// Wraps a message.
    pub fn new(message: Message) -> Arc<Self> {
        Self::shared(Arc::new(message))
    }

    /// Wraps a message that is shared already.
    pub fn shared(message: Arc<Message>) -> Arc<Self> {
        Arc::new(Self {
            message,
            traced: OnceLock::new(),
            opens_turn: false,
        })
    }

    /// The message.
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// Roughly what the message keeps in memory, bytes.
    pub fn approximate_bytes(&self) -> u64 {
        self.message
            .content
            .iter()
            .map(|block| match block {
                // The rendering for traces is about as large again.
                ContentBlock::Text(text) => 2 * text.len() as u64,
                ContentBlock::Image(image) => image_bytes(image),
                ContentBlock::Document(document) => match &document.source {
                    DocumentSource::Bytes(bytes) => bytes.as_bytes().len() as u64,
                    _ => OTHER_BLOCK_BYTES,
                },
                ContentBlock::ToolResult(result) => result
                    .content
                    .iter()
                    .map(|part| match part {
                        ToolResultContentBlock::Text(text) => 2 * text.len() as u64,
                        ToolResultContentBlock::Image(image) => image_bytes(image),
                        _ => OTHER_BLOCK_BYTES,
                    })
                    .sum(),
                _ => OTHER_BLOCK_BYTES,
            })
            .sum()
    }

    /// The message as one element of `messages` in `modelInvocationInput.text`.
    pub fn traced(&self) -> &str {
        self.traced
            .get_or_init(|| crate::trace::render_message(&self.message).into_boxed_str())
    }
}

fn image_bytes(image: &ImageBlock) -> u64 {
    match &image.source {
        ImageSource::Bytes(bytes) => bytes.as_bytes().len() as u64,
        _ => OTHER_BLOCK_BYTES,
    }
}

impl PartialEq for Utterance {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}

/// `utterances` with neighbours of one role merged, since models demand that roles alternate and a
/// turn that was cut leaves two user messages side by side. Blocks keep their order, but for tool
/// results, which must come first in their message.
pub fn alternating(utterances: &[Arc<Utterance>]) -> Vec<Arc<Utterance>> {
    let mut out: Vec<Arc<Utterance>> = Vec::with_capacity(utterances.len());
    for utterance in utterances {
        match out.last_mut() {
            Some(last) if last.message.role == utterance.message.role => {
                *last = merged(last, utterance);
            }
            _ => out.push(Arc::clone(utterance)),
        }
    }
    out
}

/// Earlier turns as `promptCreationConfigurations` has the model shown them (behaviour.md 3.3).
pub fn viewed(history: &[Arc<Utterance>], view: ConversationView) -> Vec<Arc<Utterance>> {
    let shown = match view.previous_turns {
        None => history,
        Some(0) => &[],
        Some(turns) => {
            let openings = history
                .iter()
                .enumerate()
                .rev()
                .filter(|(_, utterance)| utterance.opens_turn);
            let turns = usize::try_from(turns).unwrap_or(usize::MAX);
            let first = openings.map(|(index, _)| index).nth(turns - 1);
            history.get(first.unwrap_or(0)..).unwrap_or_default()
        }
    };
    if !view.exclude_thinking {
        return shown.to_vec();
    }
    shown.iter().filter_map(without_thinking).collect()
}

/// The message without its thoughts; `None` where it held nothing else.
fn without_thinking(utterance: &Arc<Utterance>) -> Option<Arc<Utterance>> {
    let message = &utterance.message;
    let thinks = |block: &ContentBlock| match block {
        ContentBlock::Text(text) => THOUGHTS.iter().any(|(opening, _)| text.contains(opening)),
        ContentBlock::ReasoningContent(_) => true,
        _ => false,
    };
    if message.role != ConversationRole::Assistant || !message.content.iter().any(thinks) {
        return Some(Arc::clone(utterance));
    }
    let content: Vec<ContentBlock> = message
        .content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::ReasoningContent(_) => None,
            ContentBlock::Text(text) => {
                let text = unthought(text);
                (!text.trim().is_empty()).then_some(ContentBlock::Text(text))
            }
            other => Some(other.clone()),
        })
        .collect();
    if content.is_empty() {
        return None;
    }
    Some(Arc::new(Utterance {
        message: Arc::new(Message {
            role: message.role,
            content,
        }),
        traced: OnceLock::new(),
        opens_turn: utterance.opens_turn,
    }))
}

/// A text without its thoughts; one that is never closed goes on to the end.
fn unthought(text: &str) -> String {
    let mut spoken = text.to_owned();
    for (opening, closing) in THOUGHTS {
        if !spoken.contains(opening) {
            continue;
        }
        let mut out = String::with_capacity(spoken.len());
        let mut rest = spoken.as_str();
        while let Some((before, after)) = rest.split_once(opening) {
            out.push_str(before);
            rest = after.split_once(closing).map_or("", |(_, tail)| tail);
        }
        out.push_str(rest);
        spoken = out;
    }
    spoken
}

fn merged(first: &Utterance, second: &Utterance) -> Arc<Utterance> {
    let blocks = || first.message.content.iter().chain(&second.message.content);
    let is_result = |block: &&ContentBlock| matches!(block, ContentBlock::ToolResult(_));
    let content = blocks()
        .filter(is_result)
        .chain(blocks().filter(|block| !is_result(block)))
        .cloned()
        .collect();
    Utterance::new(Message {
        role: first.message.role,
        content,
    })
}

#[cfg(test)]
mod tests {
    use outcrop_model::converse::ToolResultStatus;

    use super::*;
    use crate::converse::{assistant_text, tool_result, user_text};

    #[test]
    fn neighbours_of_one_role_become_one_message_with_results_first() {
        let mut cut = user_text("first question");
        cut.content
            .insert(0, ContentBlock::Text("preface".to_owned()));
        let mut results = user_text("second question");
        results
            .content
            .push(tool_result("t1", "done", ToolResultStatus::Success));
        let merged = alternating(&[
            Utterance::new(cut),
            Utterance::new(results),
            Utterance::new(assistant_text("answer")),
        ]);
        assert_eq!(merged.len(), 2);
        assert_eq!(
            merged[0].message().content,
            vec![
                tool_result("t1", "done", ToolResultStatus::Success),
                ContentBlock::Text("preface".to_owned()),
                ContentBlock::Text("first question".to_owned()),
                ContentBlock::Text("second question".to_owned()),
            ]
        );
    }

    #[test]
    fn thoughts_in_the_text_of_every_kind_are_left_out() {
        assert_eq!(
            unthought("a<thinking>b</thinking>c <think>d</think>e<scratchpad>f"),
            "ac e"
        );
        assert_eq!(unthought("nothing"), "nothing");
    }
}
