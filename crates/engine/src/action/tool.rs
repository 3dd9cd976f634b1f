//! Tools with JSON schemas as functions of an action group.
//!
//! To handlers, callers and traces they are functions like those of a function schema. The model is
//! given the whole schema, nested values included.

use serde_json::{Map, Value, json};

use super::{Action, ActionParameter, ActionTarget, ParameterType, SchemaError, Strictness};
use crate::action::tool_name;
use crate::definition::{Executor, ToolDefinition};

/// Members of a tool's schema that its parameters may refer to.
const SHARED: [&str; 2] = ["$defs", "definitions"];
/// Deepest nesting of references that are followed: a schema may contain itself.
const REFERENCE_DEPTH_MAX: usize = 16;
/// Most nodes of one tool's schema once its references are resolved.
const NODES_MAX: usize = 10_000;

/// The actions of a list of tools.
///
/// # Errors
/// [`SchemaError`] where a name cannot be a tool's or two tools share one.
pub fn actions(
    action_group: &str,
    tools: &[ToolDefinition],
    executor: &Executor,
    strictness: Strictness,
) -> Result<Vec<Action>, SchemaError> {
    let mut actions: Vec<Action> = Vec::with_capacity(tools.len());
    for tool in tools {
        let refuse = |detail: String| SchemaError::Function {
            action_group: action_group.to_owned(),
            detail,
        };
        let tool_name = tool_name::join(&[action_group, &tool.name], strictness)?;
        if actions.iter().any(|action| action.tool_name == tool_name) {
            return Err(refuse(format!("function {} is defined twice", tool.name)));
        }
        let parameters = parameters(&tool.input_schema).ok_or_else(|| {
            refuse(format!(
                "the arguments of {} are too large once their references are resolved",
                tool.name
            ))
        })?;
        actions.push(Action {
            tool_name,
            action_group: action_group.to_owned(),
            description: tool.description.clone(),
            target: ActionTarget::Function {
                name: tool.name.clone(),
            },
            executor: executor.clone(),
            requires_confirmation: false,
            parameters,
            operation: None,
            computer_use: false,
            typed_arguments: false,
        });
    }
    Ok(actions)
}

fn parameters(schema: &Value) -> Option<Vec<ActionParameter>> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Some(Vec::new());
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut nodes = 0;
    properties
        .iter()
        .map(|(name, property)| {
            let property = resolved(schema, property, 0, &mut nodes)?;
            let (type_, schema) = typed(property);
            Some(ActionParameter {
                name: name.clone(),
                type_,
                required: required.contains(&name.as_str()),
                in_body: false,
                also_in_body: false,
                schema,
            })
        })
        .collect()
}

/// `value` with its references into `root` replaced by what they lead to. What refers to itself ends
/// as an object of which nothing is said.
fn resolved(root: &Value, value: &Value, depth: usize, nodes: &mut usize) -> Option<Value> {
    *nodes += 1;
    if *nodes > NODES_MAX {
        return None;
    }
    Some(match value {
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| resolved(root, item, depth, nodes))
                .collect::<Option<_>>()?,
        ),
        Value::Object(members) => {
            let target = members
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix('#'))
                .filter(|pointer| {
                    SHARED
                        .iter()
                        .any(|shared| pointer.starts_with(&format!("/{shared}/")))
                })
                .map(|pointer| root.pointer(pointer));
            match target {
                Some(Some(target)) if depth < REFERENCE_DEPTH_MAX => {
                    resolved(root, target, depth + 1, nodes)?
                }
                Some(_) => json!({"type": "object"}),
                None => Value::Object(
                    members
                        .iter()
                        .map(|(name, member)| {
                            Some((name.clone(), resolved(root, member, depth, nodes)?))
                        })
                        .collect::<Option<Map<_, _>>>()?,
                ),
            }
        }
        scalar => scalar.clone(),
    })
}

/// A property's type and its schema as models take it. Of several types the first that is one counts:
/// an optional value is often written as "this or null".
fn typed(schema: Value) -> (ParameterType, Value) {
    let mut members = match schema {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    if let Some(Value::Array(choices)) = members.get("anyOf").or_else(|| members.get("oneOf")) {
        let real: Vec<Value> = choices
            .iter()
            .filter(|choice| choice.get("type") != Some(&json!("null")))
            .cloned()
            .collect();
        if let [Value::Object(only)] = real.as_slice() {
            let only = only.clone();
            members.remove("anyOf");
            members.remove("oneOf");
            for (name, member) in only {
                members.entry(name).or_insert(member);
            }
        }
    }
    if let Some(Value::Array(types)) = members.get("type") {
        let first = types.iter().find(|name| *name != "null").cloned();
        members.insert("type".to_owned(), first.unwrap_or_else(|| json!("string")));
    }
    let type_ = match members.get("type").and_then(Value::as_str) {
        Some("number") => ParameterType::Number,
        Some("integer") => ParameterType::Integer,
        Some("boolean") => ParameterType::Boolean,
        Some("array") => ParameterType::Array,
        Some("object") => ParameterType::Object,
        None if members.contains_key("properties") => ParameterType::Object,
        _ => ParameterType::String,
    };
    members
        .entry("type")
        .or_insert_with(|| Value::from(type_.as_str()));
    if type_ == ParameterType::Array {
        members.entry("items").or_insert_with(|| json!({}));
    }
    // Pydantic names every parameter a second time, in words.
    members.remove("title");
    if members.get("default") == Some(&Value::Null) {
        members.remove("default");
    }
    (type_, Value::Object(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(input_schema: Value) -> ToolDefinition {
        ToolDefinition {
            name: "book".to_owned(),
            description: Some("Books.".to_owned()),
            input_schema,
        }
    }

    fn read(tools: &[ToolDefinition]) -> Result<Vec<Action>, SchemaError> {
        let executor = Executor::Lambda("f".to_owned());
        actions("Travel", tools, &executor, Strictness::Strict)
    }

    #[test]
    fn a_tool_is_a_function_with_its_whole_schema() {
        let schema = json!({
            "type": "object",
            "required": ["guest"],
            "properties": {
                "guest": {"$ref": "#/$defs/Guest"},
                "nights": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null, "title": "Nights"},
                "tags": {"type": ["array", "null"]},
                "tree": {"$ref": "#/$defs/Tree"},
            },
            "$defs": {
                "Guest": {"type": "object", "properties": {"name": {"type": "string"}}},
                "Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            }
        });
        let read = read(&[tool(schema)]).expect("fits");
        assert_eq!(read[0].tool_name, "Travel__book");
        assert_eq!(
            read[0].target,
            ActionTarget::Function {
                name: "book".to_owned()
            }
        );
        let parameters: Vec<_> = read[0]
            .parameters
            .iter()
            .map(|it| (it.name.as_str(), it.type_.as_str(), it.required))
            .collect();
        assert_eq!(
            parameters,
            [
                ("guest", "object", true),
                ("nights", "integer", false),
                ("tags", "array", false),
                ("tree", "array", false)
            ]
        );
        assert_eq!(
            read[0].parameters[0].schema,
            json!({"type": "object", "properties": {"name": {"type": "string"}}})
        );
        assert_eq!(read[0].parameters[1].schema, json!({"type": "integer"}));
        assert!(!read[0].parameters[3].schema.to_string().contains("$ref"));
    }

    #[test]
    fn what_cannot_be_told_apart_or_has_no_end_is_refused() {
        let empty = || tool(json!({"type": "object"}));
        assert!(read(&[empty()]).expect("fits")[0].parameters.is_empty());
        assert!(read(&[empty(), empty()]).is_err());
        let bomb = json!({
            "properties": {"a": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"type": "object", "properties": {
                "a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}, "c": {"$ref": "#/$defs/A"}
            }}}
        });
        assert!(read(&[tool(bomb)]).is_err());
    }
}
