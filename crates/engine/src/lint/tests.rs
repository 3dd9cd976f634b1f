//! One agent with something of everything, and one with nothing to say about.

use outcrop_model::control::Function;
use serde_json::json;

use super::*;
use crate::definition::Executor;

fn functions(functions: serde_json::Value) -> ActionGroupKind {
    ActionGroupKind::Functions {
        functions: serde_json::from_value::<Vec<Function>>(functions).expect("functions"),
        executor: Executor::Lambda("orders".to_owned()),
    }
}

fn group(name: &str, kind: ActionGroupKind) -> Group {
    Group {
        name: name.to_owned(),
        description: None,
        enabled: true,
        kind,
    }
}

fn subject(groups: Vec<Group>) -> Subject {
    Subject {
        instruction: Some(
            "You answer questions about orders and look up where they are.".to_owned(),
        ),
        foundation_model: Some("anthropic.claude-opus-4-7".to_owned()),
        groups,
    }
}

fn lines(findings: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| {
        format!(
            "{} {}: {}: {}",
            finding.severity.as_str(),
            finding.rule.as_str(),
            finding.place,
            finding.problem
        )
    };
    findings.iter().map(line).collect()
}

#[test]
fn a_good_agent_has_no_findings() {
    let kind = functions(json!([{
        "name": "get_order_status", "description": "Tells where an order is.",
        "parameters": {"order_id": {"type": "string", "description": "As A-482.", "required": true}},
    }]));
    assert_eq!(agent(&subject(vec![group("Orders", kind)])), []);
}

#[test]
fn every_weakness_is_told_with_its_place() {
    let long = "x".repeat(60);
    let orders = functions(json!([
        {"name": "get_order", "parameters": {"id": {"type": "string"}}},
        {"name": "get_orders", "description": "Gets orders."},
        {"name": long, "description": "Does something else entirely.", "parameters": {
            "a": {"type": "array", "description": "d"}, "b": {"type": "string", "description": "d"},
            "c": {"type": "string", "description": "d"}, "d": {"type": "string", "description": "d"},
            "e": {"type": "string", "description": "d"}, "f": {"type": "string", "description": "d"}}},
    ]));
    let notes = ActionGroupKind::Api {
        schema: "openapi: 2.0\npaths: {}".to_owned(),
        executor: Executor::ReturnControl,
    };
    let mut subject = subject(vec![group("Orders", orders), group("Notes", notes)]);
    subject.instruction = Some("Help.".to_owned());
    let tool_name = format!("Orders__{long}");
    assert_eq!(
        lines(&agent(&subject)),
        [
            "error agent: the agent: the instruction has 5 characters, fewer than the 40 it must have"
                .to_owned(),
            "warning description: action group Orders, get_order: the function has no description, so the model must guess from its name".to_owned(),
            format!("warning quota: action group Orders, {long}: there are 6 parameters; AWS's quota is 5"),
            format!(
                "warning tool-name: action group Orders, {long}: the tool name {tool_name} has 68 characters; AWS takes letters, digits, _ and -, up to 64 of them"
            ),
            "warning similar-tools: action group Orders, get_orders: the model can hardly tell Orders__get_orders from Orders__get_order: their names and descriptions say nearly the same".to_owned(),
            "note description: action group Orders, get_order, parameter id: the parameter has no description".to_owned(),
            "error schema: action group Notes: attribute openapi is 2.0, expected 3.0.0".to_owned(),
            "warning schema: action group Notes: attribute info is missing".to_owned(),
        ]
    );
}

#[test]
fn what_only_aws_refuses_is_a_warning() {
    let schema = json!({
        "openapi": "3.0.0",
        "paths": {"/orders/{id}": {"post": {
            "operationId": "getOrder", "summary": "Gets an order.",
            "parameters": [{"name": "id", "in": "path", "description": "Which.", "schema": {"type": "string"}}],
            "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {
                "window": {"type": "object", "description": "When.", "properties": {"from": {"type": "string"}}}}}}}},
            "responses": {"200": {"description": "ok"}}}}}});
    let kind = ActionGroupKind::Api {
        schema: schema.to_string(),
        executor: Executor::Lambda("orders".to_owned()),
    };
    assert_eq!(
        lines(&agent(&subject(vec![group("Api", kind)]))),
        [
            "warning schema: action group Api: attribute info is missing",
            "warning schema: action group Api, POST /orders/{id}: 'description' is missing for path: /orders/{id}",
            "note nested-argument: action group Api, POST /orders/{id}, parameter window: the value reaches the handler as {a=1, b=2}, as on AWS, and not as JSON",
        ]
    );
}
