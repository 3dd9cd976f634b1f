//! `TagResource`, `UntagResource`, `ListTagsForResource`.

use outcrop_model::control::ops as op;
use serde_json::{Map, Value, json};

use crate::support::{GONE, World, definition, not_found, quota, validation, with};

async fn tags(world: &World, arn: &str) -> Value {
    let mut got = world
        .call::<op::ListTagsForResource>(json!({"resourceArn": arn}))
        .await;
    got["tags"].take()
}

fn many(count: usize) -> Value {
    let tags: Map<String, Value> = (0..count).map(|n| (format!("k{n}"), json!("v"))).collect();
    Value::Object(tags)
}

#[tokio::test]
async fn agents_and_aliases_have_tags() {
    let world = World::relaxed();
    let input = with(
        definition("one"),
        json!({"tags": {"team": "support", "stage": "dev"}}),
    );
    let created = world.call::<op::CreateAgent>(input).await;
    let agent = created["agent"]["agentId"].as_str().unwrap();
    let arn = created["agent"]["agentArn"].as_str().unwrap();
    assert_eq!(
        tags(&world, arn).await,
        json!({"team": "support", "stage": "dev"})
    );
    let more = json!({"resourceArn": arn, "tags": {"stage": "prod", "cost": "42"}});
    assert_eq!(world.call::<op::TagResource>(more).await, json!({}));
    let fewer = json!({"resourceArn": arn, "tagKeys": ["team", "never-there"]});
    assert_eq!(world.call::<op::UntagResource>(fewer).await, json!({}));
    assert_eq!(
        tags(&world, arn).await,
        json!({"stage": "prod", "cost": "42"})
    );

    let input = json!({"agentId": agent, "agentAliasName": "PROD", "tags": {"a": "b"}});
    let created = world.call::<op::CreateAgentAlias>(input).await;
    let alias = created["agentAlias"]["agentAliasArn"].as_str().unwrap();
    assert_eq!(tags(&world, alias).await, json!({"a": "b"}));
    let test_alias = arn.replace(":agent/", ":agent-alias/") + "/TSTALIASID";
    assert_eq!(tags(&world, &test_alias).await, json!({}));

    let id = json!({"agentId": agent, "agentAliasId": created["agentAlias"]["agentAliasId"]});
    world.call::<op::DeleteAgentAlias>(id).await;
    world
        .call::<op::DeleteAgent>(json!({"agentId": agent}))
        .await;
    for arn in [arn, alias, &test_alias] {
        for refusal in refusals(&world, arn).await {
            assert_eq!(refusal, not_found(GONE));
        }
    }
}

async fn refusals(
    world: &World,
    arn: &str,
) -> [(outcrop_model::exception::ExceptionKind, String); 3] {
    let input = json!({"resourceArn": arn, "tags": {"a": "b"}, "tagKeys": ["a"]});
    [
        world.refused::<op::TagResource>(input.clone()).await,
        world.refused::<op::UntagResource>(input.clone()).await,
        world.refused::<op::ListTagsForResource>(input).await,
    ]
}

#[tokio::test]
async fn only_resources_of_this_account_and_region_have_any() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    for arn in [
        "arn:aws:bedrock:us-west-2:111111111111:agent/ZZZZZZZZZZ".to_owned(),
        format!("arn:aws:bedrock:us-west-2:222222222222:agent/{agent}"),
        format!("arn:aws:bedrock:eu-central-1:111111111111:agent/{agent}"),
        format!("arn:aws:bedrock:us-west-2:111111111111:agent-alias/{agent}/ZZZZZZZZZZ"),
    ] {
        for refusal in refusals(&world, &arn).await {
            assert_eq!(refusal, not_found(GONE), "{arn}");
        }
    }
}

#[tokio::test]
async fn reserved_keys_and_too_many() {
    let world = World::strict();
    let agent = world.agent("one").await;
    let arn = format!("arn:aws:bedrock:us-west-2:111111111111:agent/{agent}");
    let reserved = validation("The tag key AWS:team begins with aws:, which is reserved");
    let too_many = quota("The number of tags per resource exceeds the limit. Limit: 50.");
    for (given, refusal) in [(json!({"AWS:team": "x"}), &reserved), (many(51), &too_many)] {
        let create = with(definition("two"), json!({"tags": given}));
        assert_eq!(&world.refused::<op::CreateAgent>(create).await, refusal);
        let alias = json!({"agentId": agent, "agentAliasName": "PROD", "tags": given});
        assert_eq!(&world.refused::<op::CreateAgentAlias>(alias).await, refusal);
        let tag = json!({"resourceArn": arn, "tags": given});
        assert_eq!(&world.refused::<op::TagResource>(tag).await, refusal);
    }
    world
        .call::<op::TagResource>(json!({"resourceArn": arn, "tags": many(50)}))
        .await;
    assert_eq!(
        world
            .refused::<op::TagResource>(json!({"resourceArn": arn, "tags": {"one-more": "v"}}))
            .await,
        too_many
    );
    world
        .call::<op::TagResource>(json!({"resourceArn": arn, "tags": {"k0": "another value"}}))
        .await;
}
