//! Lookups: chosen by the model, answered by response generation, and without any planning.

use outcrop_model::control::ops::{
    AssociateAgentKnowledgeBase, CreateAgent, CreateAgentActionGroup, CreateKnowledgeBase,
    PrepareAgent,
};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::compare::{Meant, Side, differences};
use crate::recording::{Recording, text};

/// What every comparison leaves out.
const MEANT: [Meant; 8] = [
    Meant {
        side: Side::Aws,
        path: "__type",
        reason: "a trace of AWS's own serializer, which SDKs drop",
    },
    Meant {
        side: Side::Aws,
        path: "approximateTime",
        reason: "sent for some weeks in 2025; no SDK knows it",
    },
    Meant {
        side: Side::Aws,
        path: "timeStamp",
        reason: "sent for some weeks in 2025; no SDK knows it",
    },
    Meant {
        side: Side::Aws,
        path: "inferenceConfiguration.",
        reason: "default prompts are Outcrop's own",
    },
    Meant {
        side: Side::Ours,
        path: "inferenceConfiguration.",
        reason: "default prompts are Outcrop's own",
    },
    Meant {
        side: Side::Value,
        path: "inferenceConfiguration.",
        reason: "default prompts are Outcrop's own",
    },
    Meant {
        side: Side::Ours,
        path: "metadata",
        reason: "recorded before AWS sent the times of calls",
    },
    Meant {
        side: Side::Ours,
        path: "foundationModel",
        reason: "recorded before AWS named the model",
    },
];

/// A prepared agent with the recorded knowledge base; with `functions` in the group `group`.
pub(crate) async fn agent(
    bench: &Bench,
    model: &str,
    group: Option<(&str, Value)>,
    more: Value,
) -> (String, String) {
    let mut input = json!({
        "agentName": "recorded", "foundationModel": model,
        "agentResourceRoleArn": "arn:aws:iam::111111111111:role/AgentRole",
        "instruction": "You are an agent of a recording, and you answer what you are asked."});
    let members = input.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    let agent = bench.control::<CreateAgent>(input).await;
    let agent_id = text(&agent["agent"]["agentId"]).to_owned();
    let base = bench
        .control::<CreateKnowledgeBase>(json!({
            "name": "recorded", "roleArn": "arn:aws:iam::111111111111:role/Role",
            "knowledgeBaseConfiguration": {"type": "VECTOR", "vectorKnowledgeBaseConfiguration": {
                "embeddingModelArn": "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0"}},
            "storageConfiguration": {"type": "OPENSEARCH_SERVERLESS", "opensearchServerlessConfiguration": {
                "collectionArn": "arn:aws:aoss:us-west-2:111111111111:collection/abc0123",
                "vectorIndexName": "docs",
                "fieldMapping": {"vectorField": "vector", "textField": "text", "metadataField": "metadata"}}}}))
        .await;
    let base_id = text(&base["knowledgeBase"]["knowledgeBaseId"]).to_owned();
    bench
        .control::<AssociateAgentKnowledgeBase>(json!({
            "agentId": agent_id, "agentVersion": "DRAFT", "knowledgeBaseId": base_id,
            "description": "Everything that was recorded."}))
        .await;
    if let Some((name, functions)) = group {
        bench
            .control::<CreateAgentActionGroup>(json!({
                "agentId": agent_id, "agentVersion": "DRAFT", "actionGroupName": name,
                "actionGroupExecutor": {"lambda": "arn:aws:lambda:us-west-2:111111111111:function:tools"},
                "functionSchema": {"functions": functions}}))
            .await;
    }
    bench
        .control::<PrepareAgent>(json!({"agentId": agent_id}))
        .await;
    (agent_id, base_id)
}

/// The recorded booking function.
pub(crate) fn booking() -> (&'static str, Value) {
    let parameters = [
        ("date", "string"),
        ("hour", "string"),
        ("name", "string"),
        ("num_guests", "integer"),
    ];
    let parameters: serde_json::Map<String, Value> = parameters
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), json!({"type": kind, "required": true})))
        .collect();
    let functions = json!([{"name": "create_booking", "parameters": parameters}]);
    ("TableBookingsActionGroup", functions)
}

/// The recording with our knowledge base's id in the names of tools.
pub(crate) fn renamed(recording: &Recording, base_id: &str) -> Recording {
    let recorded = recording.knowledge_base().to_owned();
    let events = serde_json::to_string(&recording.events).expect("JSON");
    let events = events.replace(&recorded, base_id);
    Recording {
        name: recording.name,
        events: serde_json::from_str(&events).expect("JSON"),
    }
}

/// The recording, a bench, and an agent with the booking function. The id of the knowledge base is part
/// of a tool's name; the ids that a bench draws are always the same.
pub(crate) async fn prepared(
    recording: &Recording,
    model: &str,
    more: Value,
) -> (Recording, Bench, String) {
    let scout = Bench::of(recording);
    let (_, base_id) = agent(&scout, model, Some(booking()), more.clone()).await;
    let recording = renamed(recording, &base_id);
    let bench = Bench::of(&recording);
    let (agent_id, _) = agent(&bench, model, Some(booking()), more).await;
    (recording, bench, agent_id)
}

pub(crate) fn judge(recording: &Recording, ours: &[(String, Value)], more: &[Meant]) {
    let meant: Vec<Meant> = more.iter().chain(&MEANT).copied().collect();
    let (found, met) = differences(&recording.events, ours, &meant);
    assert!(
        found.is_empty(),
        "{}:\n{}",
        recording.name,
        found.join("\n")
    );
    // What is said to differ in this recording alone does differ.
    let unmet: Vec<&str> = more
        .iter()
        .map(|one| one.reason)
        .filter(|reason| !met.contains(reason))
        .collect();
    assert!(unmet.is_empty(), "{}: {unmet:?}", recording.name);
    keep(recording.name, ours);
}

/// Leaves the events for the end-to-end tests, which look at them as a client's instrumentation does.
fn keep(name: &str, events: &[(String, Value)]) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorded");
    std::fs::create_dir_all(&folder).expect("a folder of cargo's");
    let lines: Vec<String> = events
        .iter()
        .map(|(kind, payload)| json!({"event": kind, "payload": payload}).to_string())
        .collect();
    std::fs::write(folder.join(format!("{name}.jsonl")), lines.join("\n")).expect("written");
}

#[tokio::test]
async fn the_model_searches() {
    let Some(recording) = Recording::open("oi-hist-kb-with-orchestration") else {
        return;
    };
    let model = "anthropic.claude-3-5-sonnet-20240620-v1:0";
    // A tool, so that the model is asked at all; the recorded call is the knowledge base's.
    let (recording, bench, agent_id) = prepared(&recording, model, json!({})).await;
    let ours = bench.turn(&agent_id, "What is task decomposition?").await;
    judge(&recording, &ours, &[]);
}

#[tokio::test]
async fn one_knowledge_base_and_nothing_else() {
    let Some(recording) = Recording::open("oi-py-kb-single-shortcut") else {
        return;
    };
    let bench = Bench::of(&recording);
    let (agent_id, base_id) = agent(
        &bench,
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        None,
        json!({}),
    )
    .await;
    let ours = bench.turn(&agent_id, "What is task decomposition?").await;
    judge(&recording, &ours, &[]);
    let calls = bench.searches.calls.lock().expect("unpoisoned");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].knowledge_base_id, base_id);
    assert_eq!(calls[0].query, "What is task decomposition?");
}

#[tokio::test]
async fn a_found_answer_is_written_first() {
    let Some(recording) = Recording::open("nb-custom-orchestration-example-1dda33-c25") else {
        return;
    };
    let model = "anthropic.claude-3-5-sonnet-20241022-v2:0";
    let template =
        "Answer $query$ from these results alone, and say which ones you used:\n$search_results$";
    let overridden = json!({"promptOverrideConfiguration": {"promptConfigurations": [
        {"promptType": "KNOWLEDGE_BASE_RESPONSE_GENERATION", "promptCreationMode": "OVERRIDDEN",
         "promptState": "ENABLED", "parserMode": "DEFAULT", "basePromptTemplate": template,
         "inferenceConfiguration": {"maximumLength": 2048, "stopSequences": ["\n\nHuman:"],
            "temperature": 0.0, "topK": 250, "topP": 1.0}}]}});
    let (recording, bench, agent_id) = prepared(&recording, model, overridden).await;
    let ours = bench.turn(&agent_id, "What do you serve for dinner?").await;
    let meant = [
        Meant {
            side: Side::Ours,
            path: "modelInvocationInput.promptCreationMode",
            reason: "in the loop an answer is generated only where the user has written the prompt for it",
        },
        Meant {
            side: Side::Ours,
            path: "attribution",
            reason: "the notebook printed the answer's text alone",
        },
    ];
    judge(&recording, &ours, &meant);
}

#[tokio::test]
async fn nova_plans_with_what_was_searched_first() {
    let Some(recording) =
        Recording::open("nb-04-create-agent-with-single-knowledge-base-6f946a-c55")
    else {
        return;
    };
    let model = "amazon.nova-pro-v1:0";
    let scout = Bench::of(&recording);
    let (_, base_id) = agent(&scout, model, None, json!({})).await;
    let recording = renamed(&recording, &base_id);
    let bench = Bench::of(&recording);
    let (agent_id, _) = agent(&bench, model, None, json!({})).await;
    let question = "How can I evaluate models on Bedrock?";
    let ours = bench.turn(&agent_id, question).await;
    judge(&recording, &ours, &[]);
    let calls = bench.searches.calls.lock().expect("unpoisoned");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].query, question);
}
