//! What a function's reply is made of.

use bytes::Bytes;
use outcrop_engine::port::ActionReply;
use serde_json::Value;

/// A call that went well.
pub(crate) fn replied(payload: &Value) -> ActionReply {
    ActionReply {
        payload: Bytes::from(payload.to_string()),
        function_error: None,
        log_tail: None,
        request_id: None,
    }
}
