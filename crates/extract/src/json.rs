//! JSON as text: what belongs together stays in one block, and each value keeps the names it stands
//! under.
//!
//! One value, or one in each line. Invariant: members come out in the order they stand in the file.

use std::fmt;

use outcrop_knowledge::document::BlockKind;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::blocks::Blocks;
use crate::error::Error;
use crate::format::Format;

/// An object that makes a text of at most this many bytes is one block; a larger one is taken apart.
const ROW_BYTES: usize = 2_000;

/// A value with the order of its members, which `serde_json`'s own does not keep.
#[derive(Debug)]
enum Value {
    Nothing,
    Scalar(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// The values in `text`.
pub(crate) fn read(text: &str, blocks: &mut Blocks) -> Result<(), Error> {
    // The parser itself refuses more than 128 values inside each other.
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(Error::malformed(Format::Json))?;
        push(&value, "", blocks)?;
    }
    Ok(())
}

fn push(value: &Value, path: &str, blocks: &mut Blocks) -> Result<(), Error> {
    match value {
        Value::Nothing => Ok(()),
        Value::Scalar(text) => {
            let named = named(path, text);
            blocks.push(BlockKind::Paragraph, &named)
        }
        Value::List(values) => {
            if let Some(text) = flat(value, path) {
                return blocks.push(BlockKind::Row, &text);
            }
            values.iter().try_for_each(|value| match value {
                Value::Map(_) => row(value, path, blocks),
                Value::Nothing | Value::Scalar(_) | Value::List(_) => push(value, path, blocks),
            })
        }
        Value::Map(_) => row(value, path, blocks),
    }
}

/// An object in one block if it is small; else its plain members in one, and each other by itself.
fn row(value: &Value, path: &str, blocks: &mut Blocks) -> Result<(), Error> {
    if let Some(text) = flat(value, path) {
        return blocks.push(BlockKind::Row, &text);
    }
    let Value::Map(members) = value else {
        return push(value, path, blocks);
    };
    let mut plain = Vec::new();
    for (name, member) in members {
        match member {
            Value::Scalar(text) if text.len() <= ROW_BYTES => {
                plain.push(named(&joined(path, name), text));
            }
            Value::Nothing | Value::Scalar(_) | Value::List(_) | Value::Map(_) => {}
        }
    }
    blocks.push(BlockKind::Row, &plain.join("; "))?;
    for (name, member) in members {
        match member {
            Value::Scalar(text) if text.len() <= ROW_BYTES => {}
            Value::Nothing | Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                push(member, &joined(path, name), blocks)?;
            }
        }
    }
    Ok(())
}

/// All of `value` in one text, if it is no list of objects and not too long.
fn flat(value: &Value, path: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut left = ROW_BYTES;
    flatten(value, path, &mut parts, &mut left)?;
    Some(parts.join("; "))
}

fn flatten(value: &Value, path: &str, parts: &mut Vec<String>, left: &mut usize) -> Option<()> {
    match value {
        Value::Nothing => Some(()),
        Value::Scalar(text) if text.len() > *left => None,
        Value::Scalar(text) => add(named(path, text), parts, left),
        Value::List(values) => {
            let mut plain = Vec::new();
            let mut length = 0;
            for value in values {
                match value {
                    Value::Nothing => {}
                    Value::Scalar(text) => {
                        length += text.len();
                        plain.push(text.as_str());
                    }
                    Value::List(_) | Value::Map(_) => return None,
                }
                if length > *left {
                    return None;
                }
            }
            if plain.is_empty() {
                return Some(());
            }
            add(named(path, &plain.join(", ")), parts, left)
        }
        Value::Map(members) => members
            .iter()
            .try_for_each(|(name, member)| flatten(member, &joined(path, name), parts, left)),
    }
}

/// Adds a part if there is room for it.
fn add(text: String, parts: &mut Vec<String>, left: &mut usize) -> Option<()> {
    *left = left.checked_sub(text.len())?;
    parts.push(text);
    Some(())
}

fn named(path: &str, text: &str) -> String {
    if path.is_empty() {
        text.to_owned()
    } else {
        format!("{path}: {text}")
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Ordered)
    }
}

struct Ordered;

impl<'de> Visitor<'de> for Ordered {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Scalar(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            map.push((name, value));
        }
        Ok(Value::Map(map))
    }
}
