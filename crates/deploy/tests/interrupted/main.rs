//! Runs that end anywhere: cut short after every single call, or refused at it, and what comes after.
//!
//! The server is the real service over the real wire, in process; only the calls are counted.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use outcrop_deploy::apply::{Keeper, OnFailure, Outcome, RunError, delete_stack, deploy};
use serde_json::Value;

use support::{Api, Fate, World};

const FIRST: &str = include_str!("first.yaml");
const SECOND: &str = include_str!("second.yaml");

/// More calls than any run of these templates makes.
const CALLS_MAX: usize = 400;

/// Of creations: the command takes it from the clock, so that no two lives of a stack share tokens.
fn seed() -> u64 {
    static LIVES: AtomicU64 = AtomicU64::new(0);
    LIVES.fetch_add(1_000, Ordering::Relaxed)
}

async fn run(api: &Api, template: &str) -> Result<Outcome, RunError> {
    let none = BTreeMap::new();
    let stack = support::stack(template, &none);
    let mut keeper = Keeper::open(api, "shop", "test", None, seed())
        .await
        .map_err(RunError::State)?;
    let outcome = deploy(api, &stack, &mut keeper, OnFailure::RollBack, &|_| {}).await;
    let _ = keeper.close().await;
    outcome
}

async fn remove(api: &Api) -> Result<Outcome, RunError> {
    let pseudo = support::pseudo();
    let mut keeper = Keeper::open(api, "shop", "test", None, seed())
        .await
        .map_err(RunError::State)?;
    let outcome = if keeper.exists() {
        delete_stack(api, &pseudo, &mut keeper, &|_| {}).await
    } else {
        Ok(Outcome::default())
    };
    let _ = keeper.close().await;
    outcome
}

/// What a run from one template to the next leaves, and the number of calls it takes.
async fn undisturbed(from: Option<&str>, to: &str) -> (Value, usize) {
    let world = World::new();
    if let Some(from) = from {
        run(&world.api(Fate::Works), from).await.expect("deploys");
    }
    let api = world.api(Fate::Works);
    run(&api, to).await.expect("deploys");
    (world.picture().await, api.calls())
}

/// Cuts the run from one template to the next after every number of calls, then runs it again.
async fn cut_everywhere(from: Option<&str>, to: &str) {
    let (expected, calls) = undisturbed(from, to).await;
    assert!(calls < CALLS_MAX, "{calls}");
    for after in 0..calls {
        // The last call either did not arrive, or its answer did not.
        for fate in [Fate::DiesBefore(after), Fate::DiesAfter(after)] {
            let world = World::new();
            if let Some(from) = from {
                run(&world.api(Fate::Works), from).await.expect("deploys");
            }
            let died = run(&world.api(fate), to).await;
            // The last call gives the lock back, whose failure nobody hears of.
            assert!(died.is_err() || after + 1 >= calls, "{fate:?}");
            run(&world.api(Fate::Works), to)
                .await
                .unwrap_or_else(|error| panic!("after {fate:?}: {error}"));
            assert_eq!(world.picture().await, expected, "after {fate:?}");
        }
    }
}

#[tokio::test]
async fn a_first_run_cut_anywhere_is_gone_on_with() {
    cut_everywhere(None, FIRST).await;
}

#[tokio::test]
async fn a_change_cut_anywhere_is_gone_on_with() {
    cut_everywhere(Some(FIRST), SECOND).await;
}

#[tokio::test]
async fn a_run_refused_anywhere_leaves_what_was_there() {
    for (from, to) in [(None, FIRST), (Some(FIRST), SECOND)] {
        let (_, calls) = undisturbed(from, to).await;
        let mut rolled_back = 0;
        for at in 0..calls {
            let world = World::new();
            if let Some(from) = from {
                run(&world.api(Fate::Works), from).await.expect("deploys");
            }
            let before = world.picture().await;
            let api = world.api(Fate::RefusesChange(at));
            let outcome = run(&api, to).await;
            match outcome {
                Err(RunError::Step { .. }) => {
                    assert_eq!(world.picture().await, before, "refused at {at}");
                    rolled_back += 1;
                }
                // A removal that is refused is not undone: all else has been done.
                Ok(outcome) if api.has_refused() => {
                    assert_eq!(outcome.left.len(), 1, "refused at {at}");
                }
                Ok(_) => {}
                Err(other) => panic!("refused at {at}: {other}"),
            }
            run(&world.api(Fate::Works), to)
                .await
                .unwrap_or_else(|error| panic!("after a refusal at {at}: {error}"));
        }
        assert!(rolled_back > 3, "{rolled_back}");
    }
}

#[tokio::test]
async fn a_removal_cut_anywhere_is_gone_on_with() {
    let calls = {
        let world = World::new();
        run(&world.api(Fate::Works), FIRST).await.expect("deploys");
        let api = world.api(Fate::Works);
        remove(&api).await.expect("deletes");
        assert_eq!(world.picture().await, World::new().picture().await);
        api.calls()
    };
    for after in 0..calls {
        for fate in [Fate::DiesBefore(after), Fate::DiesAfter(after)] {
            let world = World::new();
            run(&world.api(Fate::Works), FIRST).await.expect("deploys");
            let _ = remove(&world.api(fate)).await;
            remove(&world.api(Fate::Works))
                .await
                .unwrap_or_else(|error| panic!("after {fate:?}: {error}"));
            assert_eq!(
                world.picture().await,
                World::new().picture().await,
                "after {fate:?}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_changes_without_a_reason() {
    let world = World::new();
    run(&world.api(Fate::Works), FIRST).await.expect("deploys");
    let before = world.picture().await;
    let api = world.api(Fate::Works);
    run(&api, FIRST).await.expect("deploys");
    assert_eq!(world.picture().await, before);
    assert_eq!(api.changes(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_changed_agent_moves_its_alias_to_a_new_version() {
    let world = World::new();
    run(&world.api(Fate::Works), FIRST).await.expect("deploys");
    let version = |picture: &Value| picture["agents"]["bot"]["aliases"]["PROD"].clone();
    assert_eq!(version(&world.picture().await), "1");
    run(&world.api(Fate::Works), SECOND).await.expect("deploys");
    assert_eq!(version(&world.picture().await), "2");
    let groups = &world.picture().await["agents"]["bot"]["groups"];
    assert!(groups.get("Old").is_none() && groups.get("New").is_some());
}
