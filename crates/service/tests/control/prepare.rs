//! `PrepareAgent`: what it needs, what it freezes.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{
    ACCOUNT, INSTRUCTION, LAMBDA, REGION, World, definition, function, group, quota, validation,
    with,
};

fn openapi(operation: &str) -> String {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Orders", "version": "1"},
        "paths": {"/orders": {"get": {
            "operationId": operation,
            "description": "Lists the orders.",
            "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "object"}}}}},
        }}},
    })
    .to_string()
}

async fn plans(world: &World) -> Vec<Value> {
    world
        .stored(&format!("{ACCOUNT}/{REGION}"), "plan", "")
        .await
}

#[tokio::test]
async fn what_it_needs() {
    let cases = [
        ("foundationModel", "Agent foundation model cannot be null"),
        ("instruction", "Agent Instruction cannot be null"),
        (
            "agentResourceRoleArn",
            "Agent resource role ARN cannot be null",
        ),
    ];
    let world = World::strict();
    for (number, (member, message)) in cases.into_iter().enumerate() {
        let name = format!("agent-{number}");
        let input = with(definition(&name), json!({member: null}));
        let created = world.call::<op::CreateAgent>(input).await;
        let input = json!({"agentId": created["agent"]["agentId"]});
        assert_eq!(
            world.refused::<op::PrepareAgent>(input).await,
            validation(message)
        );
    }
    let relaxed = World::relaxed();
    let input = with(definition("one"), json!({"agentResourceRoleArn": null}));
    relaxed.call::<op::CreateAgent>(input).await;
    relaxed.prepare("ID00000001").await;
}

#[tokio::test]
async fn it_freezes_the_enabled_groups_in_order_of_creation() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    world
        .objects
        .put("schemas", "orders.json", openapi("listOrders"));
    world.group(&agent, "Zebra").await;
    let api = json!({
        "agentId": agent, "agentVersion": "DRAFT", "actionGroupName": "Api", "description": "orders",
        "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
        "apiSchema": {"s3": {"s3BucketName": "schemas", "s3ObjectKey": "orders.json"}},
    });
    world.call::<op::CreateAgentActionGroup>(api).await;
    let hidden = with(
        group(&agent, "Hidden"),
        json!({"actionGroupState": "DISABLED"}),
    );
    world.call::<op::CreateAgentActionGroup>(hidden).await;
    let ask = json!({
        "agentId": agent, "agentVersion": "DRAFT", "actionGroupName": "UserInputAction",
        "parentActionGroupSignature": "AMAZON.UserInput",
    });
    world.call::<op::CreateAgentActionGroup>(ask).await;

    let prepared = world
        .call::<op::PrepareAgent>(json!({"agentId": agent}))
        .await;
    assert_eq!(
        prepared,
        json!({
            "agentId": agent, "agentStatus": "PREPARING", "agentVersion": "DRAFT",
            "preparedAt": "2025-05-30T17:28:15.000000Z",
        })
    );
    let shown = world.get_agent(&agent).await;
    assert_eq!(shown["agentStatus"], "PREPARED");
    assert_eq!(shown["preparedAt"], prepared["preparedAt"]);

    let plan = plans(&world).await.remove(0);
    assert_eq!(plan["instruction"], INSTRUCTION);
    assert_eq!(plan["idle_session_ttl_s"], 600);
    assert_eq!(
        plan["action_groups"],
        json!([
            {"name": "Zebra", "description": null, "kind": {"Functions": {
                "functions": [function("look_up")], "executor": {"Lambda": LAMBDA},
            }}},
            {"name": "Api", "description": "orders", "kind": {"Api": {
                "schema": openapi("listOrders"), "executor": "ReturnControl",
            }}},
            {"name": "UserInputAction", "description": null, "kind": "UserInput"},
        ])
    );
    // What lies in the bucket counts only when it is prepared again.
    world
        .objects
        .put("schemas", "orders.json", openapi("findOrders"));
    assert_eq!(plans(&world).await, [plan]);
    world.prepare(&agent).await;
    assert_eq!(plans(&world).await.len(), 2);
}

#[tokio::test]
async fn operations_of_schemas_in_s3_count_with_the_others_when_strict() {
    let world = World::strict();
    let agent = world.agent("one").await;
    world
        .objects
        .put("schemas", "orders.json", openapi("listOrders"));
    let api = json!({
        "agentId": agent, "agentVersion": "DRAFT", "actionGroupName": "Api",
        "actionGroupExecutor": {"lambda": LAMBDA},
        "apiSchema": {"s3": {"s3BucketName": "schemas", "s3ObjectKey": "orders.json"}},
    });
    world.call::<op::CreateAgentActionGroup>(api).await;
    let functions: Vec<Value> = (0..11).map(|n| function(&format!("f{n}"))).collect();
    let many = with(
        group(&agent, "Many"),
        json!({"functionSchema": {"functions": functions}}),
    );
    world.call::<op::CreateAgentActionGroup>(many).await;
    assert_eq!(
        world
            .refused::<op::PrepareAgent>(json!({"agentId": agent}))
            .await,
        quota("The number of APIs per agent exceeds the limit. Limit: 11.")
    );
}

#[tokio::test]
async fn preparing_what_has_not_changed_makes_no_second_plan() {
    let world = World::relaxed();
    let agent = world.prepared("one").await;
    world.prepare(&agent).await;
    assert_eq!(plans(&world).await.len(), 1);
}

#[tokio::test]
async fn a_schema_that_has_gone_bad_since_leaves_the_agent_as_it_was() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    world
        .objects
        .put("schemas", "orders.json", openapi("listOrders"));
    let api = json!({
        "agentId": agent, "agentVersion": "DRAFT", "actionGroupName": "Api",
        "actionGroupExecutor": {"lambda": LAMBDA},
        "apiSchema": {"s3": {"s3BucketName": "schemas", "s3ObjectKey": "orders.json"}},
    });
    world.call::<op::CreateAgentActionGroup>(api).await;
    world
        .objects
        .put("schemas", "orders.json", &b"\xff\xfe"[..]);
    assert_eq!(
        world
            .refused::<op::PrepareAgent>(json!({"agentId": agent}))
            .await,
        validation(
            "Failed to create OpenAPI 3 model from the JSON/YAML object that you provided for action: Api {APISchemaException=[s3://schemas/orders.json is not UTF-8 text]}"
        )
    );
    assert_eq!(world.get_agent(&agent).await["agentStatus"], "NOT_PREPARED");
}

#[tokio::test]
async fn names_that_clash_only_across_buckets_are_found() {
    let world = World::relaxed();
    let agent = world.agent("one").await;
    // Relaxed, an operationId may hold what separates the parts of a tool's name.
    world.objects.put("schemas", "a.json", openapi("b__list"));
    world.objects.put("schemas", "b.json", openapi("list"));
    for (name, key) in [("a", "a.json"), ("a__b", "b.json")] {
        let api = json!({
            "agentId": agent, "agentVersion": "DRAFT", "actionGroupName": name,
            "actionGroupExecutor": {"lambda": LAMBDA},
            "apiSchema": {"s3": {"s3BucketName": "schemas", "s3ObjectKey": key}},
        });
        world.call::<op::CreateAgentActionGroup>(api).await;
    }
    assert_eq!(
        world
            .refused::<op::PrepareAgent>(json!({"agentId": agent}))
            .await,
        validation("a and a__b would both be called GET__a__b__list. Give them different names.")
    );
}
