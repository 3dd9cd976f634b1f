//! The cases, and how one is run.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use outcrop_wire::bind::{EncodedRequest, RequestParts};
use outcrop_wire::client::error_name;
use outcrop_wire::codec::Codec;
use outcrop_wire::router::Table;
use outcrop_wire::schema::Schema;
use serde_json::{Map, Value};
use xtask::codegen::{ir, reader};
use xtask::models::root;

use crate::lower::lower;
use crate::values::{comparable, to_wire};

/// The token the cases expect clients to make up.
const FRESH_TOKEN: &str = "00000000-0000-4000-8000-000000000000";

/// Which half of the codec is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// Requests are written, answers read.
    Client,
    /// Requests are read, answers written.
    Server,
}

/// One case of botocore.
pub(crate) struct Case {
    pub(crate) id: String,
    operation: String,
    model: ir::Model,
    json: Value,
}

impl Case {
    /// Every case: 113 of requests and 91 of answers.
    pub(crate) fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for name in ["input-rest-json.json", "output-rest-json.json"] {
            let path = root().join("conformance/third_party/botocore").join(name);
            let suites: Vec<Value> =
                serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            for suite in suites {
                for case in suite["cases"].as_array().unwrap() {
                    cases.push(Self::new(&suite["shapes"], case.clone()));
                }
            }
        }
        cases
    }

    fn new(shapes: &Value, case: Value) -> Self {
        let operation = case["given"]["name"].as_str().unwrap().to_owned();
        let operations: Map<_, _> = [(operation.clone(), case["given"].clone())]
            .into_iter()
            .collect();
        let model = serde_json::json!({ "operations": operations, "shapes": shapes });
        let id = case["id"].as_str().unwrap().to_owned();
        let model = reader::read_value(model).unwrap_or_else(|error| panic!("{id}: {error:#}"));
        Self {
            id,
            operation,
            model,
            json: case,
        }
    }

    /// Runs the case; an error says what is not as expected.
    pub(crate) fn run(&self, direction: Direction) -> Result<(), String> {
        let service = lower(&self.model);
        let schema = Arc::new(Schema::new(service));
        let codec = Codec::new(&schema, service.operations[0]);
        let is_request = self.json.get("serialized").is_some();
        match (is_request, direction) {
            (true, Direction::Client) => self.write_request(&codec),
            (true, Direction::Server) => self.read_request(&codec),
            (false, Direction::Client) => self.read_answer(&codec),
            (false, Direction::Server) => self.write_answer(&codec),
        }
    }

    fn operation(&self) -> &ir::Operation {
        &self.model.operations[&self.operation]
    }

    /// The input of the case, with the token it expects.
    fn input(&self) -> Value {
        let Some(shape) = &self.operation().input else {
            return Value::Object(Map::new());
        };
        to_wire(&self.model, shape, &self.json["params"])
    }

    fn write_request(&self, codec: &Codec) -> Result<(), String> {
        let expected = &self.json["serialized"];
        if expected.get("host").is_some() {
            return Err("the case is about the host".to_owned());
        }
        let encoded = codec
            .encode_request(self.input(), || FRESH_TOKEN.to_owned())
            .map_err(|rejection| rejection.to_string())?;
        same("method", &Value::from(encoded.method), &expected["method"])?;
        let expected_uri = expected["uri"].as_str().unwrap();
        same_uri(&encoded.path_and_query, expected_uri)?;
        let headers = all_headers(&encoded);
        for (name, value) in object(&expected["headers"]) {
            let actual = headers.get(&name.to_ascii_lowercase()).cloned();
            same(&name, &actual.into(), &value)?;
        }
        for name in expected["forbidHeaders"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap().to_ascii_lowercase();
            if headers.contains_key(&name) && name != "content-length" {
                return Err(format!("forbidden header {name}"));
            }
        }
        let body = encoded.body.map(|(bytes, _)| bytes).unwrap_or_default();
        same_body(&body, expected.get("body").and_then(Value::as_str))
    }

    fn read_request(&self, codec: &Codec) -> Result<(), String> {
        let expected = &self.json["serialized"];
        let uri = expected["uri"].as_str().unwrap();
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let table = Table::new([codec.spec]);
        let found = table.find(expected["method"].as_str().unwrap(), path, None);
        let found = found.ok_or("the router does not find it")?;
        let headers = header_map(&expected["headers"]);
        let body = expected["body"].as_str().unwrap_or_default();
        let read = codec
            .decode_request(&RequestParts {
                labels: &found.labels,
                query,
                headers: &headers,
                body: body.as_bytes(),
            })
            .map_err(|rejection| rejection.to_string())?;
        let Some(shape) = &self.operation().input else {
            return same("input", &read, &Value::Null);
        };
        let mut input = self.input();
        if let (Some(token), Value::Object(input)) = (codec.spec.idempotency_token, &mut input) {
            input
                .entry(token)
                .or_insert_with(|| Value::from(FRESH_TOKEN));
        }
        let read = comparable(&self.model, shape, &read);
        same("input", &read, &comparable(&self.model, shape, &input))
    }

    fn read_answer(&self, codec: &Codec) -> Result<(), String> {
        let response = &self.json["response"];
        let headers = header_map(&response["headers"]);
        let body = response["body"].as_str().unwrap_or_default();
        if self.json.get("error").is_some() {
            return self.read_error(&headers, body);
        }
        let status = u16::try_from(response["status_code"].as_u64().unwrap()).unwrap();
        let read = codec
            .decode_response(status, &headers, body.as_bytes())
            .map_err(|rejection| rejection.to_string())?;
        let Some(shape) = &self.operation().output else {
            return same("output", &read, &self.json["result"]);
        };
        let expected = to_wire(&self.model, shape, &self.json["result"]);
        let read = comparable(&self.model, shape, &read);
        same("output", &read, &comparable(&self.model, shape, &expected))
    }

    /// Name and message of an error; members of its own are not read by clients of these services.
    fn read_error(&self, headers: &HeaderMap, body: &str) -> Result<(), String> {
        let members: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
        let name = error_name(headers, &members).unwrap_or_default();
        same("error", &name.into(), &self.json["errorCode"])?;
        let message = members.get("message").or_else(|| members.get("Message"));
        let message = message.and_then(Value::as_str).unwrap_or_default();
        let expected = self.json["errorMessage"].as_str().unwrap_or_default();
        same("message", &message.into(), &expected.into())?;
        let bound = object(&self.json["error"])
            .into_iter()
            .find(|(name, _)| name != "message" && name != "Message");
        match bound {
            Some((name, _)) => Err(format!("the error has the member {name}")),
            None => Ok(()),
        }
    }

    fn write_answer(&self, codec: &Codec) -> Result<(), String> {
        if self.json.get("error").is_some() {
            return Err("the error is not one of ours".to_owned());
        }
        let response = &self.json["response"];
        let output = match &self.operation().output {
            Some(shape) => to_wire(&self.model, shape, &self.json["result"]),
            None => Value::Object(Map::new()),
        };
        let encoded = codec
            .encode_response(output)
            .map_err(|exception| exception.internal_message().unwrap_or_default().to_owned())?;
        same("status", &encoded.status.into(), &response["status_code"])?;
        for (name, value) in object(&response["headers"]) {
            if name.eq_ignore_ascii_case("content-length") {
                continue; // The HTTP server counts.
            }
            let actual = encoded
                .headers
                .get(&name)
                .and_then(|value| value.to_str().ok());
            same(&name, &actual.into(), &value)?;
        }
        same_body(&encoded.body, response.get("body").and_then(Value::as_str))
    }
}

fn object(value: &Value) -> Vec<(String, Value)> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn header_map(headers: &Value) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in object(headers) {
        map.insert(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value.as_str().unwrap()).unwrap(),
        );
    }
    map
}

fn all_headers(encoded: &EncodedRequest) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<_, _> = encoded.headers.iter().cloned().collect();
    if let Some((_, content_type)) = &encoded.body {
        headers
            .entry("content-type".to_owned())
            .or_insert_with(|| (*content_type).to_owned());
    }
    headers
}

fn same(what: &str, actual: &Value, expected: &Value) -> Result<(), String> {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{what} is {actual}, not {expected}"))
    }
}

/// Paths are equal as text, queries as sets.
fn same_uri(actual: &str, expected: &str) -> Result<(), String> {
    let parts = |uri: &str| {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
        pairs.sort();
        (path.to_owned(), pairs)
    };
    if parts(actual) == parts(expected) {
        Ok(())
    } else {
        Err(format!("the address is {actual}, not {expected}"))
    }
}

/// Bodies are equal as JSON where they are JSON, as bytes elsewhere; an absent one says nothing.
fn same_body(actual: &[u8], expected: Option<&str>) -> Result<(), String> {
    let Some(expected) = expected else {
        return Ok(());
    };
    if actual == expected.as_bytes() {
        return Ok(());
    }
    let parse = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes)
            .ok()
            .map(numbers_as_doubles)
    };
    match (parse(actual), parse(expected.as_bytes())) {
        (Some(actual), Some(expected)) => same("body", &actual, &expected),
        _ => Err(format!(
            "the body is {:?}, not {expected:?}",
            String::from_utf8_lossy(actual)
        )),
    }
}

fn numbers_as_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(elements) => elements.into_iter().map(numbers_as_doubles).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, numbers_as_doubles(value)))
            .collect(),
        other => other,
    }
}
