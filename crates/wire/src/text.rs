//! Scalars as the text of labels, query parameters and headers, and back.
//!
//! The JSON form of a value stays the same wherever it travels: a timestamp has the form of its
//! shape, a blob is Base64. Only here are the forms of the other places known.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_model::operation::TimestampFormat;
use outcrop_model::timestamp::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use crate::schema::{Kind, Schema, ShapeId};

/// All but the unreserved characters of RFC 3986, which is how every AWS SDK encodes.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As [`RESERVED`], but a greedy label keeps its slashes.
const RESERVED_IN_GREEDY: &AsciiSet = &RESERVED.remove(b'/');

/// Where text stands, which decides how timestamps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Label,
    Query,
    Header,
}

impl Place {
    fn timestamp_format(self) -> TimestampFormat {
        match self {
            Self::Label | Self::Query => TimestampFormat::Iso8601,
            Self::Header => TimestampFormat::HttpDate,
        }
    }
}

/// Percent-encodes a label or query text.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Percent-encodes a greedy label.
pub(crate) fn encode_greedy(text: &str) -> String {
    utf8_percent_encode(text, RESERVED_IN_GREEDY).to_string()
}

/// Percent-decodes; a plus sign is a plus sign.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "not UTF-8 after percent-decoding".to_owned())
}

/// Reads the text of a scalar into its JSON form.
pub(crate) fn read(
    schema: &Schema,
    shape: ShapeId,
    text: &str,
    place: Place,
) -> Result<Value, String> {
    Ok(match &schema.shape(shape).kind {
        Kind::Integer(_) => Value::from(parse::<i32>(text, "an integer")?),
        Kind::Long(_) => Value::from(parse::<i64>(text, "an integer")?),
        Kind::Float(_) | Kind::Double(_) => match text {
            "NaN" | "Infinity" | "-Infinity" => Value::from(text),
            _ => {
                let number = parse::<f64>(text, "a number")?;
                serde_json::Number::from_f64(number)
                    .map(Value::Number)
                    .ok_or_else(|| format!("`{text}` is not a finite number"))?
            }
        },
        Kind::Boolean => Value::from(parse::<bool>(text, "true or false")?),
        Kind::Timestamp(format) => {
            let time = parse_timestamp(text, format.unwrap_or(place.timestamp_format()))?;
            timestamp_to_json(time, *format)
        }
        Kind::Blob { .. } if place == Place::Header => {
            STANDARD
                .decode(text)
                .map_err(|error| format!("not Base64: {error}"))?;
            Value::from(text)
        }
        _ => Value::from(text),
    })
}

/// Writes the JSON form of a scalar as text.
pub(crate) fn write(
    schema: &Schema,
    shape: ShapeId,
    value: &Value,
    place: Place,
) -> Result<String, String> {
    match (&schema.shape(shape).kind, value) {
        (Kind::Timestamp(format), value) => {
            let time = timestamp_from_json(value, *format)?;
            Ok(match format.unwrap_or(place.timestamp_format()) {
                TimestampFormat::Iso8601 => time.to_string(),
                TimestampFormat::EpochSeconds => epoch_text(time),
                TimestampFormat::HttpDate => http_date(time),
            })
        }
        (_, Value::String(text)) => Ok(text.clone()),
        (_, Value::Number(_) | Value::Bool(_)) => Ok(value.to_string()),
        (_, Value::Null | Value::Array(_) | Value::Object(_)) => {
            Err("only scalars travel as text".to_owned())
        }
    }
}

fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not {what}"))
}

/// Reads a timestamp written in `format`.
pub(crate) fn parse_timestamp(text: &str, format: TimestampFormat) -> Result<Timestamp, String> {
    match format {
        TimestampFormat::Iso8601 => Timestamp::parse_iso(text).map_err(|error| error.to_string()),
        TimestampFormat::EpochSeconds => {
            let seconds = parse::<f64>(text, "a number of seconds")?;
            Timestamp::from_epoch_seconds(seconds).map_err(|error| error.to_string())
        }
        TimestampFormat::HttpDate => parse_http_date(text),
    }
}

/// Reads `Fri, 14 Mar 2025 09:26:53 GMT`.
pub(crate) fn parse_http_date(text: &str) -> Result<Timestamp, String> {
    let parsed =
        jiff::fmt::rfc2822::parse(text).map_err(|error| format!("no HTTP date: {error}"))?;
    i64::try_from(parsed.timestamp().as_nanosecond())
        .map(Timestamp::from_nanos)
        .map_err(|_| format!("`{text}` is out of range"))
}

fn http_date(time: Timestamp) -> String {
    let second = jiff::Timestamp::from_second(time.as_seconds())
        .expect("every i64 of nanoseconds lies within jiff's range of years");
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&second)
        .expect("years 1677 to 2262 have four digits")
}

fn epoch_text(time: Timestamp) -> String {
    let seconds = time.to_epoch_seconds();
    if seconds.fract() == 0.0 {
        time.as_seconds().to_string()
    } else {
        seconds.to_string()
    }
}

/// The JSON form of a timestamp of a shape.
pub(crate) fn timestamp_to_json(time: Timestamp, format: Option<TimestampFormat>) -> Value {
    match format.unwrap_or(TimestampFormat::EpochSeconds) {
        TimestampFormat::Iso8601 => Value::from(time.to_string()),
        TimestampFormat::HttpDate => Value::from(http_date(time)),
        TimestampFormat::EpochSeconds => {
            let seconds = time.to_epoch_seconds();
            if seconds.fract() == 0.0 {
                Value::from(time.as_seconds())
            } else {
                Value::from(seconds)
            }
        }
    }
}

/// The timestamp that the JSON form of a shape stands for.
pub(crate) fn timestamp_from_json(
    value: &Value,
    format: Option<TimestampFormat>,
) -> Result<Timestamp, String> {
    match (format.unwrap_or(TimestampFormat::EpochSeconds), value) {
        (TimestampFormat::EpochSeconds, value) => {
            let seconds = value.as_f64().ok_or("a timestamp that is no number")?;
            Timestamp::from_epoch_seconds(seconds).map_err(|error| error.to_string())
        }
        (format, Value::String(text)) => parse_timestamp(text, format),
        _ => Err("a timestamp that is no string".to_owned()),
    }
}
