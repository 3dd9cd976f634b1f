//! A small driver: turns of several agents, the calls they wait for, and what a restart leaves.
//!
//! It does what the server's driver does, without time and tasks: facts are journaled before their
//! effects are performed, a collaborator's turn is begun in a session below its caller's, and whoever
//! ends takes along what it waits for. Each step of each run is checked on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outcrop_engine::orchestration::{
    AgentIdentity, Budget, Caller, CancelCause, CollaboratorAsk, CollaboratorReplied,
    CollaboratorResult, ControlReturned, Conversation, ConversationView, Effect, Effects, Emission,
    Event, EventKind, ModelCall, Outcome, PendingAction, PendingCode, PendingCollaborator,
    PendingFunction, PendingRetrieval, Phase, RequestInfo, ReturnedResult, Run, Spent, Started,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_model::exception::ExceptionKind;
use outcrop_model::runtime::ReturnControlPayload;
use outcrop_model::timestamp::Timestamp;

use super::fleet::Fleet;
use crate::harness::lines;
use crate::simulation::{Random, check_request};

/// The agent that the client invokes.
pub(super) const ROOT: &str = "root";

/// What each model call costs.
pub(super) const TOKENS_OF_A_CALL: u64 = 15;

/// A call that has been made and not answered.
#[derive(Clone)]
pub(super) enum Work {
    Model(Box<ModelCall>),
    Action(PendingAction),
    Code(PendingCode),
    Parser(PendingFunction),
    Orchestrator(PendingFunction),
    Guardrail,
    Retrieval(PendingRetrieval),
}

/// One turn that has not ended.
pub(super) struct Node {
    pub(super) run: Run,
    before: Conversation,
    journal: Vec<Event>,
    /// What each fact of the journal led to.
    effects: Vec<Effects>,
    answer: String,
    /// Which call of which turn waits for it; `None` for the client's own, or after a restart.
    waiting: Option<(String, usize)>,
    /// What it has told its caller of.
    reported: Spent,
    budget: Budget,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) log: String,
    /// Unfinished turns, by the path of collaborator names that leads to them.
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) work: Vec<(String, Work)>,
    /// What the client is asked for.
    pub(super) returned: Option<ReturnControlPayload>,
    /// Tokens of the client's turn, over the whole tree.
    pub(super) tokens: u64,
    /// Turns begun for it.
    pub(super) turns: u64,
    pub(super) facts: u32,
    fleet: Fleet,
    sessions: BTreeMap<String, Conversation>,
    keys: BTreeSet<String>,
    clock: i64,
    requests: u32,
}

/// The seed's story, for whoever asked for that seed alone.
impl Drop for World {
    fn drop(&mut self) {
        if std::env::var_os("SUPERVISOR_SEED").is_some() {
            println!("{}", self.log);
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let fleet = Fleet::new(&mut random);
        Self {
            random,
            log: String::new(),
            nodes: BTreeMap::new(),
            work: Vec::new(),
            returned: None,
            tokens: 0,
            turns: 0,
            facts: 0,
            fleet,
            sessions: BTreeMap::new(),
            keys: BTreeSet::new(),
            clock: 1_700_000_000_000_000_000,
            requests: 0,
        }
    }

    /// The client's input.
    pub(super) fn invoke(&mut self, budget: Budget) {
        (self.tokens, self.turns, self.facts) = (0, 0, 0);
        self.begin(ROOT, "What is new?", Vec::new(), None, budget, None);
    }

    fn begin(
        &mut self,
        path: &str,
        input: &str,
        history: Vec<outcrop_model::converse::Message>,
        caller: Option<Caller>,
        budget: Budget,
        waiting: Option<(String, usize)>,
    ) {
        self.close(path);
        self.turns += 1;
        let plan = self.fleet.plan(path);
        let before = self.sessions.remove(path).unwrap_or_default();
        let node = Node {
            run: Run::new(Arc::clone(&plan), before.clone()),
            before,
            journal: Vec::new(),
            effects: Vec::new(),
            answer: String::new(),
            waiting,
            reported: Spent::default(),
            budget,
        };
        self.nodes.insert(path.to_owned(), node);
        let request = self.request();
        self.feed(
            path,
            EventKind::Started(Box::new(Started {
                run_id: format!("run-{}", self.requests),
                plan: plan.hash.clone(),
                agent: identity(path),
                session_id: "s-1".to_owned(),
                request,
                input_text: input.to_owned(),
                session_attributes: BTreeMap::new(),
                prompt_session_attributes: BTreeMap::new(),
                conversation_history: history,
                files: Vec::new(),
                budget,
                caller,
                memory_id: None,
                memory: Vec::new(),
                conversation_view: ConversationView::default(),
                knowledge_bases: Vec::new(),
            })),
        );
    }

    fn request(&mut self) -> RequestInfo {
        self.requests += 1;
        RequestInfo {
            request_id: format!("req-{}", self.requests),
            trace: true,
            stream: self.fleet.streams,
            guardrail_interval: None,
        }
    }

    /// Ends what an earlier turn left open in this session.
    fn close(&mut self, path: &str) {
        if let Some(node) = self.nodes.get(path) {
            assert_eq!(
                node.run.phase(),
                Phase::AwaitingControl,
                "one turn at a time"
            );
            self.feed(path, EventKind::ControlAbandoned);
        }
    }

    /// Journals a fact, takes it in, performs what follows from it.
    pub(super) fn feed(&mut self, path: &str, kind: EventKind) {
        self.clock += 1_000_000;
        self.facts += 1;
        if matches!(kind, EventKind::ModelReplied(_)) {
            self.tokens += TOKENS_OF_A_CALL;
        }
        let event = Event {
            at: Timestamp::from_nanos(self.clock),
            kind,
        };
        let node = self.nodes.get_mut(path).expect("an unfinished turn");
        let mut effects = Effects::new();
        node.run.step(&event, &mut effects);
        node.journal.push(event);
        node.effects.push(effects.clone());
        self.log.push_str(path);
        self.log.push('\n');
        self.log.push_str(&lines(&effects));
        check_end(&effects);
        for effect in effects {
            self.perform(path, effect);
        }
    }

    fn perform(&mut self, path: &str, effect: Effect) {
        let work = match effect {
            Effect::CallModel(call) => {
                if !self.fleet.is_orchestrated(path) {
                    check_request(&call.request);
                }
                Work::Model(call)
            }
            Effect::CallAction(pending) => {
                self.once(&pending.idempotency_key);
                Work::Action(pending)
            }
            Effect::ExecuteCode(pending) => Work::Code(pending),
            Effect::CallParser(pending) => {
                self.once(&pending.idempotency_key);
                Work::Parser(pending)
            }
            Effect::CallOrchestrator(pending) => {
                self.once(&pending.idempotency_key);
                Work::Orchestrator(pending)
            }
            Effect::ApplyGuardrail(_) => Work::Guardrail,
            Effect::Retrieve(pending) => Work::Retrieval(*pending),
            Effect::CallCollaborator(pending) => return self.call(path, *pending),
            Effect::Emit(Emission::Chunk(text) | Emission::Cited { text, .. }) => {
                let node = self.nodes.get_mut(path).expect("an unfinished turn");
                return node.answer.push_str(&text);
            }
            Effect::Emit(_) | Effect::Reveal(_) => return,
            Effect::ReturnControl(payload) => return self.return_control(path, *payload),
            Effect::Finish(outcome) => return self.finish(path, &outcome),
        };
        self.work.push((path.to_owned(), work));
    }

    /// No call is made twice.
    fn once(&mut self, key: &str) {
        assert!(self.keys.insert(key.to_owned()), "{key} is called twice");
    }

    fn call(&mut self, path: &str, pending: PendingCollaborator) {
        let below = format!("{path}/{}", pending.collaborator.name);
        let waiting = Some((path.to_owned(), pending.index));
        let open = self.nodes.get(&below).map(|node| node.run.phase());
        if open.is_some_and(|phase| phase != Phase::AwaitingControl) {
            let busy = CollaboratorResult::Failed {
                kind: ExceptionKind::Conflict,
                message: "busy".to_owned(),
            };
            return self.reply(path, pending.index, Spent::default(), busy);
        }
        match pending.ask {
            CollaboratorAsk::Message { text, history } => {
                let caller = Self::caller(path, &below);
                self.begin(
                    &below,
                    &text,
                    history,
                    Some(caller),
                    pending.budget,
                    waiting,
                );
            }
            CollaboratorAsk::Results {
                invocation_id,
                results,
            } => {
                let node = self.nodes.get_mut(&below).expect("it waits for results");
                let awaited = node.run.awaited_invocation_id();
                assert_eq!(awaited.as_deref(), Some(invocation_id.as_str()));
                node.run
                    .check_results(&invocation_id, &results)
                    .expect("results answer what was asked");
                node.waiting = waiting;
                node.answer.clear();
                self.answer(&below, results);
            }
        }
    }

    fn caller(path: &str, below: &str) -> Caller {
        let names: Vec<&str> = path.split('/').collect();
        let mut arns = Vec::new();
        for depth in 1..=names.len() {
            arns.push(Fleet::alias_arn(&names[..depth].join("/")));
        }
        let first = below.split('/').nth(1).unwrap_or_default();
        Caller {
            chain: arns,
            collaborator_name: first.to_owned(),
        }
    }

    /// Gives results to a turn that waits for them.
    pub(super) fn answer(&mut self, path: &str, results: Vec<ReturnedResult>) {
        let request = self.request();
        let invocation_id = format!("uuid-{}", self.requests);
        self.feed(
            path,
            EventKind::ControlReturned(Box::new(ControlReturned {
                request,
                results,
                invocation_id,
                session_attributes: BTreeMap::new(),
                prompt_session_attributes: BTreeMap::new(),
            })),
        );
    }

    fn return_control(&mut self, path: &str, payload: ReturnControlPayload) {
        let node = self.nodes.get_mut(path).expect("an unfinished turn");
        let spent = node.run.spent().since(node.reported);
        node.reported = node.run.spent();
        if let Some((above, index)) = node.waiting.take() {
            let result = CollaboratorResult::ReturnedControl(Box::new(payload));
            self.reply(&above, index, spent, result);
        } else {
            assert_eq!(path, ROOT, "only the client's turn waits for nobody");
            self.returned = Some(payload);
        }
    }

    fn finish(&mut self, path: &str, outcome: &Outcome) {
        self.work.retain(|(owner, _)| owner != path);
        self.end_below(path);
        let node = self.nodes.remove(path).expect("an unfinished turn");
        check_replay(&node);
        let spent = node.run.spent();
        assert!(
            spent.model_calls <= node.budget.model_calls,
            "model calls of {path}"
        );
        let spent = spent.since(node.reported);
        let result = match outcome {
            Outcome::Completed => CollaboratorResult::Answered(node.answer.clone()),
            Outcome::Failed(failure) => CollaboratorResult::Failed {
                kind: failure.kind,
                message: failure.message.clone(),
            },
            Outcome::Stopped => CollaboratorResult::Failed {
                kind: ExceptionKind::InternalServer,
                message: "stopped".to_owned(),
            },
        };
        self.sessions
            .insert(path.to_owned(), node.run.conversation());
        if let Some((above, index)) = node.waiting {
            self.reply(&above, index, spent, result);
        }
    }

    /// Whoever ends takes along the turns that run for it. Those that wait for results stay.
    fn end_below(&mut self, path: &str) {
        let prefix = format!("{path}/");
        let below: Vec<String> = self
            .nodes
            .iter()
            .filter(|(below, node)| {
                below.starts_with(&prefix) && node.run.phase() != Phase::AwaitingControl
            })
            .map(|(below, _)| below.clone())
            .collect();
        for below in below {
            if let Some(node) = self.nodes.get_mut(&below) {
                node.waiting = None;
                self.feed(&below, EventKind::Cancelled(CancelCause::ClientGone));
            }
        }
    }

    fn reply(&mut self, above: &str, index: usize, spent: Spent, result: CollaboratorResult) {
        if !self.nodes.contains_key(above) {
            return;
        }
        let at = Timestamp::from_nanos(self.clock);
        self.feed(
            above,
            EventKind::CollaboratorReplied(Box::new(CollaboratorReplied {
                index,
                client_request_id: format!("req-{}", self.requests),
                started_at: at,
                ended_at: at,
                spent,
                result,
            })),
        );
    }

    /// The server dies: all that is left are the journals.
    pub(super) fn crash(&mut self) {
        self.log.push_str("-- crash\n");
        self.work.clear();
        let paths: Vec<String> = self.nodes.keys().rev().cloned().collect();
        for path in paths {
            let Some(node) = self.nodes.get_mut(&path) else {
                continue;
            };
            check_replay(node);
            node.run = replayed(node);
            if node.run.phase() == Phase::AwaitingControl {
                continue;
            }
            node.waiting = None;
            self.feed(&path, EventKind::Interrupted);
        }
    }
}

/// Whatever ends a request comes last.
fn check_end(effects: &Effects) {
    let ends = |effect: &Effect| matches!(effect, Effect::Finish(_) | Effect::ReturnControl(_));
    if let Some(at) = effects.iter().position(ends) {
        assert_eq!(at, effects.len() - 1, "nothing after the end");
    }
}

fn identity(path: &str) -> AgentIdentity {
    AgentIdentity {
        agent_id: format!("AGENT-{path}"),
        agent_name: path.to_owned(),
        alias_id: "TSTALIASID".to_owned(),
        version: "DRAFT".to_owned(),
    }
}

fn replayed(node: &Node) -> Run {
    let plan: &Arc<AgentPlan> = node.run.plan();
    Run::replay(Arc::clone(plan), node.before.clone(), &node.journal)
}

/// The journal, through its JSON form, gives the live run back, and each fact's effects.
fn check_replay(node: &Node) {
    let journal: Vec<Event> = node
        .journal
        .iter()
        .map(|event| Event::decode(&event.encode()).expect("its own form"))
        .collect();
    assert_eq!(journal, node.journal, "the journal keeps every fact");
    let quiet = replayed(node);
    assert_eq!(quiet.phase(), node.run.phase());
    assert_eq!(quiet.spent(), node.run.spent());
    assert_eq!(quiet.session_attributes(), node.run.session_attributes());
    assert_eq!(
        quiet.awaited_invocation_id(),
        node.run.awaited_invocation_id()
    );
    assert_eq!(
        quiet.clone().conversation(),
        node.run.clone().conversation()
    );
    let mut again = Run::new(Arc::clone(node.run.plan()), node.before.clone());
    for (event, effects) in journal.iter().zip(&node.effects) {
        let mut repeated = Effects::new();
        again.step(event, &mut repeated);
        assert!(repeated == *effects, "a replay gives other effects");
    }
}
