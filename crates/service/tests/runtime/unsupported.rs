//! Agents that have what no turn can run: kept, prepared, and refused by name when invoked.

use outcrop_model::control::ops::{
    AssociateAgentCollaborator, CreateAgent, CreateAgentAlias, PrepareAgent, UpdateAgent,
};
use outcrop_model::exception::ExceptionKind;
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, Say};

const LAMBDA: &str = "arn:aws:lambda:us-west-2:111111111111:function:orders";
const ROLE: &str = "arn:aws:iam::111111111111:role/AgentRole";

/// Gives the agent these members, and no others beyond the required, and prepares it.
async fn redefine(bench: &Bench, members: Value) {
    let mut input = json!({
        "agentId": bench.agent_id, "agentName": "support-bot", "foundationModel": "anthropic.claude",
        "agentResourceRoleArn": ROLE, "instruction": "You are a helpful customer support assistant.",
    });
    let all = input.as_object_mut().expect("an object");
    all.extend(members.as_object().expect("an object").clone());
    bench.control::<UpdateAgent>(input).await;
    bench
        .control::<PrepareAgent>(json!({"agentId": bench.agent_id}))
        .await;
}

async fn refusal(bench: &Bench) -> String {
    match bench.ask(json!({"inputText": "hi"})).await {
        Answer::Refused(ExceptionKind::Validation, message) => message,
        other => panic!("refused before anything begins, not {other:?}"),
    }
}

#[tokio::test]
async fn what_an_agent_has_and_no_turn_runs_is_named() {
    let bench = Bench::new().await;
    let prompts =
        |prompts: Value| json!({"promptOverrideConfiguration": {"promptConfigurations": prompts}});
    let cases = [
        (
            json!({"orchestrationType": "CUSTOM_ORCHESTRATION",
                "customOrchestration": {"executor": {"lambda": LAMBDA}}}),
            "orchestrationType CUSTOM_ORCHESTRATION is not supported by Outcrop",
        ),
        (
            json!({"guardrailConfiguration": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}}),
            "guardrailConfiguration is not supported by Outcrop",
        ),
        (
            prompts(json!([{"promptType": "PRE_PROCESSING", "promptState": "ENABLED"}])),
            "promptState ENABLED of the PRE_PROCESSING prompt type is not supported by Outcrop",
        ),
        (
            json!({"promptOverrideConfiguration": {"overrideLambda": LAMBDA, "promptConfigurations": [
                {"promptType": "POST_PROCESSING", "promptState": "ENABLED"},
                {"promptType": "ORCHESTRATION", "parserMode": "OVERRIDDEN"}]}}),
            "promptState ENABLED of the POST_PROCESSING prompt type is not supported by Outcrop; parserMode OVERRIDDEN of the ORCHESTRATION prompt type is not supported by Outcrop",
        ),
    ];
    for (members, message) in cases {
        redefine(&bench, members).await;
        assert_eq!(refusal(&bench).await, message);
    }
    // What is switched off, or empty, or only remembered, stands in nobody's way.
    let harmless = json!({
        "guardrailConfiguration": {},
        "memoryConfiguration": {"enabledMemoryTypes": ["SESSION_SUMMARY"]},
        "promptOverrideConfiguration": {"overrideLambda": LAMBDA, "promptConfigurations": [
            {"promptType": "POST_PROCESSING", "promptState": "DISABLED", "parserMode": "OVERRIDDEN"}]},
    });
    redefine(&bench, harmless).await;
    bench.model.says([Say::Text("fine")]);
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert_eq!(answer, Answer::Text("fine".to_owned()));
}

#[tokio::test]
async fn a_supervisor_is_refused_and_its_collaborator_is_not() {
    let bench = Bench::new().await;
    let alias = bench
        .control::<CreateAgentAlias>(json!({"agentId": bench.agent_id, "agentAliasName": "PROD"}))
        .await;
    let lead = bench
        .control::<CreateAgent>(json!({
            "agentName": "lead", "foundationModel": "anthropic.claude", "agentResourceRoleArn": ROLE,
            "instruction": "You lead a team of helpful assistants.", "agentCollaboration": "SUPERVISOR"}))
        .await;
    let lead = &lead["agent"]["agentId"];
    bench
        .control::<AssociateAgentCollaborator>(json!({
            "agentId": lead, "agentVersion": "DRAFT", "collaboratorName": "Support",
            "collaborationInstruction": "Use it for orders.",
            "agentDescriptor": {"aliasArn": alias["agentAlias"]["agentAliasArn"]}}))
        .await;
    bench
        .control::<PrepareAgent>(json!({"agentId": lead}))
        .await;
    let answer = bench.ask(json!({"agentId": lead, "inputText": "hi"})).await;
    assert_eq!(
        answer,
        Answer::Refused(
            ExceptionKind::Validation,
            "agentCollaboration SUPERVISOR is not supported by Outcrop".to_owned()
        )
    );
    bench.model.says([Say::Text("fine")]);
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert_eq!(answer, Answer::Text("fine".to_owned()));
}
