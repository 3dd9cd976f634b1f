//! Returns of control beside Lambda calls: what is kept while the caller thinks.

use std::sync::atomic::Ordering;

use outcrop_model::exception::ExceptionKind;
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, Say};

/// A step of a Lambda call and a returned one, the Lambda's done.
async fn waiting(bench: &Bench) -> Value {
    let calls = vec![("Orders__ok", json!({})), ("Client__open", json!({}))];
    bench.model.says([Say::Calls(calls)]);
    let answer = bench.ask(json!({"inputText": "both"})).await;
    let Answer::Control(payload) = answer else {
        panic!("control is returned: {answer:?}");
    };
    payload
}

fn results(id: &Value, function: &str, more: &Value) -> Value {
    let mut result = json!({
        "actionGroup": "Client", "function": function,
        "responseBody": {"TEXT": {"body": "opened"}}});
    let members = result.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    json!({"sessionState": {
        "invocationId": id, "returnControlInvocationResults": [{"functionResult": result}]}})
}

#[tokio::test]
async fn lambda_results_wait_with_the_caller_through_a_restart() {
    for restarts in [false, true] {
        let mut bench = Bench::new().await;
        let payload = waiting(&bench).await;
        let id = &payload["invocationId"];
        if restarts {
            bench.restart();
        }
        for (refused, said) in [
            (
                results(&json!("other"), "open", &json!({})),
                "Unexpected invocationId: other",
            ),
            (
                results(id, "close", &json!({})),
                "Expected: actionGroup Client and function open",
            ),
            (
                results(id, "open", &json!({"agentId": "OTHERAGENT"})),
                "Expected: ID",
            ),
            (
                results(
                    id,
                    "open",
                    &json!({"responseBody": {"HTML": {"body": "x"}}}),
                ),
                "expected responseBody to have the key TEXT or IMAGES, got HTML",
            ),
        ] {
            let Answer::Refused(kind, message) = bench.ask(refused).await else {
                panic!("refused: {said}");
            };
            assert_eq!(kind, ExceptionKind::Validation);
            assert!(message.contains(said), "{message}");
        }
        if restarts {
            bench.restart();
        }
        bench.model.says([Say::Text("<answer>both done")]);
        let answer = bench.ask(results(id, "open", &json!({}))).await;
        assert_eq!(answer, Answer::Text("both done".to_owned()));
        assert_eq!(bench.actions.calls.load(Ordering::SeqCst), 1, "run once");
        let told = serde_json::to_string(&bench.model.request(1).messages).expect("JSON");
        assert!(
            told.contains("shipped") && told.contains("opened"),
            "{told}"
        );
        let Answer::Refused(kind, message) = bench.ask(results(id, "open", &json!({}))).await
        else {
            panic!("results are taken once");
        };
        assert_eq!(kind, ExceptionKind::Validation);
        assert!(message.contains("No invocation is waiting"), "{message}");
    }
}

#[tokio::test]
async fn new_input_keeps_what_lambda_did() {
    for restarts in [false, true] {
        let mut bench = Bench::new().await;
        let payload = waiting(&bench).await;
        if restarts {
            bench.restart();
        }
        bench.model.says([Say::Text("<answer>never mind then")]);
        bench.ask(json!({"inputText": "Never mind."})).await;
        let told = serde_json::to_string(&bench.model.request(1).messages).expect("JSON");
        assert!(told.contains("shipped"), "{told}");
        assert!(
            told.contains("No result was given for this call."),
            "{told}"
        );
        let late = results(&payload["invocationId"], "open", &json!({}));
        let Answer::Refused(kind, _) = bench.ask(late).await else {
            panic!("late results are refused");
        };
        assert_eq!(kind, ExceptionKind::Validation);
    }
}

#[tokio::test]
async fn six_returned_calls_come_in_two_rounds() {
    let bench = Bench::new().await;
    bench.model.says([
        Say::Calls(vec![("Client__open", json!({})); 6]),
        Say::Text("<answer>all open"),
    ]);
    let Answer::Control(first) = bench.ask(json!({"inputText": "six"})).await else {
        panic!("control is returned");
    };
    let one = results(&first["invocationId"], "open", &json!({}));
    let result = &one["sessionState"]["returnControlInvocationResults"][0];
    let five = json!({"sessionState": {
        "invocationId": first["invocationId"],
        "returnControlInvocationResults": vec![result.clone(); 5]}});
    let Answer::Control(second) = bench.ask(five).await else {
        panic!("control is returned again");
    };
    assert_eq!(second["invocationInputs"].as_array().map(Vec::len), Some(1));
    assert_ne!(first["invocationId"], second["invocationId"]);
    let last = results(&second["invocationId"], "open", &json!({}));
    assert_eq!(bench.ask(last).await, Answer::Text("all open".to_owned()));
}
