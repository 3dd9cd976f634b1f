//! The deterministic planner behind the stub: the same conversation always gets the same reply.
//!
//! It reads only the transcript. An order number asks for the order tool, a calendar for the calendar
//! tool, tool results are answered, a conversation to be summarised is, and anything else gets a plain
//! answer. It has no state, so a test
//! that replays a conversation sees the same words.

use serde_json::json;

use crate::reply::{Part, Reply};
use crate::transcript::Transcript;

/// The reply to `transcript`; `call_id` names the tool call, should there be one.
pub fn reply(transcript: &Transcript, call_id: &str) -> Reply {
    let results = transcript.last_results();
    let question = transcript.last_text();
    // Results with a text behind them belong to a turn that failed; the text is the new question.
    if !results.is_empty() && question.is_empty() {
        return answered(&results.join(" "));
    }
    if question.contains(SUMMARY_FORM) {
        return summary(question);
    }
    if let Some(order) = order_number(question)
        && let Some(tool) = transcript
            .tool_ending("get_order_status")
            .or_else(|| transcript.tool_ending("getOrderStatus"))
    {
        return call(
            &format!("The user asks about order {order}, so I look it up first."),
            call_id,
            &tool.name,
            &json!({ "order_id": order }).to_string(),
        );
    }
    if question.to_lowercase().contains("calendar")
        && let Some(tool) = transcript.tool_ending("open_calendar")
    {
        return call(
            "Opening a calendar is something only the user's own machine can do.",
            call_id,
            &tool.name,
            &json!({ "date": "2026-04-27" }).to_string(),
        );
    }
    let turns = transcript.messages.len();
    Reply::of(vec![Part::Text(format!(
        "<answer>This conversation has {turns} messages; the last one says: {question}</answer>"
    ))])
}

/// What a prompt that asks for the summary of a session holds.
const SUMMARY_FORM: &str = "<topic name='user goals'>";

/// A summary of a session: what its user said, line by line.
fn summary(prompt: &str) -> Reply {
    let (_, conversation) = prompt.rsplit_once("<conversation>").unwrap_or_default();
    let (conversation, _) = conversation
        .split_once("</conversation>")
        .unwrap_or_default();
    let said: Vec<&str> = conversation
        .lines()
        .filter_map(|line| line.strip_prefix("User: "))
        .collect();
    Reply::of(vec![Part::Text(format!(
        "<summary>\n<topic name='user goals'>The user said: {}</topic>\n<topic name='assistant actions'>The assistant answered.</topic>\n</summary>",
        said.join(" / ")
    ))])
}

/// The reply after tool results.
fn answered(results: &str) -> Reply {
    Reply::of(vec![Part::Text(format!(
        "<thinking>The tool has answered, which is all I need.</thinking>\n\n<answer>\nThe tool says: {results}\n</answer>"
    ))])
}

/// A reply that thinks and then calls one tool.
fn call(thought: &str, id: &str, name: &str, arguments: &str) -> Reply {
    Reply::of(vec![
        Part::Text(format!("<thinking>{thought}</thinking>")),
        Part::Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        },
    ])
}

/// The first order number in `text`: a capital letter, a hyphen, and at least two digits.
fn order_number(text: &str) -> Option<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .find(|word| {
            let mut parts = word.splitn(2, '-');
            let (Some(letter), Some(digits)) = (parts.next(), parts.next()) else {
                return false;
            };
            letter.len() == 1
                && letter.bytes().all(|byte| byte.is_ascii_uppercase())
                && digits.len() >= 2
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_are_found_in_prose() {
        assert_eq!(
            order_number("Where is order A-482, and B-1?"),
            Some("A-482")
        );
        assert_eq!(order_number("well-known AB-482 a-482"), None);
    }
}
