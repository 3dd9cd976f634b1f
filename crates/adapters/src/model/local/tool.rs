//! Tools as the planner sees them: what they do, in words, and which values they take.
//!
//! Read from Converse tool specifications. Of JSON Schema it knows what function details and
//! `OpenAPI` operations turn into: objects, arrays, the scalar types, `enum`, `required` and descriptions;
//! any other keyword is left to whoever runs the tool to check.

use serde_json::Value;

use super::words;

/// How deep objects may be nested before they count as free text; real tools stay far below, and a
/// schema that nests without end must not overflow the stack.
const DEPTH_LIMIT: usize = 8;

/// A tool that may be called.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tool {
    /// Its name on the wire, `Group__function`.
    pub(super) name: String,
    /// The last part of the name in words: `get order status`.
    pub(super) spoken: String,
    /// What it does, without a trailing condition; the spoken name where nothing is said.
    pub(super) purpose: String,
    /// What it takes.
    pub(super) parameters: Vec<Parameter>,
}

/// One value a tool takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    /// Its key.
    pub(super) name: String,
    /// The key in words: `order ID`.
    pub(super) spoken: String,
    /// What the schema says about it; empty for nothing.
    pub(super) description: String,
    /// What it holds.
    pub(super) kind: Kind,
    /// Whether a call without it is invalid.
    pub(super) required: bool,
}

/// What a parameter holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// One of these values.
    Choice(Vec<Value>),
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// Several of a kind.
    List(Box<Kind>),
    /// Named parts.
    Object(Vec<Parameter>),
}

impl Tool {
    /// A tool from its specification.
    pub(super) fn new(name: &str, description: &str, schema: &Value) -> Self {
        let function = name
            .rsplit_once("__")
            .map_or(name, |(_, function)| function);
        let spoken = words::spoken(function);
        let purpose = without_condition(description.trim());
        let purpose = if purpose.is_empty() {
            capitalised(&spoken)
        } else {
            purpose.to_owned()
        };
        Self {
            name: name.to_owned(),
            spoken,
            purpose,
            parameters: parameters(schema, 0),
        }
    }

    /// The last part of the name, as its author wrote it.
    pub(super) fn function(&self) -> &str {
        self.name
            .rsplit_once("__")
            .map_or(&self.name, |(_, function)| function)
    }
}

/// `Cancel an order if it has not yet shipped.` without what follows "if": those words describe the
/// state of things, not what a user asks for.
fn without_condition(description: &str) -> &str {
    let first = description
        .split_inclusive(['.', '\n'])
        .next()
        .unwrap_or(description);
    let end = [" if ", " unless "]
        .iter()
        .filter_map(|word| first.find(word))
        .min();
    match end {
        Some(end) if end > 8 => first[..end].trim_end_matches([',', ' ']),
        Some(_) | None => description,
    }
}

fn parameters(schema: &Value, depth: usize) -> Vec<Parameter> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let one = |(name, schema): (&String, &Value)| Parameter {
        name: name.clone(),
        spoken: spoken_parameter(name),
        description: text(schema, "description").trim().to_owned(),
        kind: kind(schema, depth),
        required: required.contains(&name.as_str()),
    };
    properties.iter().map(one).collect()
}

fn kind(schema: &Value, depth: usize) -> Kind {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Kind::Choice(values.clone());
    }
    let declared = match schema.get("type") {
        Some(Value::Array(types)) => types
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null")
            .unwrap_or_default(),
        Some(Value::String(name)) => name,
        Some(_) | None if schema.get("properties").is_some() => "object",
        Some(_) | None => "string",
    };
    match declared {
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        "array" if depth < DEPTH_LIMIT => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            Kind::List(Box::new(kind(items, depth + 1)))
        }
        "object" if depth < DEPTH_LIMIT => Kind::Object(parameters(schema, depth + 1)),
        _ => Kind::Text,
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// `order_id` as `order ID`.
fn spoken_parameter(name: &str) -> String {
    let spoken = words::spoken(name);
    let part = |word: &str| match word {
        "id" => "ID".to_owned(),
        "isbn" | "sku" | "url" | "iban" | "zip" => word.to_uppercase(),
        other => other.to_owned(),
    };
    spoken.split(' ').map(part).collect::<Vec<_>>().join(" ")
}

/// The text with its first letter in upper case.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
