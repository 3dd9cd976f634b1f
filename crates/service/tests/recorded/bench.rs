//! A service over doubles that say what a recording says: its model, its functions, its searches.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, Capabilities, Clock, DocumentSource,
    Documents, FunctionPackages, Ids, ModelError, ModelProvider, ModelRequest, ModelStream,
    NoCodeInterpreter, PackageError, RetrieveCall, RetrieveError, Retriever, SourceError,
};
use outcrop_model::converse::{
    ContentBlockDelta, ContentBlockDeltaEvent, ContentBlockStart, ContentBlockStartEvent,
    ConverseStreamMetadataEvent, ConverseStreamMetrics, ConverseStreamOutput, MessageStopEvent,
    StopReason, TokenUsage, ToolUseBlockDelta, ToolUseBlockStart,
};
use outcrop_model::handle::{CallContext, Handle, HandleStream};
use outcrop_model::operation::Operation;
use outcrop_model::runtime::RetrievedReference;
use outcrop_model::runtime::ops::InvokeAgent;
use outcrop_model::timestamp::Timestamp;
use outcrop_service::Service;
use outcrop_service::ports::Ports;
use outcrop_service::settings::Settings;
use outcrop_store::memory::MemoryStore;
use serde_json::{Value, json};

use crate::recording::{Piece, Recording, Reply, sources};

/// Says what the recorded model said. The ids of search results that a reply cites are ours: AWS draws
/// them at random.
struct Model {
    replies: Mutex<VecDeque<Reply>>,
}

impl ModelProvider for Model {
    fn capabilities(&self, _: &str) -> Result<Capabilities, ModelError> {
        Ok(Capabilities {
            tools: true,
            parallel_tools: true,
            prefill: true,
            top_k: true,
            stop_sequences: true,
            sampling: true,
            temperature_with_top_p: true,
            images: true,
            documents: Documents::All,
            prompt_cache: true,
            latency: true,
        })
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
        let delta = match piece {
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
                ContentBlockDelta::Text(text)
            }
            Piece::Call { id, name, input } => {
                let start = ContentBlockStart::ToolUse(ToolUseBlockStart {
                    name: name.clone(),
                    tool_use_id: id.clone(),
                    type_: None,
                });
                events.push(ConverseStreamOutput::ContentBlockStart(
                    ContentBlockStartEvent {
                        content_block_index: index,
                        start,
                    },
                ));
                ContentBlockDelta::ToolUse(ToolUseBlockDelta {
                    input: input.to_string(),
                })
            }
        };
        events.push(ConverseStreamOutput::ContentBlockDelta(
            ContentBlockDeltaEvent {
                content_block_index: index,
                delta,
            },
        ));
    }
    let stop_reason: StopReason =
        serde_json::from_value(json!(reply.stop_reason)).expect("a reason");
    events.push(ConverseStreamOutput::MessageStop(MessageStopEvent {
        additional_model_response_fields: None,
        stop_reason,
    }));
    events.push(ConverseStreamOutput::Metadata(
        ConverseStreamMetadataEvent {
            metrics: ConverseStreamMetrics { latency_ms: 1 },
            performance_config: None,
            service_tier: None,
            trace: None,
            usage: TokenUsage {
                input_tokens: reply.input_tokens,
                output_tokens: reply.output_tokens,
                total_tokens: reply.input_tokens + reply.output_tokens,
                ..TokenUsage::default()
            },
        },
    ));
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
        async move {
            Ok(ActionReply {
                payload: Bytes::from(payload.to_string()),
                function_error: None,
                log_tail: None,
                request_id: None,
            })
        }
        .boxed()
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

struct Nothing;

impl FunctionPackages for Nothing {
    fn find<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<PathBuf>> {
        Box::pin(std::future::ready(None))
    }

    fn unpack<'a>(
        &'a self,
        sha256: &'a str,
        _: Bytes,
    ) -> BoxFuture<'a, Result<PathBuf, PackageError>> {
        Box::pin(std::future::ready(Ok(PathBuf::from(sha256))))
    }
}

impl DocumentSource for Nothing {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        let error = SourceError::NotFound {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            detail: "no documents here".to_owned(),
        };
        async move { Err(error) }.boxed()
    }
}

/// Goes on by a microsecond whenever it is asked; nobody waits.
struct StillClock(AtomicI64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.fetch_add(1_000, Ordering::SeqCst))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl Ids for Counter {
    fn uuid(&self) -> String {
        uuid(self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn resource_id(&self) -> String {
        format!("ID{:08}", self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
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
            knowledge: outcrop_service::ports::KnowledgePorts::none(),
            documents: Arc::new(Nothing),
            packages: Arc::new(Nothing),
            clock: Arc::new(StillClock(AtomicI64::new(1_700_000_000_000_000_000))),
            ids: Arc::new(Counter::default()),
        };
        Self {
            service: Service::new(ports, Settings::default()),
            functions,
            searches,
            requests: AtomicU64::new(900_000_000),
        }
    }

    fn context(&self) -> CallContext {
        CallContext {
            request_id: uuid(self.requests.fetch_add(1, Ordering::SeqCst)),
            account_id: "111111111111".to_owned(),
            region: "us-west-2".to_owned(),
            host: None,
        }
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
