//! JSON schemas as Python's types, and as readers that make values of those types from text.
//!
//! What a schema says in words that Python's types have none for (patterns, ranges, `oneOf`) is left
//! to the handler.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::python::{class, doc, identifier, is_identifier, literal, value};
use super::{Operation, Uses};

/// Schemas nest no deeper once their references are resolved; types need far less.
const DEPTH_MAX: usize = 16;
/// Names that the files around use themselves.
const TAKEN: [&str; 40] = [
    "handle",
    "json",
    "re",
    "app",
    "actions",
    "pytest",
    "handler",
    "Path",
    "EVENTS",
    "OPERATIONS",
    "ArgumentError",
    "Reprompt",
    "Failure",
    "Call",
    "Given",
    "anything",
    "text",
    "integer",
    "number",
    "boolean",
    "one_of",
    "array",
    "structure",
    "unfold",
    "key_of",
    "answer",
    "Any",
    "Literal",
    "Optional",
    "TypedDict",
    "Callable",
    "dataclass",
    "annotations",
    "Response",
    "BedrockAgentResolver",
    "BedrockAgentFunctionResolver",
    "arguments",
    "call",
    "read",
    "load",
];

/// All that a handler's files are made from.
pub(super) struct Shaped<'a> {
    /// In the order of groups and keys.
    pub(super) operations: Vec<ShapedOperation<'a>>,
    /// Types of nested objects, those before others that use them.
    pub(super) structures: Vec<String>,
    /// What is needed of Python's `typing`.
    pub(super) typing: BTreeSet<&'static str>,
}

/// An operation with its names.
pub(super) struct ShapedOperation<'a> {
    pub(super) group: &'a str,
    pub(super) key: String,
    pub(super) operation: &'a Operation,
    /// The Python function that does the work.
    pub(super) function: String,
    /// The type of its arguments.
    pub(super) class: String,
    /// Those with a default last, as Python wants them.
    pub(super) fields: Vec<Field>,
}

/// An argument.
pub(super) struct Field {
    /// In Python.
    pub(super) attribute: String,
    /// In the schema.
    pub(super) name: String,
    pub(super) annotation: String,
    pub(super) reader: String,
    pub(super) required: bool,
    /// What an absent one is, as Python writes it.
    pub(super) default: String,
    pub(super) description: String,
}

/// Gives everything its name and type.
pub(super) fn shape(uses: &Uses) -> Shaped<'_> {
    let mut shaper = Shaper {
        taken: TAKEN.map(str::to_owned).into(),
        structures: Vec::new(),
        typing: BTreeSet::from(["Any"]),
    };
    let operations = uses.operations.iter();
    let operations = operations.map(|((group, key), operation)| {
        let function = identifier(&operation.name, &mut shaper.taken);
        let class = class(&[&operation.name, "Arguments"], &mut shaper.taken);
        ShapedOperation {
            group,
            key: key.clone(),
            fields: shaper.fields(operation),
            operation,
            function,
            class,
        }
    });
    Shaped {
        operations: operations.collect(),
        structures: shaper.structures,
        typing: shaper.typing,
    }
}

struct Shaper {
    taken: Vec<String>,
    structures: Vec<String>,
    typing: BTreeSet<&'static str>,
}

/// A type and what reads it.
struct Typed {
    annotation: String,
    reader: String,
}

fn typed(annotation: &str, reader: &str) -> Typed {
    Typed {
        annotation: annotation.to_owned(),
        reader: reader.to_owned(),
    }
}

impl Shaper {
    fn fields(&mut self, operation: &Operation) -> Vec<Field> {
        let mut names = vec!["read".to_owned()];
        let mut fields: Vec<Field> = Vec::new();
        for parameter in &operation.parameters {
            let schema = &parameter.schema;
            let typed = self.read(schema, &[&operation.name, &parameter.name], 0);
            let default = schema
                .get("default")
                .filter(|default| fits(schema, default));
            let annotation = match default {
                None if !parameter.required => {
                    self.typing.insert("Optional");
                    format!("Optional[{}]", typed.annotation)
                }
                _ => typed.annotation,
            };
            fields.push(Field {
                attribute: identifier(&parameter.name, &mut names),
                name: parameter.name.clone(),
                annotation,
                reader: typed.reader,
                required: parameter.required,
                default: default.map_or_else(|| "None".to_owned(), value),
                description: doc(schema["description"].as_str().unwrap_or_default()),
            });
        }
        fields.sort_by_key(|field| !field.required);
        fields
    }

    fn read(&mut self, schema: &Value, path: &[&str], depth: usize) -> Typed {
        if depth >= DEPTH_MAX {
            return typed("Any", "anything");
        }
        let plain = match schema["type"].as_str() {
            Some("string") => typed("str", "text"),
            Some("integer") => typed("int", "integer"),
            Some("number") => return typed("float", "number"),
            Some("boolean") => return typed("bool", "boolean"),
            Some("array") => return self.list(schema, path, depth),
            Some("object") => return self.object(schema, path, depth),
            _ => return typed("Any", "anything"),
        };
        match schema["enum"].as_array() {
            Some(allowed)
                if !allowed.is_empty() && allowed.iter().all(|one| fits_type(schema, one)) =>
            {
                self.typing.insert("Literal");
                let allowed: Vec<String> = allowed.iter().map(value).collect();
                let allowed = allowed.join(", ");
                Typed {
                    annotation: format!("Literal[{allowed}]"),
                    reader: format!("one_of({}, {allowed})", plain.reader),
                }
            }
            _ => plain,
        }
    }

    fn list(&mut self, schema: &Value, path: &[&str], depth: usize) -> Typed {
        let mut path = path.to_vec();
        path.push("Item");
        let item = self.read(&schema["items"], &path, depth + 1);
        if item.annotation == "Any" {
            return typed("list", "array()");
        }
        Typed {
            annotation: format!("list[{}]", item.annotation),
            reader: format!("array({})", item.reader),
        }
    }

    fn object(&mut self, schema: &Value, path: &[&str], depth: usize) -> Typed {
        let Some(properties) = schema["properties"]
            .as_object()
            .filter(|some| !some.is_empty())
        else {
            return typed("dict", "structure({})");
        };
        let mut members = Vec::new();
        let mut readers = Vec::new();
        for (name, schema) in properties {
            let mut path = path.to_vec();
            path.push(name);
            let member = self.read(schema, &path, depth + 1);
            readers.push(format!("{}: {}", literal(name), member.reader));
            members.push((name, member.annotation));
        }
        self.typing.insert("TypedDict");
        let class = class(path, &mut self.taken);
        self.structures.push(structure(&class, &members));
        Typed {
            annotation: class,
            reader: format!("structure({{{}}})", readers.join(", ")),
        }
    }
}

/// A type of dictionaries. Absent members are no mistake: handlers ask with `get`.
fn structure(class: &str, members: &[(&String, String)]) -> String {
    if members.iter().all(|(name, _)| is_identifier(name)) {
        let lines: Vec<String> = members
            .iter()
            .map(|(name, annotation)| format!("    {name}: {annotation}\n"))
            .collect();
        return format!("class {class}(TypedDict, total=False):\n{}", lines.concat());
    }
    let members: Vec<String> = members
        .iter()
        // In quotes, since this form is evaluated.
        .map(|(name, annotation)| format!("{}: {}", literal(name), literal(annotation)))
        .collect();
    format!(
        "{class} = TypedDict({}, {{{}}}, total=False)\n",
        literal(class),
        members.join(", ")
    )
}

/// Whether a schema's own default is one of its values; nested ones are left alone.
fn fits(schema: &Value, default: &Value) -> bool {
    let is_scalar = !default.is_array() && !default.is_object();
    let allowed = schema["enum"].as_array();
    is_scalar && fits_type(schema, default) && allowed.is_none_or(|all| all.contains(default))
}

fn fits_type(schema: &Value, one: &Value) -> bool {
    match schema["type"].as_str() {
        Some("string") => one.is_string(),
        Some("integer") => one.is_i64() || one.is_u64(),
        Some("number") => one.is_number(),
        Some("boolean") => one.is_boolean(),
        _ => false,
    }
}

/// Whether an example comes back as it went: as text, a list of texts cannot hold what separates
/// them.
pub(super) fn is_plain_example(example: &Map<String, Value>) -> bool {
    example.values().all(|value| match value {
        Value::Array(_) | Value::Object(_) => is_plain_inside(value),
        _ => true,
    })
}

fn is_plain_inside(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            !text.is_empty() && !text.contains(['[', ']', '{', '}', '=']) && !text.contains(", ")
        }
        // Java writes numbers with a fraction in its own way.
        Value::Number(_) | Value::Bool(_) => true,
        Value::Null => false,
        Value::Array(items) => items.iter().all(is_plain_inside),
        Value::Object(members) => members.iter().all(|(name, member)| {
            is_identifier(&name.replace(['-', '.'], "_")) && is_plain_inside(member)
        }),
    }
}
