//! `OpenAPI` 3.0 documents as actions (behaviour.md 1.8, 1.9).
//!
//! What is wrong is named by its place, in the words of the parser that AWS passes on:
//! `attribute paths.'/x'(post).parameters.[id].in is missing`. Relaxed limits want no more than can
//! not be guessed. References are followed inside the document only ([`resolve`]).

mod operation;
mod resolve;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Action, ActionParameter, ActionTarget, ParameterType, SchemaError, Strictness};
use crate::action::tool_name;
use crate::definition::Executor;

/// Largest document, bytes: what AWS's own payload members allow is far below.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// The actions of an `OpenAPI` document.
///
/// # Errors
/// [`SchemaError`] naming every place that is wrong.
pub fn actions(
    action_group: &str,
    document: &str,
    executor: &Executor,
    strictness: Strictness,
) -> Result<Vec<Action>, SchemaError> {
    let refuse = |details: Vec<String>| SchemaError::OpenApi {
        action_group: action_group.to_owned(),
        details,
    };
    let root = parse(document).map_err(|detail| refuse(vec![detail]))?;
    let mut reader = Reader {
        root: &root,
        action_group,
        executor,
        strictness,
        problems: Vec::new(),
        operation_ids: Vec::new(),
        nodes: 0,
    };
    let actions = reader.read()?;
    if reader.problems.is_empty() {
        Ok(actions)
    } else {
        Err(refuse(reader.problems))
    }
}

fn parse(document: &str) -> Result<Value, String> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(format!(
            "the document has {} bytes, the limit is {DOCUMENT_BYTES_MAX}",
            document.len()
        ));
    }
    let parsed: Value = if document.trim_start().starts_with('{') {
        serde_json::from_str(document).map_err(|error| error.to_string())?
    } else {
        serde_yaml_ng::from_str(document).map_err(|error| error.to_string())?
    };
    if parsed.is_object() {
        Ok(parsed)
    } else {
        Err("the document is not an object".to_owned())
    }
}

struct Reader<'a> {
    root: &'a Value,
    action_group: &'a str,
    executor: &'a Executor,
    strictness: Strictness,
    problems: Vec<String>,
    operation_ids: Vec<String>,
    nodes: usize,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<Vec<Action>, SchemaError> {
        self.check_head();
        let Some(paths) = self.root.get("paths").and_then(Value::as_object) else {
            self.missing("paths");
            return Ok(Vec::new());
        };
        let mut actions: Vec<Action> = Vec::new();
        for (path, item) in paths {
            if !path.starts_with('/') {
                self.problems.push(format!(
                    "attribute paths. Resource {path} should start with /"
                ));
            }
            let item = self.resolve(item);
            let shared = item.get("parameters").cloned().unwrap_or(Value::Null);
            for method in METHODS {
                let Some(operation) = item.get(method) else {
                    continue;
                };
                if let Some(action) = self.action(path, method, operation, &shared)? {
                    if let Some(first) = actions
                        .iter()
                        .find(|known| known.tool_name == action.tool_name)
                    {
                        return Err(SchemaError::DuplicateTool {
                            tool_name: action.tool_name.clone(),
                            first: label(&first.target),
                            second: label(&action.target),
                        });
                    }
                    actions.push(action);
                }
            }
        }
        if actions.is_empty() && self.problems.is_empty() {
            self.problems
                .push("attribute paths holds no operation".to_owned());
        }
        Ok(actions)
    }

    /// The version and, where limits are strict, the title.
    fn check_head(&mut self) {
        let is_strict = self.strictness == Strictness::Strict;
        match self.root.get("openapi").map(|version| version.as_str()) {
            None => self.missing("openapi"),
            Some(Some("3.0.0")) => {}
            Some(Some(version)) if !is_strict && version.starts_with("3.") => {}
            Some(version) => self.problems.push(format!(
                "attribute openapi is {}, expected 3.0.0",
                version.unwrap_or("not text")
            )),
        }
        if !is_strict {
            return;
        }
        match self.root.get("info").and_then(Value::as_object) {
            None => self.missing("info"),
            Some(info) => {
                for member in ["title", "version"] {
                    if !info.contains_key(member) {
                        self.missing(&format!("info.{member}"));
                    }
                }
            }
        }
    }

    fn missing(&mut self, place: &str) {
        self.problems.push(format!("attribute {place} is missing"));
    }

    fn action(
        &mut self,
        path: &str,
        method: &str,
        operation: &Value,
        shared: &Value,
    ) -> Result<Option<Action>, SchemaError> {
        let place = format!("paths.'{path}'({method})");
        let Some(operation) = operation.as_object() else {
            self.problems
                .push(format!("attribute {place} is not of type `object`"));
            return Ok(None);
        };
        let operation_id = self.operation_id(&place, path, method, operation);
        let description = self.description(path, operation, &operation_id);
        self.check_responses(&place, operation);
        let mut parameters = self.parameters(&place, operation, shared);
        let body_media_type = self.body(&place, method, operation, &mut parameters);
        let requires_confirmation = operation
            .get("x-requireConfirmation")
            .and_then(Value::as_str)
            .is_some_and(|state| state.eq_ignore_ascii_case("ENABLED"));
        if self.strictness == Strictness::Strict && operation_id.contains("__") {
            return Err(SchemaError::DoubleUnderscore { name: operation_id });
        }
        let verb = method.to_ascii_uppercase();
        let called = operation::read(&operation_id, operation, shared, body_media_type.as_deref());
        Ok(Some(Action {
            tool_name: tool_name::join(
                &[&verb, self.action_group, &operation_id],
                self.strictness,
            )?,
            action_group: self.action_group.to_owned(),
            description: Some(description),
            target: ActionTarget::Api {
                path: path.to_owned(),
                method: verb,
                body_media_type,
            },
            executor: self.executor.clone(),
            requires_confirmation,
            parameters,
            operation: Some(Arc::new(called)),
            computer_use: false,
        }))
    }

    fn operation_id(
        &mut self,
        place: &str,
        path: &str,
        method: &str,
        operation: &Map<String, Value>,
    ) -> String {
        if let Some(id) = operation.get("operationId").and_then(Value::as_str) {
            let is_known = self.operation_ids.iter().any(|known| known == id);
            if is_known && self.strictness == Strictness::Strict {
                self.problems
                    .push(format!("attribute {place}.operationId is repeated"));
            }
            self.operation_ids.push(id.to_owned());
            return id.to_owned();
        }
        if self.strictness == Strictness::Strict {
            self.missing(&format!("{place}.operationId"));
        }
        let words: Vec<&str> = path
            .split(|character: char| !character.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        format!("{method}_{}", words.join("_"))
    }

    fn description(
        &mut self,
        path: &str,
        operation: &Map<String, Value>,
        operation_id: &str,
    ) -> String {
        let text = |member: &str| {
            operation
                .get(member)
                .and_then(Value::as_str)
                .filter(|text| !text.trim().is_empty())
        };
        if let Some(description) = text("description") {
            return description.to_owned();
        }
        if self.strictness == Strictness::Strict {
            self.problems
                .push(format!("'description' is missing for path: {path}"));
        }
        text("summary").unwrap_or(operation_id).to_owned()
    }

    /// The operation's own parameters override the path's of the same name and place.
    fn parameters(
        &mut self,
        place: &str,
        operation: &Map<String, Value>,
        shared: &Value,
    ) -> Vec<ActionParameter> {
        let own = operation.get("parameters").cloned().unwrap_or(Value::Null);
        let mut out: Vec<ActionParameter> = Vec::new();
        for parameter in [&own, shared]
            .into_iter()
            .flat_map(|list| list.as_array().into_iter().flatten())
        {
            let Some(name) = parameter.get("name").and_then(Value::as_str) else {
                self.missing(&format!("{place}.parameters.['unknown'].name"));
                continue;
            };
            if out.iter().any(|known| known.name == name) {
                continue;
            }
            let place = format!("{place}.parameters.[{name}]");
            out.extend(self.parameter(&place, name, parameter));
        }
        out
    }

    fn parameter(&mut self, place: &str, name: &str, parameter: &Value) -> Option<ActionParameter> {
        let is_strict = self.strictness == Strictness::Strict;
        let location = parameter.get("in").and_then(Value::as_str);
        if location.is_none() && is_strict {
            self.missing(&format!("{place}.in"));
        }
        if location == Some("cookie") {
            self.problems.push(format!(
                "attribute {place}.in is cookie, which an agent cannot send"
            ));
            return None;
        }
        let described = parameter.get("description").and_then(Value::as_str);
        if described.is_none() && is_strict {
            self.missing(&format!("{place}.description"));
        }
        let mut schema = parameter
            .get("schema")
            .cloned()
            .unwrap_or_else(|| json!({}));
        if let (Some(text), Some(schema)) = (described, schema.as_object_mut()) {
            schema
                .entry("description")
                .or_insert_with(|| Value::from(text));
        }
        let required = location == Some("path")
            || parameter.get("required").and_then(Value::as_bool) == Some(true);
        Some(parameter_of(name, schema, required, false))
    }

    fn check_responses(&mut self, place: &str, operation: &Map<String, Value>) {
        let Some(responses) = operation.get("responses").and_then(Value::as_object) else {
            self.missing(&format!("{place}.responses"));
            return;
        };
        if self.strictness == Strictness::Relaxed {
            return;
        }
        for (status, response) in responses {
            if response
                .get("description")
                .is_none_or(|text| !text.is_string())
            {
                self.missing(&format!("{place}.responses.{status}.description"));
            }
        }
    }

    /// Adds the body's properties as parameters and gives the body's media type.
    fn body(
        &mut self,
        place: &str,
        method: &str,
        operation: &Map<String, Value>,
        parameters: &mut Vec<ActionParameter>,
    ) -> Option<String> {
        let body = operation.get("requestBody")?;
        if self.strictness == Strictness::Strict && matches!(method, "get" | "delete") {
            self.problems
                .push(format!("attribute {place}.requestBody is unsupported"));
        }
        let content = body.get("content").and_then(Value::as_object);
        let Some((media_type, media)) = content.and_then(|content| {
            content
                .get_key_value("application/json")
                .or_else(|| content.iter().next())
        }) else {
            self.missing(&format!("{place}.requestBody.content"));
            return None;
        };
        let schema = media.get("schema").cloned().unwrap_or_else(|| json!({}));
        let body_required = body.get("required").and_then(Value::as_bool) == Some(true);
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            parameters.push(parameter_of("body", schema, body_required, true));
            return Some(media_type.clone());
        };
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, property) in properties {
            if parameters.iter().any(|known| known.name == *name) {
                self.problems.push(format!(
                    "attribute {place}.requestBody property {name} has the name of a parameter"
                ));
                continue;
            }
            let needed = required.contains(&name.as_str());
            parameters.push(parameter_of(name, property.clone(), needed, true));
        }
        Some(media_type.clone())
    }
}

fn parameter_of(name: &str, schema: Value, required: bool, in_body: bool) -> ActionParameter {
    let type_ = match schema.get("type").and_then(Value::as_str) {
        Some("number") => ParameterType::Number,
        Some("integer") => ParameterType::Integer,
        Some("boolean") => ParameterType::Boolean,
        Some("array") => ParameterType::Array,
        Some("object") => ParameterType::Object,
        None if schema.get("properties").is_some() => ParameterType::Object,
        _ => ParameterType::String,
    };
    ActionParameter {
        name: name.to_owned(),
        type_,
        required,
        in_body,
        schema: model_schema(schema, type_),
    }
}

/// The schema as models take it: with a type, array items, and without `OpenAPI`'s own extensions.
fn model_schema(schema: Value, type_: ParameterType) -> Value {
    let Value::Object(members) = schema else {
        return json!({"type": type_.as_str()});
    };
    let mut members: Map<String, Value> = members
        .into_iter()
        .filter(|(name, _)| {
            !name.starts_with("x-") && !matches!(name.as_str(), "example" | "xml" | "externalDocs")
        })
        .collect();
    members
        .entry("type")
        .or_insert_with(|| Value::from(type_.as_str()));
    if type_ == ParameterType::Array {
        members.entry("items").or_insert_with(|| json!({}));
    }
    Value::Object(members)
}

fn label(target: &ActionTarget) -> String {
    match target {
        ActionTarget::Function { name } => name.clone(),
        ActionTarget::Api { path, method, .. } => format!("{method} {path}"),
    }
}

#[cfg(test)]
mod tests;
