//! `InvokeAgent`: from the request to a turn in flight, and the machinery that all turns share.

mod begin;
mod collaborator;
mod driver;
mod envelope;
mod files;
mod guard;
mod inline;
mod live;
mod memory;
mod model_call;
mod perform;
mod plans;
mod request;
mod resolve;
mod session;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::port::Capabilities;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, EventSource, HandleStream};
use outcrop_model::runtime::ops::InvokeAgent;
use outcrop_model::runtime::{InvokeAgentRequest, InvokeAgentResponse, ResponseStream};
use outcrop_store::{Key, StoreError};
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::{self, Background};
use crate::guardrails::Guardrails;
use crate::ports::Ports;
use crate::records::Scope;
use crate::settings::Settings;
use crate::{Service, error, scope};
use request::Invocation;
use resolve::Target;
use session::SessionCache;

/// Steps whose events may wait for a slow client before the turn waits too.
const EVENT_BUFFER_STEPS: usize = 64;
/// Agent plans kept ready: one per agent version in use.
const PLANS_MAX: usize = 1_024;

/// What all turns share.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Shared>);

pub(crate) struct Shared {
    ports: Arc<Ports>,
    settings: Arc<Settings>,
    /// Names this process as the holder of leases.
    owner: String,
    /// Sessions with a turn in flight here.
    live: Mutex<HashSet<Key>>,
    sessions: SessionCache,
    plans: Cache<String, Arc<AgentPlan>>,
    /// Which plans of requests are known to lie in the store.
    stored_plans: Cache<Key, ()>,
    turns: Arc<Semaphore>,
    tracker: TaskTracker,
    /// Where summaries are made.
    background: Background,
    guardrails: Guardrails,
    stop: CancellationToken,
}

impl Runtime {
    pub(crate) fn new(ports: Arc<Ports>, settings: Arc<Settings>, guardrails: Guardrails) -> Self {
        let stop = CancellationToken::new();
        Self(Arc::new(Shared {
            owner: ports.ids.uuid(),
            live: Mutex::new(HashSet::new()),
            sessions: SessionCache::new(settings.session_cache_bytes),
            plans: Cache::new(PLANS_MAX),
            stored_plans: Cache::new(PLANS_MAX),
            turns: Arc::new(Semaphore::new(settings.turns_max)),
            tracker: TaskTracker::new(),
            background: Background::new(&ports, &settings, stop.clone()),
            guardrails,
            stop,
            ports,
            settings,
        }))
    }

    /// The plan with this content hash, for whoever only reads it.
    pub(crate) async fn plan(
        &self,
        scope: &Scope,
        hash: &str,
    ) -> Result<Arc<AgentPlan>, Exception> {
        self.0.plan(scope, hash).await
    }

    /// Begins to summarise sessions that have ended.
    pub(crate) fn start(&self) {
        background::start(&self.0, &memory::QUEUES);
    }

    /// Makes the summaries that are due, without a worker.
    pub(crate) async fn summarise_due(&self) -> Result<usize, Exception> {
        let done = background::run_due(&self.0, &memory::QUEUES).await;
        done.map_err(error::store)
    }

    /// Forgets what an alias (`agentId/aliasId`) remembers of its sessions.
    pub(crate) async fn forget_memories(
        &self,
        scope: &Scope,
        parent: &str,
    ) -> Result<(), StoreError> {
        self.0.forget_all(scope, parent).await
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    pub(crate) async fn shutdown(&self) {
        self.0.stop.cancel();
        self.idle().await;
        self.0.background.shutdown().await;
    }

    pub(crate) async fn idle(&self) {
        self.0.tracker.close();
        self.0.tracker.wait().await;
        self.0.tracker.reopen();
    }
}

/// Keeps a session to one turn at a time in this process.
pub(crate) struct LiveGuard {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        let mut live = self
            .shared
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        live.remove(&self.key);
    }
}

impl Shared {
    /// Takes the session for one turn.
    fn enter(self: &Arc<Self>, key: &Key) -> Result<LiveGuard, Exception> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !live.insert(key.clone()) {
            return Err(busy(&key.id));
        }
        Ok(LiveGuard {
            shared: Arc::clone(self),
            key: key.clone(),
        })
    }
}

/// A second turn while one is in flight (behaviour.md 13.3: the text is not known).
fn busy(session_id: &str) -> Exception {
    Exception::conflict(format!(
        "Session {session_id} is handling another request. Wait for its response to end, then retry the request."
    ))
}

impl HandleStream<InvokeAgent> for Service {
    async fn handle_stream(
        &self,
        cx: &CallContext,
        input: InvokeAgentRequest,
    ) -> Result<(InvokeAgentResponse, EventSource<ResponseStream>), Exception> {
        let invocation = Invocation::read(input)?;
        let target = self
            .resolve(cx, &invocation.agent, &invocation.alias)
            .await?;
        let response = InvokeAgentResponse {
            content_type: "application/json".to_owned(),
            memory_id: invocation.memory_id.clone(),
            session_id: invocation.session_id.clone(),
        };
        let events = self.begin_turn(cx, &target, invocation).await?;
        Ok((response, events))
    }
}

impl Service {
    /// Begins what a client asks for and gives its events.
    async fn begin_turn(
        &self,
        cx: &CallContext,
        target: &Target,
        invocation: Invocation,
    ) -> Result<EventSource<ResponseStream>, Exception> {
        let shared = &self.runtime.0;
        let permit = Arc::clone(&shared.turns).try_acquire_owned().map_err(|_| {
            Exception::new(
                ExceptionKind::Throttling,
                "The server runs as many turns as it may. Retry your request later.",
            )
        })?;
        if let Some(refusal) = begin::refusal(shared, &scope(cx), target, &invocation).await? {
            return Ok(futures_util::stream::iter([Err(refusal)]).boxed());
        }
        let begun = begin::begin(self, cx, &scope(cx), target, invocation).await?;
        let (events, receiver) = mpsc::channel(EVENT_BUFFER_STEPS);
        match begun {
            begin::Begun::Ended => {
                let last = envelope::chunk(String::new());
                return Ok(futures_util::stream::iter([Ok(last)]).boxed());
            }
            begin::Begun::Turn(turn) => {
                let driver = driver::Driver::start(*turn, events, Some(permit));
                shared.tracker.spawn(driver.drive());
            }
        }
        Ok(events_of(receiver))
    }
}

/// Events in the order in which they are to be sent; an exception ends them.
pub(crate) type Events = Vec<Result<ResponseStream, Exception>>;

/// What the driver sends at once.
pub(crate) struct Step {
    pub(crate) events: Events,
    /// Whether nothing follows. Said with the last events rather than by closing the channel after
    /// them, so that the end of the response leaves in the same write.
    pub(crate) last: bool,
}

impl Step {
    pub(crate) fn more(events: Events) -> Self {
        Self {
            events,
            last: false,
        }
    }

    pub(crate) fn last(events: Events) -> Self {
        Self { events, last: true }
    }
}

fn events_of(receiver: mpsc::Receiver<Step>) -> EventSource<ResponseStream> {
    let steps = futures_util::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        let step = receiver.recv().await?;
        let rest = (!step.last).then_some(receiver);
        Some((futures_util::stream::iter(step.events), rest))
    });
    steps.flatten().boxed()
}

/// What the model of a plan can do. It must be one that a provider serves; found out before anything
/// is begun.
fn check_model(shared: &Shared, plan: &AgentPlan) -> Result<Capabilities, Exception> {
    let found = shared.ports.models.capabilities(plan.model());
    found.map_err(|cause| error::unmapped(&cause, plan.model()))
}
