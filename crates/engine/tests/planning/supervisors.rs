//! Seeded simulation of supervisors: several agents over up to three levels, each with features of
//! its own, while calls fail, callers hesitate, clients go away and the server dies.
//!
//! A failure prints its seed, which is the whole bug report. `SUPERVISOR_SEED=17` runs that seed alone
//! and prints what happened.

mod fleet;
mod replies;
mod world;

use std::collections::BTreeSet;

use outcrop_engine::orchestration::{
    ActionResult, ActionReturned, Budget, CancelCause, CollaboratorReplied, CollaboratorResult,
    EventKind, Phase, Spent,
};
use outcrop_model::timestamp::Timestamp;

use crate::simulation::{Random, check_refusals};
use fleet::collaborators;
use replies::{answered, results};
use world::{ROOT, TOKENS_OF_A_CALL, World};

const SEEDS: u64 = 400;
const TURNS: u32 = 4;
/// Facts of one client's turn before the simulation gives up on it ending.
const FACTS_MAX: u32 = 3_000;

/// What some seed must come to, as the stories tell it. A rule that nothing is put to holds always.
const SITUATIONS: [&str; 27] = [
    "\nroot/alpha/gamma\n",
    "\nroot/alpha/delta\n",
    "AGENT-root/alpha/gamma\",\"function",
    ": Results {",
    "-- crash",
    "ask planner",
    "call function",
    "judge Input",
    "judge Output",
    "retrieve",
    "run code",
    "\"routingClassifierTrace\":{\"invocationInput",
    "\"routingClassifierTrace\":{\"observation\":{\"finalResponse",
    "preProcessingTrace",
    "postProcessingTrace",
    "KNOWLEDGE_BASE_RESPONSE_GENERATION",
    "ASK_USER",
    "The agent failed.",
    "There is no agent named",
    "was not sent, since other calls",
    "The outcome of this call is unknown",
    "No result was given for this call",
    "budget of tokens",
    "budget of model calls",
    "budget of actions",
    "finish: Throttling",
    "finish: Stopped",
];

fn budget(random: &mut Random) -> Budget {
    let small = |random: &mut Random, bound| u32::try_from(random.below(bound)).expect("small");
    if random.one_in(3) {
        return Budget {
            model_calls: 1 + small(random, 12),
            actions: small(random, 12),
            tokens: 50 + random.below(400),
            observation_bytes: 10 + random.below(400),
            turn_s: 60,
        };
    }
    Budget {
        model_calls: 40,
        actions: 60,
        tokens: 10_000,
        observation_bytes: 100_000,
        turn_s: 60,
    }
}

/// A fact that belongs to no open call, for any turn that has not ended.
fn stray(world: &mut World) {
    let paths: Vec<String> = world.nodes.keys().cloned().collect();
    let nth = usize::try_from(world.random.below(paths.len() as u64)).expect("small");
    let at = Timestamp::from_nanos(1);
    let kind = if world.random.one_in(2) {
        EventKind::ActionReturned(Box::new(ActionReturned {
            index: 77,
            client_request_id: "stray".to_owned(),
            started_at: at,
            ended_at: at,
            result: ActionResult::Replied {
                payload: "{}".to_owned(),
                function_error: None,
                log_tail: None,
                request_id: None,
            },
        }))
    } else {
        EventKind::CollaboratorReplied(Box::new(CollaboratorReplied {
            index: 77,
            client_request_id: "stray".to_owned(),
            started_at: at,
            ended_at: at,
            spent: Spent::default(),
            result: CollaboratorResult::Answered("stray".to_owned()),
        }))
    };
    world.feed(&paths[nth], kind);
}

/// The client answers what it was asked for, does something else, or hesitates while the server is
/// started again.
fn answer(world: &mut World) {
    let payload = world.returned.clone().expect("control was returned");
    let (random, root) = (&mut world.random, &world.nodes[ROOT].run);
    assert_eq!(root.phase(), Phase::AwaitingControl);
    let id = root.awaited_invocation_id().expect("it waits");
    assert_eq!(payload.invocation_id.as_deref(), Some(id.as_str()));
    if random.one_in(4) {
        return world.crash();
    }
    if random.one_in(8) {
        world.returned = None;
        return world.feed(ROOT, EventKind::ControlAbandoned);
    }
    let results = results(random, &payload);
    check_refusals(random, root, &id, &results);
    root.check_results(&id, &results).expect("they answer");
    world.returned = None;
    world.answer(ROOT, results);
}

fn step(world: &mut World) {
    if world.returned.is_some() {
        return answer(world);
    }
    match world.random.below(200) {
        0 => world.crash(),
        1 => world.feed(ROOT, EventKind::Cancelled(CancelCause::ClientGone)),
        2 => world.feed(ROOT, EventKind::DeadlinePassed),
        3..=8 => stray(world),
        _ => {
            assert!(
                !world.work.is_empty(),
                "nothing is open, and no turn has ended"
            );
            let nth = usize::try_from(world.random.below(world.work.len() as u64)).expect("small");
            let (path, work) = world.work.remove(nth);
            let kind = answered(&mut world.random, collaborators(&path), &work);
            world.feed(&path, kind);
        }
    }
}

fn turn(world: &mut World) {
    let limits = budget(&mut world.random);
    world.returned = None;
    world.invoke(limits);
    while world.nodes.contains_key(ROOT) {
        step(world);
        assert!(world.facts < FACTS_MAX, "every turn ends");
    }
    let running = |phase| !matches!(phase, Phase::AwaitingControl);
    for (path, node) in &world.nodes {
        assert!(!running(node.run.phase()), "{path} runs for nobody");
    }
    assert!(
        world.work.is_empty(),
        "nothing is open for a turn that has ended"
    );
    // A call may be made with the last token left; each turn of the tree can come to that once.
    let most = limits.tokens + world.turns * TOKENS_OF_A_CALL;
    assert!(world.tokens <= most, "{} tokens of {most}", world.tokens);
}

fn simulate(seed: u64) -> String {
    let mut world = World::new(seed);
    for _ in 0..TURNS {
        turn(&mut world);
        world.log.push_str("-- next turn\n");
    }
    world.log.clone()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a seed to look at is named from outside"
)]
fn the_rules_hold_for_supervisors_with_every_seed() {
    if let Some(seed) = std::env::var("SUPERVISOR_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        simulate(seed);
        return;
    }
    let seeds = std::env::var("SUPERVISOR_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut broken = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| simulate(seed));
        let Ok(log) = outcome else {
            broken.push(seed);
            continue;
        };
        seen.extend(
            SITUATIONS
                .iter()
                .filter(|situation| log.contains(**situation)),
        );
        if seed % 50 == 0 {
            assert_eq!(simulate(seed), log, "seed {seed} is not deterministic");
        }
    }
    assert!(broken.is_empty(), "seeds {broken:?} break a rule");
    let missing: Vec<&str> = SITUATIONS
        .into_iter()
        .filter(|situation| !seen.contains(situation))
        .collect();
    assert!(missing.is_empty(), "no seed comes to {missing:?}");
}
