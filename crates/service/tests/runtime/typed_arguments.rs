//! The tag that has a group's arguments sent as JSON.

use outcrop_model::control::PrepareAgentRequest;
use outcrop_model::control::ops::{CreateAgentActionGroup, PrepareAgent, TagResource};
use outcrop_model::handle::{CallContext, Handle};
use serde_json::{Value, json};

use crate::bench::{Bench, Say};

async fn tag(bench: &Bench, value: &str) {
    let arn = format!(
        "arn:aws:bedrock:us-west-2:111111111111:agent/{}",
        bench.agent_id
    );
    let tags = json!({"resourceArn": arn, "tags": {"outcrop:typed-arguments": value}});
    bench.control::<TagResource>(tags).await;
}

async fn prepare(bench: &Bench) -> Result<(), String> {
    let context = CallContext {
        request_id: "request".to_owned(),
        account_id: "111111111111".to_owned(),
        region: "us-west-2".to_owned(),
        host: None,
    };
    let input = PrepareAgentRequest {
        agent_id: bench.agent_id.clone(),
    };
    let prepared = Handle::<PrepareAgent>::handle(&bench.service, &context, input).await;
    prepared
        .map(|_| ())
        .map_err(|error| error.message().to_owned())
}

/// What the function is given for the same two arguments.
async fn values(bench: &Bench) -> Value {
    let input = json!({"count": "3", "tags": ["a", {"b": 1}]});
    bench
        .model
        .says([Say::Call("Typed__put", input), Say::Text("<answer>put")]);
    bench.ask(json!({"inputText": "put"})).await;
    let events = bench.actions.events.lock().expect("unpoisoned");
    let event = events.last().expect("an event");
    let parameters = event["parameters"].as_array().expect("a list");
    parameters.iter().map(|one| one["value"].clone()).collect()
}

#[tokio::test]
async fn a_tag_switches_a_group_to_json_with_the_next_preparation() {
    let bench = Bench::new().await;
    let parameters = json!({"count": {"type": "integer"}, "tags": {"type": "array"}});
    bench
        .control::<CreateAgentActionGroup>(json!({
            "agentId": bench.agent_id, "agentVersion": "DRAFT", "actionGroupName": "Typed",
            "actionGroupExecutor": {"lambda": "arn:aws:lambda:us-west-2:111111111111:function:orders"},
            "functionSchema": {"functions": [{"name": "put", "parameters": parameters}]}}))
        .await;
    prepare(&bench).await.expect("is prepared");
    let strings = json!(["3", "[a, {b=1}]"]);
    assert_eq!(values(&bench).await, strings);
    tag(&bench, "Orders Typed").await;
    assert_eq!(values(&bench).await, strings, "not before it is prepared");
    prepare(&bench).await.expect("is prepared");
    assert_eq!(values(&bench).await, json!([3, ["a", {"b": 1}]]));
    tag(&bench, "Orders").await;
    prepare(&bench).await.expect("is prepared");
    assert_eq!(values(&bench).await, strings);
    tag(&bench, "Typd").await;
    assert_eq!(
        prepare(&bench).await,
        Err("The tag outcrop:typed-arguments names Typd, which is no action group of the agent; expected :all or some of Orders, Client, Typed".to_owned())
    );
}
