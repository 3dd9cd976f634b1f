//! A server in process, whose calls can be counted, cut and refused, and a picture of what is in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use outcrop_adapters::system::SystemClock;
use outcrop_deploy::api::{Api as ApiTrait, ApiError, OwnRequest};
use outcrop_deploy::files::Folder;
use outcrop_deploy::intrinsics::Pseudo;
use outcrop_deploy::stack::{Given, Stack};
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, Capabilities, Clock, DocumentSource,
    FunctionPackages, Ids, ModelError, ModelProvider, ModelRequest, ModelStream, NoCodeInterpreter,
    PackageError, SourceError,
};
use outcrop_model::control;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::timestamp::Timestamp;
use outcrop_service::Service;
use outcrop_service::outcrop_api::stacks::StackDocument;
use outcrop_service::ports::Ports;
use outcrop_service::settings::Settings;
use outcrop_store::MemoryStore;
use outcrop_wire::Router;
use outcrop_wire::client::{CallError, Client, Signer};
use serde_json::{Value, json};

pub(crate) fn pseudo() -> Pseudo {
    Pseudo {
        account_id: "111111111111".to_owned(),
        region: "us-west-2".to_owned(),
        stack_name: "shop".to_owned(),
    }
}

pub(crate) fn stack<'a>(template: &str, none: &'a BTreeMap<String, String>) -> Stack<'a> {
    static FILES: Folder = Folder(std::path::PathBuf::new());
    let given = Given {
        parameters: none,
        ids: none,
        pseudo: pseudo(),
        exports: Some(BTreeMap::new()),
        files: &FILES,
    };
    Stack::read(template, given).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// What becomes of the calls of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// All are answered.
    Works,
    /// After so many calls the run is dead: no further call arrives.
    DiesBefore(usize),
    /// As before, but the next call arrives and its answer is lost.
    DiesAfter(usize),
    /// The call of this number, if it is an operation that changes something, is refused.
    RefusesChange(usize),
}

/// A server.
pub(crate) struct World {
    server: Arc<Server>,
}

struct Server {
    service: Arc<Service>,
    router: Router<Service>,
    client: Client,
}

impl World {
    pub(crate) fn new() -> Self {
        let ports = Ports {
            retriever: None,
            knowledge: outcrop_service::ports::KnowledgePorts::none(),
            store: Arc::new(MemoryStore::default()),
            models: Arc::new(Nothing),
            actions: Arc::new(Nothing),
            code: Arc::new(NoCodeInterpreter),
            documents: Arc::new(Nothing),
            packages: Arc::new(Nothing),
            clock: Arc::new(Ticks(SystemClock, AtomicU32::new(0))),
            ids: Arc::new(Counted(AtomicU32::new(0))),
        };
        let signer = Signer {
            access_key_id: "anybody".to_owned(),
            secret_access_key: "anybody".to_owned(),
            session_token: None,
            region: "us-west-2".to_owned(),
        };
        let client = Client::new(
            outcrop_model::operation::Service::Control,
            "http://localhost",
            signer,
        );
        let server = Server {
            service: Arc::new(Service::new(ports, Settings::default())),
            router: Router::new(),
            client,
        };
        Self {
            server: Arc::new(server),
        }
    }

    pub(crate) fn api(&self, fate: Fate) -> Api {
        Api {
            server: Arc::clone(&self.server),
            fate,
            calls: AtomicUsize::new(0),
            refused: AtomicBool::new(false),
            changes: Mutex::default(),
        }
    }

    /// All that is on the server, by names instead of ids.
    pub(crate) async fn picture(&self) -> Value {
        let call = |operation, input| self.server.call(operation, input);
        let list = |answer: Value, member: &str| -> Vec<Value> {
            answer[member].as_array().cloned().unwrap_or_default()
        };
        let mut agents = BTreeMap::new();
        let found = call("ListAgents", json!({})).await.expect("lists");
        for summary in list(found, "agentSummaries") {
            let id = &summary["agentId"];
            let agent = call("GetAgent", json!({"agentId": id}))
                .await
                .expect("is there");
            let agent = &agent["agent"];
            let on_draft = json!({"agentId": id, "agentVersion": "DRAFT"});
            let mut groups = BTreeMap::new();
            let found = call("ListAgentActionGroups", on_draft)
                .await
                .expect("lists");
            for group in list(found, "actionGroupSummaries") {
                let key = json!({"agentId": id, "agentVersion": "DRAFT", "actionGroupId": group["actionGroupId"]});
                let group = call("GetAgentActionGroup", key).await.expect("is there");
                let group = &group["agentActionGroup"];
                groups.insert(
                    group["actionGroupName"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                    group["functionSchema"].clone(),
                );
            }
            let mut aliases = BTreeMap::new();
            let found = call("ListAgentAliases", json!({"agentId": id}))
                .await
                .expect("lists");
            for alias in list(found, "agentAliasSummaries") {
                aliases.insert(
                    alias["agentAliasName"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                    alias["routingConfiguration"][0]["agentVersion"].clone(),
                );
            }
            let found = call("ListAgentVersions", json!({"agentId": id}))
                .await
                .expect("lists");
            let versions: Vec<Value> = list(found, "agentVersionSummaries")
                .iter()
                .map(|version| version["agentVersion"].clone())
                .collect();
            let arn = json!({"resourceArn": agent["agentArn"]});
            let tags = call("ListTagsForResource", arn).await.expect("has tags");
            agents.insert(
                agent["agentName"].as_str().unwrap_or_default().to_owned(),
                json!({
                    "instruction": agent["instruction"], "groups": groups, "aliases": aliases,
                    "versions": versions, "tags": tags["tags"],
                }),
            );
        }
        let mut prompts = BTreeMap::new();
        let found = call("ListPrompts", json!({})).await.expect("lists");
        for prompt in list(found, "promptSummaries") {
            let key = json!({"promptIdentifier": prompt["id"]});
            let versions = call("ListPrompts", key).await.expect("lists");
            let versions: Vec<Value> = list(versions, "promptSummaries")
                .iter()
                .map(|version| json!([version["version"], version["description"]]))
                .collect();
            prompts.insert(
                prompt["name"].as_str().unwrap_or_default().to_owned(),
                versions,
            );
        }
        let context = context();
        let exports = self.server.service.exports(&context).await.expect("lists");
        let exports: Vec<&String> = exports.keys().collect();
        json!({"agents": agents, "prompts": prompts, "exports": exports})
    }
}

/// The calls of one run.
pub(crate) struct Api {
    server: Arc<Server>,
    fate: Fate,
    calls: AtomicUsize,
    refused: AtomicBool,
    changes: Mutex<Vec<&'static str>>,
}

impl Api {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Operations called that change something.
    pub(crate) fn changes(&self) -> Vec<&'static str> {
        self.changes.lock().expect("no test panics with it").clone()
    }

    async fn fated<T>(
        &self,
        changes: bool,
        call: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let lost = || ApiError::Lost("the run is dead".to_owned());
        match self.fate {
            Fate::DiesBefore(after) if number >= after => Err(lost()),
            Fate::DiesAfter(after) if number > after => Err(lost()),
            Fate::DiesAfter(after) if number == after => {
                let _ = call.await;
                Err(lost())
            }
            Fate::RefusesChange(at) if number == at && changes => {
                self.refused.store(true, Ordering::Relaxed);
                Err(ApiError::Refused {
                    name: "ValidationException".to_owned(),
                    message: "not now".to_owned(),
                })
            }
            _ => call.await,
        }
    }
}

impl ApiTrait for Api {
    fn call(
        &self,
        operation: &'static str,
        input: Value,
    ) -> BoxFuture<'_, Result<Value, ApiError>> {
        let changes = !operation.starts_with("Get") && !operation.starts_with("List");
        if changes {
            self.changes
                .lock()
                .expect("no test panics with it")
                .push(operation);
        }
        Box::pin(self.fated(changes, self.server.call(operation, input)))
    }

    fn own(&self, request: OwnRequest) -> BoxFuture<'_, Result<Value, ApiError>> {
        Box::pin(self.fated(false, self.server.own(request)))
    }
}

fn context() -> CallContext {
    CallContext {
        request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        account_id: "111111111111".to_owned(),
        region: "us-west-2".to_owned(),
        host: None,
    }
}

impl Server {
    async fn call(&self, operation: &'static str, input: Value) -> Result<Value, ApiError> {
        static TOKENS: AtomicU32 = AtomicU32::new(0);
        let spec = control::tables::OPERATIONS
            .iter()
            .find(|spec| spec.name == operation)
            .expect("an operation");
        let token = || format!("{:040}", TOKENS.fetch_add(1, Ordering::Relaxed));
        let request = self
            .client
            .request_json(spec, input, SystemTime::now(), token)
            .expect("is a request");
        let service = Arc::clone(&self.service);
        let response = self.router.dispatch(service, context(), request).await;
        let (head, body) = response.into_parts();
        let body = body.as_full().expect("a whole body");
        let answer = self
            .client
            .output_json(spec, head.status, &head.headers, body);
        answer.map_err(|error| match error {
            CallError::Exception { name, exception } => ApiError::Refused {
                name,
                message: exception.message().to_owned(),
            },
            other => panic!("{operation}: {other}"),
        })
    }

    async fn own(&self, request: OwnRequest) -> Result<Value, ApiError> {
        let cx = context();
        let body = request.body.unwrap_or_default();
        let owner = "test";
        let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let segments: Vec<&str> = path.split('/').collect();
        let revision = request.revision.unwrap_or_default();
        let service = &self.service;
        let told = |exception: Exception| ApiError::Refused {
            name: format!("{:?}Exception", exception.kind()),
            message: exception.message().to_owned(),
        };
        match (request.method, segments.as_slice()) {
            ("GET", ["stacks", name]) => {
                let found = service.stack(&cx, name).await.map_err(told)?;
                let mut answer = serde_json::to_value(found.stack).expect("JSON");
                answer["revision"] = json!(found.revision);
                Ok(answer)
            }
            ("PUT", ["stacks", name]) => {
                let stack: StackDocument = serde_json::from_value(body).expect("a stack");
                let put = service.put_stack(&cx, name, owner, revision, &stack).await;
                Ok(json!({"revision": put.map_err(told)?}))
            }
            ("DELETE", ["stacks", name]) => {
                let gone = service.delete_stack(&cx, name, owner, revision).await;
                gone.map(|()| Value::Null).map_err(told)
            }
            ("PUT", ["stacks", name, "lock"]) => {
                let lock = service.lock_stack(&cx, name, owner, None).await;
                lock.map(|_| Value::Null).map_err(told)
            }
            ("DELETE", ["stacks", name, "lock"]) => {
                let gone = service.unlock_stack(&cx, name, owner).await;
                gone.map(|()| Value::Null).map_err(told)
            }
            other => panic!("{other:?} is not called by these templates"),
        }
    }
}

/// The system's clock, a second further with every look, so that lists have an order.
struct Ticks(SystemClock, AtomicU32);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        let ticks = self.1.fetch_add(1, Ordering::Relaxed);
        self.0
            .now()
            .saturating_add(Duration::from_millis(ticks.into()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

struct Counted(AtomicU32);

impl Ids for Counted {
    fn uuid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".to_owned()
    }

    fn resource_id(&self) -> String {
        format!("ID{:08}", self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

/// No agent is invoked here.
struct Nothing;

impl ModelProvider for Nothing {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        Err(unmapped(model))
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        Box::pin(std::future::ready(Err(unmapped(&request.model))))
    }
}

/// Unpacks nothing, and takes everything for an archive but what says that it is none.
impl FunctionPackages for Nothing {
    fn find<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<PathBuf>> {
        Box::pin(std::future::ready(None))
    }

    fn unpack<'a>(
        &'a self,
        sha256: &'a str,
        archive: bytes::Bytes,
    ) -> BoxFuture<'a, Result<PathBuf, PackageError>> {
        let unpacked = if archive.starts_with(b"no zip") {
            Err(PackageError::NotZip {
                detail: "it says so".to_owned(),
            })
        } else {
            Ok(PathBuf::from(sha256))
        };
        Box::pin(std::future::ready(unpacked))
    }
}

fn unmapped(model: &str) -> ModelError {
    ModelError::Unmapped {
        model: model.to_owned(),
        hint: String::new(),
    }
}

impl ActionExecutor for Nothing {
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        Box::pin(std::future::ready(Err(ActionError::NotFound {
            function: call.function,
            detail: String::new(),
        })))
    }
}

impl DocumentSource for Nothing {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _limit_bytes: u64,
    ) -> BoxFuture<'a, Result<bytes::Bytes, SourceError>> {
        Box::pin(std::future::ready(Err(SourceError::NotFound {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            detail: String::new(),
        })))
    }
}
