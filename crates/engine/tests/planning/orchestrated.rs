//! Turns that a function plans for: the patterns of AWS's samples, and what may go wrong.
//!
//! The functions here keep nothing, as AWS's do: each call sees its event alone. So what they do also
//! shows that the event says enough.

use std::sync::Arc;

use expect_test::expect;
use outcrop_engine::definition::{AgentDefinition, KnowledgeBaseDefinition};
use outcrop_engine::orchestration::{
    ActionResult, Budget, CancelCause, Conversation, Effect, EventKind, FunctionReturned,
    GuardrailAssessed, Phase, Retrieved, ReturnedResult, ReturnedTarget, Run,
};
use outcrop_engine::orchestrator::{CALLS_MAX, OWN_STATES_MAX, STREAM_ANSWER_TOOL};
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::port::{ActionError, Assessment, GuardrailError, GuardrailSource};
use outcrop_model::control::GuardrailConfiguration;
use outcrop_model::converse::StopReason;
use outcrop_model::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Bench, call, lambda_reply, lines, plan_of, text};

const PLANNER: &str = "arn:aws:lambda:us-west-2:111111111111:function:planner";

/// The agent of the other tests, planned for by a function.
pub(crate) fn orchestrated_plan() -> Arc<AgentPlan> {
    plan_of(orchestrate)
}

fn orchestrate(definition: &mut AgentDefinition) {
    definition.orchestrator_lambda = Some(PLANNER.to_owned());
}

fn guarded_plan() -> Arc<AgentPlan> {
    plan_of(|definition| {
        orchestrate(definition);
        definition.guardrail = Some(GuardrailConfiguration {
            guardrail_identifier: Some("g-1".to_owned()),
            guardrail_version: Some("3".to_owned()),
        });
    })
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
                "START" => {
                    messages.push(json!({"role": "user", "content": [json(&input["text"])]}))
                }
                "MODEL_INVOKED" => messages.push(json(&input["text"])["output"].clone()),
                "TOOL_INVOKED" => {
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

#[test]
fn what_the_model_may_get_wrong_goes_back_as_a_result() {
    let mut bench = begin(orchestrated_plan());
    let effects = decided(&mut bench, &tool("t1", "Orders__nothing", json!({})));
    let told = event(&effects)["input"]["text"].to_string();
    assert!(
        told.contains("There is no function named Orders__nothing."),
        "{told}"
    );
    assert!(told.contains(r#"\"status\":\"error\""#), "{told}");
    let effects = decided(&mut bench, &tool("t2", "Orders__status", json!("{broken")));
    let told = event(&effects)["input"]["text"].to_string();
    assert!(told.contains("must be a JSON object"), "{told}");
    assert_eq!(event(&effects)["state"], "TOOL_INVOKED");
}

#[test]
fn pieces_of_the_answer_go_out_at_once() {
    let piece = |id: &str, text: &str| tool(id, STREAM_ANSWER_TOOL, json!({"text": text}));
    let mut bench = begin(orchestrated_plan());
    let effects = decided(&mut bench, &piece("p1", "It has "));
    assert_eq!(lines(&effects).lines().next(), Some("chunk: It has "));
    assert_eq!(event(&effects)["state"], "TOOL_INVOKED");
    let effects = lines(&decided(&mut bench, &reply("FINISH", "shipped.")));
    assert_eq!(effects, "chunk: shipped.\nfinish: Completed\n");
    let turn = bench.run.conversation();
    assert_eq!(turn.orchestrated[0].agent_output, "It has shipped.");

    let mut streamed = begin(orchestrated_plan());
    let whole = [
        piece("p1", "It "),
        piece("p2", "has "),
        piece("p3", "shipped."),
    ]
    .concat();
    let effects = lines(&decided(&mut streamed, &whole));
    assert_eq!(
        effects,
        "chunk: It \nchunk: has \nchunk: shipped.\nfinish: Completed\n"
    );
}

#[test]
fn a_state_of_its_own_comes_back_and_has_a_bound() {
    let mut bench = begin(orchestrated_plan());
    let mut effects = decided(&mut bench, &reply("VERIFY", "look again"));
    assert_eq!(event(&effects)["state"], "VERIFY");
    assert_eq!(event(&effects)["input"]["text"], "look again");
    for _ in 1..OWN_STATES_MAX {
        effects = decided(&mut bench, &reply("VERIFY", ""));
        event(&effects);
    }
    effects = decided(&mut bench, &reply("VERIFY", ""));
    assert!(
        lines(&effects).contains(
            "Cause: actionEvent: expected at most 25 states of its own in a row, got VERIFY"
        ),
        "{}",
        lines(&effects)
    );
    // Anything else in between begins the count anew.
    let mut bench = begin(orchestrated_plan());
    for _ in 0..2 * OWN_STATES_MAX {
        event(&decided(&mut bench, &reply("VERIFY", "")));
        event(&decided(
            &mut bench,
            &tool("p", STREAM_ANSWER_TOOL, json!({"text": ""})),
        ));
    }
}

#[test]
fn a_function_that_never_finishes_is_stopped() {
    let mut bench = begin(orchestrated_plan());
    let piece = tool("p", STREAM_ANSWER_TOOL, json!({"text": ""}));
    for _ in 1..CALLS_MAX {
        event(&decided(&mut bench, &piece));
    }
    let effects = lines(&decided(&mut bench, &piece));
    assert!(
        effects.contains("expected FINISH within 500 calls"),
        "{effects}"
    );
    assert_eq!(bench.run.phase(), Phase::Finished);
}

#[test]
fn faults_of_the_function_end_the_turn_in_the_words_of_aws() {
    let mut bench = begin(orchestrated_plan());
    let effects = lines(&decided(&mut bench, "{\"actionEvent\": 5}"));
    assert!(
        effects.contains("finish: DependencyFailed The server encountered an error processing the Lambda response. Check the Lambda response and retry the request Cause: actionEvent: expected INVOKE_MODEL, INVOKE_TOOL, APPLY_GUARDRAIL, FINISH or a state of your own, got 5"),
        "{effects}"
    );
    let mut bench = begin(orchestrated_plan());
    let effects = lines(&returned(
        &mut bench,
        ActionResult::Replied {
            payload: json!({"errorType": "KeyError", "errorMessage": "state"}).to_string(),
            function_error: Some("Unhandled".to_owned()),
            log_tail: Some("Traceback".to_owned()),
            request_id: None,
        },
    ));
    assert!(
        effects.contains(&format!("Lambda function {PLANNER} encountered a problem")),
        "{effects}"
    );
    assert!(
        effects.contains("KeyError: state Log tail: Traceback"),
        "{effects}"
    );
    let mut bench = begin(orchestrated_plan());
    let effects = lines(&returned(
        &mut bench,
        ActionResult::Error(ActionError::NotFound {
            function: PLANNER.to_owned(),
            detail: "add it".to_owned(),
        }),
    ));
    assert!(effects.contains("finish: DependencyFailed"), "{effects}");
}

#[test]
fn a_guardrail_judges_when_it_is_asked_to_and_not_before() {
    let mut bench = Bench::new(guarded_plan(), Vec::new());
    let effects = bench.start("Where is A-482?", Budget::default());
    assert_eq!(
        event(&effects)["context"]["agentConfiguration"]["guardrails"],
        json!({"version": "3", "identifier": "g-1"})
    );
    let ask = json!({"source": "INPUT", "content": [{"text": {"text": "Where is A-482?"}}]});
    let effects = decided(&mut bench, &reply("APPLY_GUARDRAIL", ask.to_string()));
    let pending = effects.iter().find_map(|effect| match effect {
        Effect::ApplyGuardrail(pending) => Some(pending),
        _ => None,
    });
    let pending = pending.expect("it judges");
    assert_eq!(pending.source, GuardrailSource::Input);
    assert_eq!(
        pending.guardrail.guardrail_identifier.as_deref(),
        Some("g-1")
    );
    let effects = assessed(
        &mut bench,
        Ok(Assessment {
            intervened: true,
            blocked: true,
            text: Some("I cannot talk about that.".to_owned()),
            assessments: Vec::new(),
        }),
    );
    assert_eq!(seen(&effects), ["guardrailTrace 0"]);
    let told = event(&effects);
    assert_eq!(told["state"], "APPLY_GUARDRAIL_INVOKED");
    let judgement: Value =
        serde_json::from_str(told["input"]["text"].as_str().expect("text")).expect("JSON text");
    assert_eq!(judgement["action"], "GUARDRAIL_INTERVENED");
    assert_eq!(judgement["outputs"][0]["text"], "I cannot talk about that.");
    let effects = lines(&decided(
        &mut bench,
        &reply("FINISH", "I cannot talk about that."),
    ));
    assert_eq!(
        effects,
        "chunk: I cannot talk about that.\nfinish: Completed\n"
    );

    let mut failing = begin(guarded_plan());
    decided(&mut failing, &reply("APPLY_GUARDRAIL", ask.to_string()));
    let error = GuardrailError::Failed {
        guardrail: "g-1".to_owned(),
        detail: "the classifier is down".to_owned(),
    };
    let effects = lines(&assessed(&mut failing, Err(error)));
    assert!(effects.contains("finish: "), "it fails closed: {effects}");
    assert!(effects.contains("the classifier is down"), "{effects}");

    let mut without = begin(orchestrated_plan());
    let effects = lines(&decided(
        &mut without,
        &reply("APPLY_GUARDRAIL", ask.to_string()),
    ));
    assert!(
        effects.contains(
            "output.text.guardrailIdentifier: expected a string, since the agent has no guardrail"
        ),
        "{effects}"
    );
}

fn assessed(bench: &mut Bench, result: Result<Assessment, GuardrailError>) -> Vec<Effect> {
    let at = Timestamp::from_nanos(1);
    bench.feed(EventKind::GuardrailAssessed(Box::new(GuardrailAssessed {
        client_request_id: "judgement".to_owned(),
        started_at: at,
        ended_at: at,
        result,
    })))
}

#[test]
fn the_user_may_be_asked() {
    let mut bench = begin(orchestrated_plan());
    let effects = decided(
        &mut bench,
        &tool("q1", "user__askuser", json!({"question": "Which?"})),
    );
    let effects = lines(&effects);
    assert!(
        effects.ends_with("chunk: Which?\nfinish: Completed\n"),
        "{effects}"
    );
    assert!(effects.contains("ASK_USER"), "{effects}");
    let mut next = Bench::new(orchestrated_plan(), bench.run.conversation());
    let effects = next.start("The red one.", Budget::default());
    let session = event(&effects)["context"]["session"].to_string();
    assert!(
        session.contains("The question was put to the user."),
        "{session}"
    );
}

#[test]
fn control_is_returned_and_the_function_goes_on_with_the_result() {
    let mut bench = begin(orchestrated_plan());
    let effects = decided(
        &mut bench,
        &tool("c1", "Client__open", json!({"date": "Monday"})),
    );
    let out = lines(&effects);
    assert!(out.contains("\"invocationId\":\"decision-uuid\""), "{out}");
    // A restart: all that is known is the journal.
    bench.run = Run::replay(orchestrated_plan(), Vec::new(), &bench.journal);
    let id = bench.run.awaited_invocation_id().expect("it waits");
    let results = vec![ReturnedResult {
        action_group: "Client".to_owned(),
        target: ReturnedTarget::Function("open".to_owned()),
        agent_id: None,
        confirmation: None,
        body: Some("open".to_owned()),
        image: None,
        failed: false,
        reprompt: false,
    }];
    bench.run.check_results(&id, &results).expect("they answer");
    let effects = bench.control(results);
    let told = event(&effects);
    assert_eq!(told["state"], "TOOL_INVOKED");
    assert_eq!(told["context"]["requestId"], "req-2");
    assert_eq!(
        told["context"]["session"][0]["intermediarySteps"]
            .as_array()
            .map(Vec::len),
        Some(1),
        "the restart kept what was decided"
    );
    let traced = json!({"actionEvent": "FINISH", "output": {"text": "Open.", "trace": {"event": {"text": "end"}}}});
    let effects = decided(&mut bench, &traced.to_string());
    assert_eq!(seen(&effects), ["customOrchestrationTrace 0", "chunk"]);
}

#[test]
fn a_cut_turn_leaves_no_call_without_a_result() {
    let mut cut = begin(orchestrated_plan());
    decided(
        &mut cut,
        &tool("t1", "Orders__status", json!({"order_id": "A"})),
    );
    cut.feed(EventKind::Cancelled(CancelCause::ClientGone));
    let mut early = begin(orchestrated_plan());
    early.feed(EventKind::Interrupted);
    let mut planning = begin(orchestrated_plan());
    let request =
        json!({"modelId": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]});
    decided(&mut planning, &reply("INVOKE_MODEL", request.to_string()));
    planning.feed(EventKind::DeadlinePassed);
    for (bench, expected) in [
        (cut, ["START INVOKE_TOOL", "TOOL_INVOKED -"].as_slice()),
        (early, &["START -"]),
        (planning, &["START INVOKE_MODEL"]),
    ] {
        assert_eq!(bench.run.phase(), Phase::Finished);
        let replayed = Run::replay(orchestrated_plan(), Vec::new(), &bench.journal);
        let after: Conversation = bench.run.conversation();
        assert_eq!(replayed.conversation(), after);
        let steps: Vec<String> = after.orchestrated[0]
            .intermediary_steps
            .iter()
            .map(|step| {
                let event = step.orchestration_output.event.as_deref();
                format!(
                    "{} {}",
                    step.orchestration_input.state,
                    event.unwrap_or("-")
                )
            })
            .collect();
        assert_eq!(steps, expected);
        if let Some(last) = after.orchestrated[0].intermediary_steps.last()
            && last.orchestration_input.state == "TOOL_INVOKED"
        {
            assert!(
                last.orchestration_input
                    .text
                    .contains("The outcome of this call is unknown")
            );
        }
        assert_eq!(after.history.len() % 2, 0, "question and answer alternate");
    }
}

#[test]
fn budgets_hold_for_what_the_function_decides() {
    let request =
        json!({"modelId": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]});
    let ask = reply("INVOKE_MODEL", request.to_string());
    let use_tool = tool("t", "Orders__status", json!({"order_id": "A"}));
    let budget = Budget {
        model_calls: 1,
        actions: 1,
        ..Budget::default()
    };
    let mut bench = Bench::new(orchestrated_plan(), Vec::new());
    bench.start("x", budget);
    decided(&mut bench, &ask);
    bench.reply(vec![text("hm")]);
    let effects = lines(&decided(&mut bench, &ask));
    assert!(
        effects.contains("used up its budget of model calls"),
        "{effects}"
    );
    let mut bench = Bench::new(orchestrated_plan(), Vec::new());
    bench.start("x", budget);
    decided(&mut bench, &use_tool);
    bench.returned(0, &lambda_reply("status", "a"), None);
    let effects = lines(&decided(&mut bench, &use_tool));
    assert!(
        effects.contains("used up its budget of actions"),
        "{effects}"
    );
    assert!(!effects.contains("call action"), "{effects}");
}

#[test]
fn attributes_that_come_back_take_the_place_of_the_old_ones() {
    let mut bench = begin(orchestrated_plan());
    let answer = json!({"actionEvent": "GO", "context": {
        "sessionAttributes": {"a": "1"}, "promptSessionAttributes": {"b": "2"}}});
    let context = event(&decided(&mut bench, &answer.to_string()))["context"].clone();
    assert_eq!(context["sessionAttributes"], json!({"a": "1"}));
    assert_eq!(context["promptSessionAttributes"], json!({"b": "2"}));
    let kept = event(&decided(&mut bench, &reply("GO", "")))["context"].clone();
    assert_eq!(
        kept["sessionAttributes"],
        json!({"a": "1"}),
        "nothing said, nothing changed"
    );
    let answer = json!({"actionEvent": "GO", "context": {"sessionAttributes": {}}});
    let emptied = event(&decided(&mut bench, &answer.to_string()))["context"].clone();
    assert_eq!(emptied["sessionAttributes"], json!({}));
}

#[test]
fn an_event_that_no_call_can_carry_ends_the_turn() {
    let mut bench = begin(orchestrated_plan());
    let large = "x".repeat(1_000_000);
    let mut effects = Vec::new();
    while bench.run.phase() != Phase::Finished {
        effects = decided(&mut bench, &reply("KEEP", large.clone()));
    }
    assert!(
        lines(&effects).contains("fit a call"),
        "{}",
        lines(&effects).len()
    );
    assert_eq!(bench.run.phase(), Phase::Finished);
}

#[test]
fn a_search_gives_the_function_its_results_and_no_answer_is_made_of_them() {
    let plan = plan_of(|definition| {
        orchestrate(definition);
        definition.knowledge_bases.push(KnowledgeBaseDefinition {
            id: "KBKBKBKBKB".to_owned(),
            description: "What is known.".to_owned(),
            retrieval: None,
        });
    });
    let mut bench = Bench::new(plan, Vec::new());
    let effects = bench.start("What is known?", Budget::default());
    let tools = event(&effects)["context"]["agentConfiguration"]["tools"].to_string();
    let search = "GET__x_amz_knowledgebase_KBKBKBKBKB__Search";
    assert!(tools.contains(search), "{tools}");
    let effects = decided(
        &mut bench,
        &tool("k1", search, json!({"searchQuery": "what"})),
    );
    assert_eq!(seen(&effects), ["invocationInput 0"]);
    let at = Timestamp::from_nanos(1);
    let found = json!({"content": {"text": "All of it.", "type": "TEXT"}});
    let effects = bench.feed(EventKind::Retrieved(Box::new(Retrieved {
        index: 0,
        client_request_id: "search".to_owned(),
        started_at: at,
        ended_at: at,
        result: Ok(vec![
            serde_json::from_value(found.clone()).expect("a reference"),
        ]),
    })));
    assert_eq!(seen(&effects), ["observation 0"]);
    let told: Value =
        serde_json::from_str(event(&effects)["input"]["text"].as_str().expect("text"))
            .expect("JSON text");
    let text = told["toolResult"]["content"][0]["text"]
        .as_str()
        .expect("text");
    let results: Value = serde_json::from_str(text).expect("JSON text");
    assert_eq!(results, json!({"retrievalResults": [found]}));
}
