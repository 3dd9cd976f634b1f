//! Ids that the tag `outcrop:id` fixes.

use outcrop_model::control::ops as op;
use outcrop_model::exception::ExceptionKind;
use serde_json::{Value, json};

use crate::knowledge_bases::vector;
use crate::support::{World, conflict, context, definition, text, validation, with};

fn tagged(request: Value, id: &str) -> Value {
    with(request, json!({"tags": {"outcrop:id": id, "team": "docs"}}))
}

fn taken(what: &str, id: &str) -> (ExceptionKind, String) {
    conflict(&format!(
        "Could not perform Create operation, since the {what} id {id} of the tag outcrop:id is already taken"
    ))
}

#[tokio::test]
async fn what_is_created_has_the_id_and_keeps_the_tag() {
    let world = World::relaxed();
    let made = world
        .call::<op::CreateAgent>(tagged(definition("agent"), "AGENT00042"))
        .await;
    assert_eq!(made["agent"]["agentId"], "AGENT00042");
    world.prepare("AGENT00042").await;
    let alias = json!({"agentId": "AGENT00042", "agentAliasName": "PROD"});
    let made = world
        .call::<op::CreateAgentAlias>(tagged(alias, "ALIAS00042"))
        .await;
    assert_eq!(made["agentAlias"]["agentAliasId"], "ALIAS00042");
    let alias_arn = text(&made["agentAlias"]["agentAliasArn"]);
    let made = world
        .call::<op::CreateKnowledgeBase>(tagged(vector("kb"), "KNOWLEDGE1"))
        .await;
    assert_eq!(made["knowledgeBase"]["knowledgeBaseId"], "KNOWLEDGE1");
    for arn in [
        "arn:aws:bedrock:us-west-2:111111111111:agent/AGENT00042",
        &alias_arn,
        "arn:aws:bedrock:us-west-2:111111111111:knowledge-base/KNOWLEDGE1",
    ] {
        let tags = world
            .call::<op::ListTagsForResource>(json!({"resourceArn": arn}))
            .await;
        let id = arn.rsplit('/').next();
        assert_eq!(tags, json!({"tags": {"outcrop:id": id, "team": "docs"}}));
    }
}

#[tokio::test]
async fn an_id_is_taken_once_in_all_regions() {
    let world = World::relaxed();
    let elsewhere = context("eu-central-1");
    world
        .call::<op::CreateAgent>(tagged(definition("one"), "AGENT00042"))
        .await;
    let other = || tagged(definition("two"), "AGENT00042");
    assert_eq!(
        world.refused::<op::CreateAgent>(other()).await,
        taken("agent", "AGENT00042")
    );
    let refusal = world
        .call_from::<op::CreateAgent>(&elsewhere, other())
        .await
        .unwrap_err();
    assert_eq!(refusal.kind(), ExceptionKind::Conflict);
    world
        .call::<op::CreateKnowledgeBase>(tagged(vector("one"), "KNOWLEDGE1"))
        .await;
    let refusal = world
        .call_from::<op::CreateKnowledgeBase>(&elsewhere, tagged(vector("two"), "KNOWLEDGE1"))
        .await
        .unwrap_err();
    assert_eq!(refusal.message(), taken("knowledge base", "KNOWLEDGE1").1);
    let alias = |name: &str| {
        let alias = json!({"agentId": "AGENT00042", "agentAliasName": name});
        tagged(alias, "ALIAS00042")
    };
    world.prepare("AGENT00042").await;
    world.call::<op::CreateAgentAlias>(alias("one")).await;
    assert_eq!(
        world.refused::<op::CreateAgentAlias>(alias("two")).await,
        taken("alias", "ALIAS00042")
    );
}

#[tokio::test]
async fn an_id_is_free_again_after_what_had_it_is_deleted() {
    let world = World::relaxed();
    for name in ["one", "two"] {
        world
            .call::<op::CreateAgent>(tagged(definition(name), "AGENT00042"))
            .await;
        world
            .call::<op::DeleteAgent>(json!({"agentId": "AGENT00042"}))
            .await;
    }
}

#[tokio::test]
async fn of_two_who_ask_for_one_id_at_once_one_gets_it() {
    let world = World::relaxed();
    let ask = |name| world.try_call::<op::CreateAgent>(tagged(definition(name), "AGENT00042"));
    let (one, two) = tokio::join!(ask("one"), ask("two"));
    let refusals: Vec<_> = [one, two].into_iter().filter_map(Result::err).collect();
    let [refusal] = &refusals[..] else {
        panic!("{refusals:?}");
    };
    assert_eq!(refusal.message(), taken("agent", "AGENT00042").1);
}

#[tokio::test]
async fn what_is_no_id_is_refused() {
    let world = World::relaxed();
    for id in [
        "",
        "AGENT0042",
        "AGENT000042",
        "agent00042",
        "AGENT-0042",
        "AGÉNT0042",
    ] {
        let message =
            format!("The tag outcrop:id must be 10 characters, each A to Z or 0 to 9, but is {id}");
        assert_eq!(
            world
                .refused::<op::CreateAgent>(tagged(definition("agent"), id))
                .await,
            validation(&message)
        );
    }
    let agent = world.agent("agent").await;
    let alias = json!({"agentId": agent, "agentAliasName": "PROD"});
    assert_eq!(
        world
            .refused::<op::CreateAgentAlias>(tagged(alias, "TSTALIASID"))
            .await,
        validation("The tag outcrop:id cannot be TSTALIASID, which is reserved")
    );
}

#[tokio::test]
async fn the_tag_never_says_another_id_than_the_resource_has() {
    let world = World::relaxed();
    let agent = world.agent("agent").await;
    let arn = format!("arn:aws:bedrock:us-west-2:111111111111:agent/{agent}");
    let tag = |id: &str| json!({"resourceArn": arn, "tags": {"outcrop:id": id}});
    assert_eq!(
        world.refused::<op::TagResource>(tag("AGENT00042")).await,
        validation(&format!(
            "The tag outcrop:id fixes an id at creation only. The id of this resource is {agent}"
        ))
    );
    world.call::<op::TagResource>(tag(&agent)).await;
    let untag = json!({"resourceArn": arn, "tagKeys": ["outcrop:id"]});
    world.call::<op::UntagResource>(untag).await;
}
