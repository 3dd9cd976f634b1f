//! Writing a template: values as YAML that reads well and comes back as the same values.
//!
//! Functions are written as CloudFormation's short tags where these are shorter. What plain YAML could
//! mistake for something else is quoted as JSON, which YAML reads alike.
//!
//! Invariant: the reader beside this gives back what was written.

use serde_json::{Map, Value};

/// Words that YAML, old or new, takes for something else than text.
const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// The entries of a mapping, each on lines of its own, `indent` spaces in.
pub fn mapping(entries: &Map<String, Value>, indent: usize) -> String {
    let mut text = String::new();
    for (key, value) in entries {
        text.push_str(&" ".repeat(indent));
        text.push_str(&scalar(key));
        text.push(':');
        child(value, indent, &mut text);
    }
    text
}

fn list(items: &[Value], indent: usize) -> String {
    let mut text = String::new();
    for item in items {
        let nested = match item {
            Value::Object(entries) if !entries.is_empty() && short(item).is_none() => {
                mapping(entries, indent + 2)
            }
            Value::Array(items) if !items.is_empty() => list(items, indent + 2),
            _ => {
                text.push_str(&" ".repeat(indent));
                text.push('-');
                child(item, indent, &mut text);
                continue;
            }
        };
        // The first line begins behind the dash instead of behind its indent.
        text.push_str(&" ".repeat(indent));
        text.push_str("- ");
        text.push_str(nested.get(indent + 2..).unwrap_or_default());
    }
    text
}

/// What stands behind a colon or a dash, line end included.
fn child(value: &Value, indent: usize, text: &mut String) {
    if let Some(short) = short(value) {
        text.push(' ');
        text.push_str(&short);
        text.push('\n');
        return;
    }
    match value {
        Value::Object(entries) if entries.is_empty() => text.push_str(" {}\n"),
        Value::Object(entries) => {
            text.push('\n');
            text.push_str(&mapping(entries, indent + 2));
        }
        Value::Array(items) if items.is_empty() => text.push_str(" []\n"),
        Value::Array(items) => {
            text.push('\n');
            text.push_str(&list(items, indent + 2));
        }
        Value::String(content) if is_block(content) => {
            text.push_str(if content.ends_with('\n') {
                " |\n"
            } else {
                " |-\n"
            });
            for line in content.lines() {
                if !line.is_empty() {
                    text.push_str(&" ".repeat(indent + 2));
                    text.push_str(line);
                }
                text.push('\n');
            }
        }
        Value::String(content) => {
            text.push(' ');
            text.push_str(&scalar(content));
            text.push('\n');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            text.push(' ');
            text.push_str(&value.to_string());
            text.push('\n');
        }
    }
}

/// A function in CloudFormation's short form.
fn short(value: &Value) -> Option<String> {
    let entries = value.as_object().filter(|entries| entries.len() == 1)?;
    let (function, argument) = entries.iter().next()?;
    match (function.as_str(), argument) {
        ("Ref", Value::String(name)) => Some(format!("!Ref {}", scalar(name))),
        ("Fn::Sub", Value::String(text)) => Some(format!("!Sub {}", quoted(text))),
        ("Fn::File", Value::String(path)) => Some(format!("!File {}", scalar(path))),
        ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
            [Value::String(resource), Value::String(attribute)] => {
                Some(format!("!GetAtt {resource}.{attribute}"))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Text on one line: plain where it can be nothing else, else quoted.
pub fn scalar(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn is_plain(text: &str) -> bool {
    let first_fits = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let all_fit = text
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || " _-./:()$,'".contains(character));
    first_fits
        && all_fit
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// JSON's form, with the line ends that only YAML knows escaped too.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    json.chars()
        .map(|character| match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                format!("\\u{:04x}", u32::from(character))
            }
            other => other.to_string(),
        })
        .collect()
}

/// Whether text can be written as it is over several lines.
fn is_block(text: &str) -> bool {
    let is_fitting = |character: char| {
        character == '\n'
            || !(character.is_control()
                || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}'))
    };
    let lines = || text.lines();
    text.trim_end_matches('\n').contains('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with(['\n', ' '])
        && text.chars().all(is_fitting)
        && lines().all(|line| line.is_empty() || !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::parse;

    #[track_caller]
    fn comes_back(value: &Value) -> String {
        let text = mapping(value.as_object().unwrap(), 0);
        let read = parse(&text).unwrap_or_else(|problem| panic!("{problem} in\n{text}"));
        assert_eq!(&read.to_json(), value, "{text}");
        text
    }

    #[test]
    fn what_is_written_is_read() {
        let text = comes_back(&json!({
            "Name": "support-bot", "Arn": "arn:aws:iam::111111111111:role/x", "Empty": "",
            "Number": 3, "Float": 0.5, "Flag": true, "Text": "true", "Digits": "0123", "No": "No",
            "Key: with": "a: b", "Hash": "a #b", "Star": "*x", "Colon": "x:", "None": {}, "Nothing": [],
            "Ref": {"Fn::GetAtt": ["A", "Arn"]}, "Sub": {"Fn::Sub": "${A}:prod"},
            "File": {"Fn::File": "prompts/a b.txt"}, "Join": {"Fn::Join": [",", ["a", {"Ref": "B"}]]},
            "List": [1, "a", [], {}, [1, [2, 3]], {"a": {"b": [{"c": 1, "d": [{"e": 2}]}]}, "f": "x\ny"}],
            "Lines": "one\n\n  two: 'x'\n\nthree\n", "Open": "one\ntwo", "Many": "one\n\n\n",
            "Leading": "  one\ntwo", "Break": "\none\ntwo", "Blank": "one\n  \ntwo", "Return": "one\r\ntwo",
            "Tab": "one\n\ttwo", "Strange": "a\u{85}b\u{2028}c\u{0}d\u{feff}", "Emoji": "grüß 🦀"
        }));
        assert!(text.contains("Lines: |\n  one\n\n    two: 'x'\n"), "{text}");
        assert!(text.contains("Ref: !GetAtt A.Arn\n"), "{text}");
    }

    #[test]
    fn every_printable_text_comes_back() {
        for character in (0u32..0x3000).filter_map(char::from_u32) {
            for text in [
                format!("{character}"),
                format!("a{character}"),
                format!("a\n{character}b"),
            ] {
                comes_back(&json!({"x": text, "y": [text]}));
            }
        }
    }
}
