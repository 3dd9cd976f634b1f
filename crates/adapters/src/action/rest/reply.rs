//! An API's response as the reply of a Lambda function (behaviour.md 1.5).
//!
//! Text is passed on as it is, JSON included; what is no text is refused by its name.

use http::HeaderValue;
use outcrop_engine::action::ActionTarget;
use outcrop_engine::action::call::CalledAction;
use serde::Serialize;

/// Media types besides `text/*` that are text.
const TEXT_TYPES: [&str; 8] = [
    "application/json",
    "application/graphql",
    "application/javascript",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
];
/// Endings of media types that are written in a text format.
const TEXT_SUFFIXES: [&str; 4] = ["+json", "+xml", "+yaml", "+text"];

/// A body that no model can read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes of {media_type}, which is not text and cannot be given to a model")]
pub(super) struct Binary {
    media_type: String,
    bytes: usize,
}

/// The body as text. A body without a type, or with the type of anything, is judged by its bytes.
pub(super) fn text(content_type: Option<&HeaderValue>, body: &[u8]) -> Result<String, Binary> {
    let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let full = content_type.as_deref().unwrap_or_default();
    let mut parts = full.split(';');
    let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let binary = || Binary {
        media_type: match media_type.as_str() {
            "" => "no named type".to_owned(),
            named => named.to_owned(),
        },
        bytes: body.len(),
    };
    if body.is_empty() {
        return Ok(String::new());
    }
    let is_known = is_text(&media_type);
    let may_be = matches!(media_type.as_str(), "" | "application/octet-stream");
    if !is_known && !may_be {
        return Err(binary());
    }
    let is_latin = parts.any(|parameter| {
        let charset = parameter.trim().to_ascii_lowercase();
        let charset = charset.strip_prefix("charset=").unwrap_or_default();
        matches!(
            charset.trim_matches('"'),
            "iso-8859-1" | "latin1" | "windows-1252" | "us-ascii"
        )
    });
    match std::str::from_utf8(body) {
        Ok(text) if is_known || !text.contains('\0') => {
            Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
        }
        Err(_) if is_known && is_latin => Ok(body.iter().copied().map(char::from).collect()),
        Ok(_) | Err(_) => Err(binary()),
    }
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || TEXT_TYPES.contains(&media_type)
        || TEXT_SUFFIXES
            .iter()
            .any(|suffix| media_type.ends_with(suffix))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    message_version: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
struct Response<'a> {
    action_group: &'a str,
    api_path: &'a str,
    http_method: &'a str,
    http_status_code: u16,
    response_body: Bodies<'a>,
}

#[derive(Serialize)]
struct Bodies<'a> {
    #[serde(rename = "application/json")]
    json: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    body: &'a str,
}

/// The reply of a Lambda function that has called this operation with this result.
pub(in crate::action) fn payload(action: &CalledAction, status: u16, text: &str) -> Vec<u8> {
    let (api_path, http_method) = match &action.target {
        ActionTarget::Api { path, method, .. } => (path.as_str(), method.as_str()),
        ActionTarget::Function { name } => (name.as_str(), ""),
    };
    let envelope = Envelope {
        message_version: "1.0",
        response: Response {
            action_group: &action.action_group,
            api_path,
            http_method,
            http_status_code: status,
            response_body: Bodies {
                json: Body { body: text },
            },
        },
    };
    serde_json::to_vec(&envelope).expect("an envelope holds only string-keyed data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_passes_and_binary_is_named() {
        let told = |media_type: &'static str, body: &[u8]| {
            let header = (!media_type.is_empty()).then(|| HeaderValue::from_static(media_type));
            text(header.as_ref(), body).map_err(|refusal| refusal.to_string())
        };
        for (media_type, body, expected) in [
            ("application/json", &b"{\"a\": 1}"[..], "{\"a\": 1}"),
            ("Application/Problem+JSON; charset=utf-8", b"{}", "{}"),
            ("text/html", b"<p>", "<p>"),
            ("text/plain; charset=ISO-8859-1", b"caf\xe9", "caf\u{e9}"),
            ("text/plain", b"\xef\xbb\xbfhi", "hi"),
            ("", b"plain", "plain"),
            ("application/octet-stream", b"plain", "plain"),
            ("application/pdf", b"", ""),
        ] {
            assert_eq!(
                told(media_type, body).as_deref(),
                Ok(expected),
                "{media_type}"
            );
        }
        for (media_type, body, refusal) in [
            (
                "application/pdf",
                &b"%PDF"[..],
                "4 bytes of application/pdf, which is not text and cannot be given to a model",
            ),
            (
                "image/png",
                b"abc",
                "3 bytes of image/png, which is not text and cannot be given to a model",
            ),
            (
                "text/plain",
                b"\xff\xfe",
                "2 bytes of text/plain, which is not text and cannot be given to a model",
            ),
            (
                "",
                b"a\0b",
                "3 bytes of no named type, which is not text and cannot be given to a model",
            ),
        ] {
            assert_eq!(told(media_type, body), Err(refusal.to_owned()));
        }
    }
}
