//! The event as a whole; replies good and bad, each fault with its place.

use std::sync::Arc;

use outcrop_model::control::GuardrailConfiguration;
use outcrop_model::converse::{
    ContentBlock, StopReason, ToolResultBlock, ToolResultContentBlock, ToolResultStatus,
    ToolUseBlock,
};
use serde_json::{Value, json};

use super::*;
use crate::action::lambda::Attributes;
use crate::action::{self, Strictness};
use crate::converse::assistant_text;
use crate::port::{Assessment, GuardrailSource, Latency, ModelRequest};

fn read(reply: &Value) -> Result<Vec<Directive>, String> {
    read_text(&reply.to_string())
}

fn read_text(reply: &str) -> Result<Vec<Directive>, String> {
    read_reply(reply.as_bytes(), Strictness::Relaxed)
        .map_err(|fault| fault.detail.unwrap_or_default())
}

fn one(reply: &Value) -> Directive {
    let mut directives = read(reply).expect("a good reply");
    assert_eq!(directives.len(), 1);
    directives.remove(0)
}

fn reply(event: &str, text: impl Into<Value>) -> Value {
    json!({"version": "1.0", "actionEvent": event, "output": {"text": text.into()}})
}

fn model(request: &Value) -> Result<ModelRequest, String> {
    match read(&reply("INVOKE_MODEL", request.to_string()))?
        .remove(0)
        .decision
    {
        Decision::InvokeModel(given) => Ok(given.request),
        other => panic!("{other:?}"),
    }
}

fn step(state: &str, text: &str, event: &str, answer: &str) -> OrchestratedStep {
    OrchestratedStep {
        orchestration_input: StepInput {
            state: state.to_owned(),
            text: text.to_owned(),
        },
        orchestration_output: StepOutput {
            event: Some(event.to_owned()),
            text: Some(answer.to_owned()),
        },
    }
}

#[test]
fn the_event_has_all_members_of_the_guide() {
    let tools = [action::tool(
        "Orders__status",
        Some("Tells the status.".to_owned()),
        json!({"type": "object", "properties": {}}),
    )];
    let before = OrchestratedTurn {
        agent_input: "Hello".to_owned(),
        agent_output: "Hello!".to_owned(),
        intermediary_steps: vec![step("START", &start_text("Hello"), "FINISH", "Hello!")],
    };
    let turn = OrchestratedTurn {
        agent_input: "Where is \"A\"?".to_owned(),
        ..OrchestratedTurn::default()
    };
    let guardrail = GuardrailConfiguration {
        guardrail_identifier: Some("g-1".to_owned()),
        guardrail_version: Some("2".to_owned()),
    };
    let input = EventInput {
        state: START,
        text: &start_text("Where is \"A\"?"),
        request_id: "req-1",
        session_id: "s-1",
        instruction: "Be kind.",
        default_model: "vendor.model",
        tools: &tools,
        guardrail: Some(&guardrail),
        session: &[Arc::new(before)],
        turn: &turn,
        session_attributes: &Attributes::from([("tenant".to_owned(), "acme".to_owned())]),
        prompt_session_attributes: &Attributes::new(),
    };
    let json: Value = serde_json::from_slice(&event(&input)).expect("JSON");
    assert_eq!(
        json,
        json!({
            "version": "1.0",
            "state": "START",
            "input": {"text": "{\"text\":\"Where is \\\"A\\\"?\"}"},
            "context": {
                "requestId": "req-1",
                "sessionId": "s-1",
                "agentConfiguration": {
                    "instruction": "Be kind.",
                    "defaultModelId": "vendor.model",
                    "tools": [{"toolSpec": {
                        "name": "Orders__status", "description": "Tells the status.",
                        "inputSchema": {"json": {"type": "object", "properties": {}}}}}],
                    "guardrails": {"version": "2", "identifier": "g-1"},
                },
                "session": [
                    {"agentInput": "Hello", "agentOutput": "Hello!", "intermediarySteps": [{
                        "orchestrationInput": {"state": "START", "text": "{\"text\":\"Hello\"}"},
                        "orchestrationOutput": {"event": "FINISH", "text": "Hello!"}}]},
                    {"agentInput": "Where is \"A\"?", "agentOutput": "", "intermediarySteps": []},
                ],
                "sessionAttributes": {"tenant": "acme"},
                "promptSessionAttributes": {},
            },
        })
    );
    let bare = EventInput {
        guardrail: None,
        tools: &[],
        ..input
    };
    let json: Value = serde_json::from_slice(&event(&bare)).expect("JSON");
    let agent = &json["context"]["agentConfiguration"];
    assert!(
        agent.get("guardrails").is_none(),
        "absent where there is none"
    );
    assert_eq!(agent["tools"], json!([]), "always a list");
}

#[test]
fn each_state_brings_its_own_text() {
    assert_eq!(
        model_text(&assistant_text("Hm."), StopReason::EndTurn),
        r#"{"stopReason":"end_turn","output":{"content":[{"text":"Hm."}],"role":"assistant"}}"#
    );
    assert_eq!(
        tool_text(ToolResultBlock {
            content: vec![ToolResultContentBlock::Text("shipped".to_owned())],
            status: Some(ToolResultStatus::Success),
            tool_use_id: "t1".to_owned(),
            type_: None,
        }),
        r#"{"toolResult":{"content":[{"text":"shipped"}],"status":"success","toolUseId":"t1"}}"#
    );
    let masked = Assessment {
        intervened: true,
        blocked: false,
        text: Some("My name is {NAME}.".to_owned()),
        assessments: Vec::new(),
    };
    assert_eq!(
        assessment_text(&masked),
        r#"{"action":"GUARDRAIL_INTERVENED","actionReason":"Guardrail masked.","outputs":[{"text":"My name is {NAME}."}],"assessments":[]}"#
    );
    assert_eq!(
        assessment_text(&Assessment::default()),
        r#"{"action":"NONE","actionReason":"No action.","outputs":[],"assessments":[]}"#
    );
}

#[test]
fn a_whole_model_request_is_read() {
    let given = one(&json!({
        "version": "1.0",
        "actionEvent": "INVOKE_MODEL",
        "output": {
            "text": json!({
                "modelId": "vendor.model-2",
                "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}, {"text": "Be brief."}],
                "messages": [
                    {"role": "user", "content": [{"text": "one"}]},
                    {"role": "user", "content": [{"text": "two"}]},
                    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "A__b", "input": "broken"}}]},
                    {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "no"}], "status": "error"}}]},
                ],
                "inferenceConfig": {"maxTokens": 500, "temperature": 0, "topP": 0.9, "stopSequences": ["</x>"]},
                "toolConfig": {"tools": [{"toolSpec": {"name": "A__b", "inputSchema": {"json": {}}}}], "toolChoice": {"auto": {}}},
                "additionalModelRequestFields": {"top_k": 50},
                "performanceConfig": {"latency": "optimized"},
                "guardrailConfig": null,
            }).to_string(),
            "trace": {"event": {"text": "asking"}},
        },
        "context": {"sessionAttributes": {"state": "1", "lambda": null}, "promptSessionAttributes": {}},
    }));
    assert_eq!(given.event, "INVOKE_MODEL");
    assert_eq!(given.trace.as_deref(), Some("asking"));
    let kept = Attributes::from([("state".to_owned(), "1".to_owned())]);
    assert_eq!(given.session_attributes, Some(kept));
    assert_eq!(given.prompt_session_attributes, Some(Attributes::new()));
    let Decision::InvokeModel(given) = given.decision else {
        panic!("{:?}", given.decision);
    };
    let ModelRequestGiven { request, prompt } = *given;
    assert_eq!(request.model, "vendor.model-2");
    assert_eq!(
        request.system_blocks.len(),
        3,
        "cache points stay where they are"
    );
    assert_eq!(request.latency, Some(Latency::Optimized));
    assert_eq!(request.messages.len(), 3, "roles alternate");
    assert_eq!(
        request.messages[0].content,
        [
            ContentBlock::Text("one".to_owned()),
            ContentBlock::Text("two".to_owned())
        ]
    );
    let ContentBlock::ToolUse(tool_use) = &request.messages[1].content[0] else {
        panic!("{:?}", request.messages[1]);
    };
    assert_eq!(tool_use.input, json!({}), "models take objects alone");
    assert_eq!(request.tools.len(), 1);
    assert!(request.tool_choice.is_some());
    assert_eq!(request.inference.max_tokens, Some(500));
    assert_eq!(request.inference.stop_sequences, ["</x>"]);
    assert_eq!(request.additional_fields, Some(json!({"top_k": 50})));
    let prompt: Value = serde_json::from_str(&prompt).expect("JSON");
    assert_eq!(
        prompt["messages"][1]["content"][0]["text"], "two",
        "as given"
    );
    assert_eq!(prompt["system"][0]["text"], "Be kind.");
    assert_eq!(prompt.as_object().expect("an object").len(), 2);
}

#[test]
fn strict_limits_refuse_neighbours_of_one_role() {
    let request = json!({"modelId": "m", "messages": [
        {"role": "user", "content": [{"text": "one"}]},
        {"role": "user", "content": [{"text": "two"}]}]});
    let given = reply("INVOKE_MODEL", request.to_string()).to_string();
    let fault = read_reply(given.as_bytes(), Strictness::Strict).expect_err("refused");
    let detail = fault.detail.expect("what is wrong");
    assert!(
        detail.starts_with("output.text.messages[1].role: "),
        "{detail}"
    );
}

#[test]
fn every_form_a_handler_returns_is_read() {
    let object = reply("FINISH", "Done.");
    let quoted = Value::from(object.to_string());
    for given in [object, quoted] {
        let directive = one(&given);
        assert_eq!(directive.decision, Decision::Finish);
        assert_eq!(directive.text, "Done.");
    }
    let piece = |text: &str| {
        let tool_use = json!({"toolUse": {"toolUseId": "p", "name": STREAM_ANSWER_TOOL, "input": {"text": text}}});
        reply("INVOKE_TOOL", tool_use)
    };
    let list = json!([piece("a"), piece("b").to_string(), reply("FINISH", "")]);
    let streamed = format!("{}{}\n{}", piece("a"), piece("b"), reply("FINISH", ""));
    for given in [list.to_string(), streamed] {
        let directives = read_text(&given).expect("a good reply");
        let pieces: Vec<&Decision> = directives.iter().map(|one| &one.decision).collect();
        let piece = |text: &str| Decision::StreamAnswer {
            tool_use_id: "p".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(pieces, [&piece("a"), &piece("b"), &Decision::Finish]);
    }
    let own = one(&reply("VERIFY", "again"));
    assert_eq!((own.event.as_str(), own.text.as_str()), ("VERIFY", "again"));
    assert_eq!(own.decision, Decision::OwnState);
    let bare = one(&json!({"actionEvent": "FINISH"}));
    assert_eq!(bare.text, "", "nothing else is asked for");
}

#[test]
fn a_tool_use_is_read_from_text_or_value() {
    let block = json!({"toolUse": {"toolUseId": "t1", "name": "A__b", "input": {"x": 1}}});
    for text in [Value::from(block.to_string()), block] {
        let expected = ToolUseBlock {
            input: json!({"x": 1}),
            name: "A__b".to_owned(),
            tool_use_id: "t1".to_owned(),
            type_: None,
        };
        let directive = one(&reply("INVOKE_TOOL", text));
        assert_eq!(directive.decision, Decision::InvokeTool(expected));
    }
    let bare = json!({"toolUse": {"toolUseId": "t1", "name": "A__b"}});
    let directive = one(&reply("INVOKE_TOOL", bare));
    let Decision::InvokeTool(tool_use) = directive.decision else {
        panic!("{:?}", directive.decision);
    };
    assert_eq!(tool_use.input, json!({}));
}

#[test]
fn a_guardrail_is_asked_in_the_form_of_its_own_operation() {
    let request = json!({
        "guardrailIdentifier": "g-1", "guardrailVersion": "DRAFT", "source": "OUTPUT",
        "content": [{"text": {"text": "judge this", "qualifiers": ["guard_content"]}},
                    {"text": {"text": "not this"}}]});
    let directive = one(&reply("APPLY_GUARDRAIL", request.to_string()));
    assert_eq!(
        directive.decision,
        Decision::ApplyGuardrail(GuardrailAsk {
            guardrail: GuardrailConfiguration {
                guardrail_identifier: Some("g-1".to_owned()),
                guardrail_version: Some("DRAFT".to_owned()),
            },
            source: GuardrailSource::Output,
            text: "judge this".to_owned(),
        })
    );
    let plain = json!({"content": [{"text": {"text": "a"}}, {"text": {"text": "b"}}]});
    let directive = one(&reply("APPLY_GUARDRAIL", plain));
    let Decision::ApplyGuardrail(ask) = directive.decision else {
        panic!("{:?}", directive.decision);
    };
    assert_eq!(ask.text, "a\nb");
    assert_eq!(ask.source, GuardrailSource::Input);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_fault_names_member_expected_and_got() {
    let message = json!({"role": "user", "content": [{"text": "hi"}]});
    let with = |member: &str, value: Value| {
        let mut request = json!({"modelId": "m", "messages": [message]});
        request[member] = value;
        model(&request).expect_err("refused")
    };
    let of = |event: &str, text: Value| read(&reply(event, text)).expect_err("refused");
    let cases = [
        (
            read_text("").expect_err("refused"),
            "the reply: expected 1 to 10000 objects, got 0",
        ),
        (
            read_text("[]").expect_err("refused"),
            "the reply: expected 1 to 10000 objects, got 0",
        ),
        (
            read_text("{oops").expect_err("refused"),
            "the reply is not JSON: ",
        ),
        (
            read_text("\"oops\"").expect_err("refused"),
            "the reply is not JSON: ",
        ),
        (
            read(&json!(7)).expect_err("refused"),
            "the reply: expected an object, got 7",
        ),
        (
            read(&json!({"version": 2, "actionEvent": "FINISH"})).expect_err("refused"),
            "version: expected \"1.0\", got 2",
        ),
        (
            read(&json!({})).expect_err("refused"),
            "actionEvent: expected INVOKE_MODEL, INVOKE_TOOL, APPLY_GUARDRAIL, FINISH or a state of your own, got nothing",
        ),
        (
            of("START", json!("")),
            "actionEvent: expected INVOKE_MODEL, ",
        ),
        (
            read(&json!([reply("FINISH", ""), reply("FINISH", "")])).expect_err("refused"),
            "[0].actionEvent: expected INVOKE_TOOL with bedrock_stream_answer_tool in all but the last of several objects, got FINISH",
        ),
        (
            read(&json!({"actionEvent": "FINISH", "output": "x"})).expect_err("refused"),
            "output: expected an object, got \"x\"",
        ),
        (
            read(&json!({"actionEvent": "FINISH", "output": {"trace": {"event": {"text": {}}}}}))
                .expect_err("refused"),
            "output.trace.event.text: expected a string, got {}",
        ),
        (
            read(&json!({"actionEvent": "FINISH", "context": {"sessionAttributes": {"a": 1}}}))
                .expect_err("refused"),
            "context.sessionAttributes.a: expected a string, got 1",
        ),
        (
            of("INVOKE_MODEL", Value::Null),
            "output.text: expected a request of Converse as JSON text, got nothing",
        ),
        (
            of("INVOKE_MODEL", json!("{x")),
            "output.text: expected a request of Converse as JSON text, got \"{x\": ",
        ),
        (
            with("modelId", json!("")),
            "output.text.modelId: expected a model id, got \"\"",
        ),
        (
            with("messages", json!([])),
            "output.text.messages: expected 1 to 10000 messages, got []",
        ),
        (
            with("messages", json!("hi")),
            "output.text.messages: expected a list, got \"hi\"",
        ),
        (
            with(
                "messages",
                json!([{"role": "assistant", "content": [{"text": "hi"}]}]),
            ),
            "output.text.messages[0].role: expected user in the first, got \"assistant\"",
        ),
        (
            with("messages", json!([{"role": "system", "content": []}])),
            "output.text.messages[0].role: expected user or assistant, got \"system\"",
        ),
        (
            with("messages", json!([{"role": "user", "content": []}])),
            "output.text.messages[0].content: expected at least one block, got []",
        ),
        (
            with(
                "messages",
                json!([{"role": "user", "content": [{"txt": "hi"}]}]),
            ),
            "output.text.messages[0].content[0]: unknown variant `txt`",
        ),
        (
            with("system", json!([{"text": 5}])),
            "output.text.system[0]: ",
        ),
        (
            with("inferenceConfig", json!({"maximumLength": 5})),
            "output.text.inferenceConfig.maximumLength: expected one of maxTokens, ",
        ),
        (
            with("inferenceConfig", json!({"maxTokens": 0})),
            "output.text.inferenceConfig.maxTokens: expected at least 1, got 0",
        ),
        (
            with("inferenceConfig", json!({"topP": 3})),
            "output.text.inferenceConfig.topP: expected a number from 0 to 1, got 3",
        ),
        (
            with("toolConfig", json!({"tools": [{"toolSpec": {}}]})),
            "output.text.toolConfig.tools[0]: ",
        ),
        (
            with("additionalModelRequestFields", json!([])),
            "output.text.additionalModelRequestFields: expected an object, got []",
        ),
        (
            with("guardrailConfig", json!({})),
            "output.text.guardrailConfig is not supported: answer APPLY_GUARDRAIL",
        ),
        (
            with("inferenceConfiguration", json!({})),
            "output.text.inferenceConfiguration: a request of Converse has no such member, expected modelId, ",
        ),
        (
            of("INVOKE_TOOL", json!({})),
            "output.text.toolUse: expected an object, got nothing",
        ),
        (
            of("INVOKE_TOOL", json!({"toolUse": {"toolUseId": "t"}})),
            "output.text.toolUse.name: expected a string, got nothing",
        ),
        (
            of(
                "INVOKE_TOOL",
                json!({"toolUse": {"toolUseId": "t", "name": STREAM_ANSWER_TOOL}}),
            ),
            "output.text.toolUse.input.text: expected a string, got nothing",
        ),
        (
            of("APPLY_GUARDRAIL", json!({"content": []})),
            "output.text.content: expected a list of 1 to 256 blocks, got []",
        ),
        (
            of("APPLY_GUARDRAIL", json!({"text": "x"})),
            "output.text.text: expected one of guardrailIdentifier, ",
        ),
        (
            of(
                "APPLY_GUARDRAIL",
                json!({"content": [{"text": {"text": "a", "qualifiers": ["query"]}}]}),
            ),
            "output.text.content[0].text.qualifiers[0]: expected guard_content, since contextual grounding is not judged here, got \"query\"",
        ),
        (
            of(
                "APPLY_GUARDRAIL",
                json!({"source": "BOTH", "content": [{"text": {"text": "a"}}]}),
            ),
            "output.text.source: expected INPUT or OUTPUT, got \"BOTH\"",
        ),
    ];
    for (got, expected) in cases {
        assert!(got.starts_with(expected), "{got}\ninstead of {expected}");
    }
}

#[test]
fn a_session_forgets_its_oldest_turns() {
    let turn = |bytes: usize| OrchestratedTurn {
        agent_output: "x".repeat(bytes),
        ..OrchestratedTurn::default()
    };
    let mut turns = Vec::new();
    for _ in 0..5 {
        remember(&mut turns, turn(SESSION_BYTES_MAX / 3));
    }
    assert_eq!(turns.len(), 3);
    remember(&mut turns, turn(SESSION_BYTES_MAX));
    assert_eq!(turns.len(), 1, "it takes all the room there is");
    let large = "x".repeat(SESSION_BYTES_MAX);
    let mut talkative = turn(10);
    talkative.intermediary_steps = vec![step("START", &large, "FINISH", "x")];
    remember(&mut turns, talkative);
    assert_eq!(*turns[0], turn(10), "what was asked and answered stays");
    remember(&mut turns, turn(SESSION_BYTES_MAX + 1));
    assert!(turns.is_empty(), "no room for it at all");
}

#[test]
fn a_turn_is_remembered_in_the_form_it_is_shown_in() {
    let mut turn = OrchestratedTurn {
        agent_input: "a".to_owned(),
        agent_output: "b".to_owned(),
        intermediary_steps: vec![step("START", "{}", "FINISH", "b")],
    };
    turn.intermediary_steps.push(OrchestratedStep {
        orchestration_input: StepInput {
            state: TOOL_INVOKED.to_owned(),
            text: "{}".to_owned(),
        },
        orchestration_output: StepOutput::default(),
    });
    let json = serde_json::to_value(&turn).expect("JSON");
    assert_eq!(
        json["intermediarySteps"][1]["orchestrationOutput"],
        json!({})
    );
    let read: OrchestratedTurn = serde_json::from_value(json).expect("its own form");
    assert_eq!(read, turn);
}
