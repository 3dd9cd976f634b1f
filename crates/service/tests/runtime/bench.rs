//! A service over doubles, with one prepared agent, and requests in one line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use outcrop_engine::action::Strictness;
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, Capabilities, Clock, ModelError,
    ModelProvider, ModelRequest, ModelStream, NoCodeInterpreter,
};
use outcrop_model::control::ops::{CreateAgent, CreateAgentActionGroup, PrepareAgent};
use outcrop_model::converse::{
    CitationsDelta, ContentBlockDelta, ConverseStreamOutput, StopReason,
};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, EventSource, Handle, HandleStream};
use outcrop_model::operation::Operation;
use outcrop_model::runtime::ResponseStream;
use outcrop_model::runtime::ops::InvokeAgent;
use outcrop_service::Service;
use outcrop_service::ports::{KnowledgePorts, Ports};
use outcrop_service::settings::Settings;
use outcrop_store::Store;
use outcrop_store::memory::MemoryStore;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::clock::StillClock;
use crate::functions::replied;
use crate::model;
use crate::no_documents::NoDocuments;
use crate::ports::{self, CountingIds, NotUnpacked};

/// Tokens that each call of the model costs, of input and of output.
const TOKENS: (i32, i32) = (10, 5);

/// What the model says next.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    Text(&'static str),
    Call(&'static str, Value),
    /// Several at once, with `t1`, `t2`, … as their ids.
    Calls(Vec<(&'static str, Value)>),
    Fail(ModelError),
    /// Answers with this text, which rests on this document.
    Cite(&'static str, &'static str),
    /// Says this, or nothing at all, and fails then.
    BreakOff(&'static str, ModelError),
    /// Never answers.
    Hang,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) script: Mutex<VecDeque<Say>>,
    pub(crate) requests: Mutex<Vec<ModelRequest>>,
    /// What the configuration says of every model but these themselves.
    pub(crate) fallbacks: OnceLock<Vec<String>>,
}

impl Model {
    pub(crate) fn says(&self, script: impl IntoIterator<Item = Say>) {
        self.script.lock().expect("unpoisoned").extend(script);
    }

    pub(crate) fn request(&self, index: usize) -> ModelRequest {
        self.requests.lock().expect("unpoisoned")[index].clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.requests.lock().expect("unpoisoned").len()
    }
}

impl ModelProvider for Model {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        if model == "unmapped" {
            return Err(ModelError::Unmapped {
                model: model.to_owned(),
                hint: "add [[models]]".to_owned(),
            });
        }
        Ok(model::capabilities())
    }

    fn fallbacks(&self, _model: &str) -> &[String] {
        self.fallbacks.get().map_or(&[], Vec::as_slice)
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        self.requests.lock().expect("unpoisoned").push(request);
        let next = self.script.lock().expect("unpoisoned").pop_front();
        async move {
            let events = match next.expect("the script says what comes next") {
                Say::Text(text) => text_events(text),
                Say::Call(name, input) => call_events(&[(name, input)]),
                Say::Calls(calls) => call_events(&calls),
                Say::Cite(text, document) => {
                    let mut events = text_events(text);
                    let citation = CitationsDelta {
                        title: Some(document.to_owned()),
                        ..CitationsDelta::default()
                    };
                    events.insert(1, model::delta(0, ContentBlockDelta::Citation(citation)));
                    events
                }
                Say::Fail(error) => return Err(error),
                Say::BreakOff(text, error) => {
                    let said = (!text.is_empty()).then(|| Ok(model::text(0, text)));
                    let events = said.into_iter().chain([Err(error)]);
                    let events: Vec<Result<_, _>> = events.collect();
                    return Ok(futures_util::stream::iter(events).boxed());
                }
                Say::Hang => return std::future::pending().await,
            };
            Ok(futures_util::stream::iter(events.into_iter().map(Ok)).boxed())
        }
        .boxed()
    }
}

fn text_events(text: &str) -> Vec<ConverseStreamOutput> {
    let mut events = vec![model::text(0, text)];
    events.extend(model::ending(StopReason::EndTurn, TOKENS));
    events
}

fn call_events(calls: &[(&'static str, Value)]) -> Vec<ConverseStreamOutput> {
    let mut events = Vec::new();
    for (index, (name, input)) in (0..).zip(calls) {
        let id = format!("t{}", index + 1);
        events.extend(model::call(index, &id, name, input));
    }
    events.extend(model::ending(StopReason::ToolUse, TOKENS));
    events
}

/// Functions: `ok` replies well, `slow` waits for a permit, `bad` breaks the contract.
pub(crate) struct Actions {
    pub(crate) calls: AtomicUsize,
    pub(crate) keys: Mutex<Vec<String>>,
    pub(crate) events: Mutex<Vec<Value>>,
    pub(crate) release: Semaphore,
}

impl ActionExecutor for Actions {
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.keys.lock().expect("unpoisoned").push(call.idempotency_key);
            let event: Value = serde_json::from_slice(&call.event).expect("JSON");
            self.events.lock().expect("unpoisoned").push(event.clone());
            if event["function"] == "slow" {
                let permit = self.release.acquire().await.expect("open");
                permit.forget();
            }
            let body = if event["function"] == "bad" { json!(5) } else { json!("shipped") };
            let payload = json!({"messageVersion": "1.0",
                "response": {"actionGroup": event["actionGroup"], "function": event["function"],
                    "functionResponse": {"responseBody": {"TEXT": {"body": body}}}},
                "sessionAttributes": {"seen": "yes", "user": event["sessionAttributes"]["user"].as_str().unwrap_or("")}});
            Ok(ActionReply {
                log_tail: Some("a line of the log".to_owned()),
                request_id: Some(call.request_id),
                ..replied(&payload)
            })
        }
        .boxed()
    }
}

/// The lease of processes that share a store; its renewal is a wait that the clock lets stand.
pub(crate) const SHARED_LEASE: Duration = Duration::from_mins(2);

/// The parts that outlive a restart, and the service on them.
pub(crate) struct Bench {
    pub(crate) service: Service,
    pub(crate) model: Arc<Model>,
    pub(crate) actions: Arc<Actions>,
    pub(crate) clock: Arc<StillClock>,
    pub(crate) agent_id: String,
    ports: Ports,
    requests: AtomicU64,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()), "anthropic.claude").await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, model_id: &str) -> Self {
        let model = Arc::new(Model::default());
        let actions = Arc::new(Actions {
            calls: AtomicUsize::new(0),
            keys: Mutex::default(),
            events: Mutex::default(),
            release: Semaphore::new(0),
        });
        let clock = Arc::new(StillClock::default());
        let ports = Ports {
            retriever: None,
            knowledge: KnowledgePorts::none(),
            store,
            models: Arc::clone(&model) as Arc<dyn ModelProvider>,
            actions: Arc::clone(&actions) as Arc<dyn ActionExecutor>,
            code: Arc::new(NoCodeInterpreter),
            documents: Arc::new(NoDocuments),
            packages: Arc::new(NotUnpacked),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Arc::new(CountingIds::default()),
        };
        let service = Service::new(ports.clone(), Settings::default());
        let mut bench = Self {
            service,
            model,
            actions,
            clock,
            agent_id: String::new(),
            ports,
            requests: AtomicU64::new(0),
        };
        bench.define(model_id).await;
        bench
    }

    async fn define(&mut self, model_id: &str) {
        let created = self
            .control::<CreateAgent>(json!({
                "agentName": "support-bot", "foundationModel": model_id,
                "agentResourceRoleArn": "arn:aws:iam::111111111111:role/AgentRole",
                "instruction": "You are a helpful customer support assistant."}))
            .await;
        created["agent"]["agentId"]
            .as_str()
            .expect("an id")
            .clone_into(&mut self.agent_id);
        let functions = ["ok", "slow", "bad"].map(|name| json!({"name": name}));
        let groups = [
            (
                "Orders",
                json!({"lambda": "arn:aws:lambda:us-west-2:111111111111:function:orders"}),
                json!({"functions": functions}),
            ),
            (
                "Client",
                json!({"customControl": "RETURN_CONTROL"}),
                json!({"functions": [{"name": "open"}]}),
            ),
        ];
        for (name, executor, schema) in groups {
            self.control::<CreateAgentActionGroup>(json!({
                "agentId": self.agent_id, "agentVersion": "DRAFT", "actionGroupName": name,
                "actionGroupExecutor": executor, "functionSchema": schema}))
                .await;
        }
        self.control::<PrepareAgent>(json!({"agentId": self.agent_id}))
            .await;
    }

    /// The same, with every strictness of AWS.
    pub(crate) fn make_strict(&mut self) {
        let settings = Settings {
            strictness: Strictness::Strict,
            ..Settings::default()
        };
        self.service = Service::new(self.ports.clone(), settings);
    }

    /// The same, with summaries while sessions last.
    pub(crate) fn make_live(&mut self) {
        let settings = Settings {
            memory_live: true,
            ..Settings::default()
        };
        self.service = Service::new(self.ports.clone(), settings);
    }

    /// A new process over the same store: nothing in memory survives.
    pub(crate) fn restart(&mut self) {
        self.service = Service::new(self.ports.clone(), Settings::default());
    }

    /// Two processes that share the store: this one, made anew, and another.
    pub(crate) fn two_processes(&mut self) -> Self {
        let settings = Settings {
            exclusive_store: false,
            session_lease: SHARED_LEASE,
            ..Settings::default()
        };
        self.service = Service::new(self.ports.clone(), settings.clone());
        Self {
            service: Service::new(self.ports.clone(), settings),
            model: Arc::clone(&self.model),
            actions: Arc::clone(&self.actions),
            clock: Arc::clone(&self.clock),
            agent_id: self.agent_id.clone(),
            ports: self.ports.clone(),
            requests: AtomicU64::new(1_000),
        }
    }

    pub(crate) fn context(&self) -> CallContext {
        let count = self.requests.fetch_add(1, Ordering::SeqCst);
        ports::context(format!("request-{count}"))
    }

    pub(crate) async fn control<Op: Operation>(&self, input: Value) -> Value
    where
        Service: Handle<Op>,
    {
        let input = serde_json::from_value(input).expect("of the shape");
        let output = Handle::<Op>::handle(&self.service, &self.context(), input).await;
        serde_json::to_value(output.expect("succeeds")).expect("JSON")
    }

    /// Starts a request in session `s`; `more` is merged into its body.
    pub(crate) async fn start(
        &self,
        more: Value,
    ) -> Result<EventSource<ResponseStream>, Exception> {
        let mut body =
            json!({"agentId": self.agent_id, "agentAliasId": "TSTALIASID", "sessionId": "session"});
        let members = body.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        let input = serde_json::from_value(body).expect("of the shape");
        let cx = self.context();
        let answer = HandleStream::<InvokeAgent>::handle_stream(&self.service, &cx, input);
        answer.await.map(|(_, events)| events)
    }

    /// Does a request to its end: the texts of the answer, or what came instead.
    pub(crate) async fn ask(&self, more: Value) -> Answer {
        match self.start(more).await {
            Ok(events) => collect(events).await,
            Err(exception) => Answer::Refused(exception.kind(), exception.message().to_owned()),
        }
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Text(String),
    Control(Value),
    Failed(ExceptionKind, String),
    Refused(ExceptionKind, String),
}

pub(crate) async fn collect(mut events: EventSource<ResponseStream>) -> Answer {
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(ResponseStream::Chunk(part)) => {
                let bytes = part.bytes.expect("bytes");
                text.push_str(std::str::from_utf8(bytes.as_bytes()).expect("text"));
            }
            Ok(ResponseStream::ReturnControl(payload)) => {
                return Answer::Control(serde_json::to_value(payload).expect("JSON"));
            }
            Ok(_) => {}
            Err(exception) => {
                return Answer::Failed(exception.kind(), exception.message().to_owned());
            }
        }
    }
    Answer::Text(text)
}
