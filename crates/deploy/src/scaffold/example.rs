//! Tests of a handler: each example event through it, and each argument read as its type.

use std::fmt::Write as _;

use super::Examples;
use super::python::{literal, value};
use super::types::{Shaped, ShapedOperation, is_plain_example};

/// Knows the contract of replies (behaviour.md 1.4, 1.5), and no schema.
const HEAD: &str = r#""""Sends the handler an example of each call, as an agent would, and checks what it answers.

The first test holds for any handler that keeps the contract. Those below it look at single
operations, and are the place for tests of the real work.
"""

import json
from pathlib import Path

import pytest

import actions
import handler

EVENTS = Path(__file__).with_name("events")


def load(name):
    return json.loads((EVENTS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", [
"#;

const CONTRACT: &str = r#"])
def test_the_reply_keeps_the_contract(name):
    event = load(name)
    reply = handler.handle(event, None)
    assert reply["messageVersion"] == "1.0"
    response = reply["response"]
    echoed = ("actionGroup", "function") if "function" in event else ("actionGroup", "apiPath", "httpMethod")
    assert {member: response[member] for member in echoed} == {member: event[member] for member in echoed}
    if "function" in event:
        assert "responseState" not in response["functionResponse"], response
        body = response["functionResponse"]["responseBody"]["TEXT"]["body"]
    else:
        assert response["httpStatusCode"] < 400, response
        body = response["responseBody"]["application/json"]["body"]
    assert isinstance(body, str)
    for attributes in (reply.get("sessionAttributes"), reply.get("promptSessionAttributes")):
        assert all(isinstance(value, str) for value in (attributes or {}).values())
"#;

/// The file of tests.
pub(super) fn tests(shaped: &Shaped<'_>, events: &Examples) -> String {
    let mut text = HEAD.to_owned();
    let stem = |operation: &ShapedOperation<'_>| {
        let event = events.get(&(operation.group.to_owned(), operation.key.clone()));
        event.map_or("", |(stem, _)| stem.as_str())
    };
    for operation in &shaped.operations {
        let _ = writeln!(text, "    {},", literal(stem(operation)));
    }
    text.push_str(CONTRACT);
    for operation in &shaped.operations {
        text.push_str(&one(operation, stem(operation)));
    }
    text
}

fn one(operation: &ShapedOperation<'_>, stem: &str) -> String {
    let example = &operation.operation.example;
    let mut text = format!(
        "\n\ndef test_arguments_of_{}():\n    event = load({})\n    arguments = actions.{}.read(actions.Given(event))\n",
        operation.function,
        literal(stem),
        operation.class
    );
    if !is_plain_example(example) {
        let _ = writeln!(
            text,
            "    assert isinstance(arguments, actions.{})",
            operation.class
        );
        return text;
    }
    let given: Vec<String> = operation
        .fields
        .iter()
        .filter_map(|field| {
            let given = example.get(&field.name)?;
            Some(format!("        {}={},\n", field.attribute, value(given)))
        })
        .collect();
    if given.is_empty() {
        let _ = writeln!(
            text,
            "    assert arguments == actions.{}()",
            operation.class
        );
    } else {
        let _ = writeln!(
            text,
            "    assert arguments == actions.{}(\n{}    )",
            operation.class,
            given.concat()
        );
    }
    text
}
