//! Where the part of a prompt ends that the next call begins with again.
//!
//! Vendors look a prompt up by its beginning: tools, then system text, then messages. A point after each
//! of the first two serves every session of an agent. Within a conversation the next step adds to what
//! this one sends, so the point of this step stands after the user's last message, and the one before
//! it where the last step had its own, which is where the vendor finds what it keeps. Four in all is
//! the most that vendors take.
//!
//! What follows the user's last message, an answer to be continued, is this step's alone.

use outcrop_engine::port::{ModelRequest, PromptCache};
use outcrop_model::converse::ConversationRole;

/// The points of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Points {
    /// After the last tool.
    pub(super) tools: bool,
    /// After the system text.
    pub(super) system: bool,
    /// After these messages.
    messages: [Option<usize>; 2],
}

impl Points {
    /// The points that `request` asks a vendor to be shown; none where its caller has set its own.
    pub(super) fn of(request: &ModelRequest) -> Self {
        if request.cache == PromptCache::AsGiven {
            return Self::default();
        }
        // A single message to a model without tools has no next step.
        let goes_on = !request.tools.is_empty() || request.messages.len() > 1;
        let mut by_user = request
            .messages
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, message)| message.role == ConversationRole::User)
            .map(|(index, _)| index)
            .take_while(|_| goes_on);
        Self {
            tools: true,
            system: true,
            messages: [by_user.next(), by_user.next()],
        }
    }

    /// Whether one stands after the message of this index.
    pub(super) fn after(&self, message: usize) -> bool {
        self.messages.contains(&Some(message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fixture::{full_request, messages, request};

    #[test]
    fn points_stand_after_what_comes_again() {
        let mut call = full_request("m");
        assert_eq!(Points::of(&call), Points::default());
        call.cache = PromptCache::StablePrefix;
        assert_eq!(Points::of(&call).messages, [Some(2), Some(0)]);
        // The next step's second point is this step's first.
        call.messages.extend(messages(&json!([
            {"role": "assistant", "content": [{"text": "a"}]},
            {"role": "user", "content": [{"text": "b"}]},
            {"role": "assistant", "content": [{"text": "to be continued"}]}
        ])));
        assert_eq!(Points::of(&call).messages, [Some(4), Some(2)]);
        assert!(Points::of(&call).after(2) && !Points::of(&call).after(5));
    }

    #[test]
    fn a_single_question_is_asked_once() {
        let mut call = request("m");
        call.cache = PromptCache::StablePrefix;
        let points = Points::of(&call);
        assert!(points.system && points.messages == [None, None]);
    }
}
