//! Versions that come from elsewhere.

use outcrop_model::control::ops as op;
use outcrop_service::control::Restored;
use serde_json::{Value, json};

use crate::support::{REGION, World, context, definition, each, group, not_found, with};

fn restored(number: u32, instruction: &str, groups: &[&str]) -> Restored {
    let agent = with(definition("copied"), json!({ "instruction": instruction }));
    let groups = groups.iter().map(|name| group("ANYAGENTID", name));
    Restored {
        number,
        agent: serde_json::from_value(agent).expect("an agent"),
        action_groups: groups
            .map(|group| serde_json::from_value(group).expect("a group"))
            .collect(),
        collaborators: Vec::new(),
        knowledge_bases: Vec::new(),
    }
}

async fn version(world: &World, agent: &str, number: &str) -> Value {
    let input = json!({"agentId": agent, "agentVersion": number});
    let mut shown = world.call::<op::GetAgentVersion>(input).await;
    shown["agentVersion"].take()
}

async fn groups(world: &World, agent: &str, number: &str) -> Vec<String> {
    let input = json!({"agentId": agent, "agentVersion": number});
    let listed = world.call::<op::ListAgentActionGroups>(input).await;
    each(&listed["actionGroupSummaries"], "actionGroupName")
}

#[tokio::test]
async fn a_version_is_restored_without_touching_the_draft() {
    let world = World::relaxed();
    let agent = world.prepared("copied").await;
    let draft = world.get_agent(&agent).await;
    let cx = context(REGION);
    let given = restored(
        3,
        "You are what you were three versions ago, no more.",
        &["B", "A"],
    );
    for _ in 0..2 {
        let done = world.service.restore_version(&cx, &agent, &given).await;
        done.unwrap();
    }
    let shown = version(&world, &agent, "3").await;
    assert_eq!(
        shown["instruction"],
        "You are what you were three versions ago, no more."
    );
    assert_eq!(groups(&world, &agent, "3").await, ["B", "A"]);
    assert_eq!(world.get_agent(&agent).await, draft);

    // It is brought to what is given anew, and the next version that is cut comes after it.
    let other = restored(3, "You are something else than what you were then.", &["C"]);
    let done = world.service.restore_version(&cx, &agent, &other).await;
    done.unwrap();
    assert_eq!(groups(&world, &agent, "3").await, ["C"]);
    let alias = world.alias(&agent, "live").await;
    let alias = world.get_alias(&agent, &alias).await;
    assert_eq!(alias["routingConfiguration"][0]["agentVersion"], "4");

    let input = json!({"agentId": agent, "agentAliasName": "old", "routingConfiguration": [{"agentVersion": "3"}]});
    world.call::<op::CreateAgentAlias>(input).await;
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused() {
    let world = World::relaxed();
    let agent = world.prepared("copied").await;
    let cx = context(REGION);
    let twice = restored(
        1,
        "You have two groups of one name, which is no good.",
        &["A", "A"],
    );
    let refused = world.service.restore_version(&cx, &agent, &twice).await;
    assert!(refused.is_err());
    let mut lost = restored(
        1,
        "You have a knowledge base that is not there at all.",
        &[],
    );
    lost.knowledge_bases = vec![
        serde_json::from_value(json!({
            "agentId": agent, "agentVersion": "DRAFT", "knowledgeBaseId": "KB00000001", "description": "x"
        }))
        .unwrap(),
    ];
    let refused = world.service.restore_version(&cx, &agent, &lost).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.message().to_owned()),
        not_found("KnowledgeBase with id KB00000001 is not found.")
    );
    let given = restored(1, "You are nobody, and nowhere to be found at all.", &[]);
    let nobody = world.service.restore_version(&cx, "NOBODYHERE", &given);
    assert!(nobody.await.is_err());
    let input = json!({ "agentId": agent });
    let listed = world.call::<op::ListAgentVersions>(input).await;
    let listed = each(&listed["agentVersionSummaries"], "agentVersion");
    assert_eq!(listed, ["DRAFT"]);
}
