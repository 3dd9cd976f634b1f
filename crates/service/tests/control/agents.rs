//! `CreateAgent`, `GetAgent`, `UpdateAgent`, `DeleteAgent`.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{
    ACCOUNT, GONE, INSTRUCTION, LAMBDA, REGION, ROLE, World, conflict, context, definition,
    not_found, quota, text, validation, with,
};

const MODEL: &str = "anthropic.claude-3-5-sonnet-20240620-v1:0";

#[tokio::test]
async fn a_bare_agent_has_defaults() {
    let world = World::relaxed();
    let created = world
        .call::<op::CreateAgent>(json!({
            "agentName": "bare", "clientToken": "11111111-1111-4111-8111-111111111111",
        }))
        .await;
    let expected = json!({
        "agentArn": "arn:aws:bedrock:us-west-2:111111111111:agent/ID00000001",
        "agentCollaboration": "DISABLED",
        "agentId": "ID00000001",
        "agentName": "bare",
        "agentResourceRoleArn": "",
        "agentStatus": "CREATING",
        "agentVersion": "DRAFT",
        "clientToken": "11111111-1111-4111-8111-111111111111",
        "createdAt": "2025-05-30T17:28:10.000000Z",
        "idleSessionTTLInSeconds": 600,
        "orchestrationType": "DEFAULT",
        "updatedAt": "2025-05-30T17:28:10.000000Z",
    });
    assert_eq!(created, json!({"agent": expected}));
    let shown = with(
        expected,
        json!({
            "agentStatus": "NOT_PREPARED",
            "promptOverrideConfiguration": {"promptConfigurations": []},
        }),
    );
    assert_eq!(world.get_agent("ID00000001").await, shown);
}

#[tokio::test]
async fn every_member_is_kept_and_an_update_clears_what_it_leaves_out() {
    let world = World::relaxed();
    let key = "arn:aws:kms:us-west-2:111111111111:key/11111111-1111-4111-8111-111111111111";
    let given = json!({
        "agentCollaboration": "DISABLED",
        "agentName": "full",
        "agentResourceRoleArn": ROLE,
        "customerEncryptionKeyArn": key,
        "description": "what it is for",
        "foundationModel": MODEL,
        "idleSessionTTLInSeconds": 900,
        "instruction": INSTRUCTION,
        "memoryConfiguration": {"enabledMemoryTypes": ["SESSION_SUMMARY"], "storageDays": 30},
        "orchestrationType": "DEFAULT",
    });
    world.call::<op::CreateAgent>(given.clone()).await;
    let shown = world.get_agent("ID00000001").await;
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }

    let updated = world
        .call::<op::UpdateAgent>(json!({
            "agentId": "ID00000001", "agentName": "renamed",
            "agentResourceRoleArn": ROLE, "foundationModel": "other.model",
        }))
        .await;
    let expected = json!({
        "agentArn": "arn:aws:bedrock:us-west-2:111111111111:agent/ID00000001",
        "agentCollaboration": "DISABLED",
        "agentId": "ID00000001",
        "agentName": "renamed",
        "agentResourceRoleArn": ROLE,
        "agentStatus": "UPDATING",
        "agentVersion": "DRAFT",
        "createdAt": "2025-05-30T17:28:10.000000Z",
        "foundationModel": "other.model",
        "idleSessionTTLInSeconds": 600,
        "orchestrationType": "DEFAULT",
        "promptOverrideConfiguration": {"promptConfigurations": []},
        "updatedAt": "2025-05-30T17:28:12.000000Z",
    });
    assert_eq!(updated, json!({"agent": expected}));
    let shown = with(expected, json!({"agentStatus": "NOT_PREPARED"}));
    assert_eq!(world.get_agent("ID00000001").await, shown);
}

#[tokio::test]
async fn a_changed_agent_is_not_prepared() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let before = world.get_agent(&agent).await;
    assert_eq!(before["agentStatus"], "PREPARED");
    let input = with(
        definition("one"),
        json!({"agentId": agent, "description": "another"}),
    );
    world.call::<op::UpdateAgent>(input).await;
    let after = world.get_agent(&agent).await;
    assert_eq!(after["agentStatus"], "NOT_PREPARED");
    assert_eq!(after["preparedAt"], before["preparedAt"]);
    assert_eq!(
        after["promptOverrideConfiguration"],
        before["promptOverrideConfiguration"]
    );
}

#[tokio::test]
async fn names_are_unique_and_can_be_found_by() {
    let world = World::relaxed();
    let scope = format!("{ACCOUNT}/{REGION}");
    let first = world.agent("first").await;
    let second = world.agent("second").await;
    assert_eq!(
        world.refused::<op::CreateAgent>(definition("first")).await,
        conflict(
            "Could not perform Create operation, since the first (id: ID00000001) with the same name first already exists"
        )
    );
    let clash = with(definition("first"), json!({"agentId": second}));
    assert_eq!(
        world.refused::<op::UpdateAgent>(clash).await,
        conflict(
            "Could not perform Update operation, since the first (id: ID00000001) with the same name first already exists"
        )
    );
    let renamed = with(definition("third"), json!({"agentId": first}));
    world.call::<op::UpdateAgent>(renamed).await;
    let names = world.stored(&scope, "agent-name", "").await;
    assert_eq!(names.len(), 2);
    assert!(names.contains(&json!(first)) && names.contains(&json!(second)));
    // The old name is free again, and another region has names of its own.
    world.agent("first").await;
    world
        .call_from::<op::CreateAgent>(&context("eu-central-1"), definition("second"))
        .await
        .expect("another region");
}

#[tokio::test]
async fn everything_aws_takes_is_kept_shown_and_cut_into_versions() {
    let world = World::relaxed();
    let router = json!({
        "promptType": "ROUTING_CLASSIFIER", "promptCreationMode": "DEFAULT",
        "foundationModel": "small.model", "parserMode": "OVERRIDDEN",
    });
    let given = with(
        definition("full"),
        json!({
            "agentCollaboration": "SUPERVISOR_ROUTER",
            "customOrchestration": {"executor": {"lambda": LAMBDA}},
            "guardrailConfiguration": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
            "memoryConfiguration": {
                "enabledMemoryTypes": ["SESSION_SUMMARY"],
                "sessionSummaryConfiguration": {"maxRecentSessions": 5},
            },
            "orchestrationType": "CUSTOM_ORCHESTRATION",
            "promptOverrideConfiguration": {
                "overrideLambda": LAMBDA, "promptConfigurations": [router],
            },
        }),
    );
    world.call::<op::CreateAgent>(given.clone()).await;
    let agent = "ID00000001";
    let shown = world.get_agent(agent).await;
    for name in [
        "agentCollaboration",
        "customOrchestration",
        "guardrailConfiguration",
        "orchestrationType",
    ] {
        assert_eq!(shown[name], given[name], "{name}");
    }
    // AWS's model gives it this default.
    let memory = with(
        given["memoryConfiguration"].clone(),
        json!({"storageDays": 30}),
    );
    assert_eq!(shown["memoryConfiguration"], memory);
    let overrides = &shown["promptOverrideConfiguration"];
    assert_eq!(overrides["overrideLambda"], LAMBDA);
    let routing = &overrides["promptConfigurations"][5];
    assert_eq!(routing["parserMode"], "OVERRIDDEN");
    assert_eq!(routing["foundationModel"], "small.model");
    assert_eq!(routing["promptState"], "ENABLED");

    let other = world.agent("other").await;
    let alias = world.alias(&other, "PROD").await;
    world.collaborator(agent, &other, &alias, "Other").await;
    world.alias(agent, "LIVE").await;
    let version = json!({"agentId": agent, "agentVersion": "1"});
    let version = world.call::<op::GetAgentVersion>(version).await["agentVersion"].take();
    for name in [
        "agentCollaboration",
        "guardrailConfiguration",
        "memoryConfiguration",
        "promptOverrideConfiguration",
    ] {
        assert_eq!(version[name], shown[name], "{name}");
    }

    // An update without them clears them all.
    let update = with(definition("full"), json!({"agentId": agent}));
    world.call::<op::UpdateAgent>(update).await;
    let cleared = world.get_agent(agent).await;
    assert_eq!(cleared["agentCollaboration"], "DISABLED");
    assert_eq!(cleared["orchestrationType"], "DEFAULT");
    for name in [
        "customOrchestration",
        "guardrailConfiguration",
        "memoryConfiguration",
    ] {
        assert_eq!(cleared.get(name), None, "{name}");
    }
}

#[tokio::test]
async fn contradictions_are_refused() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let cases: [(Value, &str, &str); 5] = [
        (
            json!({"orchestrationType": "CUSTOM_ORCHESTRATION"}),
            "customOrchestration",
            "customOrchestration.executor cannot be null when orchestrationType is CUSTOM_ORCHESTRATION",
        ),
        (
            json!({"orchestrationType": "CUSTOM_ORCHESTRATION", "customOrchestration": {}}),
            "customOrchestration",
            "customOrchestration.executor cannot be null when orchestrationType is CUSTOM_ORCHESTRATION",
        ),
        (
            json!({"customOrchestration": {"executor": {"lambda": LAMBDA}}}),
            "orchestrationType",
            "orchestrationType must be CUSTOM_ORCHESTRATION when customOrchestration is given",
        ),
        (
            json!({"guardrailConfiguration": {"guardrailIdentifier": "abc"}}),
            "guardrailConfiguration.guardrailVersion",
            "guardrailConfiguration.guardrailVersion cannot be null",
        ),
        (
            json!({"guardrailConfiguration": {"guardrailVersion": "1"}}),
            "guardrailConfiguration.guardrailIdentifier",
            "guardrailConfiguration.guardrailIdentifier cannot be null",
        ),
    ];
    for (change, field, message) in cases {
        let create = with(definition("two"), change.clone());
        let refusal = world.try_call::<op::CreateAgent>(create).await.unwrap_err();
        assert_eq!(refusal.message(), message);
        assert_eq!(refusal.fields().len(), 1);
        assert_eq!(refusal.fields()[0].name, field);
        let update = with(with(definition("one"), change), json!({"agentId": agent}));
        assert_eq!(
            world.refused::<op::UpdateAgent>(update).await,
            validation(message)
        );
    }
}

#[tokio::test]
async fn an_update_that_changes_nothing_leaves_the_agent_prepared() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let same = with(definition("one"), json!({"agentId": agent}));
    let updated = world.call::<op::UpdateAgent>(same.clone()).await;
    assert_eq!(updated["agent"]["agentStatus"], "UPDATING");
    assert_eq!(world.get_agent(&agent).await["agentStatus"], "PREPARED");
    let other = with(same, json!({"description": "something else"}));
    world.call::<op::UpdateAgent>(other).await;
    assert_eq!(world.get_agent(&agent).await["agentStatus"], "NOT_PREPARED");
}

#[tokio::test]
async fn a_missing_agent_is_gone() {
    let world = World::relaxed();
    let missing = json!({"agentId": "ZZZZZZZZZZ"});
    let update = with(definition("one"), missing.clone());
    for refusal in [
        world.refused::<op::GetAgent>(missing.clone()).await,
        world.refused::<op::UpdateAgent>(update).await,
        world.refused::<op::PrepareAgent>(missing.clone()).await,
        world.refused::<op::DeleteAgent>(missing).await,
    ] {
        assert_eq!(refusal, not_found(GONE));
    }
}

#[tokio::test]
async fn the_region_an_agent_does_exist_in_is_named() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let elsewhere = context("eu-central-1");
    let hint = format!(
        "(Agent {agent} exists in region us-west-2; this request is for region eu-central-1.)"
    );
    let refusal = world
        .call_from::<op::GetAgent>(&elsewhere, json!({"agentId": agent}))
        .await
        .unwrap_err();
    assert_eq!(refusal.message(), format!("{GONE} {hint}"));
    let refusal = world
        .call_from::<op::ListAgentActionGroups>(
            &elsewhere,
            json!({"agentId": agent, "agentVersion": "DRAFT"}),
        )
        .await
        .unwrap_err();
    assert_eq!(
        refusal.message(),
        format!(
            "Failed to retrieve Agent with ID: {agent} and Version: DRAFT because it doesn't exist. Retry the request with a different resource identifier. {hint}"
        )
    );
    let stranger = outcrop_model::handle::CallContext {
        account_id: "222222222222".to_owned(),
        ..elsewhere
    };
    let refusal = world
        .call_from::<op::GetAgent>(&stranger, json!({"agentId": agent}))
        .await
        .unwrap_err();
    assert_eq!(refusal.message(), GONE);
}

#[tokio::test]
async fn deleting_takes_everything_along() {
    let world = World::relaxed();
    let scope = format!("{ACCOUNT}/{REGION}");
    let agent = world.agent("one").await;
    world.group(&agent, "Tools").await;
    let alias = world.alias(&agent, "PROD").await;
    world.alias(&agent, "BETA").await;
    let other = world.agent("two").await;
    for (kind, id) in [
        ("agent", agent.clone()),
        ("agent-alias", format!("{agent}/{alias}")),
        ("agent-alias", format!("{agent}/TSTALIASID")),
        ("agent", other.clone()),
    ] {
        let arn = format!("arn:aws:bedrock:{REGION}:{ACCOUNT}:{kind}/{id}");
        let input = json!({"resourceArn": arn, "tags": {"a": "b"}});
        world.call::<op::TagResource>(input).await;
    }

    let input = json!({"agentId": agent});
    assert_eq!(
        world.refused::<op::DeleteAgent>(input.clone()).await,
        conflict(&format!(
            "Could not perform Delete operation, since the agent one (id: {agent}) is in use by the alias PROD (id: {alias})"
        ))
    );
    let deleted = world
        .call::<op::DeleteAgent>(with(input.clone(), json!({"skipResourceInUseCheck": true})))
        .await;
    assert_eq!(
        deleted,
        json!({"agentId": agent, "agentStatus": "DELETING"})
    );
    assert_eq!(world.refused::<op::GetAgent>(input).await, not_found(GONE));
    for (kind, parent) in [
        ("prepared", String::new()),
        ("action-group", format!("{agent}:DRAFT")),
        ("action-group", format!("{agent}:1")),
        ("action-group", format!("{agent}:2")),
        ("alias", agent.clone()),
        ("alias-name", agent.clone()),
        ("version", agent.clone()),
    ] {
        let left = world.stored(&scope, kind, &parent).await;
        assert!(left.is_empty(), "{kind} {parent}: {left:?}");
    }
    assert_eq!(world.stored(&scope, "agent-name", "").await, [json!(other)]);
    // The other agent's.
    assert_eq!(world.stored(&scope, "tags", "").await.len(), 1);
    assert_eq!(world.stored(ACCOUNT, "agent-region", "").await.len(), 1);
    world.agent("one").await;
}

#[tokio::test]
async fn an_agent_with_its_test_alias_alone_is_not_in_use() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    let alias = world.alias(&agent, "PROD").await;
    world
        .call::<op::DeleteAgentAlias>(json!({"agentId": agent, "agentAliasId": alias}))
        .await;
    world
        .call::<op::DeleteAgent>(json!({"agentId": agent}))
        .await;
}

#[tokio::test]
async fn a_strict_account_has_two_hundred_agents() {
    let world = World::strict();
    for number in 0..200 {
        let created = world
            .call::<op::CreateAgent>(json!({"agentName": format!("agent-{number}")}))
            .await;
        assert_eq!(text(&created["agent"]["agentStatus"]), "CREATING");
    }
    assert_eq!(
        world
            .refused::<op::CreateAgent>(definition("one-more"))
            .await,
        quota("The number of agents per account exceeds the limit. Limit: 200.")
    );
}
