//! Messages a run keeps or gives: what of a reply enters the conversation, and in which form.

use std::sync::Arc;

use outcrop_model::converse::{
    ContentBlock, ConversationRole, Message, ReasoningContentBlock, ToolResultStatus,
};

use crate::converse::tool_uses;
use crate::definition::Executor;
use crate::files;
use crate::history::Utterance;
use crate::orchestration::acting::{Acting, CallSlot, DENIED, SlotState, conversation_input};
use crate::orchestration::control::{self, Confirmation, ReturnedResult};
use crate::orchestration::event::Started;
use crate::plan::ASK_USER_TOOL;
use crate::prompt::answer::Reading;

/// The messages that the caller put before the question, and the files to be shown with it.
pub(super) fn given(started: &Started, history: &[Arc<Utterance>]) -> Vec<Arc<Utterance>> {
    let messages = started.conversation_history.iter().cloned();
    messages
        .chain(files::shown(&started.files, history))
        .map(Utterance::new)
        .collect()
}

pub(super) fn utterance((role, text): (ConversationRole, String)) -> Arc<Utterance> {
    Utterance::new(Message {
        role,
        content: vec![ContentBlock::Text(text)],
    })
}

pub(super) fn invocation_id(acting: &Acting) -> String {
    let types: Vec<_> = control::open_inputs(acting)
        .iter()
        .map(control::OpenInput::kind)
        .collect();
    control::invocation_id(&acting.invocation_uuid, &types)
}

/// What a returned result makes of the call it answers.
pub(super) fn answered(slot: &CallSlot, result: &ReturnedResult) -> SlotState {
    let done = |text: String, image, status| SlotState::Done {
        text,
        image,
        status,
    };
    if result.confirmation == Some(Confirmation::Deny) {
        return done(DENIED.to_owned(), None, ToolResultStatus::Error);
    }
    let by_lambda = slot
        .action
        .as_ref()
        .is_some_and(|action| matches!(action.executor, Executor::Lambda(_)));
    if by_lambda {
        return SlotState::Running;
    }
    // AWS's own samples give every result of computer use as REPROMPT, and Anthropic's models refuse
    // an image in a result that is an error.
    let computer_use = slot
        .action
        .as_ref()
        .is_some_and(|action| action.computer_use);
    let status = if result.reprompt && !computer_use && result.image.is_none() {
        ToolResultStatus::Error
    } else {
        ToolResultStatus::Success
    };
    let image = result.image.clone().map(Box::new);
    done(result.body.clone().unwrap_or_default(), image, status)
}

pub(super) fn results(acting: &Acting, open: &str) -> Arc<Utterance> {
    Utterance::new(Message {
        role: ConversationRole::User,
        content: acting.slots.iter().map(|slot| slot.result(open)).collect(),
    })
}

/// The assistant's message as the conversation keeps it: tool inputs that are no objects emptied.
pub(super) fn sanitised(message: &Message) -> Arc<Utterance> {
    let mut message = message.clone();
    for block in &mut message.content {
        if let ContentBlock::ToolUse(tool_use) = block {
            tool_use.input = conversation_input(&tool_use.input);
        }
    }
    message
        .content
        .retain(|block| !matches!(block, ContentBlock::Text(text) if text.trim().is_empty()));
    Utterance::new(message)
}

/// A final message as the conversation keeps it: without calls that were not made, and with the
/// answer tag closed that the stop sequence cut off.
pub(super) fn closed_without_calls(message: &Message) -> Arc<Utterance> {
    let mut message = message.clone();
    message.content.retain(|block| match block {
        ContentBlock::ToolUse(_) => false,
        ContentBlock::Text(text) => !text.trim().is_empty(),
        _ => true,
    });
    if let Some(ContentBlock::Text(text)) = message.content.last_mut()
        && text.contains("<answer>")
        && !text.contains("</answer>")
    {
        text.push_str("</answer>");
    }
    if message.content.is_empty() {
        message
            .content
            .push(ContentBlock::Text("(no answer)".to_owned()));
    }
    Utterance::new(message)
}

pub(super) fn asked_question(message: &Message) -> Option<String> {
    tool_uses(message)
        .find(|tool_use| tool_use.name == ASK_USER_TOOL)
        .and_then(|tool_use| tool_use.input.get("question"))
        .and_then(|question| question.as_str())
        .filter(|question| !question.trim().is_empty())
        .map(ToOwned::to_owned)
}

/// Thinking, else the model's own reasoning, else the text before a call (trace-order.md 2).
pub(super) fn rationale(message: &Message, reading: &Reading, acts: bool) -> Option<String> {
    if let Some(thinking) = &reading.thinking {
        return Some(thinking.clone());
    }
    let reasoning: String = message
        .content
        .iter()
        .filter_map(|block| match block {
            ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(reasoning)) => {
                Some(reasoning.text.as_str())
            }
            _ => None,
        })
        .collect();
    if !reasoning.trim().is_empty() {
        return Some(reasoning.trim().to_owned());
    }
    (acts && !reading.preamble.is_empty()).then(|| reading.preamble.clone())
}
