//! What else such a function may do, and what may go wrong.

use std::sync::Arc;

use outcrop_engine::definition::{
    CollaborationDefinition, CollaboratorDefinition, KnowledgeBaseDefinition,
};
use outcrop_engine::orchestration::{
    ActionResult, Budget, CancelCause, CollaboratorReplied, CollaboratorResult, Conversation,
    Effect, EventKind, GuardrailAssessed, Phase, Retrieved, ReturnedResult, ReturnedTarget, Run,
    Spent,
};
use outcrop_engine::orchestrator::{CALLS_MAX, OWN_STATES_MAX, STREAM_ANSWER_TOOL};
use outcrop_engine::plan::AgentPlan;
use outcrop_engine::port::{ActionError, Assessment, GuardrailError, GuardrailSource};
use outcrop_model::control::{AgentCollaboration, GuardrailConfiguration};
use outcrop_model::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{
    PLANNER, begin, decided, event, orchestrate, orchestrated_plan, reply, returned, seen, tool,
};
use crate::harness::{Bench, lambda_reply, lines, plan_of, text};

fn guarded_plan() -> Arc<AgentPlan> {
    plan_of(|definition| {
        orchestrate(definition);
        definition.guardrail = Some(GuardrailConfiguration {
            guardrail_identifier: Some("g-1".to_owned()),
            guardrail_version: Some("3".to_owned()),
        });
    })
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
    let after = streamed.run.conversation();
    let steps = &after.orchestrated[0].intermediary_steps;
    assert_eq!(steps.len(), 1, "one call, one step");
    assert_eq!(steps[0].orchestration_input.state, "START");
    assert_eq!(after.orchestrated[0].agent_output, "It has shipped.");
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

#[test]
fn a_collaborator_is_called_and_a_message_to_the_user_is_the_answer() {
    let plan = plan_of(|definition| {
        orchestrate(definition);
        definition.collaboration = Some(CollaborationDefinition {
            mode: AgentCollaboration::Supervisor,
            collaborators: vec![CollaboratorDefinition {
                name: "Billing".to_owned(),
                alias_arn:
                    "arn:aws:bedrock:us-west-2:111111111111:agent-alias/BILLBILLBI/PRODPRODPR"
                        .to_owned(),
                plan: None,
                instruction: "Ask it about bills.".to_owned(),
                relays_history: false,
            }],
        });
    });
    let mut bench = begin(plan.clone());
    let send = |id: &str, to: &str| {
        let input = json!({"recipient": to, "content": "How much?"});
        tool(id, "AgentCommunication__sendMessage", input)
    };
    let effects = decided(&mut bench, &send("c1", "Billing"));
    assert!(
        lines(&effects).contains("call collaborator 0 Billing"),
        "{}",
        lines(&effects)
    );
    let at = Timestamp::from_nanos(1);
    let effects = bench.feed(EventKind::CollaboratorReplied(Box::new(
        CollaboratorReplied {
            index: 0,
            client_request_id: "billing".to_owned(),
            started_at: at,
            ended_at: at,
            spent: Spent::default(),
            result: CollaboratorResult::Answered("30 dollars.".to_owned()),
        },
    )));
    let told = event(&effects)["input"]["text"].to_string();
    assert!(told.contains("30 dollars."), "{told}");
    let effects = lines(&decided(&mut bench, &send("c2", "User")));
    assert_eq!(effects, "chunk: How much?\nfinish: Completed\n");
    let mut next = Bench::new(plan, bench.run.conversation());
    let session = event(&next.start("And?", Budget::default()))["context"]["session"].to_string();
    assert!(
        session.contains("The message was sent to the user."),
        "{session}"
    );
}
