//! The sentences, against those AWS has been seen to write.

use outcrop_model::{control, runtime};
use serde_json::json;

use super::*;

fn message(
    service: &'static outcrop_model::operation::ServiceSpec,
    shape: &str,
    input: &Value,
) -> String {
    let schema = Schema::new(service);
    match validate(&schema, schema.id(shape), input) {
        Ok(()) => String::new(),
        Err(violations) => violations.to_string(),
    }
}

#[test]
fn says_what_aws_says() {
    let control = &control::tables::SERVICE;
    let runtime = &runtime::tables::SERVICE;
    for (service, shape, input, expected) in [
        (
            control,
            "DeleteAgentAliasRequest",
            json!({"agentId": "ABCDEFGHIJ", "agentAliasId": "TSTALIASID"}),
            r"1 validation error detected: Value 'TSTALIASID' at 'agentAliasId' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!\bTSTALIASID\b)[0-9a-zA-Z]+",
        ),
        (
            runtime,
            "GetAgentMemoryRequest",
            json!({"agentId": "BAUJICP7L10", "agentAliasId": "TSTALIASID", "memoryId": "user-1", "memoryType": "SESSION_SUMMARY"}),
            "1 validation error detected: Value 'BAUJICP7L10' at 'agentId' failed to satisfy constraint: Member must have length less than or equal to 10",
        ),
        (
            control,
            "ListAgentsRequest",
            json!({"maxResults": 0}),
            "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            control,
            "CreateAgentRequest",
            json!({"agentCollaboration": "ENABLED"}),
            "2 validation errors detected: Value 'ENABLED' at 'agentCollaboration' failed to satisfy constraint: Member must satisfy enum value set: [SUPERVISOR_ROUTER, SUPERVISOR, DISABLED]; Value null at 'agentName' failed to satisfy constraint: Member must not be null",
        ),
        (
            control,
            "CreateAgentRequest",
            json!({"agentName": "a", "instruction": "too short"}),
            "1 validation error detected: Value at 'instruction' failed to satisfy constraint: Member must have length greater than or equal to 40",
        ),
        (
            control,
            "CreateAgentRequest",
            json!({"agentName": "a", "instruction": "i".repeat(20_000)}),
            "",
        ),
        (
            control,
            "GetAgentRequest",
            json!({"agentId": "TOO-SHORT"}),
            "1 validation error detected: Value 'TOO-SHORT' at 'agentId' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9a-zA-Z]{10}",
        ),
    ] {
        assert_eq!(message(service, shape, &input), expected, "{shape}");
    }
}

#[test]
fn names_the_way_to_nested_members() {
    let input = json!({
        "actionGroupName": "orders",
        "agentId": "ABCDEFGHIJ",
        "agentVersion": "DRAFT",
        "functionSchema": {"functions": [
            {"name": "get_order", "parameters": {"order_id": {"type": "text"}}},
            {"name": "bad name"}
        ]}
    });
    assert_eq!(
        message(
            &control::tables::SERVICE,
            "CreateAgentActionGroupRequest",
            &input
        ),
        "2 validation errors detected: Value 'text' at 'functionSchema.functions.1.member.parameters.order_id.member.type' failed to satisfy constraint: Member must satisfy enum value set: [string, number, integer, boolean, array]; Value 'bad name' at 'functionSchema.functions.2.member.name' failed to satisfy constraint: Member must satisfy regular expression pattern: ([0-9a-zA-Z][_-]?){1,100}"
    );
}

#[test]
fn lists_all_constraints_of_scalar_elements() {
    let input = json!({
        "resourceArn": "arn:aws:bedrock:us-west-2:111111111111:agent/EITYAHSOCJ",
        "tagKeys": ["ok", "semi;colon"]
    });
    assert_eq!(
        message(&control::tables::SERVICE, "UntagResourceRequest", &input),
        r"1 validation error detected: Value '[ok, semi;colon]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [a-zA-Z0-9\s._:/=+@-]*]"
    );
    let input = json!({
        "resourceArn": "arn:aws:bedrock:us-west-2:111111111111:agent/EITYAHSOCJ",
        "tags": {"a;b": "c"}
    });
    let message = message(&control::tables::SERVICE, "TagResourceRequest", &input);
    assert!(
        message.starts_with("1 validation error detected: Value '{a;b=c}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: ["),
        "{message}"
    );
}

#[test]
fn bounds_the_message() {
    let keys: Vec<_> = (0..200)
        .map(|n| json!({"name": format!("bad name {n}")}))
        .collect();
    let input = json!({
        "actionGroupName": "x".repeat(5_000),
        "agentId": "ABCDEFGHIJ",
        "agentVersion": "DRAFT",
        "functionSchema": {"functions": keys}
    });
    let message = message(
        &control::tables::SERVICE,
        "CreateAgentActionGroupRequest",
        &input,
    );
    assert!(
        message.starts_with("50 validation errors detected: "),
        "{message}"
    );
    assert!(message.contains(&format!("'{}...' at", "x".repeat(1_024))));
    assert!(message.len() < 20_000);
}
