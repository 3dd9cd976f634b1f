//! Claude 3's form: `<function_calls>` with one `<invoke>` a call, `<function_results>` back.

use std::fmt::Write as _;

use outcrop_model::converse::{ToolSpecification, ToolUseBlock};
use serde_json::{Map, Value};

use super::reader::{Reader, call_start};
use super::{Call, CallSyntax, Found, NamedResult, name, parameters};

const OPENINGS: [&str; 2] = ["<function_calls>", "<invoke"];

/// AWS's sentence about a call that cannot be read (trace-order.md 5).
const FORMAT: &str = "406: The function call format is incorrect. The format for function calls must be: <invoke> <tool_name>$TOOL_NAME</tool_name> <parameters> <$PARAMETER_NAME>$PARAMETER_VALUE</$PARAMETER_NAME>...</parameters></invoke>.";

pub(super) fn describe(out: &mut String, syntax: CallSyntax, tool: &ToolSpecification) {
    let _ = write!(
        out,
        "<tool_description>\n<tool_name>{}</tool_name>\n<description>{}</description>\n<parameters>\n",
        name::shown(syntax, &tool.name),
        tool.description.as_deref().unwrap_or_default()
    );
    for parameter in parameters(tool) {
        let _ = write!(
            out,
            "<parameter>\n<name>{}</name>\n<type>{}</type>\n<description>{}</description>\n<is_required>{}</is_required>\n",
            parameter.name, parameter.type_, parameter.description, parameter.is_required
        );
        if let Some(schema) = parameter.schema {
            let _ = writeln!(out, "<schema>{schema}</schema>");
        }
        out.push_str("</parameter>\n");
    }
    out.push_str("</parameters>\n</tool_description>\n");
}

pub(super) fn calls(calls: &[&ToolUseBlock]) -> String {
    let mut out = String::from("<function_calls>\n");
    for call in calls {
        let _ = write!(
            out,
            "<invoke>\n<tool_name>{}</tool_name>\n<parameters>\n",
            name::shown(CallSyntax::Xml, &call.name)
        );
        for (name, value) in call.input.as_object().into_iter().flatten() {
            let _ = match value {
                Value::String(text) => writeln!(out, "<{name}>{text}</{name}>"),
                other => writeln!(out, "<{name}>{other}</{name}>"),
            };
        }
        out.push_str("</parameters>\n</invoke>\n");
    }
    out.push_str("</function_calls>");
    out
}

pub(super) fn results(results: &[NamedResult<'_>]) -> String {
    let mut out = String::from("<function_results>\n");
    for result in results {
        let tag = if result.is_error() { "error" } else { "result" };
        let _ = write!(
            out,
            "<{tag}>\n<tool_name>{}</tool_name>\n<stdout>{}</stdout>\n</{tag}>\n",
            result.name, result.text
        );
    }
    out.push_str("</function_results>");
    out
}

fn malformed(raw: &str) -> Found {
    Found::Malformed(format!(
        "<function_results>\n<error>\n<tool_name>{}</tool_name>\n<stdout>{FORMAT}</stdout>\n</error>\n</function_results>",
        raw.trim()
    ))
}

pub(super) fn find(text: &str, known: &dyn Fn(&str) -> bool) -> Found {
    let Some(text_end) = call_start(text, &OPENINGS) else {
        return Found::Nothing;
    };
    let mut reader = Reader::new(text, text_end);
    let mut calls = Vec::new();
    loop {
        reader.skip_space();
        if reader.eat("<function_calls>") || reader.eat("</function_calls>") {
            continue;
        }
        if !reader.rest().starts_with("<invoke") {
            break;
        }
        let start = reader.at();
        let call = invoke(&mut reader).and_then(|call| {
            let name = name::native(&call.name, known)?;
            Some(Call { name, ..call })
        });
        let Some(call) = call else {
            let mut end = Reader::new(text, start);
            end.skip_to("</invoke>");
            let raw = end.since(start).trim_end();
            return malformed(raw.strip_suffix("</function_calls>").unwrap_or(raw));
        };
        calls.push(call);
    }
    if calls.is_empty() {
        return malformed(reader.rest());
    }
    Found::Calls { text_end, calls }
}

/// One `<invoke>`. Its closing tags may be missing at the end of the text, where a stop sequence has
/// cut them off; a parameter's may not.
fn invoke(reader: &mut Reader<'_>) -> Option<Call> {
    reader.eat("<invoke");
    // Newer models put the name into the tag.
    let attributes = reader.until(">")?;
    reader.skip_space();
    let name = match attribute(attributes, "name") {
        Some(name) => name,
        None if reader.eat("<tool_name>") => reader.until("</tool_name>")?,
        None => return None,
    };
    reader.skip_space();
    reader.eat("<parameters>");
    let mut input = Map::new();
    while reader.skip_space() {
        if reader.eat("</invoke>") {
            break;
        }
        if reader.eat("</parameters>") {
            continue;
        }
        let rest = reader.rest();
        if rest.starts_with("</function_calls>") || rest.starts_with("<invoke") {
            break;
        }
        let (name, value) = parameter(reader)?;
        add(&mut input, name, value);
    }
    Some(Call {
        name: name.to_owned(),
        input: Value::Object(input),
    })
}

fn parameter<'a>(reader: &mut Reader<'a>) -> Option<(&'a str, String)> {
    if !reader.eat("<") {
        return None;
    }
    let tag = reader.until(">")?.trim();
    if let Some(name) = tag.strip_suffix('/') {
        return is_name(name.trim_end()).then(|| (name.trim_end(), String::new()));
    }
    let (name, element) = match tag.strip_prefix("parameter ") {
        Some(attributes) => (attribute(attributes, "name")?, "parameter"),
        None => (tag, tag),
    };
    if !is_name(name) {
        return None;
    }
    let value = reader.until(&format!("</{element}>"))?;
    Some((name, bare(value).to_owned()))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('/') && !name.contains(['<', '\n', '"'])
}

/// A value without the white space that sets it off; that of a text of several lines is its own.
fn bare(value: &str) -> &str {
    let value = value.trim_end();
    let lines = value.trim_start_matches(['\r', '\n']);
    if lines.contains('\n') {
        lines
    } else {
        lines.trim_start()
    }
}

fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = attributes.split_once(name)?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|first| "\"'".contains(*first))?;
    rest.get(1..)?.split_once(quote).map(|(value, _)| value)
}

/// A parameter given more than once is a list.
fn add(input: &mut Map<String, Value>, name: &str, value: String) {
    let value = Value::String(value);
    match input.get_mut(name) {
        None => {
            input.insert(name.to_owned(), value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}
