//! A service over fakes: its clock moves one second a call, its ids count up, and its store gives
//! way before each operation, so that concurrent calls interleave.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::action::Strictness;
use outcrop_engine::port::{
    ActionCall, ActionError, ActionExecutor, ActionReply, Clock, DocumentSource, NoCodeInterpreter,
    SourceError,
};
use outcrop_model::control::ops as op;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_service::Service;
use outcrop_service::ports::{KnowledgePorts, Ports};
use outcrop_service::settings::Settings;
use outcrop_store::{
    Batch, Committed, Entry, Health, Job, Key, Lease, Listing, MemoryStore, Order, Page, Record,
    Scan, Store, StoreError, Write,
};
use serde_json::{Value, json};

use crate::no_model::NoModel;
use crate::ports::{self, CountingIds, NotUnpacked};
pub(crate) use crate::ports::{ACCOUNT, REGION};

pub(crate) const GONE: &str = "Failed to retrieve resource because it doesn't exist. Retry the request with a different resource identifier.";
pub(crate) const INSTRUCTION: &str = "You are a helpful customer support assistant.";
pub(crate) const LAMBDA: &str = "arn:aws:lambda:us-west-2:111111111111:function:order-tools";
pub(crate) const ROLE: &str = "arn:aws:iam::111111111111:role/AgentRole";

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) store: Arc<TestStore>,
    pub(crate) objects: Arc<Objects>,
    clock: Arc<TestClock>,
    cx: CallContext,
}

impl World {
    pub(crate) fn relaxed() -> Self {
        Self::new(Strictness::Relaxed)
    }

    pub(crate) fn strict() -> Self {
        Self::new(Strictness::Strict)
    }

    fn new(strictness: Strictness) -> Self {
        let store = Arc::new(TestStore::default());
        let objects = Arc::new(Objects::default());
        let clock = Arc::new(TestClock::default());
        let ports = Ports {
            retriever: None,
            knowledge: KnowledgePorts::none(),
            store: Arc::clone(&store) as _,
            models: Arc::new(NoModel),
            actions: Arc::new(NoFunctions),
            code: Arc::new(NoCodeInterpreter),
            documents: Arc::clone(&objects) as _,
            packages: Arc::new(NotUnpacked),
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(CountingIds::default()),
        };
        let settings = Settings {
            strictness,
            ..Settings::default()
        };
        Self {
            service: Service::new(ports, settings),
            store,
            objects,
            clock,
            cx: context(REGION),
        }
    }

    /// Calls an operation and gives its answer, or its exception, as the wire would carry it.
    pub(crate) async fn try_call<Op: Operation>(&self, input: Value) -> Result<Value, Exception>
    where
        Service: Handle<Op>,
    {
        self.call_from::<Op>(&self.cx, input).await
    }

    pub(crate) async fn call_from<Op: Operation>(
        &self,
        cx: &CallContext,
        input: Value,
    ) -> Result<Value, Exception>
    where
        Service: Handle<Op>,
    {
        self.clock.advance(Duration::from_secs(1));
        let input = serde_json::from_value(input).expect("the test sends what the shape allows");
        let output = Handle::<Op>::handle(&self.service, cx, input).await?;
        Ok(serde_json::to_value(output).expect("an answer is JSON"))
    }

    pub(crate) async fn call<Op: Operation>(&self, input: Value) -> Value
    where
        Service: Handle<Op>,
    {
        self.try_call::<Op>(input).await.expect("the call succeeds")
    }

    /// Kind and text of the exception a call must end with.
    pub(crate) async fn refused<Op: Operation>(&self, input: Value) -> (ExceptionKind, String)
    where
        Service: Handle<Op>,
    {
        let exception = self.try_call::<Op>(input).await.expect_err("a refusal");
        (exception.kind(), exception.message().to_owned())
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// An agent that can be prepared; its id.
    pub(crate) async fn agent(&self, name: &str) -> String {
        let created = self.call::<op::CreateAgent>(definition(name)).await;
        text(&created["agent"]["agentId"])
    }

    pub(crate) async fn prepare(&self, agent: &str) {
        self.call::<op::PrepareAgent>(json!({"agentId": agent}))
            .await;
    }

    /// An agent that is prepared; its id.
    pub(crate) async fn prepared(&self, name: &str) -> String {
        let agent = self.agent(name).await;
        self.prepare(&agent).await;
        agent
    }

    /// A group with one function of the given name; its id.
    pub(crate) async fn group(&self, agent: &str, name: &str) -> String {
        let created = self
            .call::<op::CreateAgentActionGroup>(group(agent, name))
            .await;
        text(&created["agentActionGroup"]["actionGroupId"])
    }

    /// An alias with a version of its own; its id.
    pub(crate) async fn alias(&self, agent: &str, name: &str) -> String {
        let input = json!({"agentId": agent, "agentAliasName": name});
        let created = self.call::<op::CreateAgentAlias>(input).await;
        text(&created["agentAlias"]["agentAliasId"])
    }

    /// Makes the alias of one agent a collaborator of another; the collaborator's id.
    pub(crate) async fn collaborator(
        &self,
        supervisor: &str,
        agent: &str,
        alias: &str,
        name: &str,
    ) -> String {
        let input = association(supervisor, agent, alias, name);
        let made = self.call::<op::AssociateAgentCollaborator>(input).await;
        text(&made["agentCollaborator"]["collaboratorId"])
    }

    /// A knowledge base with this id.
    pub(crate) async fn knowledge_base(&self, id: &str) {
        let request = json!({
            "name": format!("base-{id}"),
            "roleArn": ROLE,
            "knowledgeBaseConfiguration": {
                "type": "KENDRA",
                "kendraKnowledgeBaseConfiguration": {
                    "kendraIndexArn": "arn:aws:kendra:us-west-2:111111111111:index/00000000-0000-4000-8000-000000000000",
                },
            },
            "tags": {"outcrop:id": id},
        });
        self.call::<op::CreateKnowledgeBase>(request).await;
    }

    pub(crate) async fn get_agent(&self, agent: &str) -> Value {
        let mut got = self.call::<op::GetAgent>(json!({"agentId": agent})).await;
        got["agent"].take()
    }

    pub(crate) async fn get_alias(&self, agent: &str, alias: &str) -> Value {
        let input = json!({"agentId": agent, "agentAliasId": alias});
        let mut got = self.call::<op::GetAgentAlias>(input).await;
        got["agentAlias"].take()
    }

    /// The bodies of all documents of a kind and parent.
    pub(crate) async fn stored(&self, scope: &str, kind: &'static str, parent: &str) -> Vec<Value> {
        let scan = Scan {
            scope: scope.into(),
            kind,
            parent: parent.into(),
            order: Order::Created,
            now_ms: self.clock.now().as_millis(),
        };
        let page = Page {
            limit: 1_000,
            after: None,
        };
        let listing = self.store.list(scan, page).await.expect("listed");
        let bodies = listing.records.iter();
        bodies
            .map(|record| serde_json::from_str(&record.body).expect("JSON"))
            .collect()
    }
}

/// As many processes over one store, with one clock and one source of ids.
pub(crate) fn processes(store: &Arc<dyn Store>, count: usize) -> Vec<Service> {
    let clock = Arc::new(TestClock::default());
    let ids = Arc::new(CountingIds::default());
    let service = || {
        let ports = Ports {
            retriever: None,
            knowledge: KnowledgePorts::none(),
            store: Arc::clone(store),
            models: Arc::new(NoModel),
            actions: Arc::new(NoFunctions),
            code: Arc::new(NoCodeInterpreter),
            documents: Arc::new(Objects::default()),
            packages: Arc::new(NotUnpacked),
            clock: Arc::clone(&clock) as _,
            ids: Arc::clone(&ids) as _,
        };
        Service::new(ports, Settings::default())
    };
    std::iter::repeat_with(service).take(count).collect()
}

pub(crate) fn context(region: &str) -> CallContext {
    CallContext {
        region: region.to_owned(),
        ..ports::context("11111111-2222-4333-8444-555555555555")
    }
}

/// A `CreateAgent` request with all that `PrepareAgent` needs.
pub(crate) fn definition(name: &str) -> Value {
    json!({
        "agentName": name,
        "agentResourceRoleArn": ROLE,
        "foundationModel": "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "instruction": INSTRUCTION,
    })
}

/// A `CreateAgentActionGroup` request.
pub(crate) fn group(agent: &str, name: &str) -> Value {
    json!({
        "agentId": agent,
        "agentVersion": "DRAFT",
        "actionGroupName": name,
        "actionGroupExecutor": {"lambda": LAMBDA},
        "functionSchema": {"functions": [function("look_up")]},
    })
}

/// ARN of an alias in the tests' account and region.
pub(crate) fn alias_arn(agent: &str, alias: &str) -> String {
    format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:agent-alias/{agent}/{alias}")
}

/// An `AssociateAgentCollaborator` request.
pub(crate) fn association(supervisor: &str, agent: &str, alias: &str, name: &str) -> Value {
    json!({
        "agentId": supervisor,
        "agentVersion": "DRAFT",
        "agentDescriptor": {"aliasArn": alias_arn(agent, alias)},
        "collaboratorName": name,
        "collaborationInstruction": "Use it for orders.",
    })
}

pub(crate) fn function(name: &str) -> Value {
    json!({
        "name": name,
        "description": "Looks something up.",
        "parameters": {"key": {"type": "string", "description": "What to look for.", "required": true}},
    })
}

/// `base` with the members of `changes` set, those that are null removed.
pub(crate) fn with(mut base: Value, changes: Value) -> Value {
    let (Value::Object(members), Value::Object(changes)) = (&mut base, changes) else {
        panic!("both are objects");
    };
    for (name, value) in changes {
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
    base
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// The texts of one member of each element.
pub(crate) fn each(list: &Value, member: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|item| text(&item[member])).collect()
}

pub(crate) fn validation(message: &str) -> (ExceptionKind, String) {
    (ExceptionKind::Validation, message.to_owned())
}

pub(crate) fn conflict(message: &str) -> (ExceptionKind, String) {
    (ExceptionKind::Conflict, message.to_owned())
}

pub(crate) fn not_found(message: &str) -> (ExceptionKind, String) {
    (ExceptionKind::ResourceNotFound, message.to_owned())
}

pub(crate) fn quota(message: &str) -> (ExceptionKind, String) {
    (ExceptionKind::ServiceQuotaExceeded, message.to_owned())
}

/// The store in memory behind a scheduling point, and on demand one that is always too late.
#[derive(Default)]
pub(crate) struct TestStore {
    inner: MemoryStore,
    pub(crate) stale: Mutex<bool>,
    pub(crate) commits: AtomicU32,
    /// The parents of code pieces that are stored.
    pub(crate) archives: Mutex<BTreeSet<Arc<str>>>,
}

impl TestStore {
    /// Keeps count of code: what was committed is what is there.
    fn note(&self, writes: &[Write]) {
        let mut archives = self.archives.lock().expect("not poisoned");
        for write in writes {
            match write {
                Write::Put { key, .. } if key.kind == "lambda-code" => {
                    archives.insert(Arc::clone(&key.parent));
                }
                Write::DeleteChildren { kind, parent, .. } if *kind == "lambda-code" => {
                    archives.remove(parent);
                }
                _ => {}
            }
        }
    }
}

impl Store for TestStore {
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.inner.get(key, now_ms).await
        })
    }

    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.inner.list(scan, page).await
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.commits.fetch_add(1, Ordering::Relaxed);
            if *self.stale.lock().expect("not poisoned") {
                return Err(StoreError::Stale { index: 0 });
            }
            let writes = batch.writes.clone();
            let committed = self.inner.commit(batch).await?;
            self.note(&writes);
            Ok(committed)
        })
    }

    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        self.inner.read_journal(journal, after, limit)
    }

    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>> {
        self.inner.claim_job(queue, lease)
    }

    fn renew_job<'a>(
        &'a self,
        id: &'a str,
        lease: u64,
        until_ms: i64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.renew_job(id, lease, until_ms)
    }

    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        self.inner.check()
    }
}

/// Buckets.
#[derive(Default)]
pub(crate) struct Objects(Mutex<BTreeMap<String, Bytes>>);

impl Objects {
    pub(crate) fn put(&self, bucket: &str, key: &str, content: impl Into<Bytes>) {
        let mut objects = self.0.lock().expect("not poisoned");
        objects.insert(format!("{bucket}/{key}"), content.into());
    }
}

impl DocumentSource for Objects {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        let objects = self.0.lock().expect("not poisoned");
        let found = objects.get(&format!("{bucket}/{key}")).cloned();
        Box::pin(async move {
            found.ok_or_else(|| SourceError::NotFound {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                detail: "no such object".to_owned(),
            })
        })
    }
}

/// 2025-05-30T17:28:09Z and what was added.
#[derive(Default)]
struct TestClock(AtomicI64);

impl TestClock {
    fn advance(&self, duration: Duration) {
        let nanos = i64::try_from(duration.as_nanos()).expect("short");
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(1_748_626_089_000_000_000 + self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.advance(duration);
        Box::pin(std::future::ready(()))
    }
}

/// The control plane calls no functions.
struct NoFunctions;

impl ActionExecutor for NoFunctions {
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        Box::pin(std::future::ready(Err(ActionError::NotFound {
            function: call.function,
            detail: "there is none".to_owned(),
        })))
    }
}
