//! Concurrent calls: nobody's write is lost, nothing is left of what was deleted.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use outcrop_model::control::ops as op;
use outcrop_model::exception::ExceptionKind;
use serde_json::json;

use crate::support::{ACCOUNT, REGION, World, conflict, definition, each, group, with};

/// As many as Terraform sends at once.
const WRITERS: usize = 10;

#[tokio::test]
async fn as_many_writers_of_one_agent_as_terraform_sends_all_succeed() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let groups = (0..WRITERS).map(|number| {
        world.try_call::<op::CreateAgentActionGroup>(group(&agent, &format!("group-{number}")))
    });
    for done in join_all(groups).await {
        done.expect("every group is made");
    }
    let aliases = (0..WRITERS).map(|number| {
        world.try_call::<op::CreateAgentAlias>(
            json!({"agentId": agent, "agentAliasName": format!("alias-{number}")}),
        )
    });
    for done in join_all(aliases).await {
        done.expect("every alias is made");
    }
    let listed = world
        .call::<op::ListAgentVersions>(json!({"agentId": agent}))
        .await;
    let mut numbers: Vec<u32> = each(&listed["agentVersionSummaries"], "agentVersion")
        .iter()
        .filter_map(|version| version.parse().ok())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    let groups = world
        .call::<op::ListAgentActionGroups>(json!({"agentId": agent, "agentVersion": "10"}))
        .await;
    assert_eq!(
        groups["actionGroupSummaries"].as_array().unwrap().len(),
        WRITERS
    );
}

#[tokio::test]
async fn one_token_makes_one_agent_however_often_it_comes_at_once() {
    let world = World::relaxed();
    let token = json!({"clientToken": "11111111-1111-4111-8111-111111111111"});
    let input = with(definition("one"), token);
    let calls = (0..WRITERS).map(|_| world.try_call::<op::CreateAgent>(input.clone()));
    let mut made: Vec<String> = join_all(calls)
        .await
        .into_iter()
        .map(|done| done.expect("an agent")["agent"]["agentId"].to_string())
        .collect();
    made.dedup();
    assert_eq!(made.len(), 1);
    let listed = world.call::<op::ListAgents>(json!({})).await;
    assert_eq!(listed["agentSummaries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_agents_with_one_name_one_is_made() {
    let world = World::relaxed();
    let calls = (0..2).map(|_| world.try_call::<op::CreateAgent>(definition("one")));
    let mut refusals = join_all(calls).await.into_iter().filter_map(Result::err);
    let refusal = refusals.next().expect("one is refused");
    assert_eq!(refusal.kind(), ExceptionKind::Conflict);
    assert!(refusals.next().is_none());
}

#[tokio::test]
async fn nothing_is_made_below_an_agent_that_is_deleted() {
    for head_start in 0..8 {
        let world = World::relaxed();
        let agent = world.prepared("one").await;
        let delete = async {
            for _ in 0..head_start {
                tokio::task::yield_now().await;
            }
            let input = json!({"agentId": agent, "skipResourceInUseCheck": true});
            world.call::<op::DeleteAgent>(input).await
        };
        let alias = json!({"agentId": agent, "agentAliasName": "PROD", "tags": {"a": "b"}});
        let (_, made_group, made_alias) = tokio::join!(
            delete,
            world.try_call::<op::CreateAgentActionGroup>(group(&agent, "Tools")),
            world.try_call::<op::CreateAgentAlias>(alias),
        );
        for refusal in [made_group, made_alias].into_iter().filter_map(Result::err) {
            assert_eq!(refusal.kind(), ExceptionKind::ResourceNotFound);
        }
        let scope = format!("{ACCOUNT}/{REGION}");
        for (kind, parent) in [
            ("agent", String::new()),
            ("action-group", format!("{agent}:DRAFT")),
            ("alias", agent.clone()),
            ("alias-name", agent.clone()),
            ("version", agent.clone()),
            ("tags", String::new()),
        ] {
            let left = world.stored(&scope, kind, &parent).await;
            assert!(left.is_empty(), "{head_start}: {kind} {left:?}");
        }
    }
}

#[tokio::test]
async fn a_writer_that_is_always_too_late_gives_up() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let before = world.store.commits.load(Ordering::Relaxed);
    *world.store.stale.lock().unwrap() = true;
    let update = with(definition("one"), json!({"agentId": agent}));
    assert_eq!(
        world.refused::<op::UpdateAgent>(update).await,
        conflict(
            "Exceeded the number of retries on OptLock failure. Too many concurrent requests."
        )
    );
    assert_eq!(world.store.commits.load(Ordering::Relaxed) - before, 16);
}
