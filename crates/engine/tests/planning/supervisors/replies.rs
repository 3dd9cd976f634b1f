//! What models, functions, guardrails and callers answer, by chance: well, badly, or not at all.

use outcrop_engine::orchestration::{
    ActionResult, ActionReturned, CodeExecuted, Confirmation, EventKind, FunctionReturned,
    GuardedAnswer, GuardrailAssessed, LiveAnswer, ModelCall, ModelReplied, PendingAction,
    Retrieved, ReturnedResult, ReturnedTarget, TokenCounts,
};
use outcrop_engine::port::{
    ActionError, Assessment, CodeError, CodeReply, GuardrailError, ModelError, RetrieveError,
};
use outcrop_engine::prompt::answer::AnswerScanner;
use outcrop_model::converse::{ContentBlock, ConversationRole, Message, StopReason};
use outcrop_model::runtime::{
    GuardrailAssessment, InvocationInputMember, RetrievedReference, ReturnControlPayload,
};
use outcrop_model::timestamp::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

use super::fleet::SEARCH;
use super::world::Work;
use crate::harness::{call, lambda_reply, text};
use crate::simulation::{RUN, Random};

const SEND: &str = "AgentCommunication__sendMessage";
const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// The fact that ends a call.
pub(super) fn answered(random: &mut Random, names: &[&'static str], work: &Work) -> EventKind {
    match work {
        Work::Model(call) => model(random, names, call),
        Work::Action(pending) => action(random, pending),
        Work::Code(pending) => EventKind::CodeExecuted(Box::new(CodeExecuted {
            index: pending.index,
            started_at: NOW,
            ended_at: NOW,
            result: code(random),
        })),
        Work::Parser(pending) => {
            let event: Value = serde_json::from_slice(&pending.event).expect("JSON");
            let result = function(random, |random| parser(random, names, &event));
            EventKind::ParserReplied(Box::new(function_returned(random, result)))
        }
        Work::Orchestrator(pending) => {
            let event: Value = serde_json::from_slice(&pending.event).expect("JSON");
            let result = function(random, |random| orchestrator(random, names, &event));
            EventKind::OrchestratorReplied(Box::new(function_returned(random, result)))
        }
        Work::Guardrail => EventKind::GuardrailAssessed(Box::new(GuardrailAssessed {
            client_request_id: "judgement".to_owned(),
            started_at: NOW,
            ended_at: NOW,
            result: judgement(random),
        })),
        Work::Retrieval(pending) => EventKind::Retrieved(Box::new(Retrieved {
            index: pending.index,
            client_request_id: "search".to_owned(),
            started_at: NOW,
            ended_at: NOW,
            result: match random.below(10) {
                0 => Err(RetrieveError::Failed {
                    knowledge_base_id: pending.knowledge_base_id.clone(),
                    detail: "down".to_owned(),
                }),
                1 => Ok(Vec::new()),
                _ => Ok(vec![RetrievedReference::default()]),
            },
        })),
    }
}

fn model(random: &mut Random, names: &[&'static str], call: &ModelCall) -> EventKind {
    if random.one_in(25) {
        return EventKind::ModelFailed(ModelError::Throttled {
            detail: "slow down".to_owned(),
            retry_after_ms: None,
        });
    }
    // The classifier is asked without tools; now and then it says what it should.
    let routes = call.request.tools.is_empty() && !names.is_empty() && !random.one_in(4);
    let content = if routes {
        vec![text(&routed(random, names))]
    } else {
        blocks(random, names)
    };
    let acts = content
        .iter()
        .any(|block| matches!(block, ContentBlock::ToolUse(_)));
    let (streamed_bytes, guarded) = match &call.live {
        Some(live) => streamed(random, live, &content),
        None => (0, None),
    };
    EventKind::ModelReplied(Box::new(ModelReplied {
        client_request_id: "model-call".to_owned(),
        started_at: NOW,
        message: Arc::new(Message {
            role: ConversationRole::Assistant,
            content,
        }),
        stop_reason: if acts {
            StopReason::ToolUse
        } else {
            StopReason::EndTurn
        },
        usage: TokenCounts {
            input: 10,
            output: 5,
            ..TokenCounts::default()
        },
        streamed_bytes,
        cited_parts: 0,
        guarded,
        answered_by: None,
        invocation_id: format!("invocation-{}", random.below(1_000_000)),
    }))
}

/// What of an answer was sent before its end was known.
fn streamed(
    random: &mut Random,
    live: &LiveAnswer,
    content: &[ContentBlock],
) -> (usize, Option<GuardedAnswer>) {
    let mut scanner = AnswerScanner::new(live.may_call_tools);
    for block in content {
        if let ContentBlock::Text(text) = block {
            scanner.feed(text);
        }
    }
    let sent = scanner.answer().to_owned();
    if live.guardrail.is_none() || sent.is_empty() {
        return (sent.len(), None);
    }
    let guarded = match random.below(6) {
        0 => GuardedAnswer {
            sent: "I cannot say that.".to_owned(),
            blocked: true,
            error: None,
        },
        1 => GuardedAnswer {
            sent: String::new(),
            blocked: false,
            error: Some(GuardrailError::Failed {
                guardrail: "g-1".to_owned(),
                detail: "down".to_owned(),
            }),
        },
        _ => GuardedAnswer {
            sent: sent.clone(),
            blocked: false,
            error: None,
        },
    };
    (sent.len(), Some(guarded))
}

fn blocks(random: &mut Random, names: &[&'static str]) -> Vec<ContentBlock> {
    let mut blocks = Vec::new();
    if random.one_in(3) {
        blocks.push(text("<thinking>hm</thinking>"));
    }
    match random.below(12) {
        0 => blocks.push(text("")),
        1 | 2 => blocks.push(text("<answer>done</answer>")),
        3 => blocks.push(text("plain words")),
        4 => blocks.push(text(&routed(random, names))),
        5 => blocks.push(text("<category>D</category>")),
        6 => blocks.push(text("<final_response>said better</final_response>")),
        _ => {
            let more = if random.one_in(6) { 9 } else { 3 };
            for index in 0..=random.below(more) {
                blocks.push(tool_use(random, names, index));
            }
        }
    }
    blocks
}

fn routed(random: &mut Random, names: &[&'static str]) -> String {
    let route = match random.below(8) {
        0 => "undecidable",
        1 => "keep_previous_agent",
        2 => "nobody",
        nth => names
            .get(usize::try_from(nth).expect("small") % 2)
            .unwrap_or(&"undecidable"),
    };
    format!("<a>{route}</a>")
}

fn tool_use(random: &mut Random, names: &[&'static str], index: u64) -> ContentBlock {
    let id = format!("t{index}-{}", random.below(1_000_000));
    let (name, input) = tool(random, names);
    call(&id, name, input)
}

fn tool(random: &mut Random, names: &[&'static str]) -> (&'static str, Value) {
    let order = json!({"order_id": format!("A-{}", random.below(9))});
    if !names.is_empty() && random.one_in(2) {
        let nth = usize::try_from(random.below(names.len() as u64)).expect("small");
        return (
            SEND,
            json!({"recipient": names[nth], "content": "Find out."}),
        );
    }
    // Who works alone returns control often, so that several do at once.
    if names.is_empty() && random.one_in(3) {
        return ("Client__open", json!({"date": "Monday"}));
    }
    match random.below(16) {
        0 => ("No__such", json!({})),
        1 => ("Orders__status", json!("{broken")),
        2 => ("Orders__cancel", order),
        3 => ("Client__open", json!({"date": "Monday"})),
        4 => ("Client__pay", json!({})),
        5 if random.one_in(3) => ("user__askuser", json!({"question": "Which?"})),
        6 => (RUN, json!({"code": "1 + 1"})),
        7 => (SEARCH, json!({"searchQuery": "what"})),
        8 if random.one_in(2) => (SEND, json!({"recipient": "User", "content": "Here it is."})),
        9 => (SEND, json!({"recipient": "nobody", "content": "Hello?"})),
        10 => (SEND, json!({"recipient": "alpha"})),
        _ => ("Orders__status", order),
    }
}

fn action(random: &mut Random, pending: &PendingAction) -> EventKind {
    let event: Value = serde_json::from_slice(&pending.event).expect("JSON");
    let name = event["function"].as_str().unwrap_or_default().to_owned();
    let result = match random.below(30) {
        0 => replied("not json", None),
        1 => replied("{\"errorMessage\": \"x\"}", Some("Unhandled")),
        2 => ActionResult::Error(ActionError::RespondToModel("No.".to_owned())),
        3 => ActionResult::Error(ActionError::Failed {
            function: pending.function.clone(),
            detail: "throttled".to_owned(),
        }),
        _ => replied(&lambda_reply(&name, "result"), None),
    };
    EventKind::ActionReturned(Box::new(ActionReturned {
        index: pending.index,
        client_request_id: "action-call".to_owned(),
        started_at: NOW,
        ended_at: NOW,
        result,
    }))
}

fn replied(payload: &str, error: Option<&str>) -> ActionResult {
    ActionResult::Replied {
        payload: payload.to_owned(),
        function_error: error.map(ToOwned::to_owned),
        log_tail: None,
        request_id: None,
    }
}

fn code(random: &mut Random) -> Result<CodeReply, CodeError> {
    match random.below(8) {
        0 => Err(CodeError::Busy { limit: 1 }),
        1 if random.one_in(3) => Err(CodeError::Unavailable {
            detail: "gone".to_owned(),
        }),
        more => Ok(CodeReply {
            output: "2".to_owned(),
            error: (more == 2).then(|| "NameError".to_owned()),
            fresh: more == 3,
            ..CodeReply::default()
        }),
    }
}

fn function(random: &mut Random, good: impl FnOnce(&mut Random) -> Value) -> ActionResult {
    match random.below(25) {
        0 => replied("{}", None),
        1 => replied("{\"errorMessage\": \"x\"}", Some("Unhandled")),
        _ => {
            let payload = good(random).to_string();
            replied(&payload, None)
        }
    }
}

fn function_returned(random: &mut Random, result: ActionResult) -> FunctionReturned {
    FunctionReturned {
        started_at: NOW,
        ended_at: NOW,
        invocation_id: format!("invocation-{}", random.below(1_000_000)),
        result,
    }
}

/// A parser's reply of any kind; the turn goes on or fails, and keeps the rules either way.
fn parser(random: &mut Random, names: &[&'static str], event: &Value) -> Value {
    let details = match random.below(7) {
        0 => json!({"invocationType": "ASK_USER", "agentAskUser": {"responseText": "Which?"}}),
        1 | 2 => {
            let calls: Vec<Value> = (0..=random.below(3))
                .map(|nth| {
                    let input = json!({"order_id": {"value": format!("A-{nth}")}});
                    let mut call = json!({"actionGroupName": "Orders", "functionName": "status", "actionGroupInput": input});
                    if random.one_in(2) {
                        call["id"] = json!(format!("p{nth}"));
                    }
                    call
                })
                .collect();
            json!({"invocationType": "ACTION_GROUP", "actionGroupInvocations": calls})
        }
        3 => json!({"invocationType": "AGENT_COLLABORATOR", "agentCollaboratorInvocation": {
            "agentCollaboratorName": names.first().unwrap_or(&"nobody"), "input": {"text": "Find out."}}}),
        _ => {
            json!({"invocationType": "FINISH", "agentFinalResponse": {"responseText": "parsed answer"}})
        }
    };
    let mut parsed = json!({"rationale": "hm", "responseDetails": details});
    if random.one_in(6) {
        parsed["parsingErrorDetails"] = json!({"repromptResponse": "Once more."});
    }
    json!({
        "messageVersion": "1.0",
        "promptType": event["promptType"],
        "orchestrationParsedResponse": parsed,
        "preProcessingParsedResponse": {"isValidInput": !random.one_in(4), "rationale": "hm"},
        "postProcessingParsedResponse": {"responseText": "parsed answer"},
    })
}

/// A function that plans without much of a plan.
fn orchestrator(random: &mut Random, names: &[&'static str], event: &Value) -> Value {
    let message = json!({"role": "user", "content": [{"text": "What next?"}]});
    let request = json!({"modelId": "m", "messages": [message],
        "toolConfig": {"tools": event["context"]["agentConfiguration"]["tools"]}});
    let (name, input) = tool(random, names);
    let id = format!("o{}", random.below(1_000_000));
    let block = json!({"toolUse": {"toolUseId": id, "name": name, "input": input}});
    let piece = json!({"toolUse": {"toolUseId": id, "name": "bedrock_stream_answer_tool", "input": {"text": "piece "}}});
    let (decision, text) = match random.below(10) {
        0..=2 => ("INVOKE_MODEL", request.to_string()),
        3..=6 => ("INVOKE_TOOL", block.to_string()),
        7 if random.one_in(2) => ("INVOKE_TOOL", piece.to_string()),
        7 => (
            "APPLY_GUARDRAIL",
            json!({"guardrailIdentifier": "g-1", "guardrailVersion": "1", "content": [{"text": {"text": "x"}}]}).to_string(),
        ),
        8 => ("VERIFY", "again".to_owned()),
        _ => ("FINISH", "Planned answer.".to_owned()),
    };
    json!({"version": "1.0", "actionEvent": decision, "output": {"text": text, "trace": {"event": {"text": "so"}}}})
}

fn judgement(random: &mut Random) -> Result<Assessment, GuardrailError> {
    let assessments = vec![GuardrailAssessment::default()];
    match random.below(10) {
        0 => Err(GuardrailError::Failed {
            guardrail: "g-1".to_owned(),
            detail: "down".to_owned(),
        }),
        1 => Ok(Assessment {
            intervened: true,
            blocked: true,
            text: Some("I cannot talk about that.".to_owned()),
            assessments,
        }),
        2 => Ok(Assessment {
            intervened: true,
            blocked: false,
            text: Some("masked".to_owned()),
            assessments,
        }),
        _ => Ok(Assessment {
            assessments,
            ..Assessment::default()
        }),
    }
}

/// What the caller answers a return of control with.
pub(super) fn results(random: &mut Random, payload: &ReturnControlPayload) -> Vec<ReturnedResult> {
    let inputs = payload.invocation_inputs.iter().flatten();
    inputs
        .map(|input| {
            let InvocationInputMember::FunctionInvocationInput(input) = input else {
                panic!("only functions here");
            };
            ReturnedResult {
                action_group: input.action_group.clone(),
                target: ReturnedTarget::Function(input.function.clone().unwrap_or_default()),
                agent_id: input.agent_id.clone(),
                confirmation: Some(if random.one_in(3) {
                    Confirmation::Deny
                } else {
                    Confirmation::Confirm
                }),
                body: Some("from the caller".to_owned()),
                image: None,
                failed: random.one_in(12),
                reprompt: false,
            }
        })
        .collect()
}
