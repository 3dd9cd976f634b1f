//! Turns that a function plans for: the patterns of AWS's samples.
//!
//! The functions here keep nothing, as AWS's do: each call sees its event alone. So what they do also
//! shows that the event says enough.

mod ways;

use std::sync::Arc;

use expect_test::expect;
use outcrop_engine::definition::AgentDefinition;
use outcrop_engine::orchestration::{
    ActionResult, Budget, Effect, EventKind, FunctionReturned, Phase,
};
use outcrop_engine::plan::AgentPlan;
use outcrop_model::converse::StopReason;
use outcrop_model::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Bench, call, lambda_reply, lines, plan_of, text};

const PLANNER: &str = "arn:aws:lambda:us-west-2:111111111111:function:planner";

/// The agent of the other tests, planned for by a function.
fn orchestrated_plan() -> Arc<AgentPlan> {
    plan_of(orchestrate)
}

fn orchestrate(definition: &mut AgentDefinition) {
    definition.orchestrator_lambda = Some(PLANNER.to_owned());
}

/// What the function is called with.
fn event(effects: &[Effect]) -> Value {
    let pending = effects.iter().find_map(|effect| match effect {
        Effect::CallOrchestrator(pending) => Some(pending),
        _ => None,
    });
    let pending = pending.expect("the function is called");
    assert_eq!(pending.function, PLANNER);
    serde_json::from_slice(&pending.event).expect("JSON")
}

fn decided(bench: &mut Bench, payload: &str) -> Vec<Effect> {
    returned(
        bench,
        ActionResult::Replied {
            payload: payload.to_owned(),
            function_error: None,
            log_tail: None,
            request_id: None,
        },
    )
}

fn returned(bench: &mut Bench, result: ActionResult) -> Vec<Effect> {
    let at = Timestamp::from_nanos(1);
    bench.feed(EventKind::OrchestratorReplied(Box::new(FunctionReturned {
        started_at: at,
        ended_at: at,
        invocation_id: "decision-uuid".to_owned(),
        result,
    })))
}

fn reply(event: &str, text: impl Into<Value>) -> String {
    json!({"version": "1.0", "actionEvent": event, "output": {"text": text.into()}}).to_string()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the JSON is written where it is given"
)]
fn tool(id: &str, name: &str, input: Value) -> String {
    let tool_use = json!({"toolUse": {"toolUseId": id, "name": name, "input": input}});
    reply("INVOKE_TOOL", tool_use.to_string())
}

fn begin(plan: Arc<AgentPlan>) -> Bench {
    let mut bench = Bench::new(plan, Vec::new());
    bench.start("Where is A-482?", Budget::default());
    bench
}

/// The messages as AWS's samples put them together: of the steps of all turns, then the input.
fn messages(event: &Value) -> Vec<Value> {
    let json = |text: &Value| -> Value {
        serde_json::from_str(text.as_str().expect("text")).expect("JSON text")
    };
    let mut messages = Vec::new();
    for turn in event["context"]["session"].as_array().expect("turns") {
        for step in turn["intermediarySteps"].as_array().expect("steps") {
            let (input, output) = (&step["orchestrationInput"], &step["orchestrationOutput"]);
            match input["state"].as_str().expect("a state") {
                "MODEL_INVOKED" => messages.push(json(&input["text"])["output"].clone()),
                "START" | "TOOL_INVOKED" => {
                    messages.push(json!({"role": "user", "content": [json(&input["text"])]}));
                }
                _ => {}
            }
            if output["event"] == "INVOKE_TOOL" {
                let block = json(&output["text"]);
                match messages.last_mut() {
                    Some(last) if last["role"] == "assistant" => {
                        let said = last["content"].as_array_mut().expect("blocks");
                        if !said.contains(&block) {
                            said.push(block);
                        }
                    }
                    _ => messages.push(json!({"role": "assistant", "content": [block]})),
                }
            }
        }
    }
    messages.push(json!({"role": "user", "content": [json(&event["input"]["text"])]}));
    messages
}

fn ask_model(event: &Value) -> Value {
    let agent = &event["context"]["agentConfiguration"];
    let request = json!({
        "modelId": agent["defaultModelId"],
        "system": [{"text": agent["instruction"]}],
        "messages": messages(event),
        "inferenceConfig": {"maxTokens": 500, "temperature": 0.7, "topP": 0.9},
        "toolConfig": {"tools": agent["tools"]},
    });
    Value::from(request.to_string())
}

/// Thinks and acts by turns: what the model asks for is done, what it says is the answer.
fn react(event: &Value) -> Value {
    let (decision, text) = match event["state"].as_str().expect("a state") {
        "MODEL_INVOKED" => {
            let given = event["input"]["text"].as_str().expect("text");
            let given: Value = serde_json::from_str(given).expect("JSON text");
            let blocks = given["output"]["content"].as_array().expect("blocks");
            if given["stopReason"] == "tool_use" {
                let tool_use = blocks.iter().find(|block| !block["toolUse"].is_null());
                (
                    "INVOKE_TOOL",
                    Value::from(tool_use.expect("a tool use").to_string()),
                )
            } else {
                ("FINISH", blocks[0]["text"].clone())
            }
        }
        _ => ("INVOKE_MODEL", ask_model(event)),
    };
    json!({
        "version": "1.0",
        "actionEvent": decision,
        "output": {"text": text, "trace": {"event": {"text": format!("after {}", event["state"].as_str().expect("a state"))}}},
        "context": {"sessionAttributes": event["context"]["sessionAttributes"],
                    "promptSessionAttributes": event["context"]["promptSessionAttributes"]},
    })
}

fn step(bench: &mut Bench, effects: &[Effect], function: fn(&Value) -> Value) -> Vec<Effect> {
    decided(bench, &function(&event(effects)).to_string())
}

#[test]
fn think_and_act() {
    let mut bench = Bench::new(orchestrated_plan(), Vec::new());
    let effects = bench.start("Where is A-482?", Budget::default());
    let mut out = lines(&effects);
    let effects = step(&mut bench, &effects, react);
    out += &lines(&effects);
    let effects = bench.reply_for(
        StopReason::ToolUse,
        vec![
            text("I look it up."),
            call("t1", "Orders__status", json!({"order_id": "A-482"})),
        ],
    );
    out += &lines(&effects);
    let effects = step(&mut bench, &effects, react);
    out += &lines(&effects);
    let effects = bench.returned(0, &lambda_reply("status", "shipped"), None);
    out += &lines(&effects);
    let effects = step(&mut bench, &effects, react);
    out += &lines(&effects);
    let effects = bench.reply(vec![text("It has shipped.")]);
    out += &lines(&effects);
    let effects = step(&mut bench, &effects, react);
    out += &lines(&effects);
    expect![[r#"
        ask planner [run/orchestrator/1]: START {"text":"Where is A-482?"}
        trace: {"customOrchestrationTrace":{"event":{"text":"after START"},"traceId":"req-1-0"}}
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-0","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?"
        trace: {"orchestrationTrace":{"rationale":{"text":"I look it up.","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        ask planner [run/orchestrator/2]: MODEL_INVOKED {"stopReason":"tool_use","output":{"content":[{"text":"I look it up."},{"toolUse":{"input":{"order_id":"A-482"},"name":"Orders__status","toolUseId":"t1"}}],"role":"assistant"}}
        trace: {"customOrchestrationTrace":{"event":{"text":"after MODEL_INVOKED"},"traceId":"req-1-1"}}
        call action 0 [run/orchestrator-2/0]: "status" [{"name":"order_id","type":"string","value":"A-482"}]
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"LAMBDA","function":"status","parameters":[{"name":"order_id","type":"string","value":"A-482"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-1"}}}
        trace: {"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"shipped"},"traceId":"req-1-1","type":"ACTION_GROUP"}}}
        ask planner [run/orchestrator/3]: TOOL_INVOKED {"toolResult":{"content":[{"text":"shipped"}],"status":"success","toolUseId":"t1"}}
        trace: {"customOrchestrationTrace":{"event":{"text":"after TOOL_INVOKED"},"traceId":"req-1-2"}}
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-2","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant "I look it up." + use t1 | user result t1 "success" "shipped"
        trace: {"orchestrationTrace":{"rationale":{"text":"It has shipped.","traceId":"req-1-2"}}}
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-2"}}}
        ask planner [run/orchestrator/4]: MODEL_INVOKED {"stopReason":"end_turn","output":{"content":[{"text":"It has shipped."}],"role":"assistant"}}
        trace: {"customOrchestrationTrace":{"event":{"text":"after MODEL_INVOKED"},"traceId":"req-1-3"}}
        chunk: It has shipped.
        finish: Completed
    "#]].assert_eq(&out);
    assert_eq!(bench.run.phase(), Phase::Finished);
}

#[test]
fn a_second_turn_is_shown_the_first() {
    let mut bench = begin(orchestrated_plan());
    decided(
        &mut bench,
        &tool("r1", "Orders__status", json!({"order_id": "A"})),
    );
    bench.returned(0, &lambda_reply("status", "shipped"), None);
    decided(&mut bench, &reply("FINISH", "Shipped."));
    let mut next = Bench::new(orchestrated_plan(), bench.run.conversation());
    let effects = next.start("And B?", Budget::default());
    let session = &event(&effects)["context"]["session"];
    let shape: Vec<String> = session
        .as_array()
        .expect("turns")
        .iter()
        .map(|turn| {
            let steps = turn["intermediarySteps"].as_array().expect("steps");
            let steps: Vec<String> = steps
                .iter()
                .map(|step| {
                    let state = step["orchestrationInput"]["state"].as_str();
                    let event = step["orchestrationOutput"]["event"].as_str();
                    format!("{} {}", state.unwrap_or("-"), event.unwrap_or("-"))
                })
                .collect();
            format!(
                "{} / {}: {}",
                turn["agentInput"],
                turn["agentOutput"],
                steps.join(", ")
            )
        })
        .collect();
    assert_eq!(
        shape,
        [
            r#""Where is A-482?" / "Shipped.": START INVOKE_TOOL, TOOL_INVOKED FINISH"#,
            r#""And B?" / "": "#,
        ]
    );
}

/// Makes a plan first, then does it step by step, then sums up. What is left of the plan travels in a
/// session attribute.
fn plan_first(event: &Value) -> Value {
    let given: Value =
        serde_json::from_str(event["input"]["text"].as_str().expect("text")).expect("JSON text");
    let state = event["state"].as_str().expect("a state");
    let rest = match state {
        "MODEL_INVOKED" => given["output"]["content"][0]["text"].as_str(),
        _ => event["context"]["sessionAttributes"]["rest"].as_str(),
    };
    let (decision, text, rest) = match (state, rest.unwrap_or_default()) {
        ("START", _) => ("INVOKE_MODEL", ask_model(event), String::new()),
        ("TOOL_INVOKED", "") => ("INVOKE_MODEL", ask_model(event), "done".to_owned()),
        (_, sum) if event["context"]["sessionAttributes"]["rest"] == "done" => {
            ("FINISH", Value::from(sum), String::new())
        }
        (_, orders) => {
            let (order, rest) = orders.split_once(' ').unwrap_or((orders, ""));
            let block = json!({"toolUse": {"toolUseId": format!("plan-{order}"),
                "name": "Orders__status", "input": {"order_id": order}}});
            (
                "INVOKE_TOOL",
                Value::from(block.to_string()),
                rest.to_owned(),
            )
        }
    };
    json!({
        "version": "1.0",
        "actionEvent": decision,
        "output": {"text": text, "trace": {"event": {"text": state}}},
        "context": {"sessionAttributes": {"rest": rest}},
    })
}

/// Kinds and id suffixes of what the client sees.
fn seen(effects: &[Effect]) -> Vec<String> {
    let mut seen = Vec::new();
    for effect in effects {
        let Effect::Emit(emission) = effect else {
            continue;
        };
        let outcrop_engine::orchestration::Emission::Trace { trace, .. } = emission else {
            seen.push("chunk".to_owned());
            continue;
        };
        let json = serde_json::to_value(trace).expect("JSON");
        let (kind, part) = json
            .as_object()
            .and_then(|json| json.iter().next())
            .expect("one");
        let (kind, part) = match kind.as_str() {
            "orchestrationTrace" => part
                .as_object()
                .and_then(|part| part.iter().next())
                .expect("one"),
            _ => (kind, part),
        };
        let id = part["traceId"].as_str().expect("an id");
        let suffix = id.rsplit_once('-').map_or("", |(_, suffix)| suffix);
        seen.push(format!("{kind} {suffix}"));
    }
    seen
}

#[test]
fn tools_that_the_model_never_asked_for_are_called_one_by_one() {
    let mut bench = Bench::new(orchestrated_plan(), Vec::new());
    let mut all = bench.start("Where are A and B?", Budget::default());
    let mut next = step(&mut bench, &all.clone(), plan_first);
    let mut turn = |effects: Vec<Effect>| all.extend(effects);
    turn(next);
    next = bench.reply(vec![text("A B")]);
    turn(next.clone());
    for (order, answer) in [("A", "shipped"), ("B", "lost")] {
        next = step(&mut bench, &next, plan_first);
        assert!(
            lines(&next).contains(&format!("\"value\":\"{order}\"")),
            "{next:?}"
        );
        turn(next);
        next = bench.returned(0, &lambda_reply("status", answer), None);
        turn(next.clone());
    }
    next = step(&mut bench, &next, plan_first);
    assert!(
        lines(&next).contains(r#"assistant "A B" + use plan-A | user result plan-A "success" "shipped" | assistant use plan-B | user result plan-B "success" "lost""#),
        "{}",
        lines(&next)
    );
    turn(next);
    next = bench.reply(vec![text("A is shipped, B is lost.")]);
    turn(next.clone());
    next = step(&mut bench, &next, plan_first);
    turn(next);
    // The order of AWS's recording nb-custom-orchestration-example-1dda33-c38.
    assert_eq!(
        seen(&all),
        [
            "customOrchestrationTrace 0",
            "modelInvocationInput 0",
            "rationale 0",
            "modelInvocationOutput 0",
            "customOrchestrationTrace 1",
            "invocationInput 1",
            "observation 1",
            "customOrchestrationTrace 2",
            "invocationInput 2",
            "observation 2",
            "customOrchestrationTrace 3",
            "modelInvocationInput 3",
            "rationale 3",
            "modelInvocationOutput 3",
            "customOrchestrationTrace 4",
            "chunk",
        ]
    );
    let keys: Vec<&str> = all
        .iter()
        .filter_map(|effect| match effect {
            Effect::CallAction(pending) => Some(pending.idempotency_key.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1], "each call has a key of its own");
}
