//! Function schemas as actions (behaviour.md 1.8, 1.9).

use outcrop_model::control::{Function, RequireConfirmation, Type};
use serde_json::{Map, Value, json};

use super::{Action, ActionParameter, ActionTarget, ParameterType, SchemaError, Strictness};
use crate::action::tool_name;
use crate::definition::Executor;

/// The actions of a function schema.
///
/// # Errors
/// [`SchemaError`] where a name cannot be a tool's or two functions share one.
pub fn actions(
    action_group: &str,
    functions: &[Function],
    executor: &Executor,
    strictness: Strictness,
) -> Result<Vec<Action>, SchemaError> {
    let mut actions: Vec<Action> = Vec::with_capacity(functions.len());
    for function in functions {
        let twice = actions.iter().any(|action| {
            matches!(&action.target, ActionTarget::Function { name } if *name == function.name)
        });
        if twice {
            return Err(SchemaError::Function {
                action_group: action_group.to_owned(),
                detail: format!("function {} is defined twice", function.name),
            });
        }
        actions.push(Action {
            tool_name: tool_name::join(&[action_group, &function.name], strictness)?,
            action_group: action_group.to_owned(),
            description: function.description.clone(),
            target: ActionTarget::Function {
                name: function.name.clone(),
            },
            executor: executor.clone(),
            requires_confirmation: function.require_confirmation
                == Some(RequireConfirmation::Enabled),
            typed_arguments: false,
            parameters: parameters(function),
            operation: None,
            computer_use: false,
        });
    }
    Ok(actions)
}

fn parameters(function: &Function) -> Vec<ActionParameter> {
    function
        .parameters
        .iter()
        .flatten()
        .map(|(name, detail)| {
            let type_ = parameter_type(detail.type_);
            let mut schema = Map::new();
            schema.insert("type".to_owned(), json!(type_.as_str()));
            if let Some(description) = &detail.description {
                schema.insert("description".to_owned(), json!(description));
            }
            if type_ == ParameterType::Array {
                // OpenAI refuses an array schema that says nothing of its items.
                schema.insert("items".to_owned(), json!({}));
            }
            ActionParameter {
                name: name.clone(),
                type_,
                required: detail.required.unwrap_or(false),
                in_body: false,
                also_in_body: false,
                schema: Value::Object(schema),
            }
        })
        .collect()
}

fn parameter_type(type_: Type) -> ParameterType {
    match type_ {
        Type::Number => ParameterType::Number,
        Type::Integer => ParameterType::Integer,
        Type::Boolean => ParameterType::Boolean,
        Type::Array => ParameterType::Array,
        // Everything else is text on the wire; validation has refused unknown names before.
        _ => ParameterType::String,
    }
}
