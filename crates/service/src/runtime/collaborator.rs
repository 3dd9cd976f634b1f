//! A collaborator's turn: begun like an `InvokeAgent`, in a session of its own that only its
//! supervisor's session leads to, with its trace forwarded into the supervisor's stream
//! (behaviour.md 11.3, ADR 0017).
//!
//! Dropping the call drops the reader of the turn's events, which cancels the turn as a client that
//! goes away does.

use std::sync::Arc;
use std::time::Duration;

use outcrop_engine::orchestration::{
    AgentIdentity, Caller, CollaboratorAsk, CollaboratorReplied, CollaboratorResult, Emission,
    EventKind, PendingCollaborator, Spent,
};
use outcrop_engine::port::Latency;
use outcrop_engine::redaction::without_tool_names;
use outcrop_model::arn::AgentAliasArn;
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::runtime::{
    FinalResponse, Metadata, Observation, OrchestrationTrace, ResponseStream, Trace, Type,
};
use outcrop_model::timestamp::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::begin::{self, Begun, Turn};
use super::driver::Driver;
use super::envelope::Envelope;
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

    /// What is around the traces of a collaborator.
    fn envelope(&self, identity: &AgentIdentity, caller: Caller) -> Envelope {
        let cx = &self.cx;
        let (agent_id, alias_id) = (&identity.agent_id, &identity.alias_id);
        let alias = AgentAliasArn::new(&cx.region, &cx.account_id, agent_id, alias_id);
        let session_id = self.session_id.clone();
        Envelope::new(identity.clone(), &alias, session_id, Some(caller))
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
            who: None,
            trace_id: format!("{request_id}-0"),
        };
        let ran = run(&supervisor, pending, &request_id, &mut output, &mut spent).await;
        if let Err(exception) = &ran
            && supervisor.trace
        {
            output
                .close(exception.message(), started_at, supervisor.service.now())
                .await;
        }
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
    let caller = Caller {
        chain: supervisor.chain.clone(),
        collaborator_name: supervisor
            .first_name
            .clone()
            .unwrap_or_else(|| name.clone()),
    };
    output.who = Some(supervisor.envelope(&target.identity, caller.clone()));
    check_chain(supervisor, &name, &target.identity)?;
    let nested = Nested {
        caller,
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
        return Err(Exception::internal(
            "a collaborator's turn cannot end its session",
        ));
    };
    turn.report = Some(report);
    let tools = Arc::clone(&turn.run.plan().tools);
    let (sender, receiver) = mpsc::channel(EVENT_BUFFER_STEPS);
    let tracker = supervisor.service.runtime.0.tracker.clone();
    tracker.spawn(Driver::start(*turn, sender, None).drive());
    let result = forward(receiver, output).await;
    *spent = reported.await.unwrap_or_default();
    Ok(match result? {
        CollaboratorResult::Answered(text) => {
            CollaboratorResult::Answered(without_tool_names(&text, &tools))
        }
        other => other,
    })
}

/// Where a collaborator's traces go. Those of several that run at once are held back until it is
/// their turn, so that they nest in the stream; a turn's budget bounds how many there can be.
struct Output {
    events: mpsc::Sender<Step>,
    gate: Option<oneshot::Receiver<()>>,
    held: Events,
    /// What is around the collaborator's traces, once it is known who it is.
    who: Option<Envelope>,
    /// `traceId` of the step that it came to.
    trace_id: String,
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

    /// Remembers where a failing turn stands.
    fn note(&mut self, event: &ResponseStream) {
        if let ResponseStream::Trace(part) = event
            && let Some(Trace::FailureTrace(failure)) = &part.trace
            && let Some(trace_id) = &failure.trace_id
        {
            self.trace_id.clone_from(trace_id);
        }
    }

    async fn send(&mut self, batch: Events) {
        self.held.extend(batch);
        if self.gate.is_none() {
            self.flush().await;
        }
    }

    /// Says how a turn ended that failed. Without an end of its own, the supervisor's traces would go on
    /// inside the collaborator's, for whoever reads them as a tree.
    async fn close(&mut self, message: &str, started_at: Timestamp, ended_at: Timestamp) {
        let Some(who) = &self.who else { return };
        let end = Observation {
            final_response: Some(FinalResponse {
                metadata: Some(Metadata {
                    start_time: Some(started_at),
                    end_time: Some(ended_at),
                    operation_total_time_ms: Some(elapsed_ms(started_at, ended_at)),
                    ..Metadata::default()
                }),
                text: Some(message.to_owned()),
            }),
            trace_id: Some(self.trace_id.clone()),
            type_: Some(Type::Finish),
            ..Observation::default()
        };
        let trace = Trace::OrchestrationTrace(OrchestrationTrace::Observation(end));
        let event = who.wrap(Emission::Trace {
            at: ended_at,
            trace: Box::new(trace),
        });
        self.send(vec![Ok(event)]).await;
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
            let _ = self
                .events
                .send_timeout(Step::more(batch), CLIENT_STALL)
                .await;
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
    supervisor
        .service
        .resolve(cx, &alias.agent_id, &alias.alias_id)
        .await
}

/// Refuses a chain of calls that is too long, or that comes back to an agent which is in it.
fn check_chain(
    supervisor: &Supervisor,
    name: &str,
    identity: &AgentIdentity,
) -> Result<(), Exception> {
    if supervisor.chain.len() >= CHAIN_MAX {
        return Err(Exception::validation(format!(
            "The collaborator {name} is not called: a chain of agents may be {CHAIN_MAX} long, this one would be longer."
        )));
    }
    let agent_id = &identity.agent_id;
    let in_chain = |arn: &String| {
        // Inline agents, which no ARN can name, have no circles.
        arn.parse::<AgentAliasArn>()
            .is_ok_and(|above| above.agent_id == *agent_id)
    };
    if supervisor.chain.iter().any(in_chain) {
        return Err(Exception::validation(format!(
            "The collaborator {name} is not called: its agent {agent_id} is above it in the chain of callers."
        )));
    }
    Ok(())
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.as_nanos().saturating_sub(from.as_nanos()).max(0) / 1_000_000
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
        let mut failed = None;
        for event in step.events {
            match event {
                Ok(ResponseStream::Chunk(chunk)) => {
                    answer
                        .extend_from_slice(chunk.bytes.as_ref().map_or(&[][..], |b| b.as_bytes()));
                }
                Ok(ResponseStream::ReturnControl(payload)) => returned = Some(payload),
                Ok(other) => {
                    output.note(&other);
                    batch.push(Ok(other));
                }
                Err(exception) => failed = Some(exception),
            }
        }
        if !batch.is_empty() {
            output.send(batch).await;
        }
        if let Some(exception) = failed {
            return Err(exception);
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
