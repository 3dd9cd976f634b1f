//! Tools: Lambda's Invoke API, which a Runtime Interface Emulator speaks too.

use std::sync::Arc;

use base64::Engine as _;
use http::Response;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::record::{Kind, Outcome, State, record};
use super::respond::respond;
use super::{Body, Broken, full};
use crate::script::{Disconnect, Step};

/// Answers one invocation.
pub(super) async fn invoke(
    state: &Arc<State>,
    parts: &http::request::Parts,
    body: &[u8],
    function: &str,
) -> Result<Response<Body>, Broken> {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let (step, mut ticket) = state.begin(Kind::Tool, |serial| {
        record(serial, Kind::Tool, json!("lambda"), parts, event.clone())
    });
    if let Some(name) = &step.hold {
        ticket.hold(name).await;
    }
    if step.disconnect == Some(Disconnect::Before) {
        ticket.end(Outcome::Failed);
        return Err(Broken);
    }
    if let Some(status) = step.status {
        ticket.end(Outcome::Failed);
        return Ok(refusal(status, function, &step));
    }
    ticket.end(Outcome::Finished);
    if let Some(garbage) = &step.garbage {
        return Ok(respond(
            200,
            "application/json",
            &step,
            full(garbage.clone()),
        ));
    }
    let payload = match (&step.payload, &step.function_error) {
        (Some(payload), _) => payload.clone(),
        (None, Some(_)) => {
            json!({"errorMessage": "the order book is on fire", "errorType": "OrderBookError", "stackTrace": []})
        }
        (None, None) => envelope(&event, &step),
    };
    let mut response = respond(200, "application/json", &step, full(payload.to_string()));
    let headers = response.headers_mut();
    if let Some(error) = step
        .function_error
        .as_deref()
        .and_then(|error| HeaderValue::from_str(error).ok())
    {
        headers.insert(HeaderName::from_static("x-amz-function-error"), error);
    }
    if let Some(log) = &step.log
        && let Ok(value) = base64::engine::general_purpose::STANDARD
            .encode(log)
            .parse::<HeaderValue>()
    {
        headers.insert(HeaderName::from_static("x-amz-log-result"), value);
    }
    headers.insert(
        HeaderName::from_static("x-amz-executed-version"),
        HeaderValue::from_static("$LATEST"),
    );
    Ok(response)
}

/// Lambda's own refusals.
fn refusal(status: u16, function: &str, step: &Step) -> Response<Body> {
    let (name, text) = match status {
        403 => (
            "AccessDeniedException",
            format!("not authorized to perform: lambda:InvokeFunction on {function}"),
        ),
        404 => (
            "ResourceNotFoundException",
            format!("Function not found: {function}"),
        ),
        429 => ("TooManyRequestsException", "Rate Exceeded.".to_owned()),
        _ => ("ServiceException", "the script says so".to_owned()),
    };
    let body = json!({"Type": "User", "message": step.message.clone().unwrap_or(text)});
    let mut response = respond(status, "application/json", step, full(body.to_string()));
    response.headers_mut().insert(
        HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static(name),
    );
    response
}

/// A correct return value for `event`, with the step's changes laid over it.
pub(super) fn envelope(event: &Value, step: &Step) -> Value {
    let text = step.text.clone().unwrap_or_else(|| order(event));
    let mut response = Map::new();
    for name in ["actionGroup", "function", "apiPath", "httpMethod"] {
        if let Some(value) = event.get(name) {
            response.insert(name.to_owned(), value.clone());
        }
    }
    if event.get("function").is_some() {
        response.insert(
            "functionResponse".to_owned(),
            json!({"responseBody": {"TEXT": {"body": text}}}),
        );
    } else {
        response.insert("httpStatusCode".to_owned(), json!(200));
        response.insert(
            "responseBody".to_owned(),
            json!({"application/json": {"body": text}}),
        );
    }
    for (name, value) in step.response.iter().flatten() {
        response.insert(name.clone(), value.clone());
    }
    let mut envelope = Map::new();
    envelope.insert("messageVersion".to_owned(), json!("1.0"));
    envelope.insert("response".to_owned(), Value::Object(response));
    for (name, value) in step.envelope.iter().flatten() {
        envelope.insert(name.clone(), value.clone());
    }
    Value::Object(envelope)
}

/// The order the event asks about, as the guide's handler would look it up.
fn order(event: &Value) -> String {
    let order_id = event
        .get("parameters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|parameter| parameter.get("name").and_then(Value::as_str) == Some("order_id"))
        .and_then(|parameter| parameter.get("value"))
        .and_then(Value::as_str)
        .unwrap_or("unknown");
    json!({"eta": "2026-04-28", "order_id": order_id, "status": "shipped"}).to_string()
}
