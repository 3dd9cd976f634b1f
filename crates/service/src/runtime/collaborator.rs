//! A collaborator's turn: begun like an `InvokeAgent`, in a session of its own that only its
//! supervisor's session leads to, with its trace forwarded into the supervisor's stream
//! (behaviour.md 11.3, ADR 0017).
//!
//! Dropping the call drops the reader of the turn's events, which cancels the turn as a client that
//! goes away does.

use std::time::Duration;

use outcrop_engine::orchestration::{
    AgentIdentity, Caller, CollaboratorAsk, CollaboratorReplied, CollaboratorResult, EventKind,
    PendingCollaborator, Spent,
};
use outcrop_engine::port::Latency;
use outcrop_model::arn::AgentAliasArn;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::runtime::ResponseStream;
use tokio::sync::{mpsc, oneshot};

use super::begin::{self, Begun, Turn};
use super::driver::Driver;
use super::request::{Ask, Invocation, Nested};
use super::resolve::Target;
use super::{EVENT_BUFFER_STEPS, Events, Step};
use crate::control::INLINE_AGENT;
use crate::{Service, scope};

/// Most agents in a chain of calls, the one that the client invoked included. AWS has been seen to
/// nest three; deeper chains are mistakes more often than designs.
const CHAIN_MAX: usize = 5;
/// How long the client may take to make room for a collaborator's events.
const CLIENT_STALL: Duration = Duration::from_mins(1);

/// Everything that a collaborator's turn takes from the turn that calls it.
struct Supervisor {
    service: Service,
    cx: CallContext,
    chain: Vec<String>,
    first_name: Option<String>,
    /// Names of the collaborators that lead here, below the session that the client knows.
    path: String,
    /// The visible id of all sessions below one of the client's.
    session_id: String,
    idle_ttl_s: u32,
    trace: bool,
    latency: Option<Latency>,
}

impl Supervisor {
    fn of(turn: &Turn) -> Self {
        let started = turn.run.started();
        let caller = started.and_then(|started| started.caller.as_ref());
        let (session_id, path) = turn.session.below();
        Self {
            service: turn.service.clone(),
            cx: turn.cx.clone(),
            chain: turn.envelope.chain().to_vec(),
            first_name: caller.map(|caller| caller.collaborator_name.clone()),
            path,
            session_id,
            idle_ttl_s: turn.idle_ttl_s,
            trace: started.is_some_and(|started| started.request.trace),
            latency: turn.latency,
        }
    }
}

/// Calls a collaborator of the turn once and gives the event to journal. `events` takes the
/// collaborator's traces, once `gate` lets them pass.
pub(super) fn call(
    turn: &Turn,
    pending: PendingCollaborator,
    events: mpsc::Sender<Step>,
    gate: oneshot::Receiver<()>,
) -> impl Future<Output = EventKind> + Send + 'static {
    let supervisor = Supervisor::of(turn);
    async move {
        let index = pending.index;
        let request_id = supervisor.service.ports.ids.uuid();
        let started_at = supervisor.service.now();
        let mut spent = Spent::default();
        let mut output = Output {
            events,
            gate: Some(gate),
            held: Vec::new(),
        };
        let ran = run(&supervisor, pending, &request_id, &mut output, &mut spent).await;
        output.release().await;
        let result = ran.unwrap_or_else(|exception| CollaboratorResult::Failed {
            kind: exception.kind(),
            message: exception.message().to_owned(),
        });
        EventKind::CollaboratorReplied(Box::new(CollaboratorReplied {
            index,
            client_request_id: request_id,
            started_at,
            ended_at: supervisor.service.now(),
            spent,
            result,
        }))
    }
}

async fn run(
    supervisor: &Supervisor,
    pending: PendingCollaborator,
    request_id: &str,
    output: &mut Output,
    spent: &mut Spent,
) -> Result<CollaboratorResult, Exception> {
    let name = pending.collaborator.name.clone();
    let cx = CallContext {
        request_id: request_id.to_owned(),
        ..supervisor.cx.clone()
    };
    let target = target(supervisor, &cx, &pending).await?;
    let (report, reported) = oneshot::channel();
    let path = format!("{}/{name}", supervisor.path);
    let nested = Nested {
        caller: Caller {
            chain: supervisor.chain.clone(),
            collaborator_name: supervisor.first_name.clone().unwrap_or_else(|| name.clone()),
        },
        session: format!("{}#{path}", supervisor.session_id),
        budget: pending.budget,
        idle_ttl_s: supervisor.idle_ttl_s,
    };
    let (ask, conversation_history) = match pending.ask {
        CollaboratorAsk::Message { text, history } => (Ask::Input(text), history),
        CollaboratorAsk::Results {
            invocation_id,
            results,
        } => {
            let ask = Ask::Results {
                invocation_id,
                results,
            };
            (ask, Vec::new())
        }
    };
    let invocation = Invocation {
        conversation_history,
        session_attributes: pending.session_attributes,
        trace: supervisor.trace,
        latency: supervisor.latency,
        ..Invocation::nested(nested, supervisor.session_id.clone(), ask)
    };
    let begun = begin::begin(&supervisor.service, &cx, &scope(&cx), &target, invocation).await?;
    let Begun::Turn(mut turn) = begun else {
        return Err(Exception::internal("a collaborator's turn cannot end its session"));
    };
    turn.report = Some(report);
    let (sender, receiver) = mpsc::channel(EVENT_BUFFER_STEPS);
    let tracker = supervisor.service.runtime.0.tracker.clone();
    tracker.spawn(Driver::start(*turn, sender, None).drive());
    let result = forward(receiver, output).await;
    *spent = reported.await.unwrap_or_default();
    result
}

/// Where a collaborator's traces go. Those of several that run at once are held back until it is
/// their turn, so that they nest in the stream; a turn's budget bounds how many there can be.
struct Output {
    events: mpsc::Sender<Step>,
    gate: Option<oneshot::Receiver<()>>,
    held: Events,
}

impl Output {
    /// The next step of the turn; meanwhile, what is held back goes out as soon as it may.
    async fn next(&mut self, receiver: &mut mpsc::Receiver<Step>) -> Option<Step> {
        if let Some(gate) = &mut self.gate {
            tokio::select! {
                biased;
                _ = gate => {}
                step = receiver.recv() => return step,
            }
            self.gate = None;
            self.flush().await;
        }
        receiver.recv().await
    }

    async fn send(&mut self, batch: Events) {
        self.held.extend(batch);
        if self.gate.is_none() {
            self.flush().await;
        }
    }

    /// Waits for the gate and sends what is held back.
    async fn release(&mut self) {
        if let Some(gate) = self.gate.take() {
            let _ = gate.await;
        }
        self.flush().await;
    }

    async fn flush(&mut self) {
        let batch = std::mem::take(&mut self.held);
        if !batch.is_empty() {
            // A client that is gone is noticed by the supervisor's own driver, which drops this call.
            let _ = self.events.send_timeout(Step::more(batch), CLIENT_STALL).await;
        }
    }
}

/// What a collaborator runs on.
async fn target(
    supervisor: &Supervisor,
    cx: &CallContext,
    pending: &PendingCollaborator,
) -> Result<Target, Exception> {
    let collaborator = &pending.collaborator;
    if supervisor.chain.len() >= CHAIN_MAX {
        return Err(Exception::validation(format!(
            "The collaborator {} is not called: a chain of agents may be {CHAIN_MAX} long, this one would be longer.",
            collaborator.name
        )));
    }
    if let Some(plan) = &collaborator.plan {
        return Ok(Target {
            identity: AgentIdentity {
                agent_id: INLINE_AGENT.to_owned(),
                agent_name: collaborator.name.clone(),
                // AWS's traces show the name where an alias has its id.
                alias_id: collaborator.name.clone(),
                version: "DRAFT".to_owned(),
            },
            plan: plan.clone(),
        });
    }
    let alias: AgentAliasArn = collaborator.alias_arn.parse().map_err(|_| {
        Exception::validation(format!(
            "The collaborator {} cannot be called: expected an alias ARN, got {:?}.",
            collaborator.name, collaborator.alias_arn
        ))
    })?;
    let in_chain = |arn: &String| {
        arn.parse::<AgentAliasArn>()
            .is_ok_and(|above| above.agent_id == alias.agent_id)
    };
    if supervisor.chain.iter().any(in_chain) {
        return Err(Exception::validation(format!(
            "The collaborator {} is not called: its agent {} is above it in the chain of callers.",
            collaborator.name, alias.agent_id
        )));
    }
    supervisor
        .service
        .resolve(cx, &alias.agent_id, &alias.alias_id)
        .await
}

/// Sends a turn's traces on and keeps what it says.
async fn forward(
    mut receiver: mpsc::Receiver<Step>,
    output: &mut Output,
) -> Result<CollaboratorResult, Exception> {
    let mut answer = Vec::new();
    let mut returned = None;
    while let Some(step) = output.next(&mut receiver).await {
        let mut batch = Vec::new();
        for event in step.events {
            match event? {
                ResponseStream::Chunk(chunk) => {
                    answer.extend_from_slice(chunk.bytes.as_ref().map_or(&[][..], |b| b.as_bytes()));
                }
                ResponseStream::ReturnControl(payload) => returned = Some(payload),
                other => batch.push(Ok(other)),
            }
        }
        if !batch.is_empty() {
            output.send(batch).await;
        }
        if step.last {
            break;
        }
    }
    Ok(match returned {
        Some(payload) => CollaboratorResult::ReturnedControl(Box::new(payload)),
        None => CollaboratorResult::Answered(String::from_utf8_lossy(&answer).into_owned()),
    })
}
