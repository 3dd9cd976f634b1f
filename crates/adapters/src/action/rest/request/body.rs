//! Request bodies: JSON, forms and plain text, from typed arguments.

use bytes::Bytes;
use http::HeaderValue;
use outcrop_engine::action::call::{ApiBody, TypedArgument};
use serde_json::{Map, Value};

use super::Mistake;
use super::style::plain;
use crate::http::oauth::form_encoded;

const FORM: &str = "application/x-www-form-urlencoded";

/// The body and its type; nothing where a body is whole and was not given.
pub(super) fn body(
    described: &ApiBody,
    arguments: &[TypedArgument],
) -> Result<Option<(HeaderValue, Bytes)>, Mistake> {
    let mut given = arguments.iter().filter(|argument| argument.in_body);
    let value = if described.is_whole {
        match given.next() {
            Some(argument) => argument.value.clone(),
            None => return Ok(None),
        }
    } else {
        let members: Map<String, Value> = given
            .map(|argument| (argument.name.clone(), argument.value.clone()))
            .collect();
        Value::Object(members)
    };
    let bytes = encode(&described.media_type, &value)?;
    let content_type = HeaderValue::from_str(&described.media_type)
        .map_err(|_| unsupported(&described.media_type))?;
    Ok(Some((content_type, bytes)))
}

fn encode(media_type: &str, value: &Value) -> Result<Bytes, Mistake> {
    let name = media_type.split(';').next().unwrap_or_default().trim();
    let name = name.to_ascii_lowercase();
    let text = match (name.as_str(), value) {
        (FORM, Value::Object(members)) => form(members),
        (name, value) if name.ends_with("/json") || name.ends_with("+json") || name == "*/*" => {
            value.to_string()
        }
        (name, scalar)
            if name.starts_with("text/") && !scalar.is_object() && !scalar.is_array() =>
        {
            plain(scalar)
        }
        _ => return Err(unsupported(media_type)),
    };
    Ok(Bytes::from(text))
}

/// Arrays repeat their name; structures within are JSON, the default of the Encoding Object.
fn form(members: &Map<String, Value>) -> String {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, value) in members {
        match value {
            Value::Array(items) => {
                pairs.extend(items.iter().map(|item| (name.as_str(), plain(item))));
            }
            value => pairs.push((name, plain(value))),
        }
    }
    form_encoded(&pairs)
}

fn unsupported(media_type: &str) -> Mistake {
    Mistake::Schema(format!(
        "a request body of type {media_type} cannot be made from arguments; JSON, {FORM} and text/* can"
    ))
}
