//! Whole streams drawn: one of our own with all its text, AWS's recorded ones by their form.
//!
//! The recordings lie outside the project and are not ours to copy, so that of their text only the
//! length is kept here.

use std::fmt::Write as _;
use std::path::PathBuf;

use expect_test::{expect, expect_file};
use serde_json::{Value, json};

use super::event::Event;
use super::line::Line;
use super::render::Renderer;

fn draw(events: &[(&str, Value)], width: usize) -> String {
    let mut renderer = Renderer::new(width);
    let mut drawn = String::new();
    for (kind, payload) in events {
        let event = Event::decode(kind, payload.to_string().as_bytes()).unwrap();
        for line in renderer.event(&event) {
            writeln!(drawn, "{}", line.paint(false)).unwrap();
        }
    }
    writeln!(drawn, "{}", renderer.totals(5_240).paint(false)).unwrap();
    drawn
}

fn trace(part: &Value) -> (&'static str, Value) {
    (
        "trace",
        json!({"callerChain": [{}], "trace": {"orchestrationTrace": part}}),
    )
}

fn model_input(step: u32) -> (&'static str, Value) {
    trace(&json!({"modelInvocationInput": {
        "foundationModel": "anthropic.claude-3-haiku", "text": "…", "type": "ORCHESTRATION",
        "traceId": format!("2d5c9f8e-0000-4000-8000-000000000000-{step}")}}))
}

fn model_output() -> (&'static str, Value) {
    trace(&json!({"modelInvocationOutput": {"metadata": {
        "totalTimeMs": 612, "usage": {"inputTokens": 1_643, "outputTokens": 65}}}}))
}

#[test]
fn a_turn_with_a_call() {
    let events = [
        model_input(0),
        model_output(),
        trace(
            &json!({"rationale": {"text": "The user names an order, and the tool that knows orders takes exactly that."}}),
        ),
        trace(
            &json!({"invocationInput": {"invocationType": "ACTION_GROUP", "actionGroupInvocationInput": {
            "actionGroupName": "orders", "executionType": "LAMBDA", "function": "find_order",
            "parameters": [{"name": "order_id", "type": "string", "value": "A-482"},
                           {"name": "note", "type": "string", "value": "two\nlines"}]}}}),
        ),
        trace(
            &json!({"observation": {"type": "ACTION_GROUP", "actionGroupInvocationOutput": {
            "metadata": {"totalTimeMs": 43}, "text": "{\"status\": \"shipped\"}\n\u{1b}[31mred"}}}),
        ),
        model_input(1),
        model_output(),
        trace(&json!({"observation": {"type": "FINISH", "finalResponse": {
            "metadata": {"operationTotalTimeMs": 1_300}, "text": "It is on its way."}}})),
        ("chunk", json!({"bytes": "SXQgaXMgb24gaXRzIHdheS4="})),
    ];
    expect![[r#"
        step 1    anthropic.claude-3-haiku
          model     612 ms, 1,643 tokens in, 65 out
          thinks    The user names an order, and the tool that knows
                    orders takes exactly that.
          calls     orders.find_order(order_id: A-482, note: two
                    lines)
          returns   {"status": "shipped"}
                    �[31mred  43 ms
        step 2    anthropic.claude-3-haiku
          model     612 ms, 1,643 tokens in, 65 out
          done      1.3 s
        2 model calls, 3,286 tokens in, 130 out, 5.2 s
    "#]]
    .assert_eq(&draw(&events, 60));
}

#[test]
fn the_other_kinds_of_step() {
    let api = json!({"invocationInput": {"actionGroupInvocationInput": {
        "actionGroupName": "claims", "executionType": "RETURN_CONTROL", "apiPath": "/notify", "verb": "post",
        "requestBody": {"content": {"application/json": [{"name": "claimId", "type": "string", "value": "7"}]}}}}});
    let events = [
        (
            "trace",
            json!({"trace": {"guardrailTrace": {"action": "INTERVENED", "inputAssessments":
            [{"wordPolicy": {"customWords": [{"match": "gold"}]}}], "metadata": {"totalTimeMs": 9}}}}),
        ),
        (
            "trace",
            json!({"trace": {"guardrailTrace": {"action": "NONE", "outputAssessments": [{}]}}}),
        ),
        (
            "trace",
            json!({"trace": {"preProcessingTrace": {"modelInvocationOutput": {"parsedResponse":
            {"isValid": false, "rationale": "Nothing to do with orders."}}}}}),
        ),
        trace(&api),
        trace(
            &json!({"invocationInput": {"knowledgeBaseLookupInput": {"knowledgeBaseId": "KB12345678", "text": "returns"}}}),
        ),
        trace(
            &json!({"observation": {"knowledgeBaseLookupOutput": {"retrievedReferences": [
            {"content": {"text": "Goods may be returned\nwithin thirty days."}, "location": {"type": "S3", "s3Location": {"uri": "s3://shop/faq.md"}}}]}}}),
        ),
        (
            "trace",
            json!({"callerChain": [{}, {}], "collaboratorName": "billing", "trace": {"orchestrationTrace": {
            "modelInvocationInput": {"foundationModel": "amazon.nova-lite-v1:0", "traceId": "a-2", "type": "ORCHESTRATION"}}}}),
        ),
        (
            "trace",
            json!({"trace": {"failureTrace": {"failureCode": 424, "failureReason": "the tool broke"}}}),
        ),
        (
            "trace",
            json!({"trace": {"somethingNewTrace": {"text": "…"}}}),
        ),
        ("novelty", json!({})),
        (
            "files",
            json!({"files": [{"name": "plot.png", "type": "image/png", "bytes": ""}]}),
        ),
        (
            "chunk",
            json!({"bytes": "", "attribution": {"citations": [{"retrievedReferences": [
            {"location": {"type": "WEB", "webLocation": {"url": "https://shop.example/faq"}}}]}]}}),
        ),
    ];
    expect![[r"
          guardrail input blocked: customWords gold  9 ms
          guardrail output passed
          model     
          rejected  Nothing to do with orders.
          asks for  claims POST /notify(claimId: 7)  returned to the caller
          searches  returns  KB12345678
          finds     1 passage
                    Goods may be returned within thirty days.  s3://shop/faq.md
            step 3    billing  amazon.nova-lite-v1:0
          fails     the tool broke  424
          skipped   an event of kind novelty, unknown to this version
          file      plot.png  image/png
          source    https://shop.example/faq
        1 model call, 5.2 s
    "]]
    .assert_eq(&draw(&events, 80));
}

fn link(alias: &str) -> Value {
    json!({"agentAliasArn": format!("arn:aws:bedrock:us-west-2:1:agent-alias/{alias}")})
}

/// A part of what an agent below a supervisor does. AWS names the collaborator of the first level in all.
fn below(aliases: &[&str], part: &Value) -> (&'static str, Value) {
    let chain: Vec<Value> = aliases.iter().map(|alias| link(alias)).collect();
    (
        "trace",
        json!({"callerChain": chain, "collaboratorName": "travel", "trace": {"orchestrationTrace": part}}),
    )
}

fn asks(alias: &str, name: &str, text: &str) -> Value {
    json!({"invocationInput": {"invocationType": "AGENT_COLLABORATOR", "agentCollaboratorInvocationInput": {
        "agentCollaboratorAliasArn": link(alias)["agentAliasArn"], "agentCollaboratorName": name,
        "input": {"text": text, "type": "TEXT"}}}})
}

fn thinks(text: &str) -> Value {
    json!({"rationale": {"text": text}})
}

#[test]
fn collaborators_are_named_and_indented() {
    let input = json!({"modelInvocationInput": {"foundationModel": "m", "traceId": "x-0", "type": "ORCHESTRATION"}});
    let returned = json!({"observation": {"type": "AGENT_COLLABORATOR", "agentCollaboratorInvocationOutput": {
        "agentCollaboratorName": "hotels", "output": {"type": "RETURN_CONTROL"}}}});
    let travel = &["top/A", "travel/A"][..];
    let hotels = &["top/A", "travel/A", "hotels/A"][..];
    let flights = &["top/A", "travel/A", "flights/A"][..];
    let events = [
        below(travel, &input),
        below(travel, &asks("hotels/A", "hotels", "A room in Oslo?")),
        below(travel, &asks("flights/A", "flights", "A flight to Oslo?")),
        below(hotels, &input),
        below(flights, &input),
        below(hotels, &thinks("Rooms are …")),
        below(flights, &thinks("Flights are …")),
        below(flights, &thinks("More of them.")),
        below(travel, &returned),
    ];
    expect![[r"
            step 1    travel  m
              asks      hotels: A room in Oslo?
              asks      flights: A flight to Oslo?
                step 1    hotels  m
                step 1    flights  m
                hotels
                  thinks    Rooms are …
                flights
                  thinks    Flights are …
                  thinks    More of them.
              answers   hotels: (calls for the caller, and their results)
        5.2 s
    "]]
    .assert_eq(&draw(&events, 80));
}

#[test]
fn the_answer_is_shown_with_its_sources() {
    let cited = |text: &str, places: &[&str]| {
        let references: Vec<Value> = places
            .iter()
            .map(|uri| json!({"location": {"type": "S3", "s3Location": {"uri": uri}}}))
            .collect();
        json!({"generatedResponsePart": {"textResponsePart": {"text": text, "span": {"start": 0, "end": 9}}},
            "retrievedReferences": references})
    };
    let citations = [
        cited(
            "Goods may be returned\nwithin thirty days.",
            &["s3://shop/faq.md", "s3://shop/faq.md"],
        ),
        cited("", &["s3://shop/terms.md"]),
    ];
    let events = [(
        "chunk",
        json!({"bytes": "", "attribution": {"citations": citations}}),
    )];
    expect![[r"
          cites     Goods may be returned within thirty days.
          source    s3://shop/faq.md
          source    s3://shop/terms.md
        5.2 s
    "]]
    .assert_eq(&draw(&events, 80));
}

#[test]
fn colour_is_put_around_the_text() {
    let mut renderer = Renderer::new(80);
    let event = Event::decode(
        "trace",
        br#"{"trace":{"orchestrationTrace":{"rationale":{"text":"hm"}}}}"#,
    )
    .unwrap();
    let painted: Vec<String> = renderer
        .event(&event)
        .iter()
        .map(|line| line.paint(true))
        .collect();
    expect!["ESC[2m  thinks    ESC[0mESC[2mESC[3mhmESC[0m"]
        .assert_eq(&painted.join("\n").replace('\u{1b}', "ESC"));
}

#[test]
fn a_broken_payload_is_an_error() {
    let error = Event::decode("trace", b"{\"trace\": 1}").unwrap_err();
    expect!["the trace event cannot be read"].assert_eq(&error.to_string());
}

/// The label, and the length of the text: `  calls     <41>`.
fn form(line: &Line) -> String {
    let mut spans = line.spans();
    let label = spans.next().unwrap_or_default();
    let length: usize = spans.map(|text| text.chars().count()).sum();
    format!("{} <{length}>\n", label.trim_end())
}

#[test]
fn recorded_streams() {
    let Ok(folder) = std::env::var("OUTCROP_RECORDINGS") else {
        eprintln!("skipped: OUTCROP_RECORDINGS names no folder of recordings");
        return;
    };
    let mut drawn = String::new();
    for name in [
        "oi-py-tool-lambda-params",
        "oi-py-kb-single-shortcut",
        "oi-py-multiagent-router-routed-reasoning",
        "oi-py-multiagent-supervisor-3level",
        "oi-py-guardrail-input-blocked",
        "oi-py-preprocessing",
        "oi-py-postprocessing",
        "oi-py-streaming-guardrail",
        "oi-js-codeinterpreter",
        "nb-custom-orchestration-example-1dda33-c25",
        "nb-bedrock-agents-roc-033dd5-c10",
    ] {
        let path = PathBuf::from(&folder).join(format!("{name}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap();
        writeln!(drawn, "== {name}").unwrap();
        let mut renderer = Renderer::new(10_000);
        for line in text.lines() {
            let recorded: Value = serde_json::from_str(line).unwrap();
            let kind = recorded["event"].as_str().unwrap();
            let event = Event::decode(kind, recorded["payload"].to_string().as_bytes()).unwrap();
            for line in renderer.event(&event) {
                drawn.push_str(&form(&line));
            }
        }
        writeln!(drawn, "{}", renderer.totals(0).paint(false)).unwrap();
    }
    expect_file!["recorded.txt"].assert_eq(&drawn);
}
