//! Values written in the styles of `OpenAPI` 3.0 (Parameter Object, "Style Values").
//!
//! Every character of a value that has a meaning in its place is percent-encoded; the separators of
//! the styles are the only ones that are not.

use outcrop_engine::action::call::{ApiParameter, Style};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// All but RFC 3986's unreserved characters.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Also the reserved characters that do not end or divide a query (`allowReserved`).
const RESERVED: &AsciiSet = &VALUE
    .remove(b':')
    .remove(b'/')
    .remove(b'?')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b';');
/// What the schema's author wrote between parameters: a path may hold these as they are, and
/// characters that are already encoded.
pub(super) const PATH_LITERAL: &AsciiSet = &RESERVED
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'%')
    .add(b'?')
    .add(b'\'');

/// The value in a path.
pub(super) fn path(parameter: &ApiParameter, value: &Value) -> String {
    let name = encoded(&parameter.name);
    let (start, separator) = match (parameter.style, parameter.explode) {
        (Style::Json, _) => return encoded(&value.to_string()),
        (Style::Label, true) => (".".to_owned(), "."),
        (Style::Label, false) => (".".to_owned(), ","),
        (Style::Matrix, true) => (";".to_owned(), ";"),
        (Style::Matrix, false) => (format!(";{name}="), ","),
        _ => (String::new(), ","),
    };
    let names_each = parameter.style == Style::Matrix && parameter.explode;
    let items = match value {
        Value::Array(items) => items
            .iter()
            .map(|item| {
                let item = encoded(&plain(item));
                if names_each {
                    format!("{name}={item}")
                } else {
                    item
                }
            })
            .collect(),
        Value::Object(_) => members(value, parameter.explode, encoded),
        scalar if names_each => vec![format!("{name}={}", encoded(&plain(scalar)))],
        scalar => vec![encoded(&plain(scalar))],
    };
    if items.iter().all(String::is_empty) {
        return String::new();
    }
    format!("{start}{}", items.join(separator))
}

/// The value as a part of a query, without the `&` around it. Empty arrays and objects are nothing.
pub(super) fn query(parameter: &ApiParameter, value: &Value) -> String {
    let set = if parameter.allow_reserved {
        RESERVED
    } else {
        VALUE
    };
    let encoded = |text: &str| utf8_percent_encode(text, set).to_string();
    let name = utf8_percent_encode(&parameter.name, VALUE).to_string();
    let separator = match parameter.style {
        Style::SpaceDelimited => "%20",
        Style::PipeDelimited => "%7C",
        _ => ",",
    };
    match (parameter.style, value) {
        (Style::Json, value) => format!("{name}={}", encoded(&value.to_string())),
        (Style::DeepObject, Value::Object(_)) => {
            let mut pairs = Vec::new();
            deep(&name, value, &encoded, &mut pairs);
            pairs.join("&")
        }
        (_, Value::Array(items)) if parameter.explode || parameter.style == Style::DeepObject => {
            let pair = |item| format!("{name}={}", encoded(&plain(item)));
            let pairs: Vec<String> = items.iter().map(pair).collect();
            pairs.join("&")
        }
        (_, Value::Array(items)) if items.is_empty() => String::new(),
        (_, Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| encoded(&plain(item))).collect();
            format!("{name}={}", items.join(separator))
        }
        (_, Value::Object(_)) => {
            let items = members(value, parameter.explode, encoded);
            match (parameter.explode, items.is_empty()) {
                (_, true) => String::new(),
                (true, false) => items.join("&"),
                (false, false) => format!("{name}={}", items.join(separator)),
            }
        }
        (_, scalar) => format!("{name}={}", encoded(&plain(scalar))),
    }
}

/// The value in a header. Nothing is encoded there; what cannot stand in a header is refused later.
pub(super) fn header(parameter: &ApiParameter, value: &Value) -> String {
    match value {
        value if parameter.style == Style::Json => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            items.join(",")
        }
        Value::Object(_) => members(value, parameter.explode, str::to_owned).join(","),
        scalar => plain(scalar),
    }
}

/// `name[member]=value`, to any depth.
fn deep(name: &str, value: &Value, encoded: &impl Fn(&str) -> String, pairs: &mut Vec<String>) {
    match value {
        Value::Object(inner) => {
            for (member, value) in inner {
                let name = format!("{name}%5B{}%5D", utf8_percent_encode(member, VALUE));
                deep(&name, value, encoded, pairs);
            }
        }
        Value::Array(items) => {
            pairs.extend(
                items
                    .iter()
                    .map(|item| format!("{name}={}", encoded(&plain(item)))),
            );
        }
        scalar => pairs.push(format!("{name}={}", encoded(&plain(scalar)))),
    }
}

/// An object's members: `name=value` each, or names and values in turn.
fn members(value: &Value, explode: bool, encoded: impl Fn(&str) -> String) -> Vec<String> {
    let members = value.as_object().into_iter().flatten();
    members
        .flat_map(|(name, value)| {
            let (name, value) = (encoded(name), encoded(&plain(value)));
            if explode {
                vec![format!("{name}={value}")]
            } else {
                vec![name, value]
            }
        })
        .collect()
}

/// A value as text: strings bare, structures within structures as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}
