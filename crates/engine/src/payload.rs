//! References to payloads in messages between agents (behaviour.md 11.2): what one agent marked as a
//! payload, a supervisor passes on by its id.

use outcrop_model::converse::{ContentBlock, Message, ToolResultContentBlock};

const OPEN: &str = "<br:payload id=\"";
const CLOSE: &str = "</br:payload>";
const SHARE: &str = "<br:share_payload id=\"";
/// Longest id of a payload, bytes.
const ID_BYTES_MAX: usize = 256;

/// `text` with each reference replaced by the payload of that id, the newest in `said`. A reference to
/// a payload that nobody gave stays as it is.
pub fn expand<'a>(text: &str, said: &(impl Iterator<Item = &'a Message> + Clone)) -> String {
    if !text.contains(SHARE) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(SHARE) {
        out.push_str(before);
        let reference = after
            .split_once('"')
            .filter(|(id, _)| id.len() <= ID_BYTES_MAX)
            .and_then(|(id, tail)| Some((id, tail.split_once('>')?)));
        let Some((id, (_, tail))) = reference else {
            out.push_str(SHARE);
            rest = after;
            continue;
        };
        if let Some(payload) = find(id, said.clone()) {
            out.push_str(payload);
        } else {
            let length = after.len() - tail.len();
            out.push_str(SHARE);
            out.push_str(after.get(..length).unwrap_or_default());
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The newest payload of that id, with its tags.
fn find<'a>(id: &str, said: impl Iterator<Item = &'a Message>) -> Option<&'a str> {
    let mut found = None;
    for text in said.flat_map(texts) {
        let mut rest = text;
        while let Some(start) = rest.find(OPEN) {
            let block = rest.get(start..)?;
            let named = block.get(OPEN.len()..)?;
            let end = block.find(CLOSE);
            if named.split_once('"').is_some_and(|(given, _)| given == id)
                && let Some(end) = end
            {
                found = block.get(..end + CLOSE.len());
            }
            rest = named;
        }
    }
    found
}

fn texts(message: &Message) -> impl Iterator<Item = &str> {
    message.content.iter().flat_map(|block| match block {
        ContentBlock::Text(text) => vec![text.as_str()],
        ContentBlock::ToolResult(result) => result
            .content
            .iter()
            .filter_map(|part| match part {
                ToolResultContentBlock::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::converse::{assistant_text, user_text};

    #[test]
    fn a_reference_becomes_the_newest_payload_of_its_id() {
        let said = [
            user_text("<br:payload id=\"p1\"> old </br:payload>"),
            user_text("x <br:payload id=\"p1\"> new </br:payload> y"),
            assistant_text("<br:payload id=\"p2\"> never closed"),
        ];
        for (text, expanded) in [
            ("plain", "plain"),
            (
                "Use <br:share_payload id=\"p1\"/>.",
                "Use <br:payload id=\"p1\"> new </br:payload>.",
            ),
            (
                "<br:share_payload id=\"p2\"/>!",
                "<br:share_payload id=\"p2\"/>!",
            ),
            ("<br:share_payload id=\"p1", "<br:share_payload id=\"p1"),
        ] {
            assert_eq!(expand(text, &said.iter()), expanded);
        }
    }
}
