//! Turns with their whole effects, one test a situation.

use expect_test::expect;
use outcrop_engine::orchestration::{
    Budget, CancelCause, Confirmation, EventKind, Phase, ReturnedResult, ReturnedTarget,
};
use outcrop_engine::port::ModelError;
use serde_json::json;

use crate::harness::{Bench, call, lambda_reply, lines, plan, text};

fn bench() -> Bench {
    let mut bench = Bench::new(plan(), Vec::new());
    bench.start("Where is A-482?", Budget::default());
    bench
}

fn result(group: &str, function: &str, confirmation: Option<Confirmation>) -> ReturnedResult {
    ReturnedResult {
        action_group: group.to_owned(),
        target: ReturnedTarget::Function(function.to_owned()),
        agent_id: None,
        confirmation,
        body: Some("done by the caller".to_owned()),
        image: None,
        failed: false,
        reprompt: false,
    }
}

#[test]
fn one_tool_then_the_answer() {
    let mut bench = Bench::new(plan(), Vec::new());
    let mut out = lines(&bench.start("Where is A-482?", Budget::default()));
    out += &lines(&bench.reply(vec![
        text("<thinking>look it up</thinking>"),
        call("t1", "Orders__status", json!({"order_id": "A-482"})),
    ]));
    out += &lines(&bench.returned(0, &lambda_reply("status", "shipped"), None));
    out += &lines(&bench.reply(vec![text("<answer>It has shipped.")]));
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-0","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"rationale":{"text":"look it up","traceId":"req-1-0"}}}
        call action 0 [run/1/0]: "status" [{"name":"order_id","type":"string","value":"A-482"}]
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"LAMBDA","function":"status","parameters":[{"name":"order_id","type":"string","value":"A-482"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"shipped"},"traceId":"req-1-0","type":"ACTION_GROUP"}}}
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-1","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant "<thinking>look it up</thinking>" + use t1 | user result t1 "success" "shipped"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-1"}}}
        trace: {"orchestrationTrace":{"observation":{"finalResponse":{"text":"It has shipped."},"traceId":"req-1-1","type":"FINISH"}}}
        chunk: It has shipped.
        finish: Completed
    "#]]
    .assert_eq(&out);
    assert_eq!(bench.run.phase(), Phase::Finished);
}

#[test]
fn two_tools_run_at_once_and_are_traced_in_call_order() {
    let mut bench = bench();
    let mut out = lines(&bench.reply(vec![
        call("t1", "Orders__status", json!({"order_id": "A"})),
        call("t2", "Orders__status", json!({"order_id": "B"})),
    ]));
    out += "-- the second returns first\n";
    out += &lines(&bench.returned(1, &lambda_reply("status", "b"), None));
    out += "-- then the first\n";
    out += &lines(&bench.returned(0, &lambda_reply("status", "a"), None));
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        call action 0 [run/1/0]: "status" [{"name":"order_id","type":"string","value":"A"}]
        call action 1 [run/1/1]: "status" [{"name":"order_id","type":"string","value":"B"}]
        -- the second returns first
        -- then the first
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"LAMBDA","function":"status","parameters":[{"name":"order_id","type":"string","value":"A"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"a"},"traceId":"req-1-0","type":"ACTION_GROUP"}}}
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"LAMBDA","function":"status","parameters":[{"name":"order_id","type":"string","value":"B"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"b"},"traceId":"req-1-0","type":"ACTION_GROUP"}}}
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-1","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant use t1 + use t2 | user result t1 "success" "a" + result t2 "success" "b"
    "#]]
    .assert_eq(&out);
}

#[test]
fn mistakes_go_back_to_the_model() {
    let mut bench = bench();
    let out = lines(&bench.reply(vec![
        call("t1", "Orders__nothing", json!({})),
        call("t2", "Orders__status", json!({"id": 5})),
        call("t3", "Orders__status", json!("{broken")),
    ]));
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-1","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant use t1 + use t2 + use t3 | user result t1 "error" "There is no function named Orders__nothing. The functions are: Client__open, Client__pay, Orders__cancel, Orders__status, user__askuser." + result t2 "error" "The call of Orders__status was not made: there is no parameter 'id'; the required parameter 'order_id' is missing. Its parameters are: order_id (string, required). Correct the arguments, or ask the user for what is missing." + result t3 "error" "The arguments of Orders__status must be a JSON object, but were: \"{broken\""
    "#]]
    .assert_eq(&out);
}

#[test]
fn control_is_returned_after_the_lambda_calls_of_the_same_step() {
    let mut bench = bench();
    let mut out = lines(&bench.reply(vec![
        call("t1", "Client__open", json!({"date": "Monday"})),
        call("t2", "Orders__status", json!({"order_id": "A"})),
    ]));
    out += "-- the Lambda returns\n";
    out += &lines(&bench.returned(1, &lambda_reply("status", "a"), None));
    out += "-- the caller answers\n";
    out += &lines(&bench.control(vec![result("Client", "open", None)]));
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        call action 1 [run/1/1]: "status" [{"name":"order_id","type":"string","value":"A"}]
        -- the Lambda returns
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"LAMBDA","function":"status","parameters":[{"name":"order_id","type":"string","value":"A"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"a"},"traceId":"req-1-0","type":"ACTION_GROUP"}}}
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Client","executionType":"RETURN_CONTROL","function":"open","invocationId":"uuid","parameters":[{"name":"date","type":"string","value":"Monday"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        return control: {"invocationId":"uuid","invocationInputs":[{"functionInvocationInput":{"actionGroup":"Client","actionInvocationType":"RESULT","agentId":"AGENTAGENT","function":"open","parameters":[{"name":"date","type":"string","value":"Monday"}]}}]}
        -- the caller answers
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-2-0","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant use t1 + use t2 | user result t1 "success" "done by the caller" + result t2 "success" "a"
    "#]]
    .assert_eq(&out);
}

#[test]
fn a_confirmed_call_runs_and_a_denied_one_does_not() {
    let mut bench = bench();
    let mut out = lines(&bench.reply(vec![call("t1", "Orders__cancel", json!({"order_id": "A"}))]));
    let mut denied = Bench::new(plan(), Vec::new());
    for event in bench.journal.clone() {
        denied.feed(event.kind);
    }
    out += "-- confirmed\n";
    out += &lines(&bench.control(vec![result(
        "Orders",
        "cancel",
        Some(Confirmation::Confirm),
    )]));
    out += &lines(&bench.returned(0, &lambda_reply("cancel", "cancelled"), None));
    out += "-- denied\n";
    out += &lines(&denied.control(vec![result("Orders", "cancel", Some(Confirmation::Deny))]));
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"RETURN_CONTROL","function":"cancel","invocationId":"uuid-uc","parameters":[{"name":"order_id","type":"string","value":"A"}]},"invocationType":"ACTION_GROUP","traceId":"req-1-0"}}}
        return control: {"invocationId":"uuid-uc","invocationInputs":[{"functionInvocationInput":{"actionGroup":"Orders","actionInvocationType":"USER_CONFIRMATION","agentId":"AGENTAGENT","function":"cancel","parameters":[{"name":"order_id","type":"string","value":"A"}]}}]}
        -- confirmed
        call action 0 [run/1/0]: "cancel" [{"name":"order_id","type":"string","value":"A"}]
        trace: {"orchestrationTrace":{"invocationInput":{"actionGroupInvocationInput":{"actionGroupName":"Orders","executionType":"LAMBDA","function":"cancel","parameters":[{"name":"order_id","type":"string","value":"A"}]},"invocationType":"ACTION_GROUP","traceId":"req-2-0"}}}
        trace: {"orchestrationTrace":{"observation":{"actionGroupInvocationOutput":{"text":"cancelled"},"traceId":"req-2-0","type":"ACTION_GROUP"}}}
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-2-1","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant use t1 | user result t1 "success" "cancelled"
        -- denied
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-2-0","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant use t1 | user result t1 "error" "Access denied: the user did not confirm this action, so it was not carried out."
    "#]]
    .assert_eq(&out);
}

#[test]
fn results_must_answer_what_was_asked() {
    let mut bench = bench();
    bench.reply(vec![
        call("t1", "Client__open", json!({"date": "Monday"})),
        call("t2", "Client__pay", json!({})),
    ]);
    let id = bench.run.awaited_invocation_id().expect("waits");
    assert_eq!(id, "uuid-uc-result");
    let open = || result("Client", "open", None);
    let pay = || result("Client", "pay", Some(Confirmation::Confirm));
    let check = |id: &str, results: &[ReturnedResult]| bench.run.check_results(id, results);
    assert_eq!(check(&id, &[pay(), open()]), Ok(()));
    for (id, results, message) in [
        (
            "other",
            vec![open(), pay()],
            "Validation failed: Unexpected invocationId: other. The session waits for results for invocationId: uuid-uc-result, which are actionGroup Client and function open; actionGroup Client and function pay",
        ),
        (
            &id,
            vec![open(), result("Client", "close", None)],
            "Validation failed: Unexpected actionGroup: Client or function : close encountered for invocationId: uuid-uc-result. Expected: actionGroup Client and function pay",
        ),
        (
            &id,
            vec![open()],
            "Validation failed: 1 of 2 results are missing for invocationId: uuid-uc-result. Give one for each of its invocationInputs. Missing: actionGroup Client and function pay",
        ),
        (
            &id,
            vec![open(), pay(), pay()],
            "Validation failed: Unexpected actionGroup: Client or function : pay encountered for invocationId: uuid-uc-result. Expected: no further result",
        ),
        (
            &id,
            vec![ReturnedResult {
                agent_id: Some("OTHERAGENT".to_owned()),
                ..open()
            }],
            "Validation failed: Unexpected agentId: OTHERAGENT encountered for actionGroup: Client and function : open. Expected: AGENTAGENT",
        ),
        (
            &id,
            vec![ReturnedResult {
                target: ReturnedTarget::Api {
                    path: "/open".to_owned(),
                    method: "GET".to_owned(),
                },
                ..open()
            }],
            "Validation failed: Unexpected actionGroup: Client or function : GET /open encountered for invocationId: uuid-uc-result. Expected: actionGroup Client and function open; actionGroup Client and function pay",
        ),
        (
            &id,
            vec![open(), result("Client", "pay", None)],
            "Validation failed: confirmationState is required for actionGroup: Client and function : pay, expected CONFIRM or DENY",
        ),
    ] {
        assert_eq!(check(id, &results), Err(message.to_owned()));
    }
}

#[test]
fn the_user_is_asked() {
    let mut bench = bench();
    let out = lines(&bench.reply(vec![call(
        "t1",
        "user__askuser",
        json!({"question": "Which order?"}),
    )]));
    expect![[r#"
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        trace: {"orchestrationTrace":{"observation":{"finalResponse":{"text":"Which order?"},"traceId":"req-1-0","type":"ASK_USER"}}}
        chunk: Which order?
        finish: Completed
    "#]]
    .assert_eq(&out);
}

#[test]
fn a_handler_that_raises_fails_the_turn_and_the_history_says_so() {
    let mut bench = bench();
    bench.reply(vec![
        call("t1", "Orders__status", json!({"order_id": "A"})),
        call("t2", "Orders__status", json!({"order_id": "B"})),
    ]);
    let mut out = lines(&bench.returned(0, "{\"errorMessage\": \"boom\"}", Some("Unhandled")));
    let history = bench.run.conversation();
    let mut next = Bench::new(plan(), history);
    out += "-- next turn\n";
    out += &lines(&next.start("Again?", Budget::default()));
    expect![[r#"
        trace: {"failureTrace":{"failureCode":424,"failureReason":"Your request couldn't be completed. Lambda function arn:aws:lambda:us-west-2:111111111111:function:order-tools encountered a problem while processing request.The error message from the Lambda function is Unhandled. Check the Lambda function log for error details, then try your request again after fixing the error. Cause: boom","traceId":"req-1-0"}}
        finish: DependencyFailed Your request couldn't be completed. Lambda function arn:aws:lambda:us-west-2:111111111111:function:order-tools encountered a problem while processing request.The error message from the Lambda function is Unhandled. Check the Lambda function log for error details, then try your request again after fixing the error. Cause: boom
        -- next turn
        trace: {"orchestrationTrace":{"modelInvocationInput":{"traceId":"req-1-0","type":"ORCHESTRATION"}}}
        call model: user "Where is A-482?" | assistant use t1 + use t2 | user result t1 "error" "The call failed. Your request couldn't be completed. Lambda function arn:aws:lambda:us-west-2:111111111111:function:order-tools encountered a problem while processing request.The error message from the Lambda function is Unhandled. Check the Lambda function log for error details, then try your request again after fixing the error. Cause: boom" + result t2 "error" "The outcome of this call is unknown: the turn was interrupted after the call was made and before its result arrived. It may or may not have taken effect. Check before making it again." | assistant "(This turn ended without an answer.)" | user "Again?"
    "#]]
    .assert_eq(&out);
}

#[test]
fn failures_and_budgets_have_their_exceptions() {
    let mut out = String::new();
    let mut failing = bench();
    out += &lines(&failing.feed(EventKind::ModelFailed(ModelError::Throttled {
        detail: "slow down".to_owned(),
        retry_after_ms: None,
    })));
    let mut short = Bench::new(plan(), Vec::new());
    short.start(
        "hi",
        Budget {
            model_calls: 1,
            ..Budget::default()
        },
    );
    out += &lines(&short.reply(vec![call("t1", "Nope", json!({}))]));
    let mut idle = Bench::new(plan(), Vec::new());
    idle.start(
        "hi",
        Budget {
            actions: 0,
            ..Budget::default()
        },
    );
    out += &lines(&idle.reply(vec![call("t1", "Orders__status", json!({"order_id": "A"}))]));
    let mut late = bench();
    out += &lines(&late.feed(EventKind::DeadlinePassed));
    expect![[r#"
        trace: {"failureTrace":{"failureCode":429,"failureReason":"Your request rate is too high. Reduce the frequency of requests. Check your Bedrock model invocation quotas to find the acceptable frequency. Cause: the model provider is throttling: slow down","traceId":"req-1-0"}}
        finish: Throttling Your request rate is too high. Reduce the frequency of requests. Check your Bedrock model invocation quotas to find the acceptable frequency. Cause: the model provider is throttling: slow down
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        trace: {"failureTrace":{"failureCode":400,"failureReason":"The agent used up its budget of model calls for one turn (1). Simplify the request, or raise limits.model_calls in the server's configuration.","traceId":"req-1-1"}}
        finish: ServiceQuotaExceeded The agent used up its budget of model calls for one turn (1). Simplify the request, or raise limits.model_calls in the server's configuration.
        trace: {"orchestrationTrace":{"modelInvocationOutput":{"traceId":"req-1-0"}}}
        trace: {"failureTrace":{"failureCode":400,"failureReason":"The agent used up its budget of actions for one turn (0). Simplify the request, or raise limits.actions in the server's configuration.","traceId":"req-1-0"}}
        finish: ServiceQuotaExceeded The agent used up its budget of actions for one turn (0). Simplify the request, or raise limits.actions in the server's configuration.
        trace: {"failureTrace":{"failureCode":400,"failureReason":"The agent used up its budget of seconds for one turn (600). Simplify the request, or raise limits.turn_s in the server's configuration.","traceId":"req-1-0"}}
        finish: ServiceQuotaExceeded The agent used up its budget of seconds for one turn (600). Simplify the request, or raise limits.turn_s in the server's configuration.
    "#]]
    .assert_eq(&out);
}

#[test]
fn an_empty_reply_is_asked_for_again_a_few_times() {
    let mut bench = bench();
    for _ in 0..2 {
        let effects = lines(&bench.reply(vec![text(" ")]));
        assert!(
            effects.contains("call model: user \"Where is A-482?\"\n"),
            "{effects}"
        );
    }
    assert!(lines(&bench.reply(Vec::new())).contains("finish: DependencyFailed"));
}

#[test]
fn late_facts_change_nothing() {
    let mut bench = bench();
    bench.reply(vec![call("t1", "Orders__status", json!({"order_id": "A"}))]);
    assert_eq!(
        lines(&bench.feed(EventKind::Cancelled(CancelCause::ClientGone))),
        "finish: Stopped\n"
    );
    assert_eq!(
        lines(&bench.returned(0, &lambda_reply("status", "a"), None)),
        ""
    );
    assert_eq!(lines(&bench.reply(vec![text("late")])), "");
}
