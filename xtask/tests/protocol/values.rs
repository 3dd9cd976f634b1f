//! Values in two more forms: as botocore's cases write them, and so that they can be compared.
//!
//! The cases write timestamps as epoch seconds and blobs as plain text, and use the model's names of
//! members; the codec has the JSON of the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_model::timestamp::Timestamp;
use serde_json::{Map, Value, json};
use xtask::codegen::ir::{Kind, Member, Model, TimestampFormat};

/// From the form of the cases to the JSON of the wire.
pub(crate) fn to_wire(model: &Model, shape: &str, value: &Value) -> Value {
    match (&model.shape(shape).kind, value) {
        (_, Value::Null) => Value::Null,
        (Kind::Structure(members) | Kind::Union(members), Value::Object(object)) => each_member(
            members,
            object,
            |member| &member.model_name,
            |member, value| (member.name.clone(), to_wire(model, &member.target, value)),
        ),
        (Kind::Timestamp(format), value) => {
            let seconds = value
                .as_f64()
                .expect("the cases write timestamps as numbers");
            let time = Timestamp::from_epoch_seconds(seconds).unwrap();
            match format {
                Some(TimestampFormat::Iso8601) => Value::from(time.to_string()),
                Some(TimestampFormat::HttpDate) => Value::from(http_date(time)),
                None | Some(TimestampFormat::EpochSeconds) => value.clone(),
            }
        }
        (Kind::Blob { .. }, Value::String(text)) => Value::from(STANDARD.encode(text)),
        (kind, value) => inside(kind, value, |shape, value| to_wire(model, shape, value)),
    }
}

/// To a form in which equal values are equal: instants as nanoseconds, numbers as doubles, no nulls.
pub(crate) fn comparable(model: &Model, shape: &str, value: &Value) -> Value {
    match (&model.shape(shape).kind, value) {
        (Kind::Structure(members) | Kind::Union(members), Value::Object(object)) => each_member(
            members,
            object,
            |member| &member.name,
            |member, value| {
                (
                    member.name.clone(),
                    comparable(model, &member.target, value),
                )
            },
        ),
        (Kind::Timestamp(_), Value::String(text)) => {
            let time = Timestamp::parse_iso(text).map_or_else(
                |_| {
                    let parsed = jiff::fmt::rfc2822::parse(text).unwrap().timestamp();
                    i64::try_from(parsed.as_nanosecond()).unwrap()
                },
                Timestamp::as_nanos,
            );
            json!({ "nanoseconds": time })
        }
        (Kind::Timestamp(_), value) => {
            let time = Timestamp::from_epoch_seconds(value.as_f64().unwrap()).unwrap();
            json!({ "nanoseconds": time.as_nanos() })
        }
        (_, Value::Number(number)) => json!(number.as_f64()),
        (kind, value) => inside(kind, value, |shape, value| comparable(model, shape, value)),
    }
}

/// The members that are there, mapped.
fn each_member(
    members: &[Member],
    object: &Map<String, Value>,
    name: impl Fn(&Member) -> &String,
    map: impl Fn(&Member, &Value) -> (String, Value),
) -> Value {
    let present = members.iter().filter_map(|member| {
        let value = object.get(name(member)).filter(|value| !value.is_null())?;
        Some(map(member, value))
    });
    Value::Object(present.collect())
}

/// The elements or entries of a list or map, mapped; anything else as it is.
fn inside(kind: &Kind, value: &Value, map: impl Fn(&str, &Value) -> Value) -> Value {
    match (kind, value) {
        (Kind::List { member, .. }, Value::Array(elements)) => elements
            .iter()
            .map(|element| map(member, element))
            .collect(),
        (Kind::Map { value: target, .. }, Value::Object(entries)) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            entries
                .map(|(key, value)| (key.clone(), map(target, value)))
                .collect()
        }
        _ => value.clone(),
    }
}

fn http_date(time: Timestamp) -> String {
    let second = jiff::Timestamp::from_second(time.as_seconds()).unwrap();
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&second).unwrap()
}
