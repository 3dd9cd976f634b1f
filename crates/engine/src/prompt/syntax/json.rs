//! Llama's form: a JSON object `{"name": …, "parameters": {…}}` a call.
//!
//! Models write it with `arguments` in place of `parameters`, in a list, behind `<|python_tag|>`, in a
//! code fence or with text around it; all of that is read.

use std::fmt::Write as _;

use outcrop_model::converse::{ToolInputSchema, ToolSpecification, ToolUseBlock};
use serde_json::{Value, json};

use super::{Call, Found, NamedResult, name};
use crate::prompt::answer::THOUGHTS;

/// Places of a text that are tried as the beginning of a call. A reply has a handful; the bound keeps
/// a text of braces from being read over and over.
const ATTEMPTS_MAX: usize = 64;
/// Depth to which lists and wrappers around calls are looked into.
const DEPTH_MAX: usize = 4;
/// What may stand in a call in the place of a wrapper.
const WRAPPERS: [&str; 3] = ["function_calls", "tool_calls", "function"];

pub(super) fn describe(out: &mut String, tool: &ToolSpecification) {
    let empty = json!({});
    let schema = match &tool.input_schema {
        ToolInputSchema::Json(schema) => schema,
        _ => &empty,
    };
    let described = json!({"type": "function", "function": {
        "name": tool.name,
        "description": tool.description.as_deref().unwrap_or_default(),
        "parameters": schema,
    }});
    let _ = writeln!(out, "{described}");
}

pub(super) fn calls(calls: &[&ToolUseBlock]) -> String {
    let lines: Vec<String> = calls
        .iter()
        .map(|call| json!({"name": call.name, "parameters": call.input}).to_string())
        .collect();
    lines.join("\n")
}

pub(super) fn results(results: &[NamedResult<'_>]) -> String {
    let lines: Vec<String> = results
        .iter()
        .map(|result| {
            let member = if result.is_error() { "error" } else { "output" };
            json!({"name": result.name, member: result.text}).to_string()
        })
        .collect();
    lines.join("\n")
}

fn malformed(raw: &Value) -> Found {
    Found::Malformed(format!(
        "This function call cannot be made: {raw}\nThe format for function calls must be: {{\"name\": function name, \"parameters\": {{argument name: value}}}}, with the name of one of the functions available."
    ))
}

pub(super) fn find(text: &str, known: &dyn Fn(&str) -> bool) -> Found {
    let mut text_end = None;
    let mut calls = Vec::new();
    let limit = text.find("<answer>").unwrap_or(text.len());
    // Calls stand behind the first thought and before the answer.
    let before = text.get(..limit).unwrap_or_default();
    let ends = THOUGHTS
        .iter()
        .filter_map(|(_, closing)| before.find(closing).map(|at| at + closing.len()));
    let mut at = ends.min().unwrap_or(0);
    for _ in 0..ATTEMPTS_MAX {
        let Some(offset) = text.get(at..limit).and_then(|rest| rest.find(['{', '['])) else {
            break;
        };
        let start = at + offset;
        let Some((value, length)) = first_value(text.get(start..).unwrap_or_default()) else {
            at = start + 1;
            continue;
        };
        let mut found = Vec::new();
        gather(&value, &mut found, 0);
        for (written, input) in found {
            let Some(name) = name::native(written, known) else {
                return malformed(&value);
            };
            text_end.get_or_insert(start);
            calls.push(Call { name, input });
        }
        at = start + length;
    }
    match text_end {
        None => Found::Nothing,
        Some(end) => Found::Calls {
            text_end: prose_end(text, end),
            calls,
        },
    }
}

/// The text before a call without what merely leads over to it.
fn prose_end(text: &str, end: usize) -> usize {
    let mut prose = text.get(..end).unwrap_or_default().trim_end();
    for lead in ["```json", "```", "<|python_tag|>", "<tool_call>"] {
        prose = prose.strip_suffix(lead).unwrap_or(prose).trim_end();
    }
    prose.len()
}

fn first_value(text: &str) -> Option<(Value, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

/// The calls in a value: the value itself, the items of a list, or what a wrapper holds.
fn gather<'a>(value: &'a Value, out: &mut Vec<(&'a str, Value)>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items {
                gather(item, out, depth + 1);
            }
        }
        Value::Object(members) => {
            let name = members.get("name").and_then(Value::as_str);
            let arguments = members
                .get("parameters")
                .or_else(|| members.get("arguments"));
            if let (Some(name), Some(arguments)) = (name, arguments) {
                if let Some(arguments) = as_object(arguments) {
                    out.push((name, arguments));
                }
                return;
            }
            for wrapper in WRAPPERS {
                if let Some(wrapped) = members.get(wrapper) {
                    gather(wrapped, out, depth + 1);
                }
            }
        }
        _ => {}
    }
}

/// Arguments, also where they are JSON within a string, as in `OpenAI`'s form.
fn as_object(arguments: &Value) -> Option<Value> {
    match arguments {
        Value::Object(_) => Some(arguments.clone()),
        Value::Null => Some(json!({})),
        Value::String(text) => serde_json::from_str(text).ok().filter(Value::is_object),
        _ => None,
    }
}
