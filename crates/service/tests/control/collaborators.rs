//! Collaborators: associating, versions, and what may be deleted while they are needed.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{
    GONE, World, alias_arn, association, conflict, context, definition, each, not_found, quota,
    text, validation, with,
};

/// A supervisor and an agent with the alias PROD: their ids, and the alias's.
async fn pair(world: &World) -> (String, String, String) {
    let input = with(
        definition("lead"),
        json!({"agentCollaboration": "SUPERVISOR"}),
    );
    let lead = world.call::<op::CreateAgent>(input).await;
    let agent = world.agent("orders").await;
    let alias = world.alias(&agent, "PROD").await;
    (text(&lead["agent"]["agentId"]), agent, alias)
}

fn one(agent: &str, version: &str, collaborator: &str) -> Value {
    json!({"agentId": agent, "agentVersion": version, "collaboratorId": collaborator})
}

async fn list(world: &World, agent: &str, version: &str) -> Vec<Value> {
    let input = json!({"agentId": agent, "agentVersion": version});
    let listed = world.call::<op::ListAgentCollaborators>(input).await;
    let summaries = listed["agentCollaboratorSummaries"].as_array().cloned();
    summaries.expect("a list")
}

#[tokio::test]
async fn the_life_of_a_collaborator() {
    let world = World::relaxed();
    let (lead, agent, alias) = pair(&world).await;
    let input = with(
        association(&lead, &agent, &alias, "Orders"),
        json!({"clientToken": "11111111-1111-4111-8111-111111111111"}),
    );
    let made = world
        .call::<op::AssociateAgentCollaborator>(input.clone())
        .await["agentCollaborator"]
        .take();
    let id = text(&made["collaboratorId"]);
    let expected = json!({
        "agentDescriptor": {"aliasArn": alias_arn(&agent, &alias)},
        "agentId": lead,
        "agentVersion": "DRAFT",
        "clientToken": "11111111-1111-4111-8111-111111111111",
        "collaborationInstruction": "Use it for orders.",
        "collaboratorId": id,
        "collaboratorName": "Orders",
        "createdAt": "2025-05-30T17:28:13.000000Z",
        "lastUpdatedAt": "2025-05-30T17:28:13.000000Z",
        "relayConversationHistory": "DISABLED",
    });
    assert_eq!(made, expected);
    let again = world.call::<op::AssociateAgentCollaborator>(input).await;
    assert_eq!(again["agentCollaborator"], expected);
    let got = world
        .call::<op::GetAgentCollaborator>(one(&lead, "DRAFT", &id))
        .await;
    assert_eq!(got["agentCollaborator"], expected);
    let summary = with(expected.clone(), json!({"clientToken": null}));
    assert_eq!(list(&world, &lead, "DRAFT").await, [summary]);

    let update = with(
        association(&lead, &agent, "TSTALIASID", "Shipping"),
        json!({"collaboratorId": id, "relayConversationHistory": "TO_COLLABORATOR"}),
    );
    let updated = world
        .call::<op::UpdateAgentCollaborator>(update.clone())
        .await;
    let expected = with(
        expected,
        json!({
            "agentDescriptor": {"aliasArn": alias_arn(&agent, "TSTALIASID")},
            "collaboratorName": "Shipping",
            "lastUpdatedAt": updated["agentCollaborator"]["lastUpdatedAt"],
            "relayConversationHistory": "TO_COLLABORATOR",
        }),
    );
    assert_eq!(updated["agentCollaborator"], expected);
    assert_ne!(expected["lastUpdatedAt"], expected["createdAt"]);

    let removed = world
        .call::<op::DisassociateAgentCollaborator>(one(&lead, "DRAFT", &id))
        .await;
    assert_eq!(removed, json!({}));
    for refusal in [
        world
            .refused::<op::GetAgentCollaborator>(one(&lead, "DRAFT", &id))
            .await,
        world
            .refused::<op::DisassociateAgentCollaborator>(one(&lead, "DRAFT", &id))
            .await,
        world.refused::<op::UpdateAgentCollaborator>(update).await,
    ] {
        assert_eq!(refusal, not_found(GONE));
    }
    assert!(list(&world, &lead, "DRAFT").await.is_empty());
}

#[tokio::test]
async fn who_can_be_a_collaborator() {
    let world = World::relaxed();
    let (lead, agent, alias) = pair(&world).await;
    let base = association(&lead, &agent, &alias, "Orders");
    let to = |arn: Value| with(base.clone(), json!({"agentDescriptor": {"aliasArn": arn}}));
    let elsewhere =
        format!("arn:aws:bedrock:eu-central-1:111111111111:agent-alias/{agent}/{alias}");
    let theirs = format!("arn:aws:bedrock:us-west-2:222222222222:agent-alias/{agent}/{alias}");
    let outside = |arn: &str| {
        format!(
            "The agent alias {arn} is not in the account 111111111111 and the region us-west-2 of the supervisor. A collaborator must be."
        )
    };
    let missing = alias_arn(&agent, "ZZZZZZZZZZ");
    let cases = [
        (
            with(base.clone(), json!({"agentDescriptor": {}})),
            validation("agentDescriptor.aliasArn cannot be null"),
        ),
        (
            to(json!(elsewhere.clone())),
            validation(&outside(&elsewhere)),
        ),
        (to(json!(theirs.clone())), validation(&outside(&theirs))),
        (
            to(json!(alias_arn(&lead, "TSTALIASID"))),
            validation(&format!(
                "The agent {lead} cannot be a collaborator of itself"
            )),
        ),
        (
            to(json!(missing.clone())),
            not_found(&format!("{GONE} (There is no {missing}.)")),
        ),
        (
            with(base.clone(), json!({"agentId": agent})),
            validation(
                "The AgentCollaboration attribute is set to DISABLED. Set it to SUPERVISOR or SUPERVISOR_ROUTER to add agent collaborators.",
            ),
        ),
        (
            with(base.clone(), json!({"agentId": "ZZZZZZZZZZ"})),
            not_found(
                "Failed to retrieve Agent with ID: ZZZZZZZZZZ and Version: DRAFT because it doesn't exist. Retry the request with a different resource identifier.",
            ),
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(
            world.refused::<op::AssociateAgentCollaborator>(input).await,
            expected
        );
    }
    let id = world.collaborator(&lead, &agent, &alias, "Orders").await;
    assert_eq!(
        world.refused::<op::AssociateAgentCollaborator>(base).await,
        conflict(&format!(
            "Could not perform Create operation, since the Orders (id: {id}) with the same name Orders already exists"
        ))
    );
    let second = world.collaborator(&lead, &agent, &alias, "Second").await;
    let clash = with(
        association(&lead, &agent, &alias, "Orders"),
        json!({"collaboratorId": second}),
    );
    assert_eq!(
        world.refused::<op::UpdateAgentCollaborator>(clash).await,
        conflict(&format!(
            "Could not perform Update operation, since the Orders (id: {id}) with the same name Orders already exists"
        ))
    );
}

#[tokio::test]
async fn aws_allows_ten() {
    let world = World::strict();
    let (lead, agent, alias) = pair(&world).await;
    for number in 0..10 {
        let name = format!("helper-{number}");
        world.collaborator(&lead, &agent, &alias, &name).await;
    }
    let eleventh = association(&lead, &agent, &alias, "helper-10");
    assert_eq!(
        world
            .refused::<op::AssociateAgentCollaborator>(eleventh)
            .await,
        quota("The number of collaborators per agent exceeds the limit. Limit: 10.")
    );
}

#[tokio::test]
async fn a_supervisor_alone_cannot_be_prepared() {
    let world = World::relaxed();
    for mode in ["SUPERVISOR", "SUPERVISOR_ROUTER"] {
        let input = with(definition(mode), json!({"agentCollaboration": mode}));
        let lead = world.call::<op::CreateAgent>(input).await;
        let expected = validation(&format!(
            "The AgentCollaboration attribute is set to {mode} but no agent collaborators are added."
        ));
        let id = lead["agent"]["agentId"].clone();
        assert_eq!(
            world
                .refused::<op::PrepareAgent>(json!({"agentId": id}))
                .await,
            expected
        );
        let alias = json!({"agentId": id, "agentAliasName": "PROD"});
        assert_eq!(world.refused::<op::CreateAgentAlias>(alias).await, expected);
    }
}

#[tokio::test]
async fn versions_keep_their_collaborators_in_order() {
    let world = World::relaxed();
    let (lead, agent, alias) = pair(&world).await;
    let mut ids = Vec::new();
    for name in ["Zeta", "Alpha", "Mid"] {
        ids.push(world.collaborator(&lead, &agent, &alias, name).await);
    }
    world.alias(&lead, "LIVE").await;
    world
        .call::<op::DisassociateAgentCollaborator>(one(&lead, "DRAFT", &ids[0]))
        .await;
    let names = |list: Vec<Value>| each(&json!(list), "collaboratorName");
    assert_eq!(
        names(list(&world, &lead, "1").await),
        ["Zeta", "Alpha", "Mid"]
    );
    assert_eq!(names(list(&world, &lead, "DRAFT").await), ["Alpha", "Mid"]);
    let got = world
        .call::<op::GetAgentCollaborator>(one(&lead, "1", &ids[0]))
        .await;
    assert_eq!(got["agentCollaborator"]["agentVersion"], "1");
    assert_eq!(
        world
            .refused::<op::GetAgentCollaborator>(one(&lead, "2", &ids[0]))
            .await,
        not_found(&format!(
            "Failed to retrieve Agent with ID: {lead} and Version: 2 because it doesn't exist. Retry the request with a different resource identifier."
        ))
    );
    let mut paged = Vec::new();
    let mut token = Value::Null;
    loop {
        let input = with(
            json!({"agentId": lead, "agentVersion": "1", "maxResults": 2}),
            json!({"nextToken": token}),
        );
        let mut page = world.call::<op::ListAgentCollaborators>(input).await;
        paged.push(each(
            &page["agentCollaboratorSummaries"],
            "collaboratorName",
        ));
        token = page["nextToken"].take();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(paged, [vec!["Zeta", "Alpha"], vec!["Mid"]]);
}

#[tokio::test]
async fn an_alias_in_use_by_a_supervisor_stays_until_it_is_released() {
    let world = World::relaxed();
    let (lead, agent, alias) = pair(&world).await;
    let id = world.collaborator(&lead, &agent, &alias, "Orders").await;
    let delete = json!({"agentId": agent, "agentAliasId": alias});
    let in_use = validation(&format!(
        "Could not perform Delete operation, since the agent alias PROD (id: {alias}) is in use as a collaborator by the agent lead (id: {lead})"
    ));
    let refused = async || world.refused::<op::DeleteAgentAlias>(delete.clone()).await;
    // The draft needs it.
    assert_eq!(refused().await, in_use);
    world.prepare(&lead).await;
    world
        .call::<op::DisassociateAgentCollaborator>(one(&lead, "DRAFT", &id))
        .await;
    // What is prepared needs it, until the supervisor is prepared without it.
    assert_eq!(refused().await, in_use);
    let live = world.alias(&lead, "LIVE").await;
    let disabled = with(definition("lead"), json!({"agentId": lead}));
    world.call::<op::UpdateAgent>(disabled).await;
    world.prepare(&lead).await;
    // A version that an alias routes to needs it.
    assert_eq!(refused().await, in_use);
    world
        .call::<op::DeleteAgentAlias>(json!({"agentId": lead, "agentAliasId": live}))
        .await;
    world.call::<op::DeleteAgentAlias>(delete).await;
    let left = world
        .stored(
            "111111111111/us-west-2",
            "alias-use",
            &format!("{agent}/{alias}"),
        )
        .await;
    assert!(left.is_empty());
}

#[tokio::test]
async fn an_agent_in_use_by_a_supervisor_is_deleted_only_on_request() {
    let world = World::relaxed();
    let (lead, agent, alias) = pair(&world).await;
    world
        .call::<op::DeleteAgentAlias>(json!({"agentId": agent, "agentAliasId": alias}))
        .await;
    world
        .collaborator(&lead, &agent, "TSTALIASID", "Orders")
        .await;
    let delete = json!({"agentId": agent});
    assert_eq!(
        world.refused::<op::DeleteAgent>(delete.clone()).await,
        conflict(&format!(
            "Could not perform Delete operation, since the agent alias AgentTestAlias (id: TSTALIASID) is in use as a collaborator by the agent lead (id: {lead})"
        ))
    );
    let skip = with(delete, json!({"skipResourceInUseCheck": true}));
    world.call::<op::DeleteAgent>(skip).await;
    let arn = alias_arn(&agent, "TSTALIASID");
    assert_eq!(
        world
            .refused::<op::PrepareAgent>(json!({"agentId": lead}))
            .await,
        validation(&format!(
            "The collaborator Orders cannot be used: {GONE} (There is no {arn}.)"
        ))
    );
}

#[tokio::test]
async fn a_supervisor_takes_everything_with_it() {
    let world = World::relaxed();
    let (lead, agent, alias) = pair(&world).await;
    world.collaborator(&lead, &agent, &alias, "Orders").await;
    world.alias(&lead, "LIVE").await;
    let skip = json!({"agentId": lead, "skipResourceInUseCheck": true});
    world.call::<op::DeleteAgent>(skip).await;
    for (kind, parent) in [
        ("collaborator", format!("{lead}:DRAFT")),
        ("collaborator", format!("{lead}:1")),
        ("alias-use", format!("{agent}/{alias}")),
    ] {
        let left = world.stored("111111111111/us-west-2", kind, &parent).await;
        assert!(left.is_empty(), "{kind} {parent}");
    }
    world
        .call::<op::DeleteAgentAlias>(json!({"agentId": agent, "agentAliasId": alias}))
        .await;
}

#[tokio::test]
async fn regions_know_nothing_of_each_other() {
    let world = World::relaxed();
    let (lead, agent, alias) = pair(&world).await;
    let refusal = world
        .call_from::<op::AssociateAgentCollaborator>(
            &context("eu-central-1"),
            association(&lead, &agent, &alias, "Orders"),
        )
        .await
        .unwrap_err();
    assert!(refusal.message().contains("exists in region us-west-2"));
}
