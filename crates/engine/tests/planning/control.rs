//! Return of control and confirmation beside Lambda calls, in rounds, abandoned, and gone wrong.

use outcrop_engine::orchestration::{
    Budget, Confirmation, Effect, EventKind, Phase, ReturnedResult, ReturnedTarget, Run,
};
use outcrop_model::converse::ContentBlock;
use serde_json::json;

use crate::harness::{Bench, call, lambda_reply, lines, plan};

fn bench() -> Bench {
    let mut bench = Bench::new(plan(), Vec::new());
    bench.start("Do it all.", Budget::default());
    bench
}

fn result(group: &str, function: &str, confirmation: Option<Confirmation>) -> ReturnedResult {
    ReturnedResult {
        action_group: group.to_owned(),
        target: ReturnedTarget::Function(function.to_owned()),
        agent_id: Some("AGENTAGENT".to_owned()),
        confirmation,
        body: Some(format!("{function} done")),
        image: None,
        failed: false,
        reprompt: false,
    }
}

fn status(id: &str) -> ContentBlock {
    call(id, "Orders__status", json!({"order_id": id}))
}

fn open(id: &str) -> ContentBlock {
    call(id, "Client__open", json!({"date": id}))
}

/// What is asked of the caller: the id, and each call with its kind.
fn asked(effects: &[Effect]) -> String {
    let payload = effects.iter().find_map(|effect| match effect {
        Effect::ReturnControl(payload) => Some(serde_json::to_value(payload).expect("JSON")),
        _ => None,
    });
    let payload = payload.expect("control is returned");
    let inputs = payload["invocationInputs"].as_array().expect("a list");
    let calls: Vec<String> = inputs
        .iter()
        .map(|input| {
            let input = &input["functionInvocationInput"];
            let text = |member: &str| input[member].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("function"), text("actionInvocationType"))
        })
        .collect();
    format!(
        "{}: {}",
        payload["invocationId"].as_str().unwrap_or_default(),
        calls.join(", ")
    )
}

/// The last request to the model, without what came before the calls.
fn told(effects: &[Effect]) -> String {
    let lines = lines(effects);
    let request = lines.lines().find(|line| line.starts_with("call model"));
    let request = request.expect("the model is called");
    let results = request.rsplit(" | ").next().expect("a last message");
    results.to_owned()
}

#[test]
fn all_kinds_at_once_are_one_return_of_control() {
    let mut bench = bench();
    bench.reply(vec![
        status("t1"),
        call("t2", "Orders__cancel", json!({"order_id": "A"})),
        open("t3"),
        call("t4", "Client__pay", json!({})),
    ]);
    let effects = bench.returned(0, &lambda_reply("status", "shipped"), None);
    assert_eq!(
        asked(&effects),
        "uuid-uc-result: cancel USER_CONFIRMATION, open RESULT, pay USER_CONFIRMATION_AND_RESULT"
    );
    // A restart: all that is known is the journal.
    bench.run = Run::replay(plan(), Vec::new(), &bench.journal);
    let results = vec![
        result("Client", "pay", Some(Confirmation::Deny)),
        result("Orders", "cancel", Some(Confirmation::Confirm)),
        result("Client", "open", None),
    ];
    let id = bench.run.awaited_invocation_id().expect("it waits");
    bench.run.check_results(&id, &results).expect("they answer");
    let effects = lines(&bench.control(results));
    assert_eq!(
        effects,
        "call action 1 [run/1/1]: \"cancel\" [{\"name\":\"order_id\",\"type\":\"string\",\"value\":\"A\"}]\n",
        "only what was confirmed runs, and nothing twice"
    );
    let effects = bench.returned(1, &lambda_reply("cancel", "cancelled"), None);
    assert_eq!(
        told(&effects),
        "user result t1 \"success\" \"shipped\" + result t2 \"success\" \"cancelled\" + result t3 \"success\" \"open done\" + result t4 \"error\" \"Access denied: the user did not confirm this action, so it was not carried out.\""
    );
}

#[test]
fn more_calls_than_a_caller_can_answer_at_once_are_asked_for_in_rounds() {
    let mut bench = bench();
    let mut calls: Vec<ContentBlock> = (0..6).map(|n| open(&format!("t{n}"))).collect();
    calls.push(call("t6", "Orders__cancel", json!({"order_id": "A"})));
    let effects = bench.reply(calls);
    assert_eq!(
        asked(&effects),
        "uuid: open RESULT, open RESULT, open RESULT, open RESULT, open RESULT"
    );
    let five = || vec![result("Client", "open", None); 5];
    let mut six = five();
    six.push(result("Client", "open", None));
    let refused = bench.run.check_results("uuid", &six).expect_err("too many");
    assert!(
        refused.ends_with("Expected: no further result"),
        "{refused}"
    );
    let effects = bench.control(five());
    assert_eq!(
        asked(&effects),
        "next-uuid-uc: open RESULT, cancel USER_CONFIRMATION"
    );
    let late = bench.run.check_results("uuid", &five()).expect_err("late");
    assert_eq!(
        late,
        "Validation failed: Unexpected invocationId: uuid. The session waits for results for invocationId: next-uuid-uc, which are actionGroup Client and function open; actionGroup Orders and function cancel"
    );
    let effects = bench.control(vec![
        result("Orders", "cancel", Some(Confirmation::Deny)),
        result("Client", "open", None),
    ]);
    assert_eq!(told(&effects).matches("open done").count(), 6);
}

#[test]
fn an_abandoned_return_of_control_keeps_what_lambda_did() {
    let mut bench = bench();
    bench.reply(vec![status("t1"), open("t2")]);
    bench.returned(0, &lambda_reply("status", "shipped"), None);
    bench.feed(EventKind::ControlAbandoned);
    assert_eq!(bench.run.phase(), Phase::Finished);
    let late = bench
        .run
        .check_results("uuid", &[result("Client", "open", None)])
        .expect_err("late");
    assert!(
        late.starts_with("Validation failed: No invocation is waiting"),
        "{late}"
    );
    let mut next = Bench::new(plan(), bench.run.conversation());
    let effects = lines(&next.start("Something else.", Budget::default()));
    assert!(
        effects.contains(
            "user result t1 \"success\" \"shipped\" + result t2 \"error\" \"No result was given for this call. The user went on with something else.\""
        ),
        "{effects}"
    );
}

#[test]
fn a_step_that_fails_before_control_is_returned_never_made_the_others() {
    let mut bench = bench();
    bench.reply(vec![status("t1"), open("t2")]);
    bench.returned(0, "not json", None);
    let mut next = Bench::new(plan(), bench.run.conversation());
    let effects = lines(&next.start("Again?", Budget::default()));
    assert!(
        effects.contains("result t2 \"error\" \"This call was not made.\""),
        "{effects}"
    );
}

#[test]
fn a_failed_result_fails_the_turn_unless_the_user_declined() {
    let mut failing = bench();
    failing.reply(vec![call("t1", "Client__pay", json!({}))]);
    let mut declined = Bench::new(plan(), Vec::new());
    for event in failing.journal.clone() {
        declined.feed(event.kind);
    }
    let failed = |confirmation| ReturnedResult {
        failed: true,
        ..result("Client", "pay", Some(confirmation))
    };
    let effects = lines(&failing.control(vec![failed(Confirmation::Confirm)]));
    assert!(
        effects.ends_with(
            "finish: DependencyFailed Received failed response from API execution. Retry the request later. Cause: responseState of the result for actionGroup Client and function pay is FAILURE: pay done\n"
        ),
        "{effects}"
    );
    let effects = declined.control(vec![failed(Confirmation::Deny)]);
    assert!(told(&effects).contains("Access denied"));
}

#[test]
fn a_broken_reply_names_the_request_in_exception_and_trace() {
    let mut bench = bench();
    bench.reply(vec![status("t1")]);
    let effects = bench.returned_with("[]", Some("the end of the log"), Some("req-77"));
    let json: Vec<serde_json::Value> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Emit(outcrop_engine::orchestration::Emission::Trace { trace, .. }) => {
                Some(serde_json::to_value(trace).expect("JSON"))
            }
            _ => None,
        })
        .collect();
    let failure = &json[0]["failureTrace"];
    let said = "The server encountered an error processing the Lambda response. Check the Lambda response and retry the request Cause: the reply: expected an object, got [] Request id: req-77 Log tail: the end of the log";
    assert_eq!(failure["failureReason"], json!(said));
    assert_eq!(failure["metadata"]["clientRequestId"], json!("req-77"));
    assert!(lines(&effects).ends_with(&format!("finish: DependencyFailed {said}\n")));
}
