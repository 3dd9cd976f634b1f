//! The five operations on action groups.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{
    GONE, LAMBDA, World, conflict, each, function, group, not_found, quota, text, validation, with,
};

const ONE_SCHEMA: &str =
    "Failed to create or update ActionGroup. Try providing either apiSchema or functionSchema.";
const NO_EXECUTOR: &str = "actionGroupExecutor cannot be null. Give the ARN of a Lambda function as lambda, or RETURN_CONTROL as customControl.";
const PAYLOAD: &str = r#"{"openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": {"/x": {"get": {"operationId": "list", "description": "Lists.", "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "object"}}}}}}}}}"#;

fn user_input(agent: &str, name: &str) -> Value {
    json!({
        "agentId": agent, "agentVersion": "DRAFT", "actionGroupName": name,
        "parentActionGroupSignature": "AMAZON.UserInput",
    })
}

#[tokio::test]
async fn the_life_of_a_group() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let input = with(
        group(&agent, "Tools"),
        json!({"clientToken": "11111111-1111-4111-8111-111111111111", "description": "orders"}),
    );
    let created = world.call::<op::CreateAgentActionGroup>(input).await;
    let expected = json!({
        "actionGroupExecutor": {"lambda": LAMBDA},
        "actionGroupId": "ID00000002",
        "actionGroupName": "Tools",
        "actionGroupState": "ENABLED",
        "agentId": agent,
        "agentVersion": "DRAFT",
        "clientToken": "11111111-1111-4111-8111-111111111111",
        "createdAt": "2025-05-30T17:28:11.000000Z",
        "description": "orders",
        "functionSchema": {"functions": [function("look_up")]},
        "updatedAt": "2025-05-30T17:28:11.000000Z",
    });
    assert_eq!(created, json!({"agentActionGroup": expected}));
    let id = json!({"agentId": agent, "agentVersion": "DRAFT", "actionGroupId": "ID00000002"});
    assert_eq!(
        world.call::<op::GetAgentActionGroup>(id.clone()).await,
        created
    );
    assert_eq!(
        world
            .call::<op::ListAgentActionGroups>(json!({"agentId": agent, "agentVersion": "DRAFT"}))
            .await,
        json!({"actionGroupSummaries": [{
            "actionGroupId": "ID00000002", "actionGroupName": "Tools", "actionGroupState": "ENABLED",
            "description": "orders", "updatedAt": "2025-05-30T17:28:11.000000Z",
        }]})
    );

    let update = with(
        id.clone(),
        json!({
            "actionGroupName": "Api", "apiSchema": {"payload": PAYLOAD},
            "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
        }),
    );
    let updated = world
        .call::<op::UpdateAgentActionGroup>(update.clone())
        .await;
    let expected = with(
        expected,
        json!({
            "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
            "actionGroupName": "Api",
            "apiSchema": {"payload": PAYLOAD},
            "description": null,
            "functionSchema": null,
            "updatedAt": "2025-05-30T17:28:14.000000Z",
        }),
    );
    assert_eq!(updated, json!({"agentActionGroup": expected}));

    assert_eq!(
        world
            .refused::<op::DeleteAgentActionGroup>(id.clone())
            .await,
        conflict(
            "ActionGroup with name Api cannot be deleted when it is Enabled. Either use SkipResourceInUseCheckOnDelete flag or mark it as Disabled."
        )
    );
    let disable = with(update, json!({"actionGroupState": "DISABLED"}));
    world.call::<op::UpdateAgentActionGroup>(disable).await;
    assert_eq!(
        world.call::<op::DeleteAgentActionGroup>(id.clone()).await,
        json!({})
    );
    assert_eq!(
        world.refused::<op::GetAgentActionGroup>(id.clone()).await,
        not_found(GONE)
    );
    assert_eq!(
        world.refused::<op::DeleteAgentActionGroup>(id).await,
        not_found(GONE)
    );
}

#[tokio::test]
async fn an_enabled_group_can_be_deleted_on_request() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let id = world.group(&agent, "Tools").await;
    world
        .call::<op::DeleteAgentActionGroup>(json!({
            "agentId": agent, "agentVersion": "DRAFT", "actionGroupId": id,
            "skipResourceInUseCheck": true,
        }))
        .await;
}

#[tokio::test]
async fn edits_leave_the_status_of_the_agent_alone() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    world.group(&agent, "Tools").await;
    assert_eq!(world.get_agent(&agent).await["agentStatus"], "PREPARED");
}

#[tokio::test]
async fn what_a_group_must_have() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let existing = world.group(&agent, "Tools").await;
    let lone = "description, apiSchema, functionSchema and actionGroupExecutor must be absent when parentActionGroupSignature is AMAZON.UserInput";
    let openapi = |detail: &str| {
        format!(
            "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: New {{APISchemaException=[{detail}]}}"
        )
    };
    let base = group(&agent, "New");
    let cases: Vec<(Value, String)> = vec![
        (
            with(base.clone(), json!({"functionSchema": null})),
            ONE_SCHEMA.to_owned(),
        ),
        (
            with(base.clone(), json!({"apiSchema": {"payload": PAYLOAD}})),
            ONE_SCHEMA.to_owned(),
        ),
        (
            with(base.clone(), json!({"actionGroupExecutor": null})),
            NO_EXECUTOR.to_owned(),
        ),
        (
            with(
                base.clone(),
                json!({"functionSchema": {"functions": [function("a"), function("a")]}}),
            ),
            "The function schema of action group New is invalid: function a is defined twice"
                .to_owned(),
        ),
        (
            with(
                base.clone(),
                json!({"functionSchema": null, "apiSchema": {"payload":
                    r#"{"openapi": "3.0.0", "paths": {"/x": {"post": {}}}}"#}}),
            ),
            openapi("attribute paths.'/x'(post).responses is missing"),
        ),
        (
            with(
                base.clone(),
                json!({"functionSchema": null, "apiSchema": {"s3": {"s3BucketName": "schemas", "s3ObjectKey": "none"}}}),
            ),
            openapi("s3://schemas/none does not exist: no such object"),
        ),
        (
            with(
                base.clone(),
                json!({"functionSchema": null, "apiSchema": {"s3": {"s3BucketName": "schemas"}}}),
            ),
            "s3BucketName and s3ObjectKey of apiSchema.s3 cannot be null".to_owned(),
        ),
        (
            with(user_input(&agent, "New"), json!({"description": "x"})),
            lone.to_owned(),
        ),
        (
            with(
                base.clone(),
                json!({"parentActionGroupSignature": "AMAZON.UserInput"}),
            ),
            lone.to_owned(),
        ),
        (
            with(
                user_input(&agent, "New"),
                json!({"parentActionGroupSignature": "ANTHROPIC.Bash", "functionSchema": {"functions": []}}),
            ),
            "description, apiSchema, functionSchema and actionGroupExecutor must be absent when parentActionGroupSignature is ANTHROPIC.Bash".to_owned(),
        ),
        (
            with(
                base.clone(),
                json!({"parentActionGroupSignatureParams": {"type": "bash_20241022"}}),
            ),
            "parentActionGroupSignatureParams must be absent without a parentActionGroupSignature"
                .to_owned(),
        ),
    ];
    for (input, message) in cases {
        assert_eq!(
            world
                .refused::<op::CreateAgentActionGroup>(input.clone())
                .await,
            validation(&message)
        );
        let update = with(input, json!({"actionGroupId": existing}));
        assert_eq!(
            world.refused::<op::UpdateAgentActionGroup>(update).await,
            validation(&message)
        );
    }
}

#[tokio::test]
async fn a_disabled_group_may_lack_an_executor_until_it_is_enabled() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let idle = with(
        group(&agent, "Tools"),
        json!({"actionGroupExecutor": null, "actionGroupState": "DISABLED"}),
    );
    let created = world.call::<op::CreateAgentActionGroup>(idle.clone()).await;
    let id = text(&created["agentActionGroup"]["actionGroupId"]);
    let enable = with(
        idle.clone(),
        json!({"actionGroupId": id, "actionGroupState": "ENABLED"}),
    );
    assert_eq!(
        world.refused::<op::UpdateAgentActionGroup>(enable).await,
        validation(NO_EXECUTOR)
    );
    world.prepare(&agent).await;

    let strict = World::strict();
    let agent = strict.agent("one").await;
    let idle = with(idle, json!({"agentId": agent}));
    assert_eq!(
        strict.refused::<op::CreateAgentActionGroup>(idle).await,
        validation(NO_EXECUTOR)
    );
}

#[tokio::test]
async fn names_tools_and_built_ins_are_there_once() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let first = world.group(&agent, "a").await;
    assert_eq!(
        world
            .refused::<op::CreateAgentActionGroup>(group(&agent, "a"))
            .await,
        conflict(&format!(
            "Could not perform Create operation, since the a (id: {first}) with the same name a already exists"
        ))
    );
    let second = world.group(&agent, "b").await;
    let rename = with(group(&agent, "a"), json!({"actionGroupId": second}));
    assert_eq!(
        world.refused::<op::UpdateAgentActionGroup>(rename).await,
        conflict(&format!(
            "Could not perform Update operation, since the a (id: {first}) with the same name a already exists"
        ))
    );
    let api = |name: &str, operation: &str| {
        let payload = PAYLOAD.replace("\"list\"", &format!("\"{operation}\""));
        with(
            group(&agent, name),
            json!({"functionSchema": null, "apiSchema": {"payload": payload}}),
        )
    };
    world
        .call::<op::CreateAgentActionGroup>(api("x", "y__list"))
        .await;
    assert_eq!(
        world
            .refused::<op::CreateAgentActionGroup>(api("x__y", "list"))
            .await,
        validation("x and x__y would both be called GET__x__y__list. Give them different names.")
    );
    let ask = world
        .call::<op::CreateAgentActionGroup>(user_input(&agent, "Ask"))
        .await;
    let ask = &ask["agentActionGroup"];
    assert_eq!(ask["parentActionSignature"], "AMAZON.UserInput");
    assert_eq!(
        world
            .refused::<op::CreateAgentActionGroup>(user_input(&agent, "AskAgain"))
            .await,
        conflict(&format!(
            "Could not perform Create operation, since the Ask (id: {}) with the same parentActionGroupSignature AMAZON.UserInput already exists",
            text(&ask["actionGroupId"])
        ))
    );
    // A group is not in its own way.
    let rename = with(
        user_input(&agent, "AskMe"),
        json!({"actionGroupId": ask["actionGroupId"]}),
    );
    world.call::<op::UpdateAgentActionGroup>(rename).await;
}

#[tokio::test]
async fn missing_agents_versions_and_groups() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let missing = "ZZZZZZZZZZ";
    let gone = |version: &str, agent: &str| {
        not_found(&format!(
            "Failed to retrieve Agent with ID: {agent} and Version: {version} because it doesn't exist. Retry the request with a different resource identifier."
        ))
    };
    let id = json!({"agentId": missing, "agentVersion": "DRAFT", "actionGroupId": missing});
    let update = with(group(missing, "x"), json!({"actionGroupId": missing}));
    for refusal in [
        world
            .refused::<op::CreateAgentActionGroup>(group(missing, "x"))
            .await,
        world.refused::<op::GetAgentActionGroup>(id.clone()).await,
        world
            .refused::<op::UpdateAgentActionGroup>(update.clone())
            .await,
        world
            .refused::<op::DeleteAgentActionGroup>(id.clone())
            .await,
        world.refused::<op::ListAgentActionGroups>(id.clone()).await,
    ] {
        assert_eq!(refusal, gone("DRAFT", missing));
    }
    let version = json!({"agentId": agent, "agentVersion": "7", "actionGroupId": missing});
    for refusal in [
        world
            .refused::<op::GetAgentActionGroup>(version.clone())
            .await,
        world.refused::<op::ListAgentActionGroups>(version).await,
    ] {
        assert_eq!(refusal, gone("7", &agent));
    }
    let update = with(update, json!({"agentId": agent}));
    assert_eq!(
        world.refused::<op::UpdateAgentActionGroup>(update).await,
        not_found(GONE)
    );
}

#[tokio::test]
async fn quotas_hold_when_strict() {
    let world = World::strict();
    let agent = world.agent("one").await;
    let many: Vec<Value> = (0..12).map(|n| function(&format!("f{n}"))).collect();
    let input = |functions: Value| {
        with(
            group(&agent, "Many"),
            json!({"functionSchema": {"functions": functions}}),
        )
    };
    let too_many_apis = quota("The number of APIs per agent exceeds the limit. Limit: 11.");
    assert_eq!(
        world
            .refused::<op::CreateAgentActionGroup>(input(json!(many)))
            .await,
        too_many_apis
    );
    let parameters: serde_json::Map<String, Value> = (0..6)
        .map(|n| (format!("p{n}"), json!({"type": "string"})))
        .collect();
    assert_eq!(
        world
            .refused::<op::CreateAgentActionGroup>(input(
                json!([{"name": "f", "parameters": parameters}])
            ))
            .await,
        quota("The number of parameters per function exceeds the limit. Limit: 5.")
    );
    world
        .call::<op::CreateAgentActionGroup>(input(json!(many[..11])))
        .await;
    assert_eq!(
        world
            .refused::<op::CreateAgentActionGroup>(group(&agent, "More"))
            .await,
        too_many_apis
    );
    let relaxed = World::relaxed();
    let agent = relaxed.agent("one").await;
    for number in 0..21 {
        relaxed.group(&agent, &format!("group-{number}")).await;
    }
    let listed = relaxed
        .call::<op::ListAgentActionGroups>(json!({"agentId": agent, "agentVersion": "DRAFT"}))
        .await;
    let names: Vec<String> = (0..21).map(|number| format!("group-{number}")).collect();
    assert_eq!(
        each(&listed["actionGroupSummaries"], "actionGroupName"),
        names
    );
}

#[tokio::test]
async fn every_built_in_group_is_kept_with_its_parameters() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    let cases = [
        ("AMAZON.UserInput", Value::Null),
        ("AMAZON.CodeInterpreter", Value::Null),
        (
            "ANTHROPIC.Computer",
            json!({"type": "computer_20241022", "display_width_px": "1024", "display_height_px": "768"}),
        ),
        ("ANTHROPIC.Bash", json!({"type": "bash_20241022"})),
        (
            "ANTHROPIC.TextEditor",
            json!({"type": "text_editor_20241022"}),
        ),
    ];
    for (number, (signature, params)) in cases.iter().enumerate() {
        let input = with(
            user_input(&agent, &format!("Group{number}")),
            json!({"parentActionGroupSignature": signature, "parentActionGroupSignatureParams": params}),
        );
        let made = world.call::<op::CreateAgentActionGroup>(input).await["agentActionGroup"].take();
        assert_eq!(made["parentActionSignature"], *signature);
        assert_eq!(
            made.get("parentActionGroupSignatureParams"),
            Some(params).filter(|params| !params.is_null())
        );
        let got = json!({"agentId": agent, "agentVersion": "DRAFT", "actionGroupId": made["actionGroupId"]});
        let got = world.call::<op::GetAgentActionGroup>(got).await;
        assert_eq!(got["agentActionGroup"], made);
    }
    world.prepare(&agent).await;
}
