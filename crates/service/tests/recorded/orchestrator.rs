//! A function that plans for the agent: it lets a model write a plan, carries it out call by call, and
//! lets the model put the results into words.

use serde_json::{Value, json};

use crate::compare::{Meant, Side};
use crate::knowledge_bases::{judge, prepared};
use crate::recording::{Recording, text};

const PLANNER: &str = "arn:aws:lambda:us-west-2:111111111111:function:planner";

const MEANT: [Meant; 3] = [
    Meant {
        side: Side::Ours,
        path: "callerChain",
        reason: "the recording has it on tool parts alone; ours has it on every part",
    },
    Meant {
        side: Side::Ours,
        path: "eventTime",
        reason: "the recording has it on tool parts alone; ours has it on every part",
    },
    Meant {
        side: Side::Ours,
        path: "metadata",
        reason: "AWS shows no times of calls here",
    },
];

/// What the recorded function must have replied, turn by turn.
fn replies(recording: &Recording) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for (kind, payload) in &recording.events {
        let trace = &payload["trace"];
        if let Some(said) = trace["customOrchestrationTrace"]["event"]["text"].as_str() {
            found.push(json!({"version": "1.0", "actionEvent": "FINISH",
                "output": {"text": "", "trace": {"event": {"text": said}}},
                "context": {"sessionAttributes": {}, "promptSessionAttributes": {}}}));
            continue;
        }
        let (event, output) = if kind == "chunk" {
            ("FINISH", finished(payload))
        } else if let Some(asked) = trace["orchestrationTrace"].get("modelInvocationInput") {
            ("INVOKE_MODEL", asking(asked))
        } else if let Some(called) = trace["orchestrationTrace"].get("invocationInput") {
            ("INVOKE_TOOL", calling(called))
        } else {
            continue;
        };
        let reply = found
            .last_mut()
            .expect("a trace of the function comes first");
        reply["actionEvent"] = json!(event);
        reply["output"]["text"] = json!(output);
    }
    found
}

fn asking(asked: &Value) -> String {
    let mut request: Value =
        serde_json::from_str(text(&asked["text"])).expect("a Converse request");
    let inference = &asked["inferenceConfiguration"];
    request["modelId"] = asked["foundationModel"].clone();
    request["inferenceConfig"] = json!({"maxTokens": inference["maximumLength"],
        "temperature": inference["temperature"], "topP": 0.9});
    request.to_string()
}

fn calling(called: &Value) -> String {
    let (name, input) = if let Some(lookup) = called.get("knowledgeBaseLookupInput") {
        let id = text(&lookup["knowledgeBaseId"]);
        let name = format!("GET__x_amz_knowledgebase_{id}__Search");
        (name, json!({"searchQuery": lookup["text"]}))
    } else {
        let call = &called["actionGroupInvocationInput"];
        let name = format!(
            "{}__{}",
            text(&call["actionGroupName"]),
            text(&call["function"])
        );
        let parameters = call["parameters"].as_array().expect("a list");
        let input: serde_json::Map<String, Value> = parameters
            .iter()
            .map(|one| (text(&one["name"]).to_owned(), one["value"].clone()))
            .collect();
        (name, Value::Object(input))
    };
    json!({"toolUse": {"toolUseId": "planned", "name": name, "input": input}}).to_string()
}

/// The notebook printed the answer twice.
fn finished(payload: &Value) -> String {
    let logged = text(&payload["bytes_decoded_from_log"]);
    let (first, _) = logged.split_once("\n\n").expect("printed twice");
    first.to_owned()
}

#[tokio::test]
async fn a_function_plans() {
    let Some(recording) = Recording::open("nb-custom-orchestration-example-1dda33-c38") else {
        return;
    };
    let more = json!({"orchestrationType": "CUSTOM_ORCHESTRATION",
        "customOrchestration": {"executor": {"lambda": PLANNER}}});
    let model = "anthropic.claude-3-5-sonnet-20241022-v2:0";
    let (recording, bench, agent_id) = prepared(&recording, model, more).await;
    bench
        .functions
        .replies
        .lock()
        .expect("unpoisoned")
        .extend(replies(&recording));
    let ours = bench.turn(&agent_id, "What do you serve for dinner?").await;
    judge(&recording, &ours, &MEANT);

    let events = bench.functions.events.lock().expect("unpoisoned");
    let states: Vec<&str> = events.iter().map(|event| text(&event["state"])).collect();
    // The booking's own event has no state.
    assert_eq!(
        states,
        [
            "START",
            "MODEL_INVOKED",
            "TOOL_INVOKED",
            "",
            "TOOL_INVOKED",
            "MODEL_INVOKED"
        ]
    );
    let booked = &events[3]["parameters"];
    let booked: Vec<&str> = booked
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| text(&one["name"]))
        .collect();
    assert_eq!(booked, ["date", "hour", "name", "num_guests"]);
}
