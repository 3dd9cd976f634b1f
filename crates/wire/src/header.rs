//! Members that travel in headers: scalars, comma-separated lists, and maps by prefix.

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::schema::{Kind, Schema, ShapeId};
use crate::text::{self, Place};

/// Reads the header `name` as a shape; `None` when it is absent.
pub(crate) fn read(
    schema: &Schema,
    shape: ShapeId,
    headers: &HeaderMap,
    name: &str,
) -> Result<Option<Value>, String> {
    let mut lines = Vec::new();
    for line in headers.get_all(name) {
        let line = line.to_str().map_err(|_| "not visible ASCII".to_owned())?;
        lines.push(line);
    }
    let Some(first) = lines.first() else {
        return Ok(None);
    };
    let Kind::List { member, .. } = schema.shape(shape).kind else {
        return text::read(schema, shape, first.trim(), Place::Header).map(Some);
    };
    let is_http_date = matches!(schema.shape(member).kind, Kind::Timestamp(_));
    let mut elements = Vec::new();
    for line in lines.into_iter().filter(|line| !line.trim().is_empty()) {
        for element in split_list(line, is_http_date) {
            elements.push(text::read(schema, member, &element, Place::Header)?);
        }
    }
    Ok(Some(Value::Array(elements)))
}

/// Reads the headers that begin with `prefix` as a map of strings; `None` when there are none.
pub(crate) fn read_prefixed(headers: &HeaderMap, prefix: &str) -> Option<Value> {
    let mut entries = Map::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(prefix)
            && let Ok(value) = value.to_str()
        {
            entries.insert(key.to_owned(), Value::from(value));
        }
    }
    (!entries.is_empty()).then_some(Value::Object(entries))
}

/// Writes a member as header text.
pub(crate) fn write(schema: &Schema, shape: ShapeId, value: &Value) -> Result<String, String> {
    match (&schema.shape(shape).kind, value) {
        (Kind::List { member, .. }, Value::Array(elements)) => {
            let elements: Vec<_> = elements
                .iter()
                .map(|element| {
                    let text = text::write(schema, *member, element, Place::Header)?;
                    let is_time = matches!(schema.shape(*member).kind, Kind::Timestamp(_));
                    Ok(if is_time { text } else { quote(text) })
                })
                .collect::<Result<_, String>>()?;
            Ok(elements.join(", "))
        }
        _ => text::write(schema, shape, value, Place::Header),
    }
}

/// Splits a list at its commas; quoted elements may contain commas, HTTP dates contain one each.
fn split_list(line: &str, is_http_date: bool) -> Vec<String> {
    let mut elements = Vec::new();
    let mut element = String::new();
    let mut quoted = false;
    let mut commas = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => element.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => {
                commas += 1;
                if is_http_date && commas % 2 == 1 {
                    element.push(c);
                } else {
                    elements.push(std::mem::take(&mut element).trim().to_owned());
                }
            }
            _ => element.push(c),
        }
    }
    elements.push(element.trim().to_owned());
    elements
}

/// Quotes an element that a reader would otherwise take apart.
fn quote(element: String) -> String {
    if element.contains([',', '"']) {
        format!("\"{}\"", element.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_quotes() {
        assert_eq!(
            split_list(r#"a, "b,c", "\"d\"""#, false),
            ["a", "b,c", "\"d\""]
        );
        assert_eq!(
            split_list(
                "Mon, 16 Dec 2019 23:48:18 GMT, Tue, 17 Dec 2019 00:00:00 GMT",
                true
            ),
            [
                "Mon, 16 Dec 2019 23:48:18 GMT",
                "Tue, 17 Dec 2019 00:00:00 GMT"
            ]
        );
        assert_eq!(quote("b,c".to_owned()), r#""b,c""#);
        assert_eq!(quote(r#""d""#.to_owned()), r#""\"d\"""#);
    }
}
