//! The first walk over a decoded body: are the JSON types those of the shapes?
//!
//! Also brings the value into the one form that deserialisation takes: members that are `null` or
//! named `__type` (AWS leaks Java type names, behaviour.md 0.1) are removed, integers written `60.0`
//! become `60`. Constraints are another walk ([`crate::validate`]); this one knows none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_model::operation::TimestampFormat;
use outcrop_model::timestamp::Timestamp;
use serde_json::{Map, Value};

use crate::path::Path;
use crate::rejection::Rejection;
use crate::schema::{Kind, Member, Schema, ShapeId};

/// Whose JSON is read: what clients send is refused where it is wrong, what a service answers is
/// read as far as it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Client,
    Service,
}

/// Checks `value` against a shape and normalises it.
pub(crate) fn check(
    schema: &Schema,
    shape: ShapeId,
    value: &mut Value,
    path: Path<'_>,
    origin: Origin,
) -> Result<(), Rejection> {
    match &schema.shape(shape).kind {
        Kind::Structure(members) => {
            let object = object(value, path)?;
            check_members(schema, members, object, path, origin)
        }
        Kind::Union(members) => check_union(schema, members, value, path, origin),
        Kind::List { member, .. } => check_list(schema, *member, value, path, origin),
        Kind::Map { value: target, .. } => {
            let object = object(value, path)?;
            object.retain(|_, value| !value.is_null());
            for (key, value) in object {
                check(schema, *target, value, path.entry(key), origin)?;
            }
            Ok(())
        }
        Kind::String { .. } | Kind::Enum(_) => string(value, path).map(|_| ()),
        Kind::Integer(_) => integer(value, path, i64::from(i32::MIN)..=i64::from(i32::MAX)),
        Kind::Long(_) => integer(value, path, i64::MIN..=i64::MAX),
        Kind::Float(_) | Kind::Double(_) => number(value, path),
        Kind::Boolean if value.is_boolean() => Ok(()),
        Kind::Boolean => Err(mismatch(path, "a boolean", value)),
        Kind::Blob { .. } => blob(value, path),
        Kind::Timestamp(format) => timestamp(value, *format, path),
        Kind::Document => Ok(()),
    }
}

/// Checks the members of an object that has been taken apart already.
pub(crate) fn check_members(
    schema: &Schema,
    members: &[Member],
    object: &mut Map<String, Value>,
    path: Path<'_>,
    origin: Origin,
) -> Result<(), Rejection> {
    for member in members {
        let Some(value) = object.get_mut(member.name) else {
            continue;
        };
        if value.is_null() {
            object.remove(member.name);
        } else {
            check(
                schema,
                member.target,
                value,
                path.member(member.name),
                origin,
            )?;
        }
    }
    Ok(())
}

fn check_union(
    schema: &Schema,
    members: &[Member],
    value: &mut Value,
    path: Path<'_>,
    origin: Origin,
) -> Result<(), Rejection> {
    let object = object(value, path)?;
    object.retain(|name, value| !value.is_null() && name != "__type");
    if origin == Origin::Service && object.len() > 1 {
        object.retain(|name, _| members.iter().any(|member| member.name == name));
    }
    let set = object.len();
    let mut entries = object.iter_mut();
    let (Some((name, value)), 1) = (entries.next(), set) else {
        return Err(Rejection::Unreadable {
            path: path.to_string(),
            detail: format!("exactly one member of a union must be set, not {set}"),
        });
    };
    match members.binary_search_by_key(&name.as_str(), |member| member.name) {
        Ok(found) => {
            let target = members[found].target;
            check(schema, target, value, path.member(name), origin)
        }
        Err(_) if origin == Origin::Service => Ok(()),
        Err(_) => Err(Rejection::Unreadable {
            path: path.to_string(),
            detail: format!("the union has no member {name}"),
        }),
    }
}

fn check_list(
    schema: &Schema,
    member: ShapeId,
    value: &mut Value,
    path: Path<'_>,
    origin: Origin,
) -> Result<(), Rejection> {
    let got = type_of(value);
    let Value::Array(elements) = value else {
        return Err(Rejection::Type {
            path: path.to_string(),
            expected: "a list",
            got,
        });
    };
    if origin == Origin::Service {
        elements.retain(|element| !element.is_null());
    }
    for (index, element) in elements.iter_mut().enumerate() {
        check(schema, member, element, path.element(index), origin)?;
    }
    Ok(())
}

fn object<'v>(
    value: &'v mut Value,
    path: Path<'_>,
) -> Result<&'v mut Map<String, Value>, Rejection> {
    let got = type_of(value);
    value.as_object_mut().ok_or_else(|| Rejection::Type {
        path: path.to_string(),
        expected: "an object",
        got,
    })
}

fn string<'v>(value: &'v Value, path: Path<'_>) -> Result<&'v str, Rejection> {
    value
        .as_str()
        .ok_or_else(|| mismatch(path, "a string", value))
}

fn integer(
    value: &mut Value,
    path: Path<'_>,
    range: std::ops::RangeInclusive<i64>,
) -> Result<(), Rejection> {
    if let Some(float) = value.as_f64().filter(|_| value.is_f64())
        && float.fract() == 0.0
        && float.abs() < 9_007_199_254_740_992.0
    {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        let whole = float as i64;
        *value = Value::from(whole);
    }
    match value.as_i64() {
        Some(number) if range.contains(&number) => Ok(()),
        _ => Err(mismatch(path, "an integer", value)),
    }
}

/// JSON has no words for the special values of floating point, so they travel as strings.
fn number(value: &Value, path: Path<'_>) -> Result<(), Rejection> {
    let special = matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity"));
    if value.is_number() || special {
        Ok(())
    } else {
        Err(mismatch(path, "a number", value))
    }
}

fn blob(value: &Value, path: Path<'_>) -> Result<(), Rejection> {
    let text = string(value, path)?;
    match STANDARD.decode(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Rejection::Unreadable {
            path: path.to_string(),
            detail: format!("not Base64: {error}"),
        }),
    }
}

fn timestamp(
    value: &Value,
    format: Option<TimestampFormat>,
    path: Path<'_>,
) -> Result<(), Rejection> {
    let unreadable = |detail: String| Rejection::Unreadable {
        path: path.to_string(),
        detail,
    };
    match format.unwrap_or(TimestampFormat::EpochSeconds) {
        TimestampFormat::EpochSeconds => {
            let seconds = value
                .as_f64()
                .ok_or_else(|| mismatch(path, "a number", value))?;
            Timestamp::from_epoch_seconds(seconds)
                .map_err(|error| unreadable(error.to_string()))?;
        }
        TimestampFormat::Iso8601 => {
            let text = string(value, path)?;
            Timestamp::parse_iso(text).map_err(|error| unreadable(error.to_string()))?;
        }
        TimestampFormat::HttpDate => {
            let text = string(value, path)?;
            crate::text::parse_http_date(text).map_err(unreadable)?;
        }
    }
    Ok(())
}

fn mismatch(path: Path<'_>, expected: &'static str, value: &Value) -> Rejection {
    Rejection::Type {
        path: path.to_string(),
        expected,
        got: type_of(value),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fractional number",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
