//! The model's arguments, checked against an action's parameters and turned into AWS's strings.
//!
//! What does not fit is explained to the model, which corrects itself; it never ends a turn.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, ActionParameter, ParameterType, call};
use crate::java;

/// One argument as Lambda, return of control and traces carry it: always a string
/// (behaviour.md 1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// The parameter's name.
    pub name: String,
    /// The parameter's declared type.
    #[serde(rename = "type")]
    pub type_: String,
    /// The value.
    pub value: String,
    /// Whether it travels in the request body.
    #[serde(default, skip_serializing)]
    pub in_body: bool,
    /// The value with the type its schema gives it, for executors that are no Lambda function.
    #[serde(skip)]
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
            Some(value) => match text_of(parameter, value) {
                Ok(text) => arguments.push(Argument {
                    name: parameter.name.clone(),
                    type_: parameter.type_.as_str().to_owned(),
                    value: text,
                    in_body: parameter.in_body,
                    json: call::typed(&parameter.schema, value),
                }),
                Err(problem) => problems.push(problem),
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

/// The value as text, accepting what is clearly meant: `"17"` for an integer, `17` for a string.
fn text_of(parameter: &ActionParameter, value: &Value) -> Result<String, String> {
    let fits = match parameter.type_ {
        ParameterType::String => value.is_string() || value.is_number() || value.is_boolean(),
        ParameterType::Number => number(value).is_some(),
        ParameterType::Integer => number(value).is_some_and(|number| number.fract() == 0.0),
        ParameterType::Boolean => {
            value.is_boolean() || matches!(value.as_str(), Some("true" | "false"))
        }
        ParameterType::Array => value.is_array(),
        ParameterType::Object => value.is_object(),
    };
    if !fits {
        return Err(format!(
            "'{}' must be of type {}, but was {}",
            parameter.name,
            parameter.type_.as_str(),
            quoted(value)
        ));
    }
    if let Some(Value::Array(allowed)) = parameter.schema.get("enum")
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        return Err(format!(
            "'{}' must be one of {}, but was {}",
            parameter.name,
            allowed.join(", "),
            quoted(value)
        ));
    }
    if parameter.type_ == ParameterType::Integer
        && let Some(whole) = value
            .as_f64()
            .filter(|_| value.as_i64().is_none() && !value.is_u64())
    {
        return Ok(format!("{whole:.0}"));
    }
    Ok(java::to_string(value))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        _ => None,
    }
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
    use crate::action::ActionTarget;
    use crate::definition::Executor;

    fn action() -> Action {
        let parameter = |name: &str, type_, required, schema| ActionParameter {
            name: name.to_owned(),
            type_,
            required,
            in_body: false,
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
            operation: None,
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
}
