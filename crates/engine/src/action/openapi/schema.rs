//! Schemas of parameters and bodies, from `OpenAPI`'s dialect to the JSON schema that models take.
//!
//! What combines several schemas is made one where that is clear: `allOf` is merged, and an
//! alternative that only adds null is dropped. Everything else passes as it is; a schema that says
//! too little is completed, since models refuse one without a type.

use serde_json::{Map, Value, json};

use crate::action::ParameterType;

/// Members that say nothing to a model, or that JSON schema does not have.
const DROPPED: [&str; 10] = [
    "deprecated",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "nullable",
    "readOnly",
    "summary",
    "writeOnly",
    "xml",
];

/// A resolved schema in the models' dialect.
pub(super) fn simplified(schema: Value) -> Map<String, Value> {
    let Value::Object(mut members) = schema else {
        return Map::new();
    };
    members.retain(|name, _| !name.starts_with("x-") && !DROPPED.contains(&name.as_str()));
    for member in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(parts)) = members.remove(member) {
            let mut parts: Vec<Map<String, Value>> = parts
                .into_iter()
                .map(simplified)
                .filter(|part| part.get("type") != Some(&json!("null")))
                .collect();
            if member == "allOf" || parts.len() == 1 {
                for part in parts {
                    merge(&mut members, part);
                }
            } else if !parts.is_empty() {
                let whole = parts.drain(..).map(Value::Object).collect();
                members.insert(member.to_owned(), Value::Array(whole));
            }
        }
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        for property in properties.values_mut() {
            *property = Value::Object(nested(property.take()));
        }
    }
    for member in ["items", "additionalProperties"] {
        if let Some(below @ Value::Object(_)) = members.get_mut(member) {
            *below = Value::Object(nested(below.take()));
        }
    }
    if let Some(only) = members.remove("const") {
        members.entry("enum").or_insert_with(|| json!([only]));
    }
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|type_| type_ != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    gather_required(&mut members);
    bounds(&mut members);
    members
}

/// A schema below another: complete, as nobody completes it later.
fn nested(schema: Value) -> Map<String, Value> {
    // The mark of a required property in the wrong place; the schema above reads it.
    let is_marked = schema.get("required") == Some(&Value::Bool(true));
    let mut members = simplified(schema);
    // One that says nothing of its type takes anything.
    if [
        "type",
        "properties",
        "additionalProperties",
        "items",
        "enum",
    ]
    .iter()
    .any(|member| members.contains_key(*member))
    {
        let kind = kind_of(&members);
        complete(&mut members, &kind);
    }
    if is_marked {
        members.insert("required".to_owned(), Value::Bool(true));
    }
    members
}

/// `required: true` on a property, which is meant although it belongs into the list above it.
fn gather_required(members: &mut Map<String, Value>) {
    let mut required = match members.remove("required") {
        Some(Value::Array(names)) => names,
        _ => Vec::new(),
    };
    required.retain(Value::is_string);
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        for (name, property) in properties {
            let Value::Object(property) = property else {
                continue;
            };
            if property.get("required") == Some(&Value::Bool(true)) {
                property.remove("required");
                let name = Value::from(name.as_str());
                if !required.contains(&name) {
                    required.push(name);
                }
            }
        }
    }
    if !required.is_empty() {
        members.insert("required".to_owned(), Value::Array(required));
    }
}

/// `exclusiveMinimum: true` beside a minimum, which JSON schema writes as one number.
fn bounds(members: &mut Map<String, Value>) {
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        let Some(Value::Bool(exclusive)) = members.get(flag) else {
            continue;
        };
        let exclusive = *exclusive;
        members.remove(flag);
        if exclusive && let Some(limit) = members.remove(bound) {
            members.insert(flag.to_owned(), limit);
        }
    }
}

/// Lays a part of an `allOf` under what is there: properties join, and what was said first stays.
fn merge(members: &mut Map<String, Value>, part: Map<String, Value>) {
    for (name, value) in part {
        match (name.as_str(), members.get_mut(&name), value) {
            ("properties", Some(Value::Object(known)), Value::Object(more)) => {
                for (name, property) in more {
                    known.entry(name).or_insert(property);
                }
            }
            ("required", Some(Value::Array(known)), Value::Array(more)) => {
                for name in more {
                    if !known.contains(&name) {
                        known.push(name);
                    }
                }
            }
            (_, Some(_), _) => {}
            (_, None, value) => {
                members.insert(name, value);
            }
        }
    }
}

/// What kind of value a schema describes.
pub(super) struct Kind {
    pub(super) type_: ParameterType,
    /// The type as written, where there is no such type.
    pub(super) unknown: Option<String>,
}

impl From<ParameterType> for Kind {
    fn from(type_: ParameterType) -> Self {
        Self {
            type_,
            unknown: None,
        }
    }
}

/// The declared type: that of the schema, of its properties, or of its first alternative or allowed
/// value.
pub(super) fn kind_of(schema: &Map<String, Value>) -> Kind {
    let named = match schema.get("type") {
        Some(Value::Array(types)) => types.first(),
        other => other,
    };
    if let Some(named) = named {
        return named_kind(named);
    }
    if schema.contains_key("properties") || schema.contains_key("additionalProperties") {
        return ParameterType::Object.into();
    }
    if schema.contains_key("items") {
        return ParameterType::Array.into();
    }
    let first = |member: &str| schema.get(member)?.as_array()?.first();
    if let Some(Value::Object(alternative)) = first("oneOf").or_else(|| first("anyOf")) {
        return kind_of(alternative);
    }
    let type_ = match first("enum") {
        Some(Value::Number(number)) if number.is_f64() => ParameterType::Number,
        Some(Value::Number(_)) => ParameterType::Integer,
        Some(Value::Bool(_)) => ParameterType::Boolean,
        _ => ParameterType::String,
    };
    type_.into()
}

fn named_kind(named: &Value) -> Kind {
    let name = named.as_str().unwrap_or_default();
    if let Some(known) = ParameterType::named(name) {
        return known.into();
    }
    let type_ = match name.to_ascii_lowercase().as_str() {
        "int" | "int32" | "int64" | "long" => ParameterType::Integer,
        "float" | "double" | "decimal" => ParameterType::Number,
        "bool" => ParameterType::Boolean,
        "list" => ParameterType::Array,
        "dict" | "map" => ParameterType::Object,
        _ => ParameterType::String,
    };
    Kind {
        type_,
        unknown: Some(named.to_string()),
    }
}

/// Adds what models demand of a schema: a type they know, and items of an array.
pub(super) fn complete(schema: &mut Map<String, Value>, kind: &Kind) {
    if kind.unknown.is_some() {
        schema.remove("type");
    }
    if schema.contains_key("anyOf") || schema.contains_key("oneOf") {
        return;
    }
    schema
        .entry("type")
        .or_insert_with(|| Value::from(kind.type_.as_str()));
    if kind.type_ == ParameterType::Array {
        schema.entry("items").or_insert_with(|| json!({}));
    }
}

/// A property of a body: its name, its schema, whether it is required.
type Property = (String, Map<String, Value>, bool);

/// The properties of a body, each with whether it is required; those of all alternatives where there
/// are several, of which only what all of them require is required. `None` for a body without any.
pub(super) fn properties(schema: &Map<String, Value>) -> Option<Vec<Property>> {
    let mut whole = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for member in ["oneOf", "anyOf"] {
        let alternatives = schema.get(member).and_then(Value::as_array);
        let objects: Vec<&Map<String, Value>> = alternatives
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .collect();
        for (index, alternative) in objects.into_iter().enumerate() {
            let names = required_names(alternative);
            if index == 0 {
                required.extend(names);
            } else {
                required.retain(|name| names.contains(name));
            }
            add(&mut whole, alternative);
        }
    }
    add(&mut whole, schema);
    required.extend(required_names(schema));
    if whole.is_empty() {
        return None;
    }
    let with_need = |(name, property)| {
        let needed = required.contains(&String::as_str(&name));
        let Value::Object(property) = property else {
            return (name, Map::new(), needed);
        };
        (name, property, needed)
    };
    Some(whole.into_iter().map(with_need).collect())
}

fn add(whole: &mut Map<String, Value>, schema: &Map<String, Value>) {
    let own = schema.get("properties").and_then(Value::as_object);
    for (name, property) in own.into_iter().flatten() {
        whole.insert(name.clone(), property.clone());
    }
}

fn required_names(schema: &Map<String, Value>) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
