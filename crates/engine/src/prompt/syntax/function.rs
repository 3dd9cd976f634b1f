//! Claude 2's form: `<function_call>group::name(argument="value")</function_call>`.

use std::fmt::Write as _;

use outcrop_model::converse::{ToolSpecification, ToolUseBlock};
use serde_json::{Map, Value};

use super::reader::{Reader, call_start};
use super::{Call, CallSyntax, Found, NamedResult, name, parameters};

const OPENING: &str = "<function_call>";
const CLOSING: &str = "</function_call>";

pub(super) fn describe(out: &mut String, tool: &ToolSpecification) {
    let _ = write!(
        out,
        "<function>\n<function_name>{}</function_name>\n<function_description>{}</function_description>\n",
        name::shown(CallSyntax::Function, &tool.name),
        tool.description.as_deref().unwrap_or_default()
    );
    for parameter in parameters(tool) {
        let tag = if parameter.is_required {
            "required_argument"
        } else {
            "optional_argument"
        };
        let _ = write!(
            out,
            "<{tag}>{} ({}): {}",
            parameter.name, parameter.type_, parameter.description
        );
        if let Some(schema) = parameter.schema {
            let _ = write!(out, " {schema}");
        }
        let _ = writeln!(out, "</{tag}>");
    }
    out.push_str("</function>\n");
}

pub(super) fn calls(calls: &[&ToolUseBlock]) -> String {
    let mut out = String::new();
    for call in calls {
        let _ = write!(
            out,
            "{OPENING}{}(",
            name::shown(CallSyntax::Function, &call.name)
        );
        let arguments = call.input.as_object().into_iter().flatten();
        for (index, (name, value)) in arguments.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(out, "{comma}{name}={value}");
        }
        let _ = writeln!(out, "){CLOSING}");
    }
    out.truncate(out.trim_end().len());
    out
}

pub(super) fn results(results: &[NamedResult<'_>]) -> String {
    let mut out = String::new();
    for result in results {
        let tag = if result.is_error() {
            "error"
        } else {
            "function_result"
        };
        let _ = writeln!(out, "<{tag}>\n{}\n</{tag}>", result.text);
    }
    out.truncate(out.trim_end().len());
    out
}

fn malformed(raw: &str) -> Found {
    Found::Malformed(format!(
        "<error>\nThe function call format is incorrect: {}\nThe format for function calls must be: <function_call>name(argument=\"value\")</function_call>, with the name of one of the functions available.\n</error>",
        raw.trim()
    ))
}

pub(super) fn find(text: &str, known: &dyn Fn(&str) -> bool) -> Found {
    let Some(text_end) = call_start(text, &[OPENING]) else {
        return Found::Nothing;
    };
    let mut reader = Reader::new(text, text_end);
    let mut calls = Vec::new();
    loop {
        reader.skip_space();
        let start = reader.at();
        if !reader.eat(OPENING) {
            break;
        }
        let call = call(&mut reader).and_then(|call| {
            let name = name::native(&call.name, known)?;
            Some(Call { name, ..call })
        });
        let Some(call) = call else {
            let mut end = Reader::new(text, start);
            end.skip_to(CLOSING);
            return malformed(end.since(start).trim_start_matches(OPENING));
        };
        calls.push(call);
    }
    Found::Calls { text_end, calls }
}

/// One call, behind its opening. Its closing tag may have been cut off.
fn call(reader: &mut Reader<'_>) -> Option<Call> {
    let name = reader.until("(")?.trim();
    if name.contains(['<', '\n']) {
        return None;
    }
    let mut input = Map::new();
    loop {
        reader.skip_space();
        if reader.eat(")") {
            break;
        }
        let argument = reader.until("=")?.trim();
        if argument.is_empty() || argument.contains(['<', '\n', ')']) {
            return None;
        }
        reader.skip_space();
        let (value, length) = value(reader.rest())?;
        input.insert(argument.to_owned(), value);
        reader.pass(length);
        reader.skip_space();
        if !reader.eat(",") && !reader.rest().starts_with(')') {
            return None;
        }
    }
    reader.skip_space();
    if !reader.eat(CLOSING) && !reader.rest().is_empty() && !reader.rest().starts_with('<') {
        return None;
    }
    Some(Call {
        name: name.to_owned(),
        input: Value::Object(input),
    })
}

/// The value at the beginning of `text`, and its length in bytes.
fn value(text: &str) -> Option<(Value, usize)> {
    if let Some(quote) = text.chars().next().filter(|first| "\"'".contains(*first)) {
        return quoted(text, quote);
    }
    let length = extent(text)?;
    let written = text.get(..length)?.trim();
    let value = match written {
        "" => return None,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "None" => Value::Null,
        json => serde_json::from_str(json).unwrap_or_else(|_| Value::from(json)),
    };
    Some((value, length))
}

fn quoted(text: &str, quote: char) -> Option<(Value, usize)> {
    let mut out = String::new();
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
            out.push(match character {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            });
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return Some((Value::String(out), at + 1));
        } else {
            out.push(character);
        }
    }
    None
}

/// How far an unquoted value goes: to the comma or parenthesis that stands outside of all brackets.
fn extent(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), closing) if open == closing => quote = None,
            (None, '"') => quote = Some('"'),
            (None, '[' | '{' | '(') => depth += 1,
            (None, ')' | ',') if depth == 0 => return Some(at),
            (None, ']' | '}' | ')') => depth = depth.saturating_sub(1),
            (_, _) => {}
        }
    }
    None
}
