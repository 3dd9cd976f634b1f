//! Functions of agents.

use std::sync::Mutex;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use outcrop_engine::port::{ActionCall, ActionError, ActionExecutor, ActionReply};
use serde_json::{Value, json};

use crate::functions::replied;

/// Every function replies `ok`, and has knowledge bases searched as the test says.
#[derive(Default)]
pub(crate) struct Functions(pub(crate) Mutex<Value>);

impl ActionExecutor for Functions {
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        let event: Value = serde_json::from_slice(&call.event).expect("JSON");
        let configurations = self.0.lock().expect("unpoisoned").clone();
        let reply = json!({"messageVersion": "1.0", "knowledgeBasesConfiguration": configurations,
            "response": {"actionGroup": event["actionGroup"], "function": event["function"],
                "functionResponse": {"responseBody": {"TEXT": {"body": "ok"}}}}});
        async move { Ok(replied(&reply)) }.boxed()
    }
}
