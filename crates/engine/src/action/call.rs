//! A call as executors see it that serve something else than a Lambda function: the arguments with
//! their JSON types, and where an API operation's parameters travel.
//!
//! The Lambda event cannot say this: there every value is a string, nested values in a form that
//! cannot be read back (behaviour.md 1.2), and `apiPath` is a template. All of it is read from the
//! schema when the agent's plan is made, so a call never depends on a schema that has changed since.

use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::arguments::Argument;
use super::{Action, ActionTarget};

/// One call of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledAction {
    /// `actionGroupName`.
    pub action_group: String,
    /// The function or operation.
    pub target: ActionTarget,
    /// How the operation's parameters travel; `None` for a function.
    pub operation: Option<Arc<ApiOperation>>,
    /// The arguments, by name.
    pub arguments: Vec<TypedArgument>,
}

/// One argument with the type its schema gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedArgument {
    /// The parameter's name.
    pub name: String,
    /// The value: a number where the schema says so, also where the model wrote a string.
    pub value: Value,
    /// Whether it travels in the request body.
    pub in_body: bool,
}

impl CalledAction {
    /// The call of `action` with these arguments.
    pub fn new(action: &Action, arguments: &[Argument]) -> Self {
        Self {
            action_group: action.action_group.clone(),
            target: action.target.clone(),
            operation: action.operation.clone(),
            arguments: arguments
                .iter()
                .map(|argument| TypedArgument {
                    name: argument.name.clone(),
                    value: argument.json.clone(),
                    in_body: argument.in_body,
                })
                .collect(),
        }
    }
}

/// How an `OpenAPI` operation is called over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiOperation {
    /// `operationId`, or the name made up in its place.
    pub id: String,
    /// The parameters outside the body.
    pub parameters: Vec<ApiParameter>,
    /// What the body is made of; `None` where the operation takes none.
    pub body: Option<ApiBody>,
}

/// One parameter outside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiParameter {
    /// Its name.
    pub name: String,
    /// Where it travels.
    pub location: Location,
    /// How its value is written.
    pub style: Style,
    /// Whether the members of an array or object stand for themselves.
    pub explode: bool,
    /// Whether reserved characters stay as they are (query only).
    pub allow_reserved: bool,
}

/// Where a parameter travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// How a value is written (`style` of `OpenAPI`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `a,b`
    Simple,
    /// `.a.b`
    Label,
    /// `;name=a`
    Matrix,
    /// `name=a&name=b`
    Form,
    /// `a%20b`
    SpaceDelimited,
    /// `a|b`
    PipeDelimited,
    /// `name[member]=a`
    DeepObject,
    /// JSON text: the parameter is described by a media type instead of a schema.
    Json,
}

/// A request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBody {
    /// The media type, as in the schema.
    pub media_type: String,
    /// Whether the one argument in the body is the whole body, rather than one of its properties.
    pub is_whole: bool,
}

/// `value` with the types its JSON schema names. What the schema does not settle, and what cannot be
/// read as the type it names, stays as it is: whoever is called judges that.
pub fn typed(schema: &Value, value: &Value) -> Value {
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
                items.iter().map(|item| typed(schema, item)).collect()
            }
            other => other,
        },
        Some("object") => object(schema, value),
        None if schema.get("properties").is_some() => object(schema, value),
        Some(_) | None => value.clone(),
    }
}

fn object(schema: &Value, value: &Value) -> Value {
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
        .map(|(name, member)| (name.clone(), typed(of(name), member)))
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
        ] {
            assert_eq!(typed(&schema, &value), expected, "{schema} of {value}");
        }
    }
}
