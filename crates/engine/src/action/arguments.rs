//! The model's arguments, checked against an action's parameters and turned into AWS's strings.
//!
//! What does not fit is explained to the model, which corrects itself; it never ends a turn.

mod value;

use serde_json::Value;

use super::{Action, ActionParameter};
use crate::java;

/// One argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The parameter's name.
    pub name: String,
    /// The parameter's declared type.
    pub type_: String,
    /// The value as Lambda, return of control and traces carry it: always a string (behaviour.md 1.2).
    pub value: String,
    /// Whether it travels in the request body.
    pub in_body: bool,
    /// The value with the type its schema gives it, for executors that are no Lambda function and
    /// for functions that are given JSON.
    pub json: Value,
}

/// Longest excerpt of a wrong value that is quoted back to the model.
const QUOTED_CHARS_MAX: usize = 120;

/// Checks `input` and gives the arguments in alphabetical order, as AWS lists them.
///
/// # Errors
/// The text of an observation that tells the model what is wrong and what is expected.
pub fn bind(action: &Action, input: &Value) -> Result<Vec<Argument>, String> {
    let Value::Object(members) = input else {
        return Err(format!(
            "The arguments of {} must be a JSON object, but were: {}",
            action.tool_name,
            quoted(input)
        ));
    };
    let mut problems = Vec::new();
    for name in members.keys() {
        if !action.parameters.iter().any(|known| known.name == *name) {
            problems.push(format!("there is no parameter '{name}'"));
        }
    }
    let mut arguments = Vec::with_capacity(members.len());
    for parameter in &action.parameters {
        match members.get(&parameter.name) {
            None | Some(Value::Null) if parameter.required => {
                problems.push(format!(
                    "the required parameter '{}' is missing",
                    parameter.name
                ));
            }
            None | Some(Value::Null) => {}
            Some(given) => match value::fitted(parameter, given) {
                Ok(value) => add(&mut arguments, parameter, value),
                Err(mut found) => problems.append(&mut found),
            },
        }
    }
    if problems.is_empty() {
        arguments.sort_by(|left, right| left.name.cmp(&right.name));
        return Ok(arguments);
    }
    Err(format!(
        "The call of {} was not made: {}. Its parameters are: {}. Correct the arguments, or ask the user for what is missing.",
        action.tool_name,
        problems.join("; "),
        signature(action)
    ))
}

fn add(out: &mut Vec<Argument>, parameter: &ActionParameter, json: Value) {
    let argument = Argument {
        name: parameter.name.clone(),
        type_: parameter.type_.as_str().to_owned(),
        value: java::to_string(&json),
        in_body: parameter.in_body,
        json,
    };
    if parameter.also_in_body {
        out.push(Argument {
            in_body: true,
            ..argument.clone()
        });
    }
    out.push(argument);
}

fn signature(action: &Action) -> String {
    if action.parameters.is_empty() {
        return "none".to_owned();
    }
    let describe = |parameter: &ActionParameter| {
        let need = if parameter.required {
            "required"
        } else {
            "optional"
        };
        format!("{} ({}, {need})", parameter.name, parameter.type_.as_str())
    };
    let all: Vec<String> = action.parameters.iter().map(describe).collect();
    all.join(", ")
}

fn quoted(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= QUOTED_CHARS_MAX {
        return text;
    }
    let head: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::action::{ActionTarget, ParameterType};
    use crate::definition::Executor;

    fn action() -> Action {
        let parameter = |name: &str, type_, required, schema| ActionParameter {
            name: name.to_owned(),
            type_,
            required,
            in_body: false,
            also_in_body: false,
            schema,
        };
        Action {
            tool_name: "Vacations__reserve".to_owned(),
            action_group: "Vacations".to_owned(),
            description: None,
            target: ActionTarget::Function {
                name: "reserve".to_owned(),
            },
            executor: Executor::ReturnControl,
            requires_confirmation: false,
            typed_arguments: false,
            operation: None,
            parameters: vec![
                parameter("start", ParameterType::String, true, json!({})),
                parameter("days", ParameterType::Integer, true, json!({})),
                parameter("half", ParameterType::Boolean, false, json!({})),
                parameter(
                    "kind",
                    ParameterType::String,
                    false,
                    json!({"enum": ["paid", "unpaid"]}),
                ),
                parameter("notes", ParameterType::Array, false, json!({})),
            ],
            computer_use: false,
        }
    }

    #[test]
    fn values_are_strings_in_alphabetical_order() {
        let bound = bind(
            &action(),
            &json!({"start": "2025-06-04", "days": 3.0, "half": "true", "notes": ["a", {"b": 1}]}),
        )
        .expect("fits");
        let pairs: Vec<(&str, &str, &str)> = bound
            .iter()
            .map(|argument| {
                (
                    argument.name.as_str(),
                    argument.type_.as_str(),
                    argument.value.as_str(),
                )
            })
            .collect();
        assert_eq!(
            pairs,
            [
                ("days", "integer", "3"),
                ("half", "boolean", "true"),
                ("notes", "array", "[a, {b=1}]"),
                ("start", "string", "2025-06-04"),
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_explained() {
        for (input, fragment) in [
            (json!("text"), "must be a JSON object"),
            (
                json!({"start": "x"}),
                "the required parameter 'days' is missing",
            ),
            (
                json!({"start": "x", "days": "many"}),
                "'days' must be of type integer, but was \"many\"",
            ),
            (
                json!({"start": "x", "days": 1.5}),
                "'days' must be of type integer, but was 1.5",
            ),
            (
                json!({"start": "x", "days": 1, "kind": "sick"}),
                "'kind' must be one of \"paid\", \"unpaid\"",
            ),
            (
                json!({"start": "x", "days": 1, "reason": "y"}),
                "there is no parameter 'reason'",
            ),
            (
                json!({"start": ["x"], "days": 1}),
                "'start' must be of type string",
            ),
        ] {
            let problem = bind(&action(), &input).expect_err("does not fit");
            assert!(problem.contains(fragment), "{problem}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_is_clearly_meant_fits() {
        let parameter = |type_, schema| ActionParameter {
            name: "p".to_owned(),
            type_,
            required: true,
            in_body: false,
            also_in_body: true,
            schema,
        };
        let address = json!({"type": "object", "required": ["zip"], "properties": {
            "zip": {"type": "string"}, "floor": {"type": "integer"}, "kind": {"enum": ["home", 2]}}});
        for (type_, schema, given, text, typed) in [
            (
                ParameterType::Integer,
                json!({}),
                json!("17"),
                "17",
                json!(17),
            ),
            (
                ParameterType::Integer,
                json!({"enum": [1, 2]}),
                json!("2"),
                "2",
                json!(2),
            ),
            (
                ParameterType::Number,
                json!({}),
                json!("1.5"),
                "1.5",
                json!(1.5),
            ),
            (ParameterType::Number, json!({}), json!(10), "10", json!(10)),
            (
                ParameterType::Boolean,
                json!({}),
                json!("True"),
                "true",
                json!(true),
            ),
            (
                ParameterType::String,
                json!({}),
                json!(17),
                "17",
                json!("17"),
            ),
            (
                ParameterType::Array,
                json!({}),
                json!("[1, 2]"),
                "[1, 2]",
                json!([1, 2]),
            ),
            (
                ParameterType::Array,
                json!({}),
                json!("['a', 'b c']"),
                "[a, b c]",
                json!(["a", "b c"]),
            ),
            (
                ParameterType::Array,
                json!({"items": {"type": "integer"}}),
                json!(["1", 2]),
                "[1, 2]",
                json!([1, 2]),
            ),
            (
                ParameterType::Object,
                address.clone(),
                json!({"zip": 1234, "floor": "2", "kind": "2", "more": [null]}),
                "{floor=2, kind=2, more=[null], zip=1234}",
                json!({"zip": "1234", "floor": 2, "kind": 2, "more": [null]}),
            ),
            (
                ParameterType::Object,
                json!({"anyOf": [{"type": "string"}, {"type": "object"}]}),
                json!("as it is"),
                "as it is",
                json!("as it is"),
            ),
        ] {
            let action = Action {
                parameters: vec![parameter(type_, schema)],
                ..action()
            };
            let bound = bind(&action, &json!({"p": given.clone()})).expect("fits");
            assert_eq!(bound.len(), 2, "in both places");
            assert_eq!(bound[0].value, text, "{given}");
            assert!(bound[0].in_body && !bound[1].in_body);
            assert_eq!(bound[0].json, typed, "{given}");
        }
        for (type_, schema, given, problem) in [
            (
                ParameterType::Object,
                address.clone(),
                json!({"floor": "two"}),
                "'p.zip' is missing; 'p.floor' must be of type integer, but was \"two\"",
            ),
            (
                ParameterType::Object,
                address,
                json!({"zip": "1", "kind": "work"}),
                "'p.kind' must be one of \"home\", 2, but was \"work\"",
            ),
            (
                ParameterType::Array,
                json!({"items": {"type": "boolean"}}),
                json!([true, "no"]),
                "'p[1]' must be of type boolean, but was \"no\"",
            ),
            (
                ParameterType::Array,
                json!({}),
                json!("one"),
                "'p' must be of type array",
            ),
        ] {
            let action = Action {
                parameters: vec![parameter(type_, schema)],
                ..action()
            };
            let refused = bind(&action, &json!({"p": given})).expect_err("does not fit");
            assert!(refused.contains(problem), "{refused}");
        }
    }
}
