//! Events for parser functions, and their responses, good and broken.

use std::sync::Arc;

use outcrop_model::converse::{ContentBlock, ConversationRole, Message, StopReason, ToolUseBlock};
use outcrop_model::timestamp::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::action::Strictness;
use crate::orchestration::{ModelReplied, TokenCounts};
use crate::prompt::family::Family;
use crate::prompt::syntax::CallSyntax;

fn parse(prompt_type: PromptType, response: &Value) -> Result<Parsed, String> {
    read(
        response.to_string().as_bytes(),
        prompt_type,
        Strictness::Strict,
    )
    .map_err(|fault| fault.detail.expect("each fault has its cause"))
}

fn orchestration(details: &Value) -> Result<ParsedNext, String> {
    let response = json!({"messageVersion": "1.0", "promptType": "ORCHESTRATION",
        "orchestrationParsedResponse": {"rationale": "why", "parsingErrorDetails": null, "responseDetails": details}});
    match parse(PromptType::Orchestration, &response)? {
        Parsed::Orchestration { rationale, next } => {
            assert_eq!(rationale.as_deref(), Some("why"));
            Ok(next)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_event_is_as_documented() {
    let agent = EventAgent {
        alias: "TSTALIASID",
        id: "A1B2C3D4E5",
        name: "x",
        version: "DRAFT",
    };
    let event: Value =
        serde_json::from_slice(&event(&agent, PromptType::Orchestration, "<thinking>"))
            .expect("JSON");
    assert_eq!(
        event,
        json!({"messageVersion": "1.0",
            "agent": {"name": "x", "id": "A1B2C3D4E5", "alias": "TSTALIASID", "version": "DRAFT"},
            "invokeModelRawResponse": "<thinking>", "promptType": "ORCHESTRATION",
            "overrideType": "OUTPUT_PARSER"})
    );
}

#[test]
fn each_kind_of_step_is_read() {
    let function = json!({"actionGroupName": "Vacations", "functionName": "balance", "id": "toolu_1",
        "actionGroupInput": {"employee_id": {"value": "17"}, "days": {"value": [1, 2]}}});
    let next = orchestration(
        &json!({"invocationType": "ACTION_GROUP", "actionGroupInvocation": function}),
    );
    let expected = ParsedCall {
        id: Some("toolu_1".to_owned()),
        target: ParsedTarget::Function {
            action_group: "Vacations".to_owned(),
            function: "balance".to_owned(),
        },
        arguments: BTreeMap::from([
            ("days".to_owned(), "[1,2]".to_owned()),
            ("employee_id".to_owned(), "17".to_owned()),
        ]),
    };
    assert_eq!(next, Ok(ParsedNext::Calls(vec![expected.clone()])));
    let both = orchestration(&json!({"invocationType": "ACTION_GROUP",
        "actionGroupInvocations": [function, {"actionGroupName": "Claims", "apiName": "list", "verb": "GET"}],
        "agentKnowledgeBases": [{"knowledgeBaseId": "KB", "searchQuery": {"value": "q"}, "id": "2"}]}));
    let Ok(ParsedNext::Calls(calls)) = both else {
        panic!("{both:?}");
    };
    assert_eq!(calls[0], expected);
    assert_eq!(
        calls[1].target,
        ParsedTarget::Api {
            action_group: "Claims".to_owned(),
            api_name: "list".to_owned(),
            verb: "GET".to_owned()
        }
    );
    assert_eq!(
        calls[2].target,
        ParsedTarget::KnowledgeBase {
            id: "KB".to_owned(),
            query: "q".to_owned()
        }
    );
    let collaborator = orchestration(&json!({"invocationType": "AGENT_COLLABORATOR",
        "agentCollaboratorInvocation": {"agentCollaboratorName": "Math", "input": {"text": "1+1"}}}));
    assert!(matches!(&collaborator, Ok(ParsedNext::Calls(calls))
        if matches!(&calls[0].target, ParsedTarget::Collaborator { name, text } if name == "Math" && text == "1+1")));
    assert_eq!(
        orchestration(
            &json!({"invocationType": "ASK_USER", "agentAskUser": {"responseText": "Which?", "id": "1"}})
        ),
        Ok(ParsedNext::AskUser {
            text: "Which?".to_owned(),
            id: Some("1".to_owned())
        })
    );
    assert_eq!(
        orchestration(
            &json!({"invocationType": "FINISH", "agentFinalResponse": {"responseText": "Done.",
            "citations": {"generatedResponseParts": [{"text": "Done.", "references": [{"sourceId": "1"}]}]}}})
        ),
        Ok(ParsedNext::Finish {
            text: "Done.".to_owned(),
            parts: vec![GeneratedPart {
                text: "Done.".to_owned(),
                sources: vec!["1".to_owned()]
            }]
        })
    );
    let reprompt = json!({"promptType": "ORCHESTRATION", "orchestrationParsedResponse": {
        "parsingErrorDetails": {"repromptResponse": "Use the tool format."}, "responseDetails": 3}});
    assert_eq!(
        parse(PromptType::Orchestration, &reprompt),
        Ok(Parsed::Orchestration {
            rationale: None,
            next: ParsedNext::Reprompt("Use the tool format.".to_owned())
        })
    );
}

#[test]
fn responses_as_the_samples_of_aws_write_them_are_read() {
    // No version, no ids, an operation named both ways, a query as it was parsed.
    let response = json!({"promptType": "ORCHESTRATION", "orchestrationParsedResponse": {
        "rationale": null, "responseDetails": {"invocationType": "ACTION_GROUP", "actionGroupInvocation": {
            "verb": "GET", "actionGroupName": "Claims", "apiName": "list", "functionName": "list",
            "actionGroupInput": {"claimId": {"value": "6"}}}}}});
    let Ok(Parsed::Orchestration {
        rationale: None,
        next: ParsedNext::Calls(calls),
    }) = parse(PromptType::Orchestration, &response)
    else {
        panic!("it is read");
    };
    assert_eq!(calls[0].id, None);
    assert_eq!(
        calls[0].target,
        ParsedTarget::Function {
            action_group: "Claims".to_owned(),
            function: "list".to_owned()
        }
    );
    let search = orchestration(&json!({"invocationType": "KNOWLEDGE_BASE",
        "agentKnowledgeBase": {"searchQuery": {"value": "q"}, "knowledgeBaseId": "KB"}}));
    assert!(matches!(search, Ok(ParsedNext::Calls(calls)) if calls.len() == 1));
    let asked = orchestration(
        &json!({"invocationType": "ASK_USER", "agentAskUser": {"responseText": "Which?"}}),
    );
    assert!(matches!(asked, Ok(ParsedNext::AskUser { id: None, .. })));
}

#[test]
fn the_other_prompts_are_read() {
    let part = json!({"generatedResponseParts": [{"text": "t", "references": [{"sourceId": "1"}, {"sourceId": "2"}]}]});
    let parts = vec![GeneratedPart {
        text: "t".to_owned(),
        sources: vec!["1".to_owned(), "2".to_owned()],
    }];
    let agent = json!({"type": "AGENT", "agentCollaboratorInvocation": {"agentCollaboratorName": "Math", "input": {"text": "x"}}});
    for (prompt_type, member, body, expected) in [
        (
            PromptType::PreProcessing,
            "preProcessingParsedResponse",
            json!({"isValidInput": false, "rationale": "no"}),
            Parsed::PreProcessing {
                is_valid: false,
                rationale: Some("no".to_owned()),
            },
        ),
        (
            PromptType::RoutingClassifier,
            "routingClassifierParsedResponse",
            json!({"responseDetails": agent}),
            Parsed::Routing(ParsedRoute::Decided {
                route: Route::Agent("Math".to_owned()),
                text: Some("x".to_owned()),
            }),
        ),
        (
            PromptType::RoutingClassifier,
            "routingClassifierParsedResponse",
            json!({"parsingErrorDetails": {"repromptResponse": "again"}}),
            Parsed::Routing(ParsedRoute::Reprompt("again".to_owned())),
        ),
        (
            PromptType::KnowledgeBaseResponseGeneration,
            "knowledgeBaseResponseGenerationParsedResponse",
            json!({"generatedResponse": part}),
            Parsed::KnowledgeBaseResponse(parts.clone()),
        ),
        (
            PromptType::PostProcessing,
            "postProcessingParsedResponse",
            json!({"responseText": "t", "citations": part}),
            Parsed::PostProcessing {
                text: "t".to_owned(),
                parts,
            },
        ),
        (
            PromptType::MemorySummarization,
            "memorySummarizationParsedResponse",
            json!({"topicwiseSummaries": [{"topic": "user goals", "summary": "s"}]}),
            Parsed::Memory(vec![TopicSummary {
                topic: "user goals".to_owned(),
                summary: "s".to_owned(),
            }]),
        ),
    ] {
        let response =
            json!({"messageVersion": "1.0", "promptType": prompt_type.as_str(), member: body});
        assert_eq!(parse(prompt_type, &response), Ok(expected), "{member}");
    }
}

#[test]
fn a_fault_names_member_expected_and_got() {
    for (details, detail) in [
        (
            json!({}),
            "orchestrationParsedResponse.responseDetails.invocationType: expected a string, got nothing",
        ),
        (
            json!({"invocationType": "CALL"}),
            "orchestrationParsedResponse.responseDetails.invocationType: expected ACTION_GROUP, KNOWLEDGE_BASE, AGENT_COLLABORATOR, ASK_USER or FINISH, got \"CALL\"",
        ),
        (
            json!({"invocationType": "ACTION_GROUP"}),
            "orchestrationParsedResponse.responseDetails: expected one of actionGroupInvocation, actionGroupInvocations, got members [\"invocationType\"]",
        ),
        (
            json!({"invocationType": "ACTION_GROUP", "actionGroupInvocations": [{"actionGroupName": "a", "functionName": "f", "actionGroupInput": {"x": "1"}}]}),
            "orchestrationParsedResponse.responseDetails.actionGroupInvocations[0].actionGroupInput.x: expected an object with the member value, got \"1\"",
        ),
        (
            json!({"invocationType": "ACTION_GROUP", "actionGroupInvocation": {"actionGroupName": "a", "apiName": "f"}}),
            "orchestrationParsedResponse.responseDetails.actionGroupInvocation.verb: expected a string, got nothing",
        ),
        (
            json!({"invocationType": "FINISH", "agentFinalResponse": {"responseText": 3}}),
            "orchestrationParsedResponse.responseDetails.agentFinalResponse.responseText: expected a string, got 3",
        ),
    ] {
        assert_eq!(orchestration(&details), Err(detail.to_owned()), "{details}");
    }
    let other = json!({"messageVersion": "3.0"});
    assert_eq!(
        parse(PromptType::PreProcessing, &other),
        Err("messageVersion: expected \"1.0\" or \"2.0\", got \"3.0\"".to_owned())
    );
    let other = json!({"promptType": "ORCHESTRATION"});
    assert_eq!(
        parse(PromptType::PreProcessing, &other),
        Err("promptType: expected PRE_PROCESSING, got \"ORCHESTRATION\"".to_owned())
    );
    assert!(read(b"oops", PromptType::PreProcessing, Strictness::Relaxed).is_err());
    let bare = br#"{"orchestrationParsedResponse": {"responseDetails": {"invocationType": "ACTION_GROUP",
        "actionGroupInvocation": {"actionGroupName": "a", "functionName": "f", "actionGroupInput": {"x": 1}}}}}"#;
    assert!(read(bare, PromptType::Orchestration, Strictness::Relaxed).is_ok());
    assert!(read(bare, PromptType::Orchestration, Strictness::Strict).is_err());
}

#[test]
fn the_raw_response_has_the_form_of_the_model() {
    let reply = ModelReplied {
        client_request_id: "r".to_owned(),
        started_at: Timestamp::from_nanos(0),
        message: Arc::new(Message {
            role: ConversationRole::Assistant,
            content: vec![
                ContentBlock::Text("Look.".to_owned()),
                ContentBlock::ToolUse(ToolUseBlock {
                    input: json!({"a": "1"}),
                    name: "G__f".to_owned(),
                    tool_use_id: "t1".to_owned(),
                    type_: None,
                }),
            ],
        }),
        stop_reason: StopReason::ToolUse,
        usage: TokenCounts::default(),
        streamed_bytes: 0,
        cited_parts: 0,
        answered_by: None,
        guarded: None,
        invocation_id: String::new(),
    };
    let claude: Value =
        serde_json::from_str(&raw_response(CallSyntax::Native, Family::Claude, &reply))
            .expect("JSON");
    assert_eq!(claude["stop_reason"], "tool_use");
    assert_eq!(
        claude["content"][1],
        json!({"type": "tool_use", "id": "t1", "name": "G__f", "input": {"a": "1"}})
    );
    let nova: Value = serde_json::from_str(&raw_response(CallSyntax::Native, Family::Nova, &reply))
        .expect("JSON");
    assert_eq!(nova["output"]["message"]["content"][0]["text"], "Look.");
    assert!(
        raw_response(CallSyntax::Xml, Family::Claude, &reply)
            .starts_with("Look.\n<function_calls>\n<invoke>\n<tool_name>G::f</tool_name>")
    );
}
