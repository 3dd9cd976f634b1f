//! The benchmark's path: answers from the end of the conversation, records nothing.
//!
//! A body is not parsed. Whether a tool has just answered shows in which comes last, a tool result or
//! an assistant message; replies are rendered once and only the call's id is put in. Each of the two
//! model replies costs a few microseconds, however long the conversation is.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use memchr::memmem;
use serde_json::{Value, json};

use super::{Body, Broken, Target, full, target, text, tool};
use crate::protocol::Protocol;
use crate::reply::{Part, Reply};
use crate::script::Step;

/// Stands for the call id in rendered replies; real ids have the same length.
const ID_PLACE: &str = "call_0000000000000000";

/// The tool the benchmark's agent has, as the end of its offered name.
const TOOL: &str = "get_order_status\"";

#[derive(Clone, PartialEq, Eq, Hash)]
struct Wanted {
    protocol: Protocol,
    streamed: bool,
    /// The tool to call, or none for the final answer.
    call: Option<String>,
}

/// Rendered replies by what is wanted.
#[derive(Default)]
pub(super) struct Cache {
    replies: Mutex<HashMap<Wanted, Arc<Vec<Bytes>>>>,
    serial: AtomicU64,
}

/// Answers one request.
pub(super) async fn handle(
    cache: &Cache,
    request: Request<Incoming>,
) -> Result<Response<Body>, Broken> {
    let path = request.uri().path().to_owned();
    let Ok(body) = request.into_body().collect().await else {
        return Ok(text(StatusCode::BAD_REQUEST, "the body broke off"));
    };
    let body = body.to_bytes();
    match target(&path) {
        Some(Target::Model {
            protocol, streamed, ..
        }) => Ok(model(cache, protocol, streamed, &body)),
        Some(Target::Lambda { .. }) => {
            let event: Value = serde_json::from_slice(&body).unwrap_or_default();
            Ok(json_response(
                full(tool::envelope(&event, &Step::default()).to_string()),
                "application/json",
            ))
        }
        None if path == "/_stub/health" => Ok(json_response(full("{}"), "application/json")),
        None => Ok(text(StatusCode::NOT_FOUND, "no such path in the stub")),
    }
}

fn model(cache: &Cache, protocol: Protocol, path_streamed: bool, body: &[u8]) -> Response<Body> {
    let streamed = path_streamed
        || memmem::find(body, b"\"stream\":true").is_some()
        || memmem::find(body, b"\"stream\": true").is_some();
    let wanted = Wanted {
        protocol,
        streamed,
        call: (!tool_answered(body)).then(|| tool_name(body)),
    };
    let rendered = cache.render(&wanted);
    let serial = cache.serial.fetch_add(1, Ordering::Relaxed);
    let frames: Vec<Bytes> = rendered
        .iter()
        .map(|frame| with_id(frame, protocol, serial))
        .collect();
    let content_type = protocol.content_type(streamed);
    match <[Bytes; 1]>::try_from(frames) {
        Ok([whole]) => json_response(full(whole), content_type),
        Err(frames) => {
            let frames = frames
                .into_iter()
                .map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
            let body = StreamBody::new(stream::iter(frames))
                .map_err(|never| match never {})
                .boxed_unsync();
            json_response(body, content_type)
        }
    }
}

/// Whether the last message carries a tool result.
fn tool_answered(body: &[u8]) -> bool {
    let last = |needles: &[&[u8]]| {
        needles
            .iter()
            .filter_map(|needle| memmem::rfind(body, needle))
            .max()
    };
    let result = last(&[b"\"tool_use_id\"", b"\"toolResult\"", b"\"tool_call_id\""]);
    let assistant = last(&[b"\"role\":\"assistant\"", b"\"role\": \"assistant\""]);
    result.is_some_and(|result| assistant.is_none_or(|assistant| result > assistant))
}

/// The offered name of the benchmark's tool.
fn tool_name(body: &[u8]) -> String {
    let Some(at) = memmem::rfind(body, TOOL.as_bytes()) else {
        return "missing_tool".to_owned();
    };
    let end = at + TOOL.len() - 1;
    let head = body.get(..end).unwrap_or_default();
    let start = memchr::memrchr(b'"', head).map_or(0, |quote| quote + 1);
    String::from_utf8_lossy(head.get(start..).unwrap_or_default()).into_owned()
}

/// The frame with a fresh call id. A Bedrock frame has checksums, so there the id stays as it is.
fn with_id(frame: &Bytes, protocol: Protocol, serial: u64) -> Bytes {
    if protocol == Protocol::Bedrock {
        return frame.clone();
    }
    match memmem::find(frame, ID_PLACE.as_bytes()) {
        None => frame.clone(),
        Some(at) => {
            let mut copy = frame.to_vec();
            let id = format!("call_{serial:016}");
            copy.splice(at..at + ID_PLACE.len(), id.bytes());
            copy.into()
        }
    }
}

impl Cache {
    fn render(&self, wanted: &Wanted) -> Arc<Vec<Bytes>> {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rendered) = replies.get(wanted) {
            return Arc::clone(rendered);
        }
        let reply = match &wanted.call {
            Some(name) => Reply::of(vec![
                Part::Text("<thinking>The order has to be looked up before I can say where it is.</thinking>".to_owned()),
                Part::Call {
                    id: ID_PLACE.to_owned(),
                    name: name.clone(),
                    arguments: json!({"order_id": "A-482"}).to_string(),
                },
            ]),
            None => Reply::of(vec![Part::Text(
                "<thinking>The tool has answered.</thinking>\n<answer>Order A-482 has been shipped and should arrive on 28 April 2026. \
                 Is there anything else you would like to know about it?</answer>"
                    .to_owned(),
            )]),
        };
        let rendered = Arc::new(if wanted.streamed {
            wanted.protocol.frames(&reply, "stub", 1)
        } else {
            vec![wanted.protocol.whole(&reply, "stub", 1)]
        });
        replies.insert(wanted.clone(), Arc::clone(&rendered));
        rendered
    }
}

fn json_response(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_conversation_decides() {
        let question = br#"{"messages":[{"role":"user","content":"q"}],"tools":[{"function":{"name":"OrderTools__get_order_status"}}]}"#;
        assert!(!tool_answered(question));
        assert_eq!(tool_name(question), "OrderTools__get_order_status");
        let answered = br#"{"messages":[{"role":"assistant","content":""},{"role":"tool","tool_call_id":"1"}]}"#;
        assert!(tool_answered(answered));
        let next = br#"{"messages":[{"role":"tool","tool_call_id":"1"},{"role":"assistant"},{"role":"user"}]}"#;
        assert!(!tool_answered(next));
    }

    #[test]
    fn a_fresh_id_keeps_the_length() {
        let frame = Bytes::from(format!("data: \"{ID_PLACE}\"\n\n"));
        let fresh = with_id(&frame, Protocol::OpenAi, 7);
        assert_eq!(fresh.len(), frame.len());
        assert_eq!(&fresh[..], b"data: \"call_0000000000000007\"\n\n");
    }
}
