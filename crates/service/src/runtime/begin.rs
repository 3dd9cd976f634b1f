//! From a request to a turn in flight: opens the session, closes what was left open, and makes the
//! beginning durable before anything is done.

mod remember;

use std::sync::Arc;

use outcrop_engine::files::SessionFile;
use outcrop_engine::orchestration::{
    ControlReturned, Effect, Effects, Event, EventKind, Phase, RequestInfo, ReturnedResult, Run,
    Spent, Started,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::port::Latency;
use outcrop_model::arn::AgentAliasArn;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Batch, Expect, Key, StoreError, Write};

use super::envelope::Envelope;
use super::memory::job::{self, Purpose};
use super::request::{Ask, Invocation};
use super::resolve::Target;
use super::session::{OpenSession, key};
use super::{LiveGuard, Shared, busy, check_model, files};
use crate::records::{self, Scope, SessionDoc};
use crate::{Service, error};
use remember::Recalled;
use tokio::sync::oneshot;

/// How often a beginning is tried again from the store's state after another writer came first.
const BEGIN_ATTEMPTS_MAX: u32 = 3;

/// What a request led to.
pub(super) enum Begun {
    /// The session has ended; there is nothing to run.
    Ended,
    /// A turn is in flight.
    Turn(Box<Turn>),
}

/// A turn in flight.
pub(super) struct Turn {
    pub(super) shared: Arc<Shared>,
    pub(super) service: Service,
    /// Account and region of the turn, and the request that it serves.
    pub(super) cx: CallContext,
    /// The idle time after which the session ends, seconds.
    pub(super) idle_ttl_s: u32,
    /// Takes what the turn has spent, for the turn that called it.
    pub(super) report: Option<oneshot::Sender<Spent>>,
    /// What earlier requests of the turn have spent.
    pub(super) spent_before: Spent,
    /// Keeps other turns off the session; released before the client learns of the end.
    pub(super) guard: Option<LiveGuard>,
    pub(super) session: OpenSession,
    pub(super) run: Run,
    /// To be performed first.
    pub(super) effects: Effects,
    pub(super) envelope: Envelope,
    /// Whether the session ends with this turn.
    pub(super) end_session: bool,
    /// How fast the models are to answer.
    pub(super) latency: Option<Latency>,
}

/// What AWS refuses only when the response has begun: more configurations than the agent has knowledge
/// bases (behaviour.md 3.4).
pub(super) async fn refusal(
    shared: &Shared,
    scope: &Scope,
    target: &Target,
    invocation: &Invocation,
) -> Result<Option<Exception>, Exception> {
    let given = invocation.knowledge_bases.len();
    if given == 0 {
        return Ok(None);
    }
    let plan = shared.plan(scope, &target.plan).await?;
    let attached = plan.definition.knowledge_bases.len();
    Ok((given > attached).then(|| {
        Exception::validation(format!(
            "You can only provide configurations for up to {attached} knowledge bases in the session state. Reduce the number of configurations and retry your request."
        ))
    }))
}

/// Begins what `invocation` asks for.
pub(super) async fn begin(
    service: &Service,
    cx: &CallContext,
    scope: &Scope,
    target: &Target,
    invocation: Invocation,
) -> Result<Begun, Exception> {
    let shared = &service.runtime.0;
    let identity = &target.identity;
    let nested = invocation.nested.as_ref();
    let key = key(
        scope,
        identity,
        nested.map_or(&invocation.session_id, |nested| &nested.session),
    );
    let guard = shared.enter(&key)?;
    if matches!(invocation.ask, Ask::Nothing) {
        return end(shared, key, &invocation.session_id).await;
    }
    let files = shared.fetch_files(&invocation.files).await?;
    let mut attempt = 1;
    loop {
        let session = match &invocation.ask {
            Ask::Input(_) if attempt == 1 => shared.guess(scope, &key).await?,
            _ => shared.open(scope, &key).await?,
        };
        if shared.leased_elsewhere(&session.doc, shared.ports.clock.now().as_millis()) {
            return Err(busy(&invocation.session_id));
        }
        let beginning = Beginning {
            shared,
            cx,
            scope,
            target,
            invocation: &invocation,
            files: &files,
        };
        let Opening {
            mut session,
            run,
            effects,
            events,
            spent_before,
        } = beginning.events(session).await?;
        let idle_ttl_s = nested.map_or(run.plan().definition.idle_session_ttl_s, |nested| {
            nested.idle_ttl_s
        });
        let committed = shared.commit_beginning(&mut session, &run, &events, idle_ttl_s);
        match committed.await {
            Ok(()) => {
                let arn = AgentAliasArn::new(
                    &cx.region,
                    &cx.account_id,
                    &identity.agent_id,
                    &identity.alias_id,
                );
                return Ok(Begun::Turn(Box::new(Turn {
                    shared: Arc::clone(shared),
                    service: service.clone(),
                    cx: cx.clone(),
                    idle_ttl_s,
                    report: None,
                    spent_before,
                    guard: Some(guard),
                    session,
                    run,
                    effects,
                    envelope: Envelope::new(
                        identity.clone(),
                        &arn,
                        invocation.session_id,
                        invocation.nested.map(|nested| nested.caller),
                    ),
                    end_session: invocation.end_session,
                    latency: invocation.latency,
                })));
            }
            Err(StoreError::Stale { .. } | StoreError::Fenced { .. })
                if attempt < BEGIN_ATTEMPTS_MAX =>
            {
                attempt += 1;
            }
            Err(StoreError::Stale { .. } | StoreError::Fenced { .. }) => {
                return Err(busy(&invocation.session_id));
            }
            Err(cause) => return Err(error::store(cause)),
        }
    }
}

/// Ends a session without a turn; one in which another process runs a turn is busy.
async fn end(shared: &Shared, key: Key, session_id: &str) -> Result<Begun, Exception> {
    shared.sessions.forget(&key);
    for _ in 0..BEGIN_ATTEMPTS_MAX {
        let now_ms = shared.ports.clock.now().as_millis();
        let found = shared.ports.store.get(&key, now_ms).await;
        let Some(record) = found.map_err(error::store)? else {
            return Ok(Begun::Ended);
        };
        let session = records::read::<SessionDoc>(record)?;
        if shared.leased_elsewhere(&session.body, now_ms) {
            break;
        }
        let mut writes = vec![Write::Delete {
            key: key.clone(),
            expect: Expect::Revision(session.revision),
        }];
        writes.extend(job::summary(&key, &session.body, Purpose::Ended, now_ms));
        match shared.commit(writes).await {
            Ok(_) => {
                shared.background.wake();
                shared.ports.code.end(&session.body.journal);
                return Ok(Begun::Ended);
            }
            Err(StoreError::Stale { .. }) => {}
            Err(cause) => return Err(error::store(cause)),
        }
    }
    Err(busy(session_id))
}

struct Beginning<'a> {
    shared: &'a Arc<Shared>,
    cx: &'a CallContext,
    scope: &'a Scope,
    target: &'a Target,
    invocation: &'a Invocation,
    files: &'a [Arc<SessionFile>],
}

impl Beginning<'_> {
    /// The events that begin the turn, applied to its run.
    async fn events(&self, mut session: OpenSession) -> Result<Opening, Exception> {
        let at = self.shared.ports.clock.now();
        self.check_memory(&session)?;
        let mut events = Vec::new();
        let waiting = match session.unfinished.take() {
            Some(run) if run.phase() != Phase::AwaitingControl => {
                close(&mut session, run, at, EventKind::Interrupted, &mut events);
                None
            }
            other => other,
        };
        match &self.invocation.ask {
            Ask::Results {
                invocation_id,
                results,
            } => {
                let (run, kind) = self
                    .resume(&mut session, waiting, invocation_id, results)
                    .await?;
                Ok(opening(session, run, at, kind, events))
            }
            Ask::Input(input_text) => {
                if let Some(run) = waiting {
                    close(
                        &mut session,
                        run,
                        at,
                        EventKind::ControlAbandoned,
                        &mut events,
                    );
                }
                let plan = self.plan().await?;
                let model = check_model(self.shared, &plan)?;
                files::check(self.files, &session.conversation.files, &plan, model)?;
                if plan.runs_code {
                    self.shared.ports.code.prepare();
                }
                let memory = self.remember(&mut session, &plan).await?;
                let started = self.started(&session, input_text, memory);
                session.doc.turns += 1;
                let run = Run::new(plan, std::mem::take(&mut session.conversation));
                Ok(opening(
                    session,
                    run,
                    at,
                    EventKind::Started(Box::new(started)),
                    events,
                ))
            }
            Ask::Nothing => Err(Exception::internal("a turn without input cannot begin")),
        }
    }

    /// The waiting turn with the results it waits for. A refusal leaves it waiting.
    async fn resume(
        &self,
        session: &mut OpenSession,
        waiting: Option<Run>,
        invocation_id: &str,
        results: &[ReturnedResult],
    ) -> Result<(Run, EventKind), Exception> {
        let waits = waiting.is_some();
        let run = match waiting {
            Some(run) => run,
            // A run that never started has the words for results that nothing waits for.
            None => Run::new(self.plan().await?, Vec::new()),
        };
        let checked = run
            .check_results(invocation_id, results)
            .and_then(|()| self.check_images(&run, results));
        if let Err(message) = checked {
            session.unfinished = waits.then_some(run);
            self.shared.sessions.keep_if_stored(session.clone());
            return Err(Exception::validation(message));
        }
        let returned = ControlReturned {
            request: self.request(),
            results: results.to_vec(),
            invocation_id: self.shared.ports.ids.uuid(),
            session_attributes: self.invocation.session_attributes.clone(),
            prompt_session_attributes: self.invocation.prompt_session_attributes.clone(),
        };
        Ok((run, EventKind::ControlReturned(Box::new(returned))))
    }

    /// Refuses an image that the model could not be shown.
    fn check_images(&self, run: &Run, results: &[ReturnedResult]) -> Result<(), String> {
        let Some(result) = results.iter().find(|result| result.image.is_some()) else {
            return Ok(());
        };
        let model = run.plan().model();
        match self.shared.ports.models.capabilities(model) {
            Ok(capabilities) if capabilities.images => Ok(()),
            Ok(_) => Err(format!(
                "Validation failed: IMAGES given for actionGroup: {}, but the model {model} takes no images. Give the result as TEXT.",
                result.action_group
            )),
            Err(cause) => Err(format!("Validation failed: {cause}")),
        }
    }

    async fn plan(&self) -> Result<Arc<AgentPlan>, Exception> {
        let plan = self.shared.plan(self.scope, &self.target.plan).await?;
        check_model(self.shared, &plan)?;
        Ok(plan)
    }

    fn started(&self, session: &OpenSession, input_text: &str, memory: Recalled) -> Started {
        let mut session_attributes = session.doc.attributes.clone();
        session_attributes.extend(self.invocation.session_attributes.clone());
        let nested = self.invocation.nested.as_ref();
        Started {
            run_id: format!("{}/{}", session.doc.journal, session.doc.turns + 1),
            plan: self.target.plan.clone(),
            agent: self.target.identity.clone(),
            session_id: self.invocation.session_id.clone(),
            request: self.request(),
            input_text: input_text.to_owned(),
            session_attributes,
            prompt_session_attributes: self.invocation.prompt_session_attributes.clone(),
            conversation_history: self.invocation.conversation_history.clone(),
            files: self.files.to_vec(),
            budget: nested.map_or(self.shared.settings.budget, |nested| nested.budget),
            caller: nested.map(|nested| nested.caller.clone()),
            memory_id: memory.id,
            memory: memory.summaries,
            conversation_view: self.invocation.conversation_view,
            knowledge_bases: self.invocation.knowledge_bases.clone(),
        }
    }

    fn request(&self) -> RequestInfo {
        RequestInfo {
            request_id: self.cx.request_id.clone(),
            trace: self.invocation.trace,
            stream: self
                .invocation
                .stream
                .unwrap_or(self.shared.settings.streams),
            guardrail_interval: self.invocation.guardrail_interval,
        }
    }
}

/// A session with the turn that begins in it.
struct Opening {
    session: OpenSession,
    run: Run,
    effects: Effects,
    /// To be journaled before any effect is performed.
    events: Vec<Event>,
    /// What earlier requests of the turn have spent.
    spent_before: Spent,
}

/// Applies the fact that begins the turn.
fn opening(
    session: OpenSession,
    mut run: Run,
    at: Timestamp,
    kind: EventKind,
    mut events: Vec<Event>,
) -> Opening {
    let event = Event { at, kind };
    let mut effects = Effects::new();
    let spent_before = run.spent();
    run.step(&event, &mut effects);
    events.push(event);
    Opening {
        session,
        run,
        effects,
        events,
        spent_before,
    }
}

/// Ends a turn that will not go on, and takes its messages into the history.
fn close(
    session: &mut OpenSession,
    mut run: Run,
    at: Timestamp,
    kind: EventKind,
    events: &mut Vec<Event>,
) {
    let event = Event { at, kind };
    run.restore(&event);
    events.push(event);
    if let Some(attributes) = run.session_attributes() {
        session.doc.attributes.clone_from(attributes);
    }
    session.settle(run);
}

impl Shared {
    /// Commits writes at this moment's time.
    pub(super) async fn commit(
        &self,
        writes: Vec<Write>,
    ) -> Result<outcrop_store::Committed, StoreError> {
        let batch = Batch {
            now_ms: self.ports.clock.now().as_millis(),
            writes,
        };
        self.ports.store.commit(batch).await
    }

    /// Takes the lease and journals the beginning, in one batch.
    async fn commit_beginning(
        &self,
        session: &mut OpenSession,
        run: &Run,
        events: &[Event],
        idle_ttl_s: u32,
    ) -> Result<(), StoreError> {
        let now_ms = self.ports.clock.now().as_millis();
        session.doc.lease = Some(self.lease(now_ms));
        if let Some(attributes) = run.session_attributes() {
            session.doc.attributes.clone_from(attributes);
        }
        // The document outlives the longest turn, so that it cannot expire under a running one.
        let turn_ms = i64::from(self.settings.budget.turn_s) * 1_000;
        let expires_at_ms = now_ms + self.lease_ms() + turn_ms + ms(idle_ttl_s);
        let mut writes = session.writes(expires_at_ms);
        writes.push(append(session, events));
        let committed = self.commit(writes).await?;
        session.revision = committed.revisions.first().copied();
        session.seq += events.len() as u64;
        Ok(())
    }
}

/// Seconds as milliseconds.
pub(super) fn ms(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000
}

/// The events as a journal write after what the session knows.
pub(super) fn append(session: &OpenSession, events: &[Event]) -> Write {
    Write::Append {
        journal: session.doc.journal.as_str().into(),
        expected_seq: session.seq,
        entries: events.iter().map(|event| event.encode().into()).collect(),
    }
}

/// Whether these effects end the response.
pub(super) fn ends_response(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Finish(_) | Effect::ReturnControl(_)))
}
