//! `clientToken`.

use std::time::Duration;

use outcrop_model::control::ops as op;
use serde_json::json;

use crate::support::{World, conflict, context, definition, group, text, with};

const TOKEN: &str = "11111111-1111-4111-8111-111111111111";
const USED: &str = "The clientToken has already been used with a different request. Retry the request with a new clientToken.";

#[tokio::test]
async fn a_repeated_creation_makes_nothing_new() {
    let world = World::relaxed();
    let create = with(definition("one"), json!({"clientToken": TOKEN}));
    let first = world.call::<op::CreateAgent>(create.clone()).await;
    let again = world.call::<op::CreateAgent>(create).await;
    // The answer to the repetition is the agent as it now is.
    let settled = with(
        first["agent"].clone(),
        json!({"agentStatus": "NOT_PREPARED"}),
    );
    assert_eq!(again, json!({"agent": settled}));
    let agent = text(&first["agent"]["agentId"]);

    let create = with(group(&agent, "Tools"), json!({"clientToken": TOKEN}));
    let first = world
        .call::<op::CreateAgentActionGroup>(create.clone())
        .await;
    assert_eq!(
        world.call::<op::CreateAgentActionGroup>(create).await,
        first
    );

    let create = json!({"agentId": agent, "agentAliasName": "PROD", "clientToken": TOKEN});
    let first = world.call::<op::CreateAgentAlias>(create.clone()).await;
    let again = world.call::<op::CreateAgentAlias>(create).await;
    let id = text(&first["agentAlias"]["agentAliasId"]);
    assert_eq!(again["agentAlias"], world.get_alias(&agent, &id).await);
    assert_eq!(
        again["agentAlias"]["routingConfiguration"],
        json!([{"agentVersion": "1"}])
    );
}

#[tokio::test]
async fn a_token_belongs_to_one_request() {
    let world = World::relaxed();
    let agent = world.agent("zero").await;
    let token = json!({"clientToken": TOKEN});
    world
        .call::<op::CreateAgent>(with(definition("one"), token.clone()))
        .await;
    world
        .call::<op::CreateAgentActionGroup>(with(group(&agent, "Tools"), token.clone()))
        .await;
    let alias = json!({"agentId": agent, "agentAliasName": "PROD", "clientToken": TOKEN});
    world.call::<op::CreateAgentAlias>(alias.clone()).await;
    for refusal in [
        world
            .refused::<op::CreateAgent>(with(definition("two"), token.clone()))
            .await,
        world
            .refused::<op::CreateAgentActionGroup>(with(group(&agent, "More"), token.clone()))
            .await,
        world
            .refused::<op::CreateAgentAlias>(with(alias, json!({"agentAliasName": "BETA"})))
            .await,
    ] {
        assert_eq!(refusal, conflict(USED));
    }
    // Another region has tokens of its own.
    world
        .call_from::<op::CreateAgent>(&context("eu-central-1"), with(definition("two"), token))
        .await
        .expect("another region");
}

#[tokio::test]
async fn a_token_is_forgotten_after_a_day_and_with_what_it_made() {
    let world = World::relaxed();
    let token = json!({"clientToken": TOKEN});
    let one = with(definition("one"), token.clone());
    let first = world.call::<op::CreateAgent>(one.clone()).await;
    let id = json!({"agentId": first["agent"]["agentId"]});
    world.call::<op::DeleteAgent>(id).await;
    let second = world.call::<op::CreateAgent>(one.clone()).await;
    assert_ne!(first["agent"]["agentId"], second["agent"]["agentId"]);
    let again = world.call::<op::CreateAgent>(one).await;
    assert_eq!(again["agent"]["agentId"], second["agent"]["agentId"]);

    let two = with(definition("two"), token);
    world.advance(Duration::from_hours(23));
    assert_eq!(
        world.refused::<op::CreateAgent>(two.clone()).await,
        conflict(USED)
    );
    world.advance(Duration::from_hours(1));
    world.call::<op::CreateAgent>(two).await;
}
