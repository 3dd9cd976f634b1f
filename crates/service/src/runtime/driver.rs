//! Performs a run's effects: the asynchronous half of the planning loop.
//!
//! Order: a fact is applied to the run in memory, journaled, and only then are its effects performed,
//! so that nothing is done or said that a crash could make undone. A client that goes away stops
//! everything that was started for it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use outcrop_engine::action::Strictness;
use outcrop_engine::orchestration::{
    CancelCause, Effect, Effects, Event, EventKind, Outcome, Phase,
};
use outcrop_model::arn::AgentArn;
use outcrop_model::exception::Exception;
use outcrop_model::runtime::ResponseStream;
use outcrop_store::{Expect, Write};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{info, warn};

use super::begin::{Turn, append, ends_response, ms};
use super::live::Client;
use super::memory::job::{self, Purpose};
use super::{Events, Shared, Step, collaborator, guard, model_call, perform};
use crate::error;
use crate::records::{self, SessionDoc};
use std::sync::Arc;

/// How long a client may take to make room for the next events before it counts as gone.
const CLIENT_STALL: Duration = Duration::from_mins(1);
/// A lease is renewed when this part of it has passed.
const LEASE_PART: u32 = 3;

/// One turn's driver.
pub(super) struct Driver {
    turn: Turn,
    events: mpsc::Sender<Step>,
    work: FuturesUnordered<BoxFuture<'static, EventKind>>,
    client_gone: bool,
    /// What holds back the events of collaborators, by the index of their calls.
    gates: HashMap<usize, oneshot::Sender<()>>,
    /// Gates to open when the batch that says so has been sent.
    opening: Vec<oneshot::Sender<()>>,
    /// When the lease is to be renewed; runs on however many facts come meanwhile.
    renewal: BoxFuture<'static, ()>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Driver {
    /// `permit` is the turn's place among all turns; a collaborator's shares that of its supervisor.
    ///
    /// Performs the first effects, so that their events are there before the response begins and
    /// leave with its head. [`Self::drive`] does the rest.
    pub(super) fn start(
        turn: Turn,
        events: mpsc::Sender<Step>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let mut driver = Self {
            renewal: renewal(&turn.shared),
            turn,
            events,
            work: FuturesUnordered::new(),
            client_gone: false,
            gates: HashMap::new(),
            opening: Vec::new(),
            _permit: permit,
        };
        if !ends_response(&driver.turn.effects) {
            let effects = std::mem::take(&mut driver.turn.effects);
            let batch = driver.begin_effects(effects);
            if !batch.is_empty() {
                let sent = driver.events.try_send(Step::more(batch));
                sent.expect("an empty buffer has room for the first step, and its reader waits");
            }
            driver.open_gates();
        }
        driver
    }

    /// Runs the turn to its end, or to a return of control.
    pub(super) async fn drive(mut self) {
        let shared = Arc::clone(&self.turn.shared);
        let turn_s = u64::from(shared.settings.budget.turn_s);
        let mut deadline = shared.ports.clock.sleep(Duration::from_secs(turn_s));
        // A turn may be over with its first step, for instance when its budget is zero.
        if ends_response(&self.turn.effects) {
            let effects = std::mem::take(&mut self.turn.effects);
            return match self.settle().await {
                Ok(()) => self.end(effects).await,
                Err(exception) => self.give_up(exception).await,
            };
        }
        loop {
            let kind = self.next(&mut deadline).await;
            let effects = match self.take(kind).await {
                Ok(effects) => effects,
                Err(exception) => return self.give_up(exception).await,
            };
            if ends_response(&effects) {
                return self.end(effects).await;
            }
            let batch = self.begin_effects(effects);
            self.send(batch).await;
            self.open_gates();
        }
    }

    /// Lets the events of collaborators pass whose turn it is.
    fn open_gates(&mut self) {
        for gate in self.opening.drain(..) {
            // A call that has ended needs no gate.
            let _ = gate.send(());
        }
    }

    /// The client of a model call.
    fn client(&self) -> Client {
        Client {
            shared: Arc::clone(&self.turn.shared),
            cx: self.turn.cx.clone(),
            envelope: self.turn.envelope.clone(),
            events: self.events.clone(),
        }
    }

    /// Starts what the effects ask for and gives what they say.
    fn begin_effects(&mut self, effects: Effects) -> Events {
        let mut batch = Events::new();
        for effect in effects {
            match effect {
                Effect::Emit(emission) => batch.push(Ok(self.turn.envelope.wrap(emission))),
                Effect::CallModel(mut call) => {
                    let ports = Arc::clone(&self.turn.shared.ports);
                    call.request.latency = call.request.latency.or(self.turn.latency);
                    call.request.caller = Some(self.turn.session.doc.journal.as_str().into());
                    // Most calls have no reader but the journal.
                    let client = call.live.is_some().then(|| self.client());
                    let call = model_call::call(ports, *call, client);
                    self.work.push(call.boxed());
                }
                Effect::CallAction(pending) => {
                    let ports = Arc::clone(&self.turn.shared.ports);
                    let call = perform::call_action(ports, pending, self.function_caller());
                    self.work.push(call.boxed());
                }
                Effect::CallParser(pending) => {
                    let ports = Arc::clone(&self.turn.shared.ports);
                    let call = perform::call_function(ports, pending, self.function_caller());
                    self.work.push(call.map(EventKind::ParserReplied).boxed());
                }
                Effect::CallOrchestrator(pending) => {
                    let ports = Arc::clone(&self.turn.shared.ports);
                    let call = perform::call_function(ports, pending, self.function_caller());
                    self.work
                        .push(call.map(EventKind::OrchestratorReplied).boxed());
                }
                Effect::Retrieve(pending) => {
                    let ports = Arc::clone(&self.turn.shared.ports);
                    let cx = &self.turn.cx;
                    let place = (cx.account_id.clone(), cx.region.clone());
                    let call = perform::retrieve(ports, *pending, place);
                    self.work.push(call.boxed());
                }
                Effect::ApplyGuardrail(pending) => {
                    let shared = Arc::clone(&self.turn.shared);
                    let call = guard::assess(shared, self.turn.cx.clone(), pending);
                    self.work.push(call.boxed());
                }
                Effect::CallCollaborator(pending) => {
                    let (gate, opened) = oneshot::channel();
                    self.gates.insert(pending.index, gate);
                    let events = self.events.clone();
                    let call = collaborator::call(&self.turn, *pending, events, opened);
                    self.work.push(call.boxed());
                }
                Effect::Reveal(index) => self.opening.extend(self.gates.remove(&index)),
                Effect::ExecuteCode(pending) => {
                    let ports = Arc::clone(&self.turn.shared.ports);
                    let session = self.turn.session.doc.journal.clone();
                    let definition = &self.turn.run.plan().definition;
                    let idle_ttl = Duration::from_secs(definition.idle_session_ttl_s.into());
                    let call = perform::execute_code(ports, pending, session, idle_ttl);
                    self.work.push(call.boxed());
                }
                Effect::ReturnControl(payload) => {
                    batch.push(Ok(ResponseStream::ReturnControl(*payload)));
                }
                Effect::Finish(Outcome::Failed(failure)) => {
                    batch.push(Err(error::failure(&failure)));
                }
                Effect::Finish(Outcome::Completed | Outcome::Stopped) => {}
            }
        }
        batch
    }

    /// The agent whose right to call a function is checked; `None` where none is.
    fn function_caller(&self) -> Option<AgentArn> {
        match self.turn.shared.settings.strictness {
            Strictness::Strict => Some(self.turn.envelope.agent()),
            Strictness::Relaxed => None,
        }
    }

    /// Waits for the next fact.
    async fn next(&mut self, deadline: &mut BoxFuture<'static, ()>) -> EventKind {
        if self.client_gone {
            return EventKind::Cancelled(CancelCause::ClientGone);
        }
        let shared = Arc::clone(&self.turn.shared);
        loop {
            tokio::select! {
                Some(kind) = self.work.next() => return kind,
                () = self.events.closed() => {
                    return EventKind::Cancelled(CancelCause::ClientGone);
                }
                () = shared.stop.cancelled() => {
                    return EventKind::Cancelled(CancelCause::Shutdown);
                }
                () = &mut *deadline => return EventKind::DeadlinePassed,
                () = &mut self.renewal => {}
            }
            self.renew().await;
        }
    }

    /// Applies a fact and makes it durable.
    async fn take(&mut self, kind: EventKind) -> Result<Effects, Exception> {
        let event = Event {
            at: self.turn.shared.ports.clock.now(),
            kind,
        };
        let mut effects = Effects::new();
        self.turn.run.step(&event, &mut effects);
        let mut writes = Vec::new();
        if ends_response(&effects) {
            writes = self.closing_writes();
        }
        writes.push(append(&self.turn.session, std::slice::from_ref(&event)));
        let committed = self
            .turn
            .shared
            .commit(writes)
            .await
            .map_err(error::store)?;
        self.turn.session.seq += 1;
        if ends_response(&effects) {
            self.closed();
            self.turn.session.revision = committed.revisions.first().copied();
        }
        Ok(effects)
    }

    /// Writes the end of a turn that ended without a fact of its own.
    async fn settle(&mut self) -> Result<(), Exception> {
        let writes = self.closing_writes();
        let committed = self
            .turn
            .shared
            .commit(writes)
            .await
            .map_err(error::store)?;
        self.closed();
        self.turn.session.revision = committed.revisions.first().copied();
        Ok(())
    }

    /// Gives the lease back, with the attributes as the turn leaves them; ends the session if asked.
    /// The session's document comes first.
    fn closing_writes(&mut self) -> Vec<Write> {
        let session = &mut self.turn.session;
        session.doc.lease = None;
        if let Some(attributes) = self.turn.run.session_attributes() {
            session.doc.attributes.clone_from(attributes);
        }
        let now_ms = self.turn.shared.ports.clock.now().as_millis();
        let summary = |purpose| job::summary(&session.key, &session.doc, purpose, now_ms);
        if self.turn.end_session && self.turn.run.phase() == Phase::Finished {
            let delete = Write::Delete {
                key: session.key.clone(),
                expect: session.revision.map_or(Expect::Any, Expect::Revision),
            };
            return std::iter::once(delete)
                .chain(summary(Purpose::Ended))
                .collect();
        }
        let mut writes = session.writes(now_ms + ms(self.turn.idle_ttl_s));
        if self.turn.shared.settings.memory_live {
            writes.extend(summary(Purpose::Running));
        }
        writes
    }

    /// The closing writes are stored: a summary may be due.
    fn closed(&self) {
        let shared = &self.turn.shared;
        let is_due = self.turn.end_session || shared.settings.memory_live;
        if is_due && self.turn.session.doc.memory.is_some() {
            shared.background.wake();
        }
    }

    /// Moves the end of the lease on. Where that fails the turn goes on: if another process takes the
    /// session, the journal's fence ends the turn at its next fact.
    async fn renew(&mut self) {
        let shared = Arc::clone(&self.turn.shared);
        self.renewal = renewal(&shared);
        let now_ms = shared.ports.clock.now().as_millis();
        let session = &mut self.turn.session;
        session.doc.lease = Some(shared.lease(now_ms));
        let turn_ms = i64::from(shared.settings.budget.turn_s) * 1_000;
        let expires_at_ms = now_ms + shared.lease_ms() + turn_ms + ms(self.turn.idle_ttl_s);
        match shared.commit(session.writes(expires_at_ms)).await {
            Ok(committed) => session.revision = committed.revisions.first().copied(),
            Err(cause) => {
                warn!(%cause, "session lease could not be renewed");
                // It may have been, with the answer lost.
                self.find_revision().await;
            }
        }
    }

    /// Reads the session's revision back where the document is still this turn's.
    async fn find_revision(&mut self) {
        let shared = Arc::clone(&self.turn.shared);
        let session = &mut self.turn.session;
        let now_ms = shared.ports.clock.now().as_millis();
        let Ok(Some(record)) = shared.ports.store.get(&session.key, now_ms).await else {
            return;
        };
        if let Ok(found) = records::read::<SessionDoc>(record)
            && found.body.journal == session.doc.journal
            && found
                .body
                .lease
                .is_some_and(|lease| lease.owner == shared.owner)
        {
            session.revision = Some(found.revision);
        }
    }

    /// Sends, and keeps the lease while a slow client makes room.
    async fn send(&mut self, batch: Events) {
        if batch.is_empty() || self.client_gone {
            return;
        }
        let events = self.events.clone();
        let mut sending = Box::pin(events.send_timeout(Step::more(batch), CLIENT_STALL));
        loop {
            tokio::select! {
                sent = &mut sending => {
                    self.client_gone = sent.is_err();
                    return;
                }
                () = &mut self.renewal => {}
            }
            self.renew().await;
        }
    }

    /// Frees the session before the client can see the end, so that its next request finds it free.
    async fn end(mut self, effects: Effects) {
        let batch = self.begin_effects(effects);
        self.work.clear();
        if let Some(report) = self.turn.report.take() {
            // Nobody waits where the supervisor is gone.
            let _ = report.send(self.turn.run.spent().since(self.turn.spent_before));
        }
        let (run, mut session) = (self.turn.run, self.turn.session);
        let shared = Arc::clone(&self.turn.shared);
        match run.phase() {
            Phase::AwaitingControl => {
                session.unfinished = Some(run);
                shared.sessions.keep(session);
            }
            _ if self.turn.end_session => shared.ports.code.end(&session.doc.journal),
            _ => {
                session.settle(run);
                shared.sessions.keep(session);
            }
        }
        drop(self.turn.guard.take());
        let _ = self
            .events
            .send_timeout(Step::last(batch), CLIENT_STALL)
            .await;
    }

    /// The store would not take a fact: nothing more can be done safely. The session's journal is as
    /// the last durable fact left it.
    async fn give_up(mut self, exception: Exception) {
        info!(kind = ?exception.kind(), "turn given up");
        self.work.clear();
        drop(self.turn.guard.take());
        let _ = self
            .events
            .send_timeout(Step::last(vec![Err(exception)]), CLIENT_STALL)
            .await;
    }
}

/// When a lease is due for renewal; never, where nobody else could take the session.
fn renewal(shared: &Shared) -> BoxFuture<'static, ()> {
    if shared.settings.exclusive_store {
        return std::future::pending().boxed();
    }
    let part = shared.settings.session_lease / LEASE_PART;
    shared.ports.clock.sleep(part)
}
