//! Knowledge bases of agents.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{GONE, World, conflict, each, not_found, quota, with};

fn association(agent: &str, id: &str) -> Value {
    json!({
        "agentId": agent, "agentVersion": "DRAFT", "knowledgeBaseId": id,
        "description": "Policies. Use it for questions of employees.",
    })
}

fn one(agent: &str, version: &str, id: &str) -> Value {
    json!({"agentId": agent, "agentVersion": version, "knowledgeBaseId": id})
}

async fn list(world: &World, agent: &str, version: &str) -> Value {
    let input = json!({"agentId": agent, "agentVersion": version});
    let mut listed = world.call::<op::ListAgentKnowledgeBases>(input).await;
    listed["agentKnowledgeBaseSummaries"].take()
}

async fn uses(world: &World, id: &str) -> usize {
    let scope = "111111111111/us-west-2";
    world.stored(scope, "knowledge-base-use", id).await.len()
}

#[tokio::test]
async fn the_life_of_an_association() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let input = association(&agent, "KB00000001");
    assert_eq!(
        world
            .refused::<op::AssociateAgentKnowledgeBase>(input.clone())
            .await,
        not_found("KnowledgeBase with id KB00000001 is not found.")
    );
    world.knowledge_base("KB00000001").await;
    let made = world
        .call::<op::AssociateAgentKnowledgeBase>(input.clone())
        .await;
    let expected = json!({
        "agentId": agent,
        "agentVersion": "DRAFT",
        "createdAt": "2025-05-30T17:28:13.000000Z",
        "description": "Policies. Use it for questions of employees.",
        "knowledgeBaseId": "KB00000001",
        "knowledgeBaseState": "ENABLED",
        "updatedAt": "2025-05-30T17:28:13.000000Z",
    });
    assert_eq!(made["agentKnowledgeBase"], expected);
    assert_eq!(uses(&world, "KB00000001").await, 1);
    assert_eq!(
        world
            .refused::<op::AssociateAgentKnowledgeBase>(input)
            .await,
        conflict(&format!(
            "Could not perform Create operation, since the association of the knowledge base KB00000001 with the agent {agent} already exists"
        ))
    );
    let got = world
        .call::<op::GetAgentKnowledgeBase>(one(&agent, "DRAFT", "KB00000001"))
        .await;
    assert_eq!(got["agentKnowledgeBase"], expected);
    assert_eq!(
        list(&world, &agent, "DRAFT").await,
        json!([{
            "description": "Policies. Use it for questions of employees.",
            "knowledgeBaseId": "KB00000001",
            "knowledgeBaseState": "ENABLED",
            "updatedAt": "2025-05-30T17:28:13.000000Z",
        }])
    );

    let disable = with(
        one(&agent, "DRAFT", "KB00000001"),
        json!({"knowledgeBaseState": "DISABLED"}),
    );
    let updated = world.call::<op::UpdateAgentKnowledgeBase>(disable).await;
    let expected = with(
        expected,
        json!({
            "knowledgeBaseState": "DISABLED",
            "updatedAt": updated["agentKnowledgeBase"]["updatedAt"],
        }),
    );
    assert_eq!(updated["agentKnowledgeBase"], expected);
    let describe = with(
        one(&agent, "DRAFT", "KB00000001"),
        json!({"description": "Only for expenses."}),
    );
    let updated = world.call::<op::UpdateAgentKnowledgeBase>(describe).await;
    let updated = &updated["agentKnowledgeBase"];
    assert_eq!(updated["knowledgeBaseState"], "DISABLED");
    assert_eq!(updated["description"], "Only for expenses.");

    let gone = one(&agent, "DRAFT", "KB00000001");
    assert_eq!(
        world
            .call::<op::DisassociateAgentKnowledgeBase>(gone.clone())
            .await,
        json!({})
    );
    assert_eq!(uses(&world, "KB00000001").await, 0);
    for refusal in [
        world
            .refused::<op::GetAgentKnowledgeBase>(gone.clone())
            .await,
        world
            .refused::<op::UpdateAgentKnowledgeBase>(gone.clone())
            .await,
        world
            .refused::<op::DisassociateAgentKnowledgeBase>(gone)
            .await,
    ] {
        assert_eq!(refusal, not_found(GONE));
    }
}

#[tokio::test]
async fn versions_keep_their_knowledge_bases_in_order() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    for id in ["KB00000009", "KB00000001", "KB00000005"] {
        world.knowledge_base(id).await;
        world
            .call::<op::AssociateAgentKnowledgeBase>(association(&agent, id))
            .await;
    }
    world.alias(&agent, "PROD").await;
    world
        .call::<op::DisassociateAgentKnowledgeBase>(one(&agent, "DRAFT", "KB00000009"))
        .await;
    let ids = |list: Value| each(&list, "knowledgeBaseId");
    assert_eq!(
        ids(list(&world, &agent, "1").await),
        ["KB00000009", "KB00000001", "KB00000005"]
    );
    assert_eq!(
        ids(list(&world, &agent, "DRAFT").await),
        ["KB00000001", "KB00000005"]
    );
    let got = world
        .call::<op::GetAgentKnowledgeBase>(one(&agent, "1", "KB00000009"))
        .await;
    assert_eq!(got["agentKnowledgeBase"]["agentVersion"], "1");
    assert_eq!(
        world
            .refused::<op::ListAgentKnowledgeBases>(json!({"agentId": agent, "agentVersion": "7"}))
            .await,
        not_found(&format!(
            "Failed to retrieve Agent with ID: {agent} and Version: 7 because it doesn't exist. Retry the request with a different resource identifier."
        ))
    );
    // Only drafts hold a knowledge base; the agent's end releases what its draft holds.
    assert_eq!(uses(&world, "KB00000009").await, 0);
    assert_eq!(uses(&world, "KB00000001").await, 1);
    let skip = json!({"agentId": agent, "skipResourceInUseCheck": true});
    world.call::<op::DeleteAgent>(skip).await;
    assert_eq!(uses(&world, "KB00000001").await, 0);
    for version in ["DRAFT", "1"] {
        let parent = format!("{agent}:{version}");
        let left = world
            .stored("111111111111/us-west-2", "agent-knowledge-base", &parent)
            .await;
        assert!(left.is_empty());
    }
}

#[tokio::test]
async fn aws_allows_two() {
    for (world, allowed) in [(World::strict(), 2), (World::relaxed(), 3)] {
        let agent = world.agent("one").await;
        for number in 0..allowed {
            let id = format!("KB{number:08}");
            world.knowledge_base(&id).await;
            let input = association(&agent, &id);
            world.call::<op::AssociateAgentKnowledgeBase>(input).await;
        }
        if allowed == 2 {
            world.knowledge_base("KB00000009").await;
            assert_eq!(
                world
                    .refused::<op::AssociateAgentKnowledgeBase>(association(&agent, "KB00000009"))
                    .await,
                quota("The number of knowledge bases per agent exceeds the limit. Limit: 2.")
            );
        }
    }
}
