//! Seeded simulation: a random model, random tools, random callers; the rules hold for every seed.
//!
//! A failure prints its seed, which is the whole bug report.

use std::collections::BTreeMap;
use std::sync::Arc;

use outcrop_engine::orchestration::{
    Budget, CancelCause, CodeExecuted, Confirmation, Conversation, Effect, Effects, Emission,
    Event, EventKind, Phase, ReturnedResult, ReturnedTarget, Run,
};
use outcrop_engine::port::{CodeError, CodeReply, ModelError, ModelRequest};
use outcrop_model::converse::{ContentBlock, ConversationRole, Message};
use outcrop_model::runtime::InvocationInputMember;
use outcrop_model::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Bench, call, code_plan, lambda_reply, lines, text};

/// The tool that runs code.
pub(crate) const RUN: &str = "get__codeinterpreteraction__execute";
const SEEDS: u64 = 1_500;
const TURNS: u32 = 3;
/// Facts fed to one turn before the simulation gives up on it ending.
const FACTS_MAX: u32 = 400;

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

fn budget(random: &mut Random) -> Budget {
    Budget {
        model_calls: 1 + u32::try_from(random.below(8)).expect("small"),
        actions: u32::try_from(random.below(8)).expect("small"),
        tokens: 50 + random.below(200),
        observation_bytes: 10 + random.below(200),
        turn_s: 60,
    }
}

fn random_call(random: &mut Random, index: u64) -> ContentBlock {
    let id = format!("t{index}");
    let order = json!({"order_id": format!("A-{}", random.below(9))});
    match random.below(11) {
        0 => call(&id, "No__such", json!({})),
        1 => call(&id, "Orders__status", json!("{broken")),
        2 => call(&id, "Orders__status", json!({"order_id": [1], "more": 2})),
        3 => call(&id, "Orders__cancel", order),
        4 => call(&id, "Client__open", json!({"date": "Monday"})),
        5 => call(&id, "Client__pay", json!({})),
        6 if random.one_in(3) => call(&id, "user__askuser", json!({"question": "Which?"})),
        7 => call(&id, RUN, json!({"code": "1 + 1"})),
        _ => call(&id, "Orders__status", order),
    }
}

fn random_reply(random: &mut Random) -> Vec<ContentBlock> {
    let mut blocks = Vec::new();
    if random.one_in(2) {
        blocks.push(text("<thinking>hm</thinking>"));
    }
    match random.below(8) {
        0 => blocks.push(text("")),
        1 | 2 => blocks.push(text("<answer>done")),
        3 => blocks.push(text("plain words")),
        _ => {
            // Now and then more than one return of control can ask for.
            let more = if random.one_in(4) { 9 } else { 3 };
            for index in 0..=random.below(more) {
                blocks.push(random_call(random, index));
            }
        }
    }
    blocks
}

/// One open action of the driver's.
type Open = BTreeMap<usize, String>;

fn feed_random(random: &mut Random, bench: &mut Bench, open: &mut Open) -> Effects {
    if random.one_in(40) {
        return bench.feed(EventKind::Cancelled(CancelCause::Shutdown));
    }
    if random.one_in(60) {
        return bench.feed(EventKind::DeadlinePassed);
    }
    if random.one_in(25) {
        // A fact that belongs to no open call.
        return bench.returned(77, "{}", None);
    }
    match bench.run.phase() {
        Phase::Planning if random.one_in(20) => {
            bench.feed(EventKind::ModelFailed(ModelError::Timeout {
                detail: "slow".to_owned(),
            }))
        }
        Phase::Planning => {
            let reply = random_reply(random);
            bench.reply(reply)
        }
        Phase::Acting => {
            let nth = usize::try_from(random.below(open.len().max(1) as u64)).expect("small");
            let Some((index, function)) = open.iter().nth(nth).map(|(i, f)| (*i, f.clone())) else {
                panic!("acting with nothing open");
            };
            open.remove(&index);
            if function == RUN {
                return feed_code(random, bench, index);
            }
            match random.below(12) {
                0 => bench.returned(index, "not json", None),
                1 => bench.returned(index, "{\"errorMessage\": \"x\"}", Some("Unhandled")),
                _ => bench.returned(index, &lambda_reply(&function, "result"), None),
            }
        }
        Phase::AwaitingControl if random.one_in(6) => bench.feed(EventKind::ControlAbandoned),
        Phase::AwaitingControl => panic!("answered by the caller"),
        Phase::Created | Phase::Finished => Effects::new(),
        other => panic!("this agent does not come to {other:?}"),
    }
}

fn feed_code(random: &mut Random, bench: &mut Bench, index: usize) -> Effects {
    let at = Timestamp::from_nanos(1);
    let result = match random.below(8) {
        0 => Err(CodeError::Busy { limit: 1 }),
        1 => Err(CodeError::Unavailable {
            detail: "gone".to_owned(),
        }),
        more => Ok(CodeReply {
            output: "2".to_owned(),
            error: (more == 2).then(|| "NameError".to_owned()),
            fresh: more == 3,
            ..CodeReply::default()
        }),
    };
    bench.feed(EventKind::CodeExecuted(Box::new(CodeExecuted {
        index,
        started_at: at,
        ended_at: at,
        result,
    })))
}

fn answers(random: &mut Random, effects: &Effects) -> Option<Vec<ReturnedResult>> {
    let payload = effects.iter().find_map(|effect| match effect {
        Effect::ReturnControl(payload) => Some(payload),
        _ => None,
    })?;
    let inputs = payload.invocation_inputs.iter().flatten();
    Some(
        inputs
            .map(|input| {
                let InvocationInputMember::FunctionInvocationInput(input) = input else {
                    panic!("only functions here");
                };
                ReturnedResult {
                    action_group: input.action_group.clone(),
                    target: ReturnedTarget::Function(input.function.clone().unwrap_or_default()),
                    agent_id: input.agent_id.clone(),
                    confirmation: Some(if random.one_in(3) {
                        Confirmation::Deny
                    } else {
                        Confirmation::Confirm
                    }),
                    body: Some("from the caller".to_owned()),
                    image: None,
                    failed: random.one_in(10),
                    reprompt: false,
                }
            })
            .collect(),
    )
}

/// Results that do not answer are refused, name what was expected, and change nothing.
pub(crate) fn check_refusals(random: &mut Random, run: &Run, id: &str, results: &[ReturnedResult]) {
    assert!(results.len() <= 5, "a caller can answer at once");
    let before = (run.phase(), run.awaited_invocation_id(), run.transcript());
    let mut wrong = results.to_vec();
    match random.below(5) {
        0 => wrong.push(wrong[0].clone()),
        1 => drop(wrong.pop()),
        2 => "Elsewhere".clone_into(&mut wrong[0].action_group),
        3 => wrong[0].target = ReturnedTarget::Function("another".to_owned()),
        _ => wrong[0].agent_id = Some("OTHERAGENT".to_owned()),
    }
    let refused = run
        .check_results(id, &wrong)
        .expect_err("they do not answer");
    assert!(refused.starts_with("Validation failed: "), "{refused}");
    assert!(
        refused.contains("xpected") || refused.contains("Missing"),
        "{refused}"
    );
    let refused = run
        .check_results("another-id", results)
        .expect_err("another id");
    assert!(refused.contains(id), "{refused}");
    let after = (run.phase(), run.awaited_invocation_id(), run.transcript());
    assert_eq!(before, after, "the call can still be answered");
}

/// The messages of a request keep the rules every model demands.
pub(crate) fn check_request(request: &ModelRequest) {
    let mut expected = ConversationRole::User;
    let mut asked: Vec<String> = Vec::new();
    for message in &request.messages {
        assert_eq!(message.role, expected, "roles alternate");
        let answered: Vec<String> = results_of(message);
        assert_eq!(
            answered, asked,
            "each use has one result, in the next message"
        );
        asked = uses_of(message);
        assert!(!message.content.is_empty(), "no empty message");
        expected = if expected == ConversationRole::User {
            ConversationRole::Assistant
        } else {
            ConversationRole::User
        };
    }
    assert!(asked.is_empty(), "no open use");
    assert_eq!(
        expected,
        ConversationRole::Assistant,
        "the user speaks last"
    );
}

fn uses_of(message: &Message) -> Vec<String> {
    let uses = message.content.iter().filter_map(|block| match block {
        ContentBlock::ToolUse(tool_use) => {
            assert!(tool_use.input.is_object(), "inputs are objects");
            Some(tool_use.tool_use_id.clone())
        }
        ContentBlock::Text(text) => {
            assert!(!text.trim().is_empty(), "no empty text");
            None
        }
        _ => None,
    });
    uses.collect()
}

fn results_of(message: &Message) -> Vec<String> {
    let results = message.content.iter().filter_map(|block| match block {
        ContentBlock::ToolResult(result) => Some(result.tool_use_id.clone()),
        _ => None,
    });
    results.collect()
}

/// Ending effects come last, and an observation follows its input directly.
fn check_effects(effects: &Effects) {
    let ends = |effect: &Effect| matches!(effect, Effect::Finish(_) | Effect::ReturnControl(_));
    if let Some(at) = effects.iter().position(ends) {
        assert_eq!(at, effects.len() - 1, "nothing after the end");
    }
    let mut open_input: Option<Value> = None;
    for effect in effects {
        let Effect::Emit(Emission::Trace { trace, .. }) = effect else {
            continue;
        };
        let json = serde_json::to_value(trace).expect("JSON");
        let part = &json["orchestrationTrace"];
        let observation = &part["observation"];
        let kinds = ["ACTION_GROUP", "ACTION_GROUP_CODE_INTERPRETER", "REPROMPT"];
        if observation["type"]
            .as_str()
            .is_some_and(|kind| kinds.contains(&kind))
        {
            assert!(open_input.take().is_some(), "an observation without input");
        } else if !part["invocationInput"].is_null() {
            let returns = part["invocationInput"]["actionGroupInvocationInput"]["executionType"]
                == "RETURN_CONTROL";
            assert!(open_input.is_none(), "an input without observation");
            open_input = (!returns).then(|| part["invocationInput"].clone());
        }
    }
    assert!(open_input.is_none(), "an input without observation");
}

fn turn(random: &mut Random, before: Conversation, log: &mut String) -> Conversation {
    let mut bench = Bench::new(code_plan(), before);
    let limits = budget(random);
    let mut open = Open::new();
    let mut effects = bench.start("Where is A-482?", limits);
    let mut model_calls = 0;
    for _ in 0..FACTS_MAX {
        log.push_str(&lines(&effects));
        check_effects(&effects);
        for effect in &effects {
            match effect {
                Effect::CallModel(call) => {
                    model_calls += 1;
                    check_request(&call.request);
                }
                Effect::CallAction(pending) => {
                    let event: Value = serde_json::from_slice(&pending.event).expect("JSON");
                    let function = event["function"].as_str().expect("a function").to_owned();
                    assert!(
                        open.insert(pending.index, function).is_none(),
                        "called once"
                    );
                }
                Effect::ExecuteCode(pending) => {
                    assert!(
                        open.values().all(|function| function != RUN),
                        "one run of code at a time"
                    );
                    open.insert(pending.index, RUN.to_owned());
                }
                Effect::Emit(_) | Effect::ReturnControl(_) | Effect::Finish(_) => {}
                other => panic!("this agent has nothing that asks for {other:?}"),
            }
        }
        if bench.run.phase() == Phase::Finished {
            break;
        }
        effects = match answers(random, &effects) {
            Some(results) if !random.one_in(6) => {
                let id = bench.run.awaited_invocation_id().expect("waits");
                check_refusals(random, &bench.run, &id, &results);
                if random.one_in(3) {
                    // Another process: all it knows is the journal.
                    let same = Arc::clone(bench.run.plan());
                    bench.run = Run::replay(same, bench.before.clone(), &bench.journal);
                }
                bench.run.check_results(&id, &results).expect("they answer");
                let effects = bench.control(results.clone());
                let again = bench.run.check_results(&id, &results);
                assert!(again.is_err(), "results are taken once");
                effects
            }
            Some(_) => bench.feed(EventKind::ControlAbandoned),
            None => feed_random(random, &mut bench, &mut open),
        };
    }
    assert_eq!(bench.run.phase(), Phase::Finished, "every turn ends");
    assert!(model_calls <= limits.model_calls, "the budget holds");
    check_replay(&bench);
    bench.run.conversation()
}

/// The journal, through its JSON form, gives the live run back at every point.
fn check_replay(bench: &Bench) {
    let journal: Vec<Event> = bench
        .journal
        .iter()
        .map(|event| Event::decode(&event.encode()).expect("its own form"))
        .collect();
    assert_eq!(journal, bench.journal, "the journal keeps every fact");
    let replayed = Run::replay(code_plan(), bench.before.clone(), &journal);
    assert_eq!(replayed.phase(), bench.run.phase());
    assert_eq!(replayed.transcript(), bench.run.transcript());
    assert_eq!(
        replayed.session_attributes(),
        bench.run.session_attributes()
    );
}

fn simulate(seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut before = Conversation::default();
    let mut log = String::new();
    for _ in 0..TURNS {
        before = turn(&mut random, before, &mut log);
    }
    log
}

#[test]
fn the_rules_hold_for_every_seed() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| simulate(seed));
        let Ok(log) = outcome else {
            panic!("seed {seed} breaks a rule");
        };
        if seed % 50 == 0 {
            assert_eq!(simulate(seed), log, "seed {seed} is not deterministic");
        }
    }
}
