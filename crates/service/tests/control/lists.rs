//! `ListAgents`, and the tokens of all list operations.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{World, context, definition, each, text, validation, with};

const NOT_OURS: &str = "The nextToken is not valid. Use the nextToken of the previous response, or none to start over.";

#[tokio::test]
async fn agents_are_listed_most_recently_updated_first() {
    let world = World::relaxed();
    let first = world.agent("first").await;
    let second = world.agent("second").await;
    world.alias(&second, "PROD").await;
    let update = with(
        definition("first"),
        json!({"agentId": first, "description": "what it is for"}),
    );
    world.call::<op::UpdateAgent>(update).await;
    assert_eq!(
        world.call::<op::ListAgents>(json!({})).await,
        json!({"agentSummaries": [
            {
                "agentId": first,
                "agentName": "first",
                "agentStatus": "NOT_PREPARED",
                "description": "what it is for",
                "latestAgentVersion": "DRAFT",
                "updatedAt": "2025-05-30T17:28:13.000000Z",
            },
            {
                "agentId": second,
                "agentName": "second",
                "agentStatus": "PREPARED",
                "latestAgentVersion": "1",
                "updatedAt": "2025-05-30T17:28:11.000000Z",
            },
        ]})
    );
}

#[tokio::test]
async fn pages_join_to_the_whole() {
    let world = World::relaxed();
    for number in 0..5 {
        world.agent(&format!("agent-{number}")).await;
    }
    let mut sizes = Vec::new();
    let mut names = Vec::new();
    let mut token = Value::Null;
    loop {
        let input = with(json!({"maxResults": 2}), json!({"nextToken": token}));
        let mut page = world.call::<op::ListAgents>(input).await;
        let seen = each(&page["agentSummaries"], "agentName");
        sizes.push(seen.len());
        names.extend(seen);
        token = page["nextToken"].take();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(
        names,
        ["agent-4", "agent-3", "agent-2", "agent-1", "agent-0"]
    );
}

#[tokio::test]
async fn a_token_leads_nowhere_else() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let other = world.agent("two").await;
    for name in ["a", "b"] {
        world.alias(&agent, name).await;
        world.group(&agent, &format!("group-{name}")).await;
    }
    let page = world
        .call::<op::ListAgentAliases>(json!({"agentId": agent, "maxResults": 1}))
        .await;
    let token = text(&page["nextToken"]);
    let of = |agent: &str, token: &str| json!({"agentId": agent, "agentVersion": "DRAFT", "nextToken": token});
    for refusal in [
        world
            .refused::<op::ListAgents>(json!({"nextToken": token}))
            .await,
        world
            .refused::<op::ListAgentAliases>(of(&other, &token))
            .await,
        world
            .refused::<op::ListAgentActionGroups>(of(&agent, &token))
            .await,
        world
            .refused::<op::ListAgentVersions>(of(&agent, &token))
            .await,
        world
            .refused::<op::ListAgentAliases>(of(&agent, &token[1..]))
            .await,
        world
            .refused::<op::ListAgentAliases>(of(&agent, &token[..token.len() - 2]))
            .await,
        world
            .refused::<op::ListAgentAliases>(of(&agent, "no-such-token"))
            .await,
    ] {
        assert_eq!(refusal, validation(NOT_OURS));
    }
    let elsewhere = context("eu-central-1");
    let agents = world.call::<op::ListAgents>(json!({"maxResults": 1})).await;
    let refusal = world
        .call_from::<op::ListAgents>(&elsewhere, json!({"nextToken": agents["nextToken"]}))
        .await
        .unwrap_err();
    assert_eq!(refusal.message(), NOT_OURS);
    assert_eq!(
        world
            .call_from::<op::ListAgents>(&elsewhere, json!({}))
            .await
            .unwrap(),
        json!({"agentSummaries": []})
    );
}
