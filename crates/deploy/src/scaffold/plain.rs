//! Handlers that need nothing but Python.

use std::fmt::Write as _;

use super::Uses;
use super::python::{doc, literal};
use super::types::{Field, Shaped, ShapedOperation};

/// Reads arguments; knows no schema.
const HEAD: &str = include_str!("head.py");
/// Makes replies.
const ANSWER: &str = include_str!("answer.py");

/// The file of types, with what dispatches.
pub(super) fn actions(shaped: &Shaped<'_>) -> String {
    format!("{}{ANSWER}{}", head(shaped), types(shaped))
}

/// What both styles begin with.
pub(super) fn head(shaped: &Shaped<'_>) -> String {
    let typing: Vec<&str> = shaped.typing.iter().copied().collect();
    format!(
        "\"\"\"What this function is called with, and how it answers: made from the schema of its action\n\
         groups. Lists and objects come as text; readers make them what the schema says.\n\"\"\"\n\n{}",
        HEAD.replace("@TYPING@", &typing.join(", "))
    )
}

/// The types that the schemas give.
pub(super) fn types(shaped: &Shaped<'_>) -> String {
    let mut out = String::new();
    for structure in &shaped.structures {
        let _ = write!(out, "\n\n{structure}");
    }
    for operation in &shaped.operations {
        out.push_str(&class(operation));
    }
    out
}

fn class(operation: &ShapedOperation<'_>) -> String {
    let mut out = format!(
        "\n\n@dataclass(frozen=True)\nclass {}:\n    \"\"\"What `{}` of {} is called with.\"\"\"\n",
        operation.class,
        doc(&operation.key),
        doc(operation.group)
    );
    if !operation.fields.is_empty() {
        out.push('\n');
    }
    for field in &operation.fields {
        let default = if field.required {
            String::new()
        } else {
            format!(" = {}", field.default)
        };
        let _ = writeln!(
            out,
            "    {}: {}{default}",
            field.attribute, field.annotation
        );
        if !field.description.is_empty() {
            let _ = writeln!(out, "    \"\"\"{}\"\"\"", field.description);
        }
    }
    let _ = write!(
        out,
        "\n    @classmethod\n    def read(cls, given: Given) -> {}:\n",
        operation.class
    );
    if operation.fields.is_empty() {
        out.push_str("        return cls()\n");
        return out;
    }
    out.push_str("        return cls(\n");
    for field in &operation.fields {
        let _ = writeln!(out, "            {}={},", field.attribute, reading(field));
    }
    out.push_str("        )\n");
    out
}

fn reading(field: &Field) -> String {
    let name = literal(&field.name);
    let reader = &field.reader;
    if field.required {
        return format!("given.required({name}, {reader})");
    }
    match field.default.as_str() {
        "None" => format!("given.optional({name}, {reader})"),
        default => format!("given.optional({name}, {reader}, {default})"),
    }
}

/// The file of the work.
pub(super) fn handler(name: &str, uses: &Uses, shaped: &Shaped<'_>) -> String {
    let mut text = format!(
        "{}\nfrom actions import {}\n",
        introduction(name),
        imports(shaped)
    );
    let mut table = String::new();
    for operation in &shaped.operations {
        let _ = write!(
            text,
            "\n\ndef {}(arguments: {}, call: Call):\n    \"\"\"{}\"\"\"\n    return {}\n",
            operation.function,
            operation.class,
            docstring(operation),
            stub(operation)
        );
        let _ = writeln!(
            table,
            "    ({}, {}): ({}, {}),",
            literal(operation.group),
            literal(&operation.key),
            operation.class,
            operation.function
        );
    }
    let _ = write!(text, "\n\nOPERATIONS = {{\n{table}}}\n");
    text.push_str("\n\ndef handle(event, context):\n");
    text.push_str(&other_calls(uses));
    text.push_str("    return answer(event, OPERATIONS)\n");
    text
}

fn imports(shaped: &Shaped<'_>) -> String {
    let classes = shaped.operations.iter();
    let mut names: Vec<&str> = classes.map(|operation| operation.class.as_str()).collect();
    if !names.is_empty() {
        names.push("Call");
    }
    names.push("answer");
    names.sort_by_key(|name| name.to_lowercase());
    let one_line = names.join(", ");
    if one_line.len() <= 90 {
        return one_line;
    }
    let lines: Vec<String> = names.iter().map(|name| format!("    {name},\n")).collect();
    format!("(\n{})", lines.concat())
}

/// What a handler says of itself.
pub(super) fn introduction(name: &str) -> String {
    format!(
        "\"\"\"The Lambda function {}.\n\n\
         Each operation below answers that it is a stub: put the real work there. What arrives has been\n\
         read into the types of `actions.py`; what is returned becomes the reply, text as it is and\n\
         anything else as JSON. `events/` holds an example of each call, as the function will get it, and\n\
         `pytest` in this folder sends them all.\n\"\"\"\n",
        doc(name)
    )
}

/// What an operation answers before anybody has written it.
pub(super) fn stub(operation: &ShapedOperation<'_>) -> String {
    literal(&format!(
        "{} of {} is a stub",
        operation.key, operation.group
    ))
}

/// What is said of an operation.
pub(super) fn docstring(operation: &ShapedOperation<'_>) -> String {
    let what = operation.operation.description.as_deref();
    let what = doc(what.unwrap_or_default());
    if what.is_empty() {
        format!("An operation of {}.", doc(operation.group))
    } else {
        what
    }
}

/// Calls of the function that are none of an action group.
pub(super) fn other_calls(uses: &Uses) -> String {
    let mut text = String::new();
    for ((agent, _), prompts) in &uses.parses {
        let _ = writeln!(
            text,
            "    # Parses what the model answers to the agent {} ({}).",
            doc(agent),
            doc(&prompts.join(", "))
        );
    }
    if !uses.parses.is_empty() {
        text.push_str(
            "    if event.get(\"overrideType\") == \"OUTPUT_PARSER\":\n        raise NotImplementedError(\"the parser of \" + event[\"promptType\"] + \" is to be put here\")\n",
        );
    }
    for other in &uses.others {
        let _ = writeln!(text, "    # {}", doc(other));
    }
    if !uses.parses.is_empty() || !uses.others.is_empty() || uses.operations.is_empty() {
        text.push_str(
            "    if \"actionGroup\" not in event:\n        raise NotImplementedError(\"this kind of call is to be answered here\")\n",
        );
    }
    text
}
