//! One value, fitted to its schema: what is clearly meant is taken, `"17"` for an integer or `17` for
//! a string, and what is below it is fitted alike.
//!
//! No validator of JSON schema: formats, patterns and bounds are for the model to read and the handler
//! to judge, as on AWS.

use serde_json::{Map, Number, Value};

use super::quoted;
use crate::action::{ActionParameter, ParameterType};

/// How deep a value is looked into; what lies deeper is taken as it is.
const DEPTH_MAX: usize = 16;
/// Most things said about one value.
const PROBLEMS_MAX: usize = 10;

/// The value as the parameter has it.
///
/// # Errors
/// What does not fit, each with its place.
pub(super) fn fitted(parameter: &ActionParameter, given: &Value) -> Result<Value, Vec<String>> {
    let mut problems = Vec::new();
    let no_schema = Map::new();
    let schema = parameter.schema.as_object().unwrap_or(&no_schema);
    let mut fitter = Fitter {
        problems: &mut problems,
    };
    let value = if has_alternatives(schema) {
        given.clone()
    } else {
        fitter.value(&parameter.name, Some(parameter.type_), schema, given, 0)
    };
    if problems.is_empty() {
        Ok(value)
    } else {
        problems.truncate(PROBLEMS_MAX);
        Err(problems)
    }
}

struct Fitter<'a> {
    problems: &'a mut Vec<String>,
}

impl Fitter<'_> {
    fn value(
        &mut self,
        place: &str,
        type_: Option<ParameterType>,
        schema: &Map<String, Value>,
        given: &Value,
        depth: usize,
    ) -> Value {
        let value = match type_ {
            None => given.clone(),
            Some(type_) => {
                let Some(value) = converted(type_, given) else {
                    self.problems.push(format!(
                        "'{place}' must be of type {}, but was {}",
                        type_.as_str(),
                        quoted(given)
                    ));
                    return Value::Null;
                };
                value
            }
        };
        let value = self.chosen(place, schema, value);
        if depth >= DEPTH_MAX {
            return value;
        }
        match value {
            Value::Array(items) => self.items(place, schema, items, depth),
            Value::Object(members) => self.members(place, schema, members, depth),
            scalar => scalar,
        }
    }

    /// The allowed value that is meant. Models write the number 2 as text now and then.
    fn chosen(&mut self, place: &str, schema: &Map<String, Value>, value: Value) -> Value {
        let Some(Value::Array(allowed)) = schema.get("enum") else {
            return value;
        };
        if allowed.contains(&value) {
            return value;
        }
        let text = crate::java::to_string(&value);
        let meant = allowed
            .iter()
            .find(|one| crate::java::to_string(one) == text);
        if let Some(meant) = meant {
            return meant.clone();
        }
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        self.problems.push(format!(
            "'{place}' must be one of {}, but was {}",
            allowed.join(", "),
            quoted(&value)
        ));
        value
    }

    fn items(
        &mut self,
        place: &str,
        schema: &Map<String, Value>,
        items: Vec<Value>,
        depth: usize,
    ) -> Value {
        let Some(Value::Object(of_items)) = schema.get("items") else {
            return Value::Array(items);
        };
        let fit = |(index, item): (usize, &Value)| {
            self.below(&format!("{place}[{index}]"), of_items, item, depth)
        };
        Value::Array(items.iter().enumerate().map(fit).collect())
    }

    fn members(
        &mut self,
        place: &str,
        schema: &Map<String, Value>,
        mut members: Map<String, Value>,
        depth: usize,
    ) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                self.problems.push(format!("'{place}.{name}' is missing"));
            }
        }
        let properties = schema.get("properties");
        let others = schema.get("additionalProperties");
        for (name, member) in &mut members {
            let described = properties.and_then(|properties| properties.get(name));
            if let Some(Value::Object(property)) = described.or(others)
                && !member.is_null()
            {
                *member = self.below(&format!("{place}.{name}"), property, member, depth);
            }
        }
        Value::Object(members)
    }

    fn below(
        &mut self,
        place: &str,
        schema: &Map<String, Value>,
        given: &Value,
        depth: usize,
    ) -> Value {
        if has_alternatives(schema) {
            return given.clone();
        }
        let type_ = schema
            .get("type")
            .and_then(Value::as_str)
            // An allowed value says itself of what type it is.
            .filter(|_| !schema.contains_key("enum"))
            .and_then(ParameterType::named);
        self.value(place, type_, schema, given, depth + 1)
    }
}

/// Whether several schemas serve: which of them is meant is not for us to say.
fn has_alternatives(schema: &Map<String, Value>) -> bool {
    schema.contains_key("anyOf")
        || schema.contains_key("oneOf")
        || schema.get("type").is_some_and(Value::is_array)
}

/// The value in that type, where it clearly is one.
fn converted(type_: ParameterType, given: &Value) -> Option<Value> {
    match (type_, given) {
        (ParameterType::String, Value::String(_))
        | (ParameterType::Boolean, Value::Bool(_))
        | (ParameterType::Number, Value::Number(_))
        | (ParameterType::Array, Value::Array(_))
        | (ParameterType::Object, Value::Object(_)) => Some(given.clone()),
        (ParameterType::String, Value::Number(_) | Value::Bool(_)) => {
            Some(Value::String(given.to_string()))
        }
        (ParameterType::Number, Value::String(text)) => number(text).map(Value::Number),
        (ParameterType::Integer, Value::Number(number)) => integer(number),
        (ParameterType::Integer, Value::String(text)) => integer(&number(text)?),
        (ParameterType::Boolean, Value::String(text)) => match text.trim() {
            "true" | "True" | "TRUE" => Some(Value::Bool(true)),
            "false" | "False" | "FALSE" => Some(Value::Bool(false)),
            _ => None,
        },
        // Some models write structured values as text.
        (ParameterType::Array, Value::String(text)) => serde_json::from_str(text)
            .ok()
            .filter(Value::is_array)
            .or_else(|| list(text)),
        (ParameterType::Object, Value::String(text)) => {
            serde_json::from_str(text).ok().filter(Value::is_object)
        }
        _ => None,
    }
}

/// A list as Python writes it, which prompts of AWS's samples ask for: `['a', 'b']`.
fn list(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.contains('"') || !text.starts_with("['") || !text.ends_with("']") {
        return None;
    }
    serde_json::from_str(&text.replace('\'', "\"")).ok()
}

fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if let Ok(number) = serde_json::from_str(text) {
        return Some(number);
    }
    // `+5` and `.5` are numbers to people.
    Number::from_f64(text.parse().ok()?)
}

fn integer(number: &Number) -> Option<Value> {
    if number.is_i64() || number.is_u64() {
        return Some(Value::Number(number.clone()));
    }
    let whole = number.as_f64().filter(|number| number.fract() == 0.0)?;
    // As text it has no point and no exponent, which an i64 has not either.
    Some(match format!("{whole:.0}").parse::<i64>() {
        Ok(whole) => Value::from(whole),
        Err(_) => Value::Number(number.clone()),
    })
}
