//! What a tool gives back, as the reply of a Lambda function (behaviour.md 1.4, 1.5).
//!
//! Models of action groups read text. Text stays as it is; structured content stands in where there is
//! no text; images, sounds and other bytes are named, not shown.

use outcrop_engine::action::ActionTarget;
use outcrop_engine::action::call::CalledAction;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::json;

use crate::action::rest::payload as api_payload;

/// Status of an API operation whose tool reports an error: the model may correct its arguments.
const CLIENT_ERROR: u16 = 400;
const SUCCESS: u16 = 200;
/// Stands for a kind of content that this version of the SDK can read and this program does not know.
const UNKNOWN: &str = "[content of an unknown kind, not shown]";

/// A tool's result as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Result {
    pub(super) text: String,
    pub(super) is_error: bool,
}

impl Result {
    pub(super) fn of(given: CallToolResult) -> Self {
        let has_text = given
            .content
            .iter()
            .any(|block| matches!(block, ContentBlock::Text(_)));
        let mut parts: Vec<String> = given.content.into_iter().map(shown).collect();
        // A server that gives both says the same twice.
        if let (Some(structured), false) = (given.structured_content, has_text) {
            parts.insert(0, structured.to_string());
        }
        Self {
            text: parts.join("\n"),
            is_error: given.is_error == Some(true),
        }
    }
}

/// The reply to the call.
pub(super) fn payload(action: &CalledAction, result: &Result) -> Vec<u8> {
    let ActionTarget::Function { name } = &action.target else {
        let status = if result.is_error {
            CLIENT_ERROR
        } else {
            SUCCESS
        };
        return api_payload(action, status, &result.text);
    };
    let mut response = json!({"responseBody": {"TEXT": {"body": result.text}}});
    if result.is_error {
        response["responseState"] = json!("REPROMPT");
    }
    let envelope = json!({
        "messageVersion": "1.0",
        "response": {
            "actionGroup": action.action_group,
            "function": name,
            "functionResponse": response,
        },
    });
    envelope.to_string().into_bytes()
}

fn shown(block: ContentBlock) -> String {
    let bytes = |media_type: &str, base64: &str| {
        let size = base64.trim_end_matches('=').len() * 3 / 4;
        format!("[{size} bytes of {media_type}, not shown]")
    };
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => bytes(&image.mime_type, &image.data),
        ContentBlock::Audio(audio) => bytes(&audio.mime_type, &audio.data),
        ContentBlock::Resource(embedded) => match embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            ResourceContents::BlobResourceContents {
                uri,
                mime_type,
                blob,
                ..
            } => {
                let media_type = mime_type.as_deref().unwrap_or("no named type");
                format!("{uri} {}", bytes(media_type, &blob))
            }
            _ => UNKNOWN.to_owned(),
        },
        ContentBlock::ResourceLink(link) => match link.mime_type {
            Some(media_type) => format!("{} ({}, {media_type})", link.name, link.uri),
            None => format!("{} ({})", link.name, link.uri),
        },
        _ => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn result(given: Value) -> Result {
        Result::of(serde_json::from_value(given).expect("a tool result"))
    }

    #[test]
    fn text_is_kept_and_bytes_are_named() {
        for (given, text, is_error) in [
            (
                json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
                "a\nb",
                false,
            ),
            (
                json!({"content": [{"type": "text", "text": "no"}], "isError": true}),
                "no",
                true,
            ),
            (
                json!({"content": [], "structuredContent": {"a": 1}}),
                "{\"a\":1}",
                false,
            ),
            (
                json!({"content": [{"type": "text", "text": "{\"a\": 1}"}], "structuredContent": {"a": 1}}),
                "{\"a\": 1}",
                false,
            ),
            (
                json!({"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]}),
                "[3 bytes of image/png, not shown]",
                false,
            ),
            (
                json!({"content": [{"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}}]}),
                "inside",
                false,
            ),
            (
                json!({"content": [{"type": "resource", "resource": {"uri": "file:///a", "blob": "AAA=", "mimeType": "x/y"}}]}),
                "file:///a [2 bytes of x/y, not shown]",
                false,
            ),
            (
                json!({"content": [{"type": "resource_link", "uri": "file:///a", "name": "notes"}]}),
                "notes (file:///a)",
                false,
            ),
        ] {
            let expected = Result {
                text: text.to_owned(),
                is_error,
            };
            assert_eq!(result(given.clone()), expected, "{given}");
        }
    }
}
