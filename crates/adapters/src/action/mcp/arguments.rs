//! A call's arguments as the tool wants them: under its own names, with the types of its input schema.
//!
//! The group's schema may say less than the tool's: a function schema has no nested values, so a model
//! gives them as text that holds JSON.

use outcrop_engine::action::call::CalledAction;
use rmcp::model::Tool;
use serde_json::{Map, Number, Value};

use super::names;

/// The arguments of one call.
pub(super) fn arguments(tool: &Tool, action: &CalledAction) -> Map<String, Value> {
    let schema = Value::Object(tool.input_schema.as_ref().clone());
    let given: Map<String, Value> = action
        .arguments
        .iter()
        .map(|argument| {
            let name = names::own_parameter(&tool.input_schema, &argument.name);
            (name.to_owned(), argument.value.clone())
        })
        .collect();
    match typed(&schema, &schema, &Value::Object(given)) {
        Value::Object(arguments) => arguments,
        _ => Map::new(),
    }
}

/// `value` with the types its JSON schema names. What the schema does not settle, and what cannot be
/// read as the type it names, stays as it is: whoever is called judges that.
///
/// A reference is followed one step at a time with the value, so a schema may contain itself: a value has
/// an end.
fn typed(root: &Value, schema: &Value, value: &Value) -> Value {
    let schema = meant(root, schema);
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => match value {
            Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
            other => other.clone(),
        },
        Some("integer") => integer(value).unwrap_or_else(|| value.clone()),
        Some("number") => number(value).unwrap_or_else(|| value.clone()),
        Some("boolean") => match value.as_str() {
            Some("true") => Value::Bool(true),
            Some("false") => Value::Bool(false),
            _ => value.clone(),
        },
        Some("array") => match parsed(value, Value::is_array) {
            Value::Array(items) => {
                let schema = schema.get("items").unwrap_or(&Value::Null);
                items.iter().map(|item| typed(root, schema, item)).collect()
            }
            other => other,
        },
        Some("object") => object(root, schema, value),
        None if schema.get("properties").is_some() => object(root, schema, value),
        Some(_) | None => value.clone(),
    }
}

/// What a schema says once a reference into the document, and a choice between something and null, are
/// seen through.
fn meant<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    if let Some(target) = target {
        return target;
    }
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    let mut real = choices
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
    match (real.next(), real.next()) {
        (Some(only), None) => match only.get("$ref").and_then(Value::as_str) {
            Some(reference) => reference
                .strip_prefix('#')
                .and_then(|pointer| root.pointer(pointer))
                .unwrap_or(only),
            None => only,
        },
        _ => schema,
    }
}

fn object(root: &Value, schema: &Value, value: &Value) -> Value {
    let Value::Object(members) = parsed(value, Value::is_object) else {
        return value.clone();
    };
    let of = |name: &str| {
        schema
            .get("properties")
            .and_then(|properties| properties.get(name))
            .or_else(|| schema.get("additionalProperties"))
            .unwrap_or(&Value::Null)
    };
    let members: Map<String, Value> = members
        .iter()
        .map(|(name, member)| (name.clone(), typed(root, of(name), member)))
        .collect();
    Value::Object(members)
}

/// A string that is the JSON of a wanted value is that value: models often quote structures.
fn parsed(value: &Value, is_wanted: fn(&Value) -> bool) -> Value {
    let text = value.as_str().map(serde_json::from_str::<Value>);
    match text {
        Some(Ok(inner)) if is_wanted(&inner) => inner,
        Some(_) | None => value.clone(),
    }
}

/// Whole numbers of up to 53 bits may come with a fraction of zero.
fn integer(value: &Value) -> Option<Value> {
    let whole = |number: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0)
            .then(|| Value::from(number as i64))
    };
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => None,
        Value::Number(number) => whole(number.as_f64()?),
        Value::String(text) => {
            let text = text.trim();
            let exact = text.parse::<i64>().map(Value::from);
            exact
                .or_else(|_| text.parse::<u64>().map(Value::from))
                .ok()
                .or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

fn number(value: &Value) -> Option<Value> {
    let text = value.as_str()?.trim();
    if let Some(whole) = integer(value) {
        return Some(whole);
    }
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::typed;

    #[test]
    fn values_get_the_types_of_their_schema() {
        let order = json!({"type": "object", "properties": {
            "count": {"type": "integer"}, "price": {"type": "number"}, "gift": {"type": "boolean"},
            "zip": {"type": "string"}, "tags": {"type": "array", "items": {"type": "integer"}},
        }});
        for (schema, value, expected) in [
            (json!({"type": "integer"}), json!("17"), json!(17)),
            (json!({"type": "integer"}), json!(3.0), json!(3)),
            (
                json!({"type": "integer"}),
                json!("18446744073709551615"),
                json!(u64::MAX),
            ),
            (json!({"type": "integer"}), json!("many"), json!("many")),
            (json!({"type": "number"}), json!("1.5"), json!(1.5)),
            (json!({"type": "number"}), json!("2"), json!(2)),
            (json!({"type": "number"}), json!("NaN"), json!("NaN")),
            (json!({"type": "boolean"}), json!("true"), json!(true)),
            (json!({"type": "string"}), json!(17), json!("17")),
            (json!({"type": "array"}), json!("[1, 2]"), json!([1, 2])),
            (json!({"type": "array"}), json!("no"), json!("no")),
            (
                json!({"type": "object"}),
                json!("{\"a\": 1}"),
                json!({"a": 1}),
            ),
            (json!({}), json!("17"), json!("17")),
            (
                order,
                json!({"count": "2", "price": "9.5", "gift": "false", "zip": 8001, "tags": ["1"], "more": "7"}),
                json!({"count": 2, "price": 9.5, "gift": false, "zip": "8001", "tags": [1], "more": "7"}),
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "integer"}}),
                json!({"a": "1"}),
                json!({"a": 1}),
            ),
            (
                json!({
                    "type": "object",
                    "properties": {"guest": {"$ref": "#/$defs/Guest"}, "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
                    "$defs": {"Guest": {"type": "object", "properties": {"nights": {"type": "integer"}}}},
                }),
                json!({"guest": "{\"nights\": \"2\"}", "age": "7"}),
                json!({"guest": {"nights": 2}, "age": 7}),
            ),
        ] {
            assert_eq!(
                typed(&schema, &schema, &value),
                expected,
                "{schema} of {value}"
            );
        }
    }
}
