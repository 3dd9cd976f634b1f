//! An agent and an action that nobody has defined, for a call that names none.
//!
//! Types are guessed from what the arguments look like; whoever needs the declared ones names the
//! agent.

use outcrop_engine::action::{Action, ActionParameter, ActionTarget, ParameterType};
use outcrop_engine::definition::Executor;
use outcrop_engine::orchestration::AgentIdentity;
use serde_json::{Value, json};

use super::{FunctionCall, TEST_ALIAS};

/// The action group of an action that has none.
const GROUP: &str = "Actions";

/// An agent that looks like any other.
pub(super) fn identity() -> AgentIdentity {
    AgentIdentity {
        agent_id: "NOAGENT000".to_owned(),
        agent_name: "no-agent".to_owned(),
        alias_id: TEST_ALIAS.to_owned(),
        version: "DRAFT".to_owned(),
    }
}

/// The action that is asked for: an API operation where it is written as `POST /path`, else a
/// function.
pub(super) fn action(function: &str, wanted: &str, call: &FunctionCall) -> Action {
    let group = call.action_group.clone();
    let group = group.unwrap_or_else(|| GROUP.to_owned());
    let api = wanted
        .split_once(' ')
        .filter(|(_, path)| path.trim().starts_with('/'));
    let target = match api {
        Some((method, path)) => ActionTarget::Api {
            path: path.trim().to_owned(),
            method: method.to_ascii_uppercase(),
            body_media_type: takes_body(method).then(|| "application/json".to_owned()),
        },
        None => ActionTarget::Function {
            name: wanted.to_owned(),
        },
    };
    let parameters = call.arguments.iter().map(|(name, value)| {
        let type_ = type_of(value);
        ActionParameter {
            name: name.clone(),
            type_,
            required: false,
            in_body: in_body(&target, name),
            also_in_body: false,
            schema: json!({"type": type_.as_str()}),
        }
    });
    Action {
        tool_name: wanted.to_owned(),
        parameters: parameters.collect(),
        action_group: group,
        description: None,
        executor: Executor::Lambda(function.to_owned()),
        requires_confirmation: false,
        operation: None,
        typed_arguments: false,
        computer_use: false,
        target,
    }
}

fn takes_body(method: &str) -> bool {
    ["post", "put", "patch"]
        .iter()
        .any(|verb| method.eq_ignore_ascii_case(verb))
}

/// What the path names is a parameter of the path; the rest of a request with a body is its body.
fn in_body(target: &ActionTarget, name: &str) -> bool {
    match target {
        ActionTarget::Function { .. } => false,
        ActionTarget::Api {
            path,
            body_media_type,
            ..
        } => body_media_type.is_some() && !path.contains(&format!("{{{name}}}")),
    }
}

fn type_of(value: &Value) -> ParameterType {
    match value {
        Value::Bool(_) => ParameterType::Boolean,
        Value::Number(number) if number.is_f64() => ParameterType::Number,
        Value::Number(_) => ParameterType::Integer,
        Value::Array(_) => ParameterType::Array,
        Value::Object(_) => ParameterType::Object,
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Bool(_)) => ParameterType::Boolean,
            Ok(Value::Number(number)) if number.is_f64() => ParameterType::Number,
            Ok(Value::Number(_)) => ParameterType::Integer,
            _ => ParameterType::String,
        },
        Value::Null => ParameterType::String,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "callers write it in place")]
    fn made(wanted: &str, arguments: Value) -> Action {
        let call = FunctionCall {
            arguments: arguments.as_object().cloned().unwrap_or_default(),
            ..FunctionCall::default()
        };
        action("f", wanted, &call)
    }

    #[test]
    fn an_operation_is_told_by_its_path() {
        let made = made(
            "post /orders/{id}",
            json!({"id": "A-1", "count": "2", "half": true}),
        );
        assert_eq!(
            made.target,
            ActionTarget::Api {
                path: "/orders/{id}".to_owned(),
                method: "POST".to_owned(),
                body_media_type: Some("application/json".to_owned()),
            }
        );
        let parameters = made.parameters.iter();
        let told: Vec<(&str, &str, bool)> = parameters
            .map(|one| (one.name.as_str(), one.type_.as_str(), one.in_body))
            .collect();
        assert_eq!(
            told,
            [
                ("count", "integer", true),
                ("half", "boolean", true),
                ("id", "string", false)
            ]
        );
    }

    #[test]
    fn anything_else_is_a_function() {
        let made = made("get_status", json!({"days": 1.5}));
        assert_eq!(
            made.target,
            ActionTarget::Function {
                name: "get_status".to_owned()
            }
        );
        assert_eq!(made.parameters[0].type_, ParameterType::Number);
    }
}
