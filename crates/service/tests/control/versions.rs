//! `GetAgentVersion`, `ListAgentVersions`, `DeleteAgentVersion`, and what a version holds.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{GONE, INSTRUCTION, ROLE, World, conflict, definition, each, not_found, with};

async fn get_version(world: &World, agent: &str, version: &str) -> Value {
    let input = json!({"agentId": agent, "agentVersion": version});
    let mut got = world.call::<op::GetAgentVersion>(input).await;
    got["agentVersion"].take()
}

async fn update_instruction(world: &World, agent: &str, instruction: &str) {
    let input = with(
        definition("one"),
        json!({"agentId": agent, "instruction": instruction}),
    );
    world.call::<op::UpdateAgent>(input).await;
}

#[tokio::test]
async fn a_version_is_what_was_prepared_for_ever() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let group = world.group(&agent, "Tools").await;
    world.prepare(&agent).await;
    // A group made since belongs to the draft alone.
    world.group(&agent, "Later").await;
    world.alias(&agent, "PROD").await;
    let prompts = world.get_agent(&agent).await["promptOverrideConfiguration"].take();
    let expected = json!({
        "agentArn": format!("arn:aws:bedrock:us-west-2:111111111111:agent/{agent}"),
        "agentCollaboration": "DISABLED",
        "agentId": agent,
        "agentName": "one",
        "agentResourceRoleArn": ROLE,
        "agentStatus": "PREPARED",
        "createdAt": "2025-05-30T17:28:14.000000Z",
        "foundationModel": "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "idleSessionTTLInSeconds": 600,
        "instruction": INSTRUCTION,
        "promptOverrideConfiguration": prompts,
        "updatedAt": "2025-05-30T17:28:14.000000Z",
        "version": "1",
    });
    assert_eq!(get_version(&world, &agent, "1").await, expected);

    update_instruction(
        &world,
        &agent,
        "You speak in quite another manner than you did before.",
    )
    .await;
    let skip = json!({"agentId": agent, "agentVersion": "DRAFT", "actionGroupId": group, "skipResourceInUseCheck": true});
    world.call::<op::DeleteAgentActionGroup>(skip).await;
    assert_eq!(get_version(&world, &agent, "1").await, expected);
    let listed = world
        .call::<op::ListAgentActionGroups>(json!({"agentId": agent, "agentVersion": "1"}))
        .await;
    assert_eq!(
        each(&listed["actionGroupSummaries"], "actionGroupName"),
        ["Tools"]
    );
    let got = world
        .call::<op::GetAgentActionGroup>(
            json!({"agentId": agent, "agentVersion": "1", "actionGroupId": group}),
        )
        .await;
    assert_eq!(got["agentActionGroup"]["agentVersion"], "1");
}

#[tokio::test]
async fn the_draft_is_listed_before_the_numbers() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let list = |more: Value| with(json!({"agentId": agent}), more);
    assert_eq!(
        world.call::<op::ListAgentVersions>(list(json!({}))).await,
        json!({"agentVersionSummaries": [{
            "agentName": "one",
            "agentStatus": "NOT_PREPARED",
            "agentVersion": "DRAFT",
            "createdAt": "2025-05-30T17:28:10.000000Z",
            "updatedAt": "2025-05-30T17:28:10.000000Z",
        }]})
    );
    for name in ["a", "b", "c"] {
        world.alias(&agent, name).await;
    }
    for (size, expected) in [
        (1, vec![vec!["DRAFT"], vec!["1"], vec!["2"], vec!["3"]]),
        (2, vec![vec!["DRAFT", "1"], vec!["2", "3"]]),
        (3, vec![vec!["DRAFT", "1", "2"], vec!["3"]]),
        (4, vec![vec!["DRAFT", "1", "2", "3"]]),
    ] {
        let mut pages = Vec::new();
        let mut token = Value::Null;
        loop {
            let input = list(json!({"maxResults": size, "nextToken": token}));
            let mut page = world.call::<op::ListAgentVersions>(input).await;
            pages.push(each(&page["agentVersionSummaries"], "agentVersion"));
            token = page["nextToken"].take();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(pages, expected);
    }
    let bare = world.agent("bare").await;
    let one = world
        .call::<op::ListAgentVersions>(json!({"agentId": bare, "maxResults": 1}))
        .await;
    assert_eq!(one.get("nextToken"), None);
}

#[tokio::test]
async fn a_version_in_use_is_deleted_only_on_request() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    world.group(&agent, "Tools").await;
    let alias = world.alias(&agent, "PROD").await;
    let input = json!({"agentId": agent, "agentVersion": "1"});
    assert_eq!(
        world.refused::<op::DeleteAgentVersion>(input.clone()).await,
        conflict(&format!(
            "Could not perform Delete operation, since the agent version {agent}/1 is in use by the alias PROD (id: {alias})"
        ))
    );
    let skip = with(input.clone(), json!({"skipResourceInUseCheck": true}));
    assert_eq!(
        world.call::<op::DeleteAgentVersion>(skip.clone()).await,
        json!({"agentId": agent, "agentStatus": "DELETING", "agentVersion": "1"})
    );
    let dissociated = world.get_alias(&agent, &alias).await;
    assert_eq!(dissociated["agentAliasStatus"], "DISSOCIATED");
    for refusal in [
        world.refused::<op::GetAgentVersion>(input).await,
        world.refused::<op::DeleteAgentVersion>(skip).await,
    ] {
        assert_eq!(refusal, not_found(GONE));
    }
    assert!(
        world
            .stored(
                "111111111111/us-west-2",
                "action-group",
                &format!("{agent}:1")
            )
            .await
            .is_empty()
    );
    // Numbers are never used again, and a new route heals the alias.
    let update = json!({"agentId": agent, "agentAliasId": alias, "agentAliasName": "PROD"});
    world.call::<op::UpdateAgentAlias>(update).await;
    let healed = world.get_alias(&agent, &alias).await;
    assert_eq!(healed["agentAliasStatus"], "PREPARED");
    assert_eq!(
        healed["routingConfiguration"],
        json!([{"agentVersion": "2"}])
    );
}

#[tokio::test]
async fn a_version_nobody_uses_can_be_deleted() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let alias = world.alias(&agent, "PROD").await;
    let update = json!({"agentId": agent, "agentAliasId": alias, "agentAliasName": "PROD"});
    world.call::<op::UpdateAgentAlias>(update).await;
    world
        .call::<op::DeleteAgentVersion>(json!({"agentId": agent, "agentVersion": "1"}))
        .await;
    assert_eq!(
        world.get_alias(&agent, &alias).await["agentAliasStatus"],
        "PREPARED"
    );
    let missing = json!({"agentId": "ZZZZZZZZZZ", "agentVersion": "1"});
    for refusal in [
        world.refused::<op::GetAgentVersion>(missing.clone()).await,
        world
            .refused::<op::ListAgentVersions>(missing.clone())
            .await,
        world.refused::<op::DeleteAgentVersion>(missing).await,
    ] {
        assert_eq!(refusal, not_found(GONE));
    }
}
