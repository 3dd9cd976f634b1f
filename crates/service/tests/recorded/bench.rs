//! A service over doubles that say what a recording says: its model, its functions, its searches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, Capabilities, ModelError, ModelProvider,
    ModelRequest, ModelStream, NoCodeInterpreter, RetrieveCall, RetrieveError, Retriever,
};
use outcrop_model::converse::{ConverseStreamOutput, StopReason};
use outcrop_model::handle::{CallContext, Handle, HandleStream};
use outcrop_model::operation::Operation;
use outcrop_model::runtime::RetrievedReference;
use outcrop_model::runtime::ops::InvokeAgent;
use outcrop_service::Service;
use outcrop_service::ports::{KnowledgePorts, Ports};
use outcrop_service::settings::Settings;
use outcrop_store::memory::MemoryStore;
use serde_json::{Value, json};

use crate::clock::StillClock;
use crate::functions::replied;
use crate::model;
use crate::no_documents::NoDocuments;
use crate::ports::{self, CountingIds, NotUnpacked};
use crate::recording::{Piece, Recording, Reply, sources};

/// Says what the recorded model said. The ids of search results that a reply cites are ours: AWS draws
/// them at random.
struct Model {
    replies: Mutex<VecDeque<Reply>>,
}

impl ModelProvider for Model {
    fn capabilities(&self, _: &str) -> Result<Capabilities, ModelError> {
        Ok(model::capabilities())
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        let shown = sources(&serde_json::to_string(&request).expect("JSON"));
        let reply = self.replies.lock().expect("unpoisoned").pop_front();
        let reply = reply.expect("the recording has as many model calls");
        let events = events(&reply, &shown).into_iter().map(Ok);
        async move { Ok(futures_util::stream::iter(events).boxed()) }.boxed()
    }
}

fn events(reply: &Reply, shown: &[String]) -> Vec<ConverseStreamOutput> {
    let mut events = Vec::new();
    for (index, piece) in (0..).zip(&reply.pieces) {
        match piece {
            Piece::Text(text) => {
                let mut text = text.clone();
                let tag = |id: &str| format!("<source>{id}</source>");
                // By way of a mark, for ours may be ids of theirs.
                for (recorded, index) in &reply.cited {
                    text = text.replace(&tag(recorded), &tag(&format!("@{index}")));
                }
                for (index, ours) in shown.iter().enumerate() {
                    text = text.replace(&tag(&format!("@{index}")), &tag(ours));
                }
                events.push(model::text(index, text));
            }
            Piece::Call { id, name, input } => events.extend(model::call(index, id, name, input)),
        }
    }
    let stop_reason: StopReason =
        serde_json::from_value(json!(reply.stop_reason)).expect("a reason");
    let tokens = (reply.input_tokens, reply.output_tokens);
    events.extend(model::ending(stop_reason, tokens));
    events
}

/// Functions: an action's says what the recorded one said; every other one gives the next of `replies`.
#[derive(Default)]
pub(crate) struct Functions {
    texts: Mutex<VecDeque<String>>,
    pub(crate) replies: Mutex<VecDeque<Value>>,
    pub(crate) events: Mutex<Vec<Value>>,
}

impl ActionExecutor for Functions {
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        let event: Value = serde_json::from_slice(&call.event).expect("JSON");
        let payload = if event.get("actionGroup").is_some() {
            let text = self.texts.lock().expect("unpoisoned").pop_front();
            json!({"messageVersion": "1.0", "response": {
                "actionGroup": event["actionGroup"], "function": event["function"],
                "functionResponse": {"responseBody": {"TEXT": {"body": text.expect("a recorded call")}}}}})
        } else {
            let reply = self.replies.lock().expect("unpoisoned").pop_front();
            reply.expect("as many calls as replies")
        };
        self.events.lock().expect("unpoisoned").push(event);
        async move { Ok(replied(&payload)) }.boxed()
    }
}

/// Finds what was found.
#[derive(Default)]
pub(crate) struct Searches {
    found: Mutex<VecDeque<Value>>,
    pub(crate) calls: Mutex<Vec<RetrieveCall>>,
}

impl Retriever for Searches {
    fn retrieve(
        &self,
        call: RetrieveCall,
    ) -> BoxFuture<'_, Result<Vec<RetrievedReference>, RetrieveError>> {
        self.calls.lock().expect("unpoisoned").push(call);
        let found = self.found.lock().expect("unpoisoned").pop_front();
        let found = serde_json::from_value(found.expect("a recorded search")).expect("references");
        async move { Ok(found) }.boxed()
    }
}

/// The service and its doubles.
pub(crate) struct Bench {
    service: Service,
    pub(crate) functions: Arc<Functions>,
    pub(crate) searches: Arc<Searches>,
    requests: AtomicU64,
}

impl Bench {
    /// Doubles that know the recording.
    pub(crate) fn of(recording: &Recording) -> Self {
        let model = Arc::new(Model {
            replies: Mutex::new(recording.replies().into()),
        });
        let functions = Arc::new(Functions {
            texts: Mutex::new(recording.action_texts().into()),
            ..Functions::default()
        });
        let searches = Arc::new(Searches {
            found: Mutex::new(recording.references().into()),
            ..Searches::default()
        });
        let ports = Ports {
            store: Arc::new(MemoryStore::new()),
            models: model,
            actions: Arc::clone(&functions) as Arc<dyn ActionExecutor>,
            code: Arc::new(NoCodeInterpreter),
            retriever: Some(Arc::clone(&searches) as Arc<dyn Retriever>),
            knowledge: KnowledgePorts::none(),
            documents: Arc::new(NoDocuments),
            packages: Arc::new(NotUnpacked),
            clock: Arc::new(StillClock::default()),
            ids: Arc::new(CountingIds::default()),
        };
        Self {
            service: Service::new(ports, Settings::default()),
            functions,
            searches,
            requests: AtomicU64::new(900_000_000),
        }
    }

    fn context(&self) -> CallContext {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        ports::context(format!("00000000-0000-4000-8000-{number:012}"))
    }

    /// One call of the control plane.
    pub(crate) async fn control<Op: Operation>(&self, input: Value) -> Value
    where
        Service: Handle<Op>,
    {
        let input = serde_json::from_value(input).expect("of the shape");
        let output = Handle::<Op>::handle(&self.service, &self.context(), input).await;
        serde_json::to_value(output.expect("succeeds")).expect("JSON")
    }

    /// One turn with traces: its events.
    pub(crate) async fn turn(&self, agent_id: &str, text: &str) -> Vec<(String, Value)> {
        let input = json!({"agentId": agent_id, "agentAliasId": "TSTALIASID", "sessionId": "session",
            "inputText": text, "enableTrace": true});
        let input = serde_json::from_value(input).expect("of the shape");
        let cx = self.context();
        let answer = HandleStream::<InvokeAgent>::handle_stream(&self.service, &cx, input).await;
        let (_, mut events) = answer.expect("accepted");
        let mut found = Vec::new();
        while let Some(event) = events.next().await {
            let event = serde_json::to_value(event.expect("no exception")).expect("JSON");
            let event = event.as_object().expect("a union").clone();
            found.extend(event);
        }
        found
    }
}
