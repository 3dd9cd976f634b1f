//! A model call: the step's or the brain's reply, rendered by its protocol, sent whole or streamed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::record::{Kind, Outcome, State, Ticket, record};
use super::{Body, Broken, full};
use crate::eventstream;
use crate::protocol::Protocol;
use crate::script::{Disconnect, Step};

/// Answers one model call.
pub(super) async fn model(
    state: &Arc<State>,
    parts: &http::request::Parts,
    body: &[u8],
    protocol: Protocol,
    path_model: &str,
    path_streamed: bool,
) -> Result<Response<Body>, Broken> {
    let raw: Value = serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
    let parsed = protocol.parse(&raw, path_model, path_streamed);
    let (violations, transcript) = match parsed {
        Ok(transcript) => (transcript.violations(), Some(transcript)),
        Err(error) => (vec![format!("{error:#}")], None),
    };
    let (step, mut ticket) = state.begin(Kind::Model, |serial| super::record::Record {
        transcript: transcript.clone(),
        violations: violations.clone(),
        ..record(serial, Kind::Model, json!(protocol), parts, raw)
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
        let message = step.message.as_deref().unwrap_or("the script says so");
        return Ok(error(protocol, status, message, &step));
    }
    let Some(transcript) = transcript.filter(|_| violations.is_empty()) else {
        ticket.end(Outcome::Failed);
        return Ok(error(protocol, 400, &violations.join("; "), &step));
    };
    if let Some(garbage) = &step.garbage {
        ticket.end(Outcome::Finished);
        return Ok(respond(
            200,
            protocol.content_type(transcript.streamed),
            &step,
            full(garbage.clone()),
        ));
    }
    let reply = step.reply(&transcript, ticket.serial());
    let frames = if transcript.streamed {
        protocol.frames(&reply, &transcript.model, ticket.serial())
    } else {
        vec![protocol.whole(&reply, &transcript.model, ticket.serial())]
    };
    let content_type = protocol.content_type(transcript.streamed);
    let body = match (
        step.hold_middle.is_some(),
        step.disconnect.is_some(),
        &step.exception,
        frames.as_slice(),
    ) {
        (false, false, None, [whole]) => {
            let body = full(whole.clone());
            ticket.end(Outcome::Finished);
            body
        }
        _ => streamed(halves(frames), &step, ticket),
    };
    Ok(respond(200, content_type, &step, body))
}

/// The frames cut in two; a single one is cut in its middle.
fn halves(mut frames: Vec<Bytes>) -> (Vec<Bytes>, Vec<Bytes>) {
    if let [only] = frames.as_slice() {
        let middle = only.len() / 2;
        return (vec![only.slice(..middle)], vec![only.slice(middle..)]);
    }
    let second = frames.split_off(frames.len() / 2);
    (frames, second)
}

/// A body that sends one half, does what the step says there, and sends the other.
fn streamed((first, second): (Vec<Bytes>, Vec<Bytes>), step: &Step, mut ticket: Ticket) -> Body {
    let hold = step.hold_middle.clone();
    let breaks = step.disconnect == Some(Disconnect::Middle);
    let exception = step.exception.clone();
    let rest = async move {
        if let Some(name) = hold {
            ticket.hold(&name).await;
        }
        if breaks {
            ticket.end(Outcome::Failed);
            return stream::iter(vec![Err(Broken)]).left_stream();
        }
        let second = match exception {
            Some(name) => {
                let message = json!({"message": "the script ends the stream here"});
                vec![eventstream::exception(&name, message.to_string().into())]
            }
            None => second,
        };
        // The ticket travels behind the last frame: a caller who leaves before it drops it unread.
        let end = async move {
            ticket.end(Outcome::Finished);
            Ok(Bytes::new())
        };
        stream::iter(second.into_iter().map(Ok))
            .chain(stream::once(end))
            .right_stream()
    };
    let frames = stream::iter(first.into_iter().map(Ok)).chain(stream::once(rest).flatten());
    StreamBody::new(frames.map(|result| result.map(Frame::data))).boxed_unsync()
}

fn error(protocol: Protocol, status: u16, message: &str, step: &Step) -> Response<Body> {
    let (error_type, body) = protocol.error(status, message);
    let mut response = respond(status, "application/json", step, full(body.to_string()));
    if let Some(error_type) = error_type {
        response.headers_mut().insert(
            HeaderName::from_static("x-amzn-errortype"),
            HeaderValue::from_static(error_type),
        );
    }
    response
}

/// A response with the step's headers.
pub(super) fn respond(
    status: u16,
    content_type: &'static str,
    step: &Step,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in &step.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
