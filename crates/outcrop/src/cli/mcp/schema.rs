//! Tools in the forms of an action group's schema, with a note on everything a form cannot hold.

use outcrop_adapters::action::ExportedTool;
use serde_json::{Map, Value, json};

/// AWS's bounds of a function schema (behaviour.md 1.8).
const FUNCTIONS_MAX: usize = 11;
const PARAMETERS_MAX: usize = 5;
const DESCRIPTION_CHARS_MAX: usize = 1_200;
const PARAMETER_DESCRIPTION_CHARS_MAX: usize = 500;

/// How members are spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// `functions`, as in requests.
    Api,
    /// `Functions`, as in templates.
    CloudFormation,
}

impl Case {
    fn of(self, member: &str) -> String {
        match self {
            Self::Api => member.to_owned(),
            Self::CloudFormation => {
                let (first, rest) = member.split_at(1);
                format!("{}{rest}", first.to_ascii_uppercase())
            }
        }
    }

    fn object<const N: usize>(self, members: [(&str, Option<Value>); N]) -> Value {
        let members = members
            .into_iter()
            .filter_map(|(name, value)| Some((self.of(name), value?)));
        Value::Object(members.collect())
    }
}

/// A function schema. Values within values become text that holds JSON.
pub(super) fn functions(tools: &[ExportedTool], case: Case) -> (Value, Vec<String>) {
    let mut notes = Vec::new();
    if tools.len() > FUNCTIONS_MAX {
        notes.push(format!(
            "{} functions, and AWS's default quota is {FUNCTIONS_MAX} for an agent",
            tools.len()
        ));
    }
    let functions: Vec<Value> = tools
        .iter()
        .map(|tool| function(tool, case, &mut notes))
        .collect();
    let schema = case.object([("functions", Some(Value::Array(functions)))]);
    (schema, notes)
}

fn function(tool: &ExportedTool, case: Case, notes: &mut Vec<String>) -> Value {
    if tool.name != tool.function {
        notes.push(format!("tool {} is called {}", tool.name, tool.function));
    }
    let properties = tool
        .input_schema
        .get("properties")
        .and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    let parameters: Map<String, Value> = properties
        .map(|(name, schema)| (name.clone(), parameter(tool, name, schema, case, notes)))
        .collect();
    if parameters.len() > PARAMETERS_MAX {
        notes.push(format!(
            "{} has {} parameters, and AWS's default quota is {PARAMETERS_MAX}",
            tool.function,
            parameters.len()
        ));
    }
    let description = tool.description.as_deref().map(|text| {
        let (text, is_cut) = cut(text, DESCRIPTION_CHARS_MAX);
        if is_cut {
            notes.push(format!(
                "the description of {} is cut to {DESCRIPTION_CHARS_MAX} characters",
                tool.function
            ));
        }
        Value::from(text)
    });
    case.object([
        ("name", Some(Value::from(tool.function.as_str()))),
        ("description", description),
        (
            "parameters",
            (!parameters.is_empty()).then_some(Value::Object(parameters)),
        ),
    ])
}

fn parameter(
    tool: &ExportedTool,
    name: &str,
    schema: &Value,
    case: Case,
    notes: &mut Vec<String>,
) -> Value {
    let place = format!("parameter {name} of {}", tool.function);
    let written = kind(schema);
    let mut text = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let mut add = |more: &str| {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(more);
    };
    let kind = match written {
        "string" | "number" | "integer" | "boolean" | "array" => written,
        _ => {
            notes.push(format!(
                "{place} is no plain value and becomes text that holds JSON"
            ));
            add("Give JSON text.");
            "string"
        }
    };
    if let Some(Value::Array(allowed)) = schema.get("enum") {
        let allowed: Vec<String> = allowed.iter().map(plain).collect();
        notes.push(format!(
            "the allowed values of {place} stand in its description"
        ));
        add(&format!("One of: {}.", allowed.join(", ")));
    }
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        add(&format!("Default: {}.", plain(default)));
    }
    let (text, is_cut) = cut(&text, PARAMETER_DESCRIPTION_CHARS_MAX);
    if is_cut {
        notes.push(format!(
            "the description of {place} is cut to {PARAMETER_DESCRIPTION_CHARS_MAX} characters"
        ));
    }
    let required = tool
        .input_schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|required| required.iter().any(|known| known == name));
    case.object([
        ("type", Some(Value::from(kind))),
        ("description", (!text.is_empty()).then(|| Value::from(text))),
        ("required", Some(Value::from(required))),
    ])
}

/// The type a schema names, seen through "this or null".
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            let mut real = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| *name != "null");
            match (real.next(), real.next()) {
                (Some(name), None) => name,
                _ => "",
            }
        }
        _ => {
            let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"));
            let choices = choices.and_then(Value::as_array).into_iter().flatten();
            let mut real = choices.map(kind).filter(|name| *name != "null");
            match (real.next(), real.next()) {
                (Some(name), None) => name,
                _ => "",
            }
        }
    }
}

/// A document with one operation a tool. Its path and method are names only: the server is called by
/// `operationId`.
pub(super) fn openapi(title: &str, tools: &[ExportedTool]) -> (Value, Vec<String>) {
    let mut notes = Vec::new();
    let mut shared = Map::new();
    let paths: Map<String, Value> = tools
        .iter()
        .map(|tool| {
            if tool.name != tool.function {
                notes.push(format!("tool {} is called {}", tool.name, tool.function));
            }
            let mut schema = tool.input_schema.clone();
            for member in ["$defs", "definitions"] {
                let Some(Value::Object(own)) =
                    schema.as_object_mut().and_then(|it| it.remove(member))
                else {
                    continue;
                };
                for (name, definition) in own {
                    let name = format!("{}_{name}", tool.function);
                    shared.insert(name, moved(&definition, &tool.function));
                }
            }
            let schema = moved(&schema, &tool.function);
            let has_arguments = schema
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|properties| !properties.is_empty());
            let mut operation = json!({
                "operationId": tool.function,
                "description": tool.description.as_deref().unwrap_or(&tool.function),
                "responses": {"200": {
                    "description": "What the tool gives back.",
                    "content": {"application/json": {"schema": {"type": "string"}}},
                }},
            });
            if has_arguments {
                operation["requestBody"] = json!({
                    "required": true,
                    "content": {"application/json": {"schema": schema}},
                });
            }
            (format!("/{}", tool.function), json!({"post": operation}))
        })
        .collect();
    let mut document = json!({
        "openapi": "3.0.0",
        "info": {"title": title, "version": "1.0"},
        "paths": paths,
    });
    if !shared.is_empty() {
        document["components"] = json!({"schemas": shared});
    }
    (document, notes)
}

/// A schema whose references lead to the document's shared schemas.
fn moved(schema: &Value, function: &str) -> Value {
    match schema {
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| {
                let target = member
                    .as_str()
                    .filter(|_| name == "$ref")
                    .and_then(|reference| {
                        reference
                            .strip_prefix("#/$defs/")
                            .or_else(|| reference.strip_prefix("#/definitions/"))
                    });
                let member = match target {
                    Some(target) => json!(format!("#/components/schemas/{function}_{target}")),
                    None => moved(member, function),
                };
                (name.clone(), member)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(|item| moved(item, function)).collect(),
        scalar => scalar.clone(),
    }
}

/// What the server itself says.
pub(super) fn raw(tools: &[ExportedTool]) -> (Value, Vec<String>) {
    let tools = tools
        .iter()
        .map(|tool| {
            json!({
                "name": tool.name,
                "function": tool.function,
                "description": tool.description,
                "inputSchema": tool.input_schema,
            })
        })
        .collect();
    (Value::Array(tools), Vec::new())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cut(text: &str, chars: usize) -> (String, bool) {
    let head: String = text.chars().take(chars).collect();
    let is_cut = head.len() < text.len();
    (head, is_cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> ExportedTool {
        ExportedTool {
            name: "orders.book".to_owned(),
            function: "orders_book".to_owned(),
            description: Some("Books.".to_owned()),
            input_schema: json!({
                "type": "object",
                "required": ["guest"],
                "properties": {
                    "guest": {"$ref": "#/$defs/Guest"},
                    "nights": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 1},
                    "board": {"type": "string", "enum": ["half", "full"], "description": "Meals."},
                },
                "$defs": {"Guest": {"type": "object"}},
            }),
        }
    }

    #[test]
    fn a_function_schema_holds_plain_values_and_says_what_it_drops() {
        let (schema, notes) = functions(&[tool()], Case::Api);
        assert_eq!(
            schema,
            json!({"functions": [{
                "name": "orders_book",
                "description": "Books.",
                "parameters": {
                    "guest": {"type": "string", "description": "Give JSON text.", "required": true},
                    "nights": {"type": "integer", "description": "Default: 1.", "required": false},
                    "board": {"type": "string", "description": "Meals. One of: half, full.", "required": false},
                },
            }]})
        );
        assert_eq!(
            notes,
            [
                "tool orders.book is called orders_book",
                "the allowed values of parameter board of orders_book stand in its description",
                "parameter guest of orders_book is no plain value and becomes text that holds JSON",
            ]
        );
        let (template, _) = functions(&[tool()], Case::CloudFormation);
        assert_eq!(
            template["Functions"][0]["Parameters"]["nights"]["Type"],
            "integer"
        );
    }

    #[test]
    fn an_openapi_document_keeps_nested_values() {
        let (document, _) = openapi("orders", &[tool()]);
        let operation = &document["paths"]["/orders_book"]["post"];
        assert_eq!(operation["operationId"], "orders_book");
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let reference = "#/components/schemas/orders_book_Guest";
        assert_eq!(schema["properties"]["guest"]["$ref"], reference);
        assert_eq!(
            document["components"]["schemas"]["orders_book_Guest"]["type"],
            "object"
        );
    }
}
