//! How an operation is called over HTTP: parameter places and styles, and the form of the body.
//!
//! Lambda handlers are told none of this; executors that call the described API need it. Follows the
//! Parameter Object of `OpenAPI` 3.0.

use serde_json::{Map, Value};

use crate::action::call::{ApiBody, ApiOperation, ApiParameter, Location, Style};

/// Headers that the specification reserves: a parameter of such a name is ignored.
const RESERVED_HEADERS: [&str; 3] = ["accept", "content-type", "authorization"];

/// The operation of that id, from its parameters with their references followed and the form of its
/// body.
pub(super) fn read<'a>(
    id: &str,
    described: impl IntoIterator<Item = &'a Map<String, Value>>,
    body: Option<ApiBody>,
) -> ApiOperation {
    let mut parameters: Vec<ApiParameter> = Vec::new();
    for parameter in described {
        let Some(name) = parameter.get("name").and_then(Value::as_str) else {
            continue;
        };
        if !parameters.iter().any(|known| known.name == name) {
            parameters.extend(read_parameter(name, parameter));
        }
    }
    ApiOperation {
        id: id.to_owned(),
        parameters,
        body,
    }
}

fn read_parameter(name: &str, parameter: &Map<String, Value>) -> Option<ApiParameter> {
    let location = match parameter.get("in").and_then(Value::as_str) {
        Some("path") => Location::Path,
        Some("header") if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => {
            return None;
        }
        Some("header") => Location::Header,
        Some("cookie") => return None,
        // Relaxed limits take a parameter that does not say where it belongs.
        Some(_) | None => Location::Query,
    };
    let written = parameter.get("style").and_then(Value::as_str);
    let style = match (location, written) {
        _ if parameter.get("content").is_some() => Style::Json,
        (Location::Path, Some("label")) => Style::Label,
        (Location::Path, Some("matrix")) => Style::Matrix,
        (Location::Query, Some("spaceDelimited")) => Style::SpaceDelimited,
        (Location::Query, Some("pipeDelimited")) => Style::PipeDelimited,
        (Location::Query, Some("deepObject")) => Style::DeepObject,
        (Location::Query, _) => Style::Form,
        (Location::Path | Location::Header, _) => Style::Simple,
    };
    let flag = |member: &str| parameter.get(member).and_then(Value::as_bool);
    Some(ApiParameter {
        name: name.to_owned(),
        location,
        style,
        explode: flag("explode").unwrap_or(style == Style::Form),
        allow_reserved: flag("allowReserved").unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_and_styles_are_read() {
        let described = json!([
            {"name": "q", "in": "query"},
            {"name": "tags", "in": "query", "style": "pipeDelimited"},
            {"name": "where", "in": "query", "content": {"application/json": {}}},
            {"name": "raw", "in": "query", "explode": false, "allowReserved": true},
            {"name": "X-Trace", "in": "header", "explode": true},
            {"name": "Authorization", "in": "header"},
            {"name": "crumb", "in": "cookie"},
            {"name": "somewhere"},
            {"name": "id", "in": "path", "style": "matrix"},
            {"name": "q", "in": "header"}
        ]);
        let described = described.as_array().expect("an array");
        let read = read("find", described.iter().filter_map(Value::as_object), None);
        let parameters: Vec<_> = read
            .parameters
            .iter()
            .map(|it| {
                (
                    it.name.as_str(),
                    it.location,
                    it.style,
                    it.explode,
                    it.allow_reserved,
                )
            })
            .collect();
        assert_eq!(
            parameters,
            [
                ("q", Location::Query, Style::Form, true, false),
                ("tags", Location::Query, Style::PipeDelimited, false, false),
                ("where", Location::Query, Style::Json, false, false),
                ("raw", Location::Query, Style::Form, false, true),
                ("X-Trace", Location::Header, Style::Simple, true, false),
                ("somewhere", Location::Query, Style::Form, true, false),
                ("id", Location::Path, Style::Matrix, false, false),
            ]
        );
    }
}
