//! The five operations on aliases.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{
    ACCOUNT, GONE, REGION, World, conflict, each, not_found, quota, validation, with,
};

fn alias_input(agent: &str, name: &str) -> Value {
    json!({"agentId": agent, "agentAliasName": name})
}

#[tokio::test]
async fn the_test_alias_comes_with_the_agent_and_is_fixed() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let expected = json!({
        "agentAliasArn": format!("arn:aws:bedrock:us-west-2:111111111111:agent-alias/{agent}/TSTALIASID"),
        "agentAliasId": "TSTALIASID",
        "agentAliasName": "AgentTestAlias",
        "agentAliasStatus": "PREPARED",
        "agentId": agent,
        "aliasInvocationState": "ACCEPT_INVOCATIONS",
        "createdAt": "2025-05-30T17:28:10.000000Z",
        "routingConfiguration": [{"agentVersion": "DRAFT"}],
        "updatedAt": "2025-05-30T17:28:10.000000Z",
    });
    assert_eq!(world.get_alias(&agent, "TSTALIASID").await, expected);
    let listed = world
        .call::<op::ListAgentAliases>(json!({"agentId": agent}))
        .await;
    let summary = with(expected, json!({"agentAliasArn": null, "agentId": null}));
    assert_eq!(listed, json!({"agentAliasSummaries": [summary]}));
    let update = with(
        alias_input(&agent, "Mine"),
        json!({"agentAliasId": "TSTALIASID"}),
    );
    assert_eq!(
        world.refused::<op::UpdateAgentAlias>(update).await,
        validation(
            r"1 validation error detected: Value 'TSTALIASID' at 'agentAliasId' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!\bTSTALIASID\b)[0-9a-zA-Z]+"
        )
    );
    assert_eq!(
        world
            .refused::<op::CreateAgentAlias>(alias_input(&agent, "AgentTestAlias"))
            .await,
        conflict(
            "Could not perform Create operation, since the AgentTestAlias (id: TSTALIASID) with the same name AgentTestAlias already exists"
        )
    );
}

#[tokio::test]
async fn an_alias_without_a_route_gets_a_version_of_its_own() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let input = with(
        alias_input(&agent, "PROD"),
        json!({"clientToken": "11111111-1111-4111-8111-111111111111", "description": "for all"}),
    );
    let created = world.call::<op::CreateAgentAlias>(input).await;
    let expected = json!({
        "agentAliasArn": format!("arn:aws:bedrock:us-west-2:111111111111:agent-alias/{agent}/ID00000002"),
        "agentAliasId": "ID00000002",
        "agentAliasName": "PROD",
        "agentAliasStatus": "CREATING",
        "agentId": agent,
        "aliasInvocationState": "ACCEPT_INVOCATIONS",
        "clientToken": "11111111-1111-4111-8111-111111111111",
        "createdAt": "2025-05-30T17:28:12.000000Z",
        "description": "for all",
        "routingConfiguration": [{}],
        "updatedAt": "2025-05-30T17:28:12.000000Z",
    });
    assert_eq!(created, json!({"agentAlias": expected}));
    let settled = with(
        expected,
        json!({
            "agentAliasStatus": "PREPARED",
            "routingConfiguration": [{"agentVersion": "1"}],
            "agentAliasHistoryEvents": [{
                "routingConfiguration": [{"agentVersion": "1"}],
                "startDate": "2025-05-30T17:28:12.000000Z",
            }],
        }),
    );
    assert_eq!(world.get_alias(&agent, "ID00000002").await, settled);

    // An empty list, and an item that names no version, ask for the same.
    for (name, routing, version) in [("two", json!([]), "2"), ("three", json!([{}]), "3")] {
        let input = with(
            alias_input(&agent, name),
            json!({"routingConfiguration": routing}),
        );
        let created = world.call::<op::CreateAgentAlias>(input).await;
        assert_eq!(created["agentAlias"]["routingConfiguration"], json!([{}]));
        let id = created["agentAlias"]["agentAliasId"].as_str().unwrap();
        assert_eq!(
            world.get_alias(&agent, id).await["routingConfiguration"],
            json!([{"agentVersion": version}])
        );
    }
}

#[tokio::test]
async fn an_alias_of_an_unprepared_agent_prepares_it() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let alias = world.alias(&agent, "PROD").await;
    let shown = world.get_agent(&agent).await;
    assert_eq!(shown["agentStatus"], "PREPARED");
    assert_eq!(shown["preparedAt"], "2025-05-30T17:28:11.000000Z");
    assert_eq!(
        world.get_alias(&agent, &alias).await["routingConfiguration"],
        json!([{"agentVersion": "1"}])
    );
    let bare = world
        .call::<op::CreateAgent>(json!({"agentName": "bare", "foundationModel": "m"}))
        .await;
    let bare = bare["agent"]["agentId"].as_str().unwrap();
    assert_eq!(
        world
            .refused::<op::CreateAgentAlias>(alias_input(bare, "PROD"))
            .await,
        validation("Agent Instruction cannot be null")
    );
}

#[tokio::test]
async fn an_alias_can_be_moved_and_remembers_where_it_was() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let alias = world.alias(&agent, "PROD").await;
    let update = with(alias_input(&agent, "PROD"), json!({"agentAliasId": alias}));
    let updated = world.call::<op::UpdateAgentAlias>(update.clone()).await;
    assert_eq!(updated["agentAlias"]["agentAliasStatus"], "UPDATING");
    assert_eq!(updated["agentAlias"]["routingConfiguration"], json!([{}]));
    let back = with(
        update.clone(),
        json!({"routingConfiguration": [{"agentVersion": "1"}], "description": "back"}),
    );
    let updated = world.call::<op::UpdateAgentAlias>(back.clone()).await;
    assert_eq!(
        updated["agentAlias"]["routingConfiguration"],
        json!([{"agentVersion": "1"}])
    );
    let event = |version: &str, start: u32, end: Option<u32>| {
        let at = |second| format!("2025-05-30T17:28:{second}.000000Z");
        let event = json!({
            "routingConfiguration": [{"agentVersion": version}], "startDate": at(start),
        });
        with(event, json!({"endDate": end.map(at)}))
    };
    let shown = world.get_alias(&agent, &alias).await;
    assert_eq!(shown["description"], "back");
    assert_eq!(
        shown["agentAliasHistoryEvents"],
        json!([
            event("1", 12, Some(13)),
            event("2", 13, Some(14)),
            event("1", 14, None),
        ])
    );
    // Staying where it is makes no event; what is left out is cleared.
    let stay = with(back, json!({"description": null}));
    world.call::<op::UpdateAgentAlias>(stay).await;
    let shown = world.get_alias(&agent, &alias).await;
    assert_eq!(
        shown["agentAliasHistoryEvents"].as_array().unwrap().len(),
        3
    );
    assert_eq!(shown.get("description"), None);
    for _ in 0..12 {
        world.call::<op::UpdateAgentAlias>(update.clone()).await;
    }
    let shown = world.get_alias(&agent, &alias).await;
    let events = shown["agentAliasHistoryEvents"].as_array().unwrap();
    assert_eq!(events.len(), 10);
    assert_eq!(
        events[9]["routingConfiguration"],
        json!([{"agentVersion": "14"}])
    );
}

#[tokio::test]
async fn a_paused_alias_stays_paused_until_it_is_told_otherwise() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let alias = world.alias(&agent, "PROD").await;
    let update = |state: Value| {
        with(
            alias_input(&agent, "PROD"),
            json!({
                "agentAliasId": alias, "aliasInvocationState": state,
                "routingConfiguration": [{"agentVersion": "1"}],
            }),
        )
    };
    for (given, expected) in [
        (json!("REJECT_INVOCATIONS"), "REJECT_INVOCATIONS"),
        (Value::Null, "REJECT_INVOCATIONS"),
        (json!("ACCEPT_INVOCATIONS"), "ACCEPT_INVOCATIONS"),
    ] {
        world.call::<op::UpdateAgentAlias>(update(given)).await;
        let shown = world.get_alias(&agent, &alias).await;
        assert_eq!(shown["aliasInvocationState"], expected);
    }
}

#[tokio::test]
async fn routes_lead_to_versions_that_exist() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let alias = world.alias(&agent, "PROD").await;
    let gone = format!(
        "Failed to retrieve parent resource Agent Version {agent}/7 because it doesn't exist. Retry the request with a different resource identifier."
    );
    let draft = "An alias cannot route to the agent version DRAFT. Use the number of a version, or leave routingConfiguration out to create one.";
    for (version, refusal) in [("7", not_found(&gone)), ("DRAFT", validation(draft))] {
        let routing = json!({"routingConfiguration": [{"agentVersion": version}]});
        let create = with(alias_input(&agent, "BETA"), routing.clone());
        assert_eq!(world.refused::<op::CreateAgentAlias>(create).await, refusal);
        let update = with(alias_input(&agent, "PROD"), routing);
        let update = with(update, json!({"agentAliasId": alias}));
        assert_eq!(world.refused::<op::UpdateAgentAlias>(update).await, refusal);
    }
    let create = with(
        alias_input(&agent, "BETA"),
        json!({"routingConfiguration": [{"agentVersion": "1"}]}),
    );
    let created = world.call::<op::CreateAgentAlias>(create).await;
    let created = &created["agentAlias"];
    assert_eq!(created["agentAliasStatus"], "CREATING");
    assert_eq!(
        created["routingConfiguration"],
        json!([{"agentVersion": "1"}])
    );
    assert_eq!(
        created["agentAliasHistoryEvents"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn names_are_unique_within_an_agent_and_can_be_found_by() {
    let world = World::relaxed();
    let scope = format!("{ACCOUNT}/{REGION}");
    let agent = world.prepared("one").await;
    let prod = world.alias(&agent, "PROD").await;
    let beta = world.alias(&agent, "BETA").await;
    assert_eq!(
        world
            .refused::<op::CreateAgentAlias>(alias_input(&agent, "PROD"))
            .await,
        conflict(&format!(
            "Could not perform Create operation, since the PROD (id: {prod}) with the same name PROD already exists"
        ))
    );
    let clash = with(alias_input(&agent, "PROD"), json!({"agentAliasId": beta}));
    assert_eq!(
        world.refused::<op::UpdateAgentAlias>(clash).await,
        conflict(&format!(
            "Could not perform Update operation, since the PROD (id: {prod}) with the same name PROD already exists"
        ))
    );
    let rename = with(alias_input(&agent, "LIVE"), json!({"agentAliasId": prod}));
    world.call::<op::UpdateAgentAlias>(rename).await;
    world
        .call::<op::DeleteAgentAlias>(json!({"agentId": agent, "agentAliasId": beta}))
        .await;
    let names = world.stored(&scope, "alias-name", &agent).await;
    assert_eq!(names, [json!(prod)]);
    // Both old names are free again, and another agent has names of its own.
    world.alias(&agent, "PROD").await;
    world.alias(&agent, "BETA").await;
    let other = world.prepared("two").await;
    world.alias(&other, "PROD").await;
}

#[tokio::test]
async fn deleting_and_what_is_not_there() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let alias = world.alias(&agent, "PROD").await;
    let id = json!({"agentId": agent, "agentAliasId": alias});
    assert_eq!(
        world.call::<op::DeleteAgentAlias>(id.clone()).await,
        json!({"agentId": agent, "agentAliasId": alias, "agentAliasStatus": "DELETING"})
    );
    let missing = json!({"agentId": "ZZZZZZZZZZ", "agentAliasId": "ZZZZZZZZZZ"});
    for id in [id, missing] {
        let update = with(id.clone(), json!({"agentAliasName": "PROD"}));
        for refusal in [
            world.refused::<op::GetAgentAlias>(id.clone()).await,
            world.refused::<op::UpdateAgentAlias>(update).await,
            world.refused::<op::DeleteAgentAlias>(id).await,
        ] {
            assert_eq!(refusal, not_found(GONE));
        }
    }
    for refusal in [
        world
            .refused::<op::CreateAgentAlias>(alias_input("ZZZZZZZZZZ", "PROD"))
            .await,
        world
            .refused::<op::ListAgentAliases>(json!({"agentId": "ZZZZZZZZZZ"}))
            .await,
    ] {
        assert_eq!(refusal, not_found(GONE));
    }
}

#[tokio::test]
async fn a_strict_agent_has_ten_aliases() {
    let world = World::strict();
    let agent = world.prepared("one").await;
    for number in 0..10 {
        world.alias(&agent, &format!("alias-{number}")).await;
    }
    assert_eq!(
        world
            .refused::<op::CreateAgentAlias>(alias_input(&agent, "one-more"))
            .await,
        quota("The number of aliases per agent exceeds the limit. Limit: 10.")
    );
    let listed = world
        .call::<op::ListAgentAliases>(json!({"agentId": agent}))
        .await;
    let ids = each(&listed["agentAliasSummaries"], "agentAliasId");
    assert_eq!(ids.len(), 11);
    assert_eq!(ids[0], "TSTALIASID");
}
