//! Reads a botocore `service-2.json` into the IR.
//!
//! Strict: a trait the IR cannot carry, or a name that leads nowhere, is an error, so that a new
//! botocore cannot change the meaning of a table unnoticed.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::ir::{
    Kind, Length, Location, Member, Model, Operation, Pattern, Range, Segment, Shape,
    TimestampFormat,
};

#[derive(Deserialize)]
struct RawModel {
    operations: BTreeMap<String, RawOperation>,
    shapes: BTreeMap<String, RawShape>,
}

#[derive(Deserialize)]
struct RawOperation {
    http: RawHttp,
    input: Option<RawRef>,
    output: Option<RawRef>,
    #[serde(default)]
    errors: Vec<RawRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHttp {
    method: String,
    #[serde(default = "root_path")]
    request_uri: String,
    response_code: Option<u16>,
}

fn root_path() -> String {
    "/".to_owned()
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRef {
    shape: String,
    location: Option<String>,
    location_name: Option<String>,
    #[serde(default)]
    idempotency_token: bool,
    timestamp_format: Option<String>,
    #[serde(default)]
    eventheader: bool,
    #[serde(default)]
    eventpayload: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "the traits of the format")]
struct RawShape {
    #[serde(rename = "type")]
    type_: String,
    #[serde(default)]
    members: BTreeMap<String, RawRef>,
    #[serde(default)]
    required: Vec<String>,
    payload: Option<String>,
    member: Option<RawRef>,
    key: Option<RawRef>,
    value: Option<RawRef>,
    min: Option<Value>,
    max: Option<Value>,
    pattern: Option<String>,
    #[serde(rename = "enum", default)]
    values: Vec<String>,
    timestamp_format: Option<String>,
    #[serde(default)]
    document: bool,
    #[serde(default)]
    union: bool,
    #[serde(default)]
    eventstream: bool,
    #[serde(default)]
    exception: bool,
    error: Option<RawError>,
    #[serde(default)]
    fault: bool,
    #[serde(default)]
    sensitive: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawError {
    http_status_code: Option<u16>,
}

/// Reads the JSON of one service.
///
/// # Errors
/// When the text is no service model or uses something the IR has no word for.
pub fn read(json: &str) -> Result<Model> {
    let raw: RawModel = serde_json::from_str(json).context("this is no botocore service model")?;
    read_raw(raw)
}

/// The same from a JSON value, as the protocol test cases have it.
///
/// # Errors
/// As [`read`].
pub fn read_value(json: Value) -> Result<Model> {
    read_raw(serde_json::from_value(json).context("this is no botocore service model")?)
}

fn read_raw(raw: RawModel) -> Result<Model> {
    let mut shapes = BTreeMap::new();
    for (name, shape) in raw.shapes {
        let shape = read_shape(shape, &mut shapes).with_context(|| format!("shape {name}"))?;
        shapes.insert(name, shape);
    }
    let mut operations = BTreeMap::new();
    for (name, operation) in raw.operations {
        let operation = read_operation(operation).with_context(|| format!("operation {name}"))?;
        operations.insert(name, operation);
    }
    let model = Model { shapes, operations };
    check_names(&model)?;
    Ok(model)
}

fn read_shape(raw: RawShape, shapes: &mut BTreeMap<String, Shape>) -> Result<Shape> {
    let length = || read_length(raw.min.as_ref(), raw.max.as_ref());
    let kind = match raw.type_.as_str() {
        "structure" if raw.document => Kind::Document,
        "structure" => {
            let members = read_members(&raw, shapes)?;
            if raw.eventstream {
                Kind::EventStream(members)
            } else if raw.union {
                Kind::Union(members)
            } else if raw.exception {
                let status = raw.error.as_ref().and_then(|error| error.http_status_code);
                let status = status.unwrap_or(if raw.fault { 500 } else { 400 });
                Kind::Exception { status, members }
            } else {
                Kind::Structure(members)
            }
        }
        "list" => Kind::List {
            member: raw.member.context("a list without member")?.shape,
            length: read_length(raw.min.as_ref(), raw.max.as_ref())?,
        },
        "map" => Kind::Map {
            key: raw.key.context("a map without key")?.shape,
            value: raw.value.context("a map without value")?.shape,
            length: read_length(raw.min.as_ref(), raw.max.as_ref())?,
        },
        "string" if !raw.values.is_empty() => Kind::Enum(raw.values),
        "string" | "character" => Kind::String {
            length: length()?,
            pattern: raw.pattern.clone().map(|text| Pattern {
                text,
                accept: None,
                reject: None,
            }),
        },
        "integer" => Kind::Integer(read_integers(&raw)?),
        "long" => Kind::Long(read_integers(&raw)?),
        "float" => Kind::Float(read_floats(&raw)?),
        "double" => Kind::Double(read_floats(&raw)?),
        "boolean" => Kind::Boolean,
        "blob" => Kind::Blob { length: length()? },
        "timestamp" => Kind::Timestamp(
            raw.timestamp_format
                .as_deref()
                .map(timestamp_format)
                .transpose()?,
        ),
        other => bail!("unknown type {other}"),
    };
    Ok(Shape {
        sensitive: raw.sensitive,
        kind,
    })
}

fn read_members(raw: &RawShape, shapes: &mut BTreeMap<String, Shape>) -> Result<Vec<Member>> {
    let mut members = Vec::with_capacity(raw.members.len());
    for (name, reference) in &raw.members {
        ensure!(
            !reference.eventheader && !reference.eventpayload,
            "member {name}: events with headers or a bare payload are not supported"
        );
        let location = read_location(name, reference, raw.payload.as_deref())?;
        let renamed = reference
            .location_name
            .as_ref()
            .filter(|_| location == Location::Body);
        members.push(Member {
            name: renamed.unwrap_or(name).clone(),
            model_name: name.clone(),
            target: read_target(reference, shapes)?,
            required: raw.required.contains(name),
            location,
            idempotency_token: reference.idempotency_token,
        });
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn read_location(name: &str, reference: &RawRef, payload: Option<&str>) -> Result<Location> {
    let wire_name = || {
        reference
            .location_name
            .clone()
            .unwrap_or_else(|| name.to_owned())
    };
    Ok(match reference.location.as_deref() {
        None if payload == Some(name) => Location::Payload,
        None => Location::Body,
        Some("uri") => {
            ensure!(
                wire_name() == name,
                "member {name}: renamed label {}",
                wire_name()
            );
            Location::Label
        }
        Some("querystring") if reference.location_name.is_none() => Location::QueryMap,
        Some("querystring") => Location::Query(wire_name()),
        Some("header") => Location::Header(wire_name().to_ascii_lowercase()),
        Some("headers") => Location::PrefixHeaders(wire_name().to_ascii_lowercase()),
        Some("statusCode") => Location::StatusCode,
        Some(other) => bail!("member {name}: unknown location {other}"),
    })
}

/// A member may set a timestamp format of its own; it then gets a shape of its own.
fn read_target(reference: &RawRef, shapes: &mut BTreeMap<String, Shape>) -> Result<String> {
    let Some(format) = reference.timestamp_format.as_deref() else {
        return Ok(reference.shape.clone());
    };
    let name = format!("Synthetic{}_{format}", reference.shape);
    shapes.insert(
        name.clone(),
        Shape {
            sensitive: false,
            kind: Kind::Timestamp(Some(timestamp_format(format)?)),
        },
    );
    Ok(name)
}

fn timestamp_format(text: &str) -> Result<TimestampFormat> {
    Ok(match text {
        "iso8601" => TimestampFormat::Iso8601,
        "unixTimestamp" => TimestampFormat::EpochSeconds,
        "rfc822" => TimestampFormat::HttpDate,
        other => bail!("unknown timestamp format {other}"),
    })
}

fn read_length(min: Option<&Value>, max: Option<&Value>) -> Result<Length> {
    let read = |value: Option<&Value>| {
        value
            .map(|value| {
                value
                    .as_u64()
                    .context("a length bound that is no natural number")
            })
            .transpose()
    };
    Ok(Length {
        min: read(min)?,
        max: read(max)?,
    })
}

fn read_integers(raw: &RawShape) -> Result<Range<i64>> {
    let read = |value: &Option<Value>| {
        value
            .as_ref()
            .map(|value| value.as_i64().context("a bound that is no integer"))
            .transpose()
    };
    Ok(Range {
        min: read(&raw.min)?,
        max: read(&raw.max)?,
    })
}

fn read_floats(raw: &RawShape) -> Result<Range<f64>> {
    let read = |value: &Option<Value>| {
        value
            .as_ref()
            .map(|value| value.as_f64().context("a bound that is no number"))
            .transpose()
    };
    Ok(Range {
        min: read(&raw.min)?,
        max: read(&raw.max)?,
    })
}

fn read_operation(raw: RawOperation) -> Result<Operation> {
    let (path, query) = match raw.http.request_uri.split_once('?') {
        Some((path, query)) => (path, query),
        None => (raw.http.request_uri.as_str(), ""),
    };
    let literal_query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Ok(Operation {
        method: raw.http.method,
        path: path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(read_segment)
            .collect::<Result<_>>()?,
        trailing_slash: path.len() > 1 && path.ends_with('/'),
        literal_query,
        success_status: raw.http.response_code.unwrap_or(200),
        input: raw.input.map(|reference| reference.shape),
        output: raw.output.map(|reference| reference.shape),
        errors: raw
            .errors
            .into_iter()
            .map(|reference| reference.shape)
            .collect(),
    })
}

fn read_segment(text: &str) -> Result<Segment> {
    let Some(label) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        ensure!(
            !text.contains(['{', '}']),
            "a label inside a segment: {text}"
        );
        return Ok(Segment::Literal(text.to_owned()));
    };
    Ok(match label.strip_suffix('+') {
        Some(label) => Segment::GreedyLabel(label.to_owned()),
        None => Segment::Label(label.to_owned()),
    })
}

/// Fails on a name that leads nowhere.
fn check_names(model: &Model) -> Result<()> {
    let known = |name: &str, by: &str| {
        ensure!(
            model.shapes.contains_key(name),
            "{by} names the unknown shape {name}"
        );
        Ok(())
    };
    for (name, shape) in &model.shapes {
        match &shape.kind {
            Kind::Structure(members)
            | Kind::Union(members)
            | Kind::EventStream(members)
            | Kind::Exception { members, .. } => {
                for member in members {
                    known(&member.target, name)?;
                }
            }
            Kind::List { member, .. } => known(member, name)?,
            Kind::Map { key, value, .. } => {
                known(key, name)?;
                known(value, name)?;
            }
            _ => {}
        }
    }
    for (name, operation) in &model.operations {
        let shapes = operation
            .input
            .iter()
            .chain(&operation.output)
            .chain(&operation.errors);
        for shape in shapes {
            known(shape, name)?;
        }
    }
    Ok(())
}
