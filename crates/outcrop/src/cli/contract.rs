//! What an action group's function is called with: operations and example events, made by the engine
//! that makes the real ones.

use outcrop_deploy::pull::{DRAFT, TEST_ALIAS};
use outcrop_deploy::scaffold::{ActionGroupUse, Events, Operation, OperationKind, Parameter};
use outcrop_engine::action::arguments::{self, Argument};
use outcrop_engine::action::lambda::{self, Attributes, EventAgent, EventInput};
use outcrop_engine::action::{Action, ActionTarget, Strictness, function, openapi};
use outcrop_engine::definition::Executor;
use outcrop_model::control::Function;
use serde_json::{Map, Value, json};

use crate::cli::json_text::pretty;

/// Schemas nest no deeper once their references are resolved; a sample needs far less.
const SAMPLE_DEPTH_MAX: usize = 16;

/// The contract of action groups' Lambda functions.
pub(crate) struct Contract;

impl Events for Contract {
    fn operations(&self, given: &ActionGroupUse<'_>) -> Result<Vec<Operation>, String> {
        let actions = actions(given.group)?;
        let operations = actions.iter().map(|action| operation(given, action));
        operations.collect()
    }
}

fn actions(group: &Value) -> Result<Vec<Action>, String> {
    let name = group["actionGroupName"].as_str().unwrap_or_default();
    let executor = group["actionGroupExecutor"]["lambda"].as_str();
    let executor = Executor::Lambda(executor.unwrap_or_default().to_owned());
    let actions = if let Some(functions) = group["functionSchema"].get("functions") {
        let functions: Vec<Function> =
            serde_json::from_value(functions.clone()).map_err(|error| error.to_string())?;
        function::actions(name, &functions, &executor, Strictness::Relaxed)
    } else if let Some(document) = group["apiSchema"]["payload"].as_str() {
        openapi::actions(name, document, &executor, Strictness::Relaxed)
    } else {
        return Err("its schema is not known".to_owned());
    };
    actions.map_err(|error| error.to_string())
}

fn operation(given: &ActionGroupUse<'_>, action: &Action) -> Result<Operation, String> {
    let kind = match &action.target {
        ActionTarget::Function { name } => OperationKind::Function { name: name.clone() },
        ActionTarget::Api { path, method, .. } => OperationKind::Api {
            path: path.clone(),
            method: method.clone(),
        },
    };
    let parameters = action.parameters.iter().map(|parameter| Parameter {
        name: parameter.name.clone(),
        required: parameter.required,
        schema: parameter.schema.clone(),
    });
    let name = match (&action.target, &action.operation) {
        (ActionTarget::Function { name }, _) => name.clone(),
        (ActionTarget::Api { .. }, Some(operation)) => operation.id.clone(),
        (ActionTarget::Api { .. }, None) => action.tool_name.clone(),
    };
    let (example, arguments) = example(action)?;
    let none = Attributes::new();
    let event = lambda::event(&EventInput {
        agent: EventAgent {
            alias: TEST_ALIAS,
            id: given.agent_id,
            name: given.agent_name,
            version: DRAFT,
        },
        session_id: "example-session",
        input_text: "what the user said",
        action_group: &action.action_group,
        target: &action.target,
        arguments: &arguments,
        typed_arguments: action.typed_arguments,
        session_attributes: &none,
        prompt_session_attributes: &none,
    });
    let event = String::from_utf8(event).map_err(|error| error.to_string())?;
    Ok(Operation {
        kind,
        name,
        example,
        description: action.description.clone(),
        parameters: parameters.collect(),
        event: pretty(&event),
    })
}

/// Arguments that the schema allows: its own defaults where they fit, else made up ones.
fn example(action: &Action) -> Result<(Map<String, Value>, Vec<Argument>), String> {
    let made = |with_defaults: bool| {
        let members = action.parameters.iter().map(|parameter| {
            let value = sample(&parameter.schema, with_defaults, 0);
            (parameter.name.clone(), value)
        });
        let members: Map<String, Value> = members.collect();
        arguments::bind(action, &Value::Object(members.clone())).map(|bound| (members, bound))
    };
    made(true).or_else(|_| made(false))
}

fn sample(schema: &Value, with_defaults: bool, depth: usize) -> Value {
    if let Some(first) = schema["enum"]
        .as_array()
        .and_then(|allowed| allowed.first())
    {
        return first.clone();
    }
    if with_defaults
        && let Some(value) = schema.get("default")
        && is_of_type(schema, value)
    {
        return value.clone();
    }
    let is_deep = depth >= SAMPLE_DEPTH_MAX;
    match schema["type"].as_str() {
        Some("number") => json!(1.5),
        Some("integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") if is_deep => json!([]),
        Some("array") => json!([sample(&schema["items"], with_defaults, depth + 1)]),
        Some("object") => {
            let members = schema["properties"].as_object().filter(|_| !is_deep);
            let members = members.into_iter().flatten().map(|(name, schema)| {
                let value = sample(schema, with_defaults, depth + 1);
                (name.clone(), value)
            });
            Value::Object(members.collect::<Map<_, _>>())
        }
        _ => match schema["format"].as_str() {
            Some("date") => json!("2025-06-04"),
            Some("date-time") => json!("2025-06-04T09:26:53Z"),
            _ => json!("text"),
        },
    }
}

/// Whether a default is of its schema's own type; lists and objects are left alone.
fn is_of_type(schema: &Value, value: &Value) -> bool {
    match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(group: &Value) -> Vec<Operation> {
        let given = ActionGroupUse {
            agent_id: "A1B2C3D4E5",
            agent_name: "support-bot",
            group,
        };
        Contract.operations(&given).unwrap()
    }

    #[test]
    fn a_function_gets_the_event_that_the_engine_makes() {
        let operations = operations(&json!({
            "actionGroupName": "Orders", "actionGroupExecutor": {"lambda": "arn:x"},
            "functionSchema": {"functions": [{"name": "status", "parameters": {
                "order_id": {"type": "string", "required": true}, "days": {"type": "integer"}
            }}]}
        }));
        let event: Value = serde_json::from_str(&operations[0].event).unwrap();
        assert_eq!(
            event,
            json!({
                "messageVersion": "1.0",
                "agent": {"name": "support-bot", "id": "A1B2C3D4E5", "alias": "TSTALIASID", "version": "DRAFT"},
                "sessionId": "example-session", "inputText": "what the user said",
                "actionGroup": "Orders", "function": "status",
                "parameters": [
                    {"name": "days", "type": "integer", "value": "1"},
                    {"name": "order_id", "type": "string", "value": "text"}
                ],
                "sessionAttributes": {}, "promptSessionAttributes": {}
            })
        );
        assert!(
            operations[0]
                .event
                .starts_with("{\n  \"messageVersion\": \"1.0\",\n")
        );
    }

    #[test]
    fn an_api_operation_gets_path_method_and_body() {
        let document = json!({
            "openapi": "3.0.0", "info": {"title": "t", "version": "1"},
            "paths": {"/claims/{id}": {"post": {
                "operationId": "notify", "description": "d",
                "parameters": [{"name": "id", "in": "path", "required": true, "description": "d",
                    "schema": {"type": "string", "default": "claim-006"}}],
                "requestBody": {"required": true, "content": {"application/json": {"schema": {
                    "type": "object", "properties": {"kind": {"type": "string", "enum": ["photo", "note"]}}
                }}}},
                "responses": {"200": {"description": "d", "content": {"application/json": {"schema": {"type": "object"}}}}}
            }}}
        });
        let operations = operations(&json!({
            "actionGroupName": "Claims", "apiSchema": {"payload": document.to_string()}
        }));
        let event: Value = serde_json::from_str(&operations[0].event).unwrap();
        assert_eq!(event["apiPath"], "/claims/{id}");
        assert_eq!(event["httpMethod"], "POST");
        assert_eq!(event["parameters"][0]["value"], "claim-006");
        assert_eq!(
            event["requestBody"]["content"]["application/json"]["properties"],
            json!([{"name": "kind", "type": "string", "value": "photo"}])
        );
    }
}
