//! One call of a function outside a turn.

use std::sync::atomic::Ordering;

use outcrop_model::exception::ExceptionKind;
use outcrop_service::outcrop_api::calls::{FunctionCall, Verdict};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, Say};

fn call(value: Value) -> FunctionCall {
    serde_json::from_value(value).expect("a call")
}

#[tokio::test]
async fn the_event_is_the_one_of_a_turn() {
    let bench = Bench::new().await;
    bench
        .model
        .says([Say::Call("Orders__ok", json!({})), Say::Text("done")]);
    let turn = bench.ask(json!({"inputText": "hi"})).await;
    assert_eq!(turn, Answer::Text("done".to_owned()));
    let asked = call(json!({"agent": "support-bot", "action": "ok", "inputText": "hi"}));
    let outcome = bench
        .service
        .call_function(&bench.context(), "orders", &asked)
        .await;
    let outcome = outcome.expect("called");
    let event: Value = serde_json::from_str(&outcome.event).expect("JSON");
    assert_eq!(event["agent"]["id"], json!(bench.agent_id));
    assert_eq!(event["actionGroup"], "Orders");
    assert_eq!(event["inputText"], "hi");
    let reply = outcome.reply.expect("a reply");
    assert_eq!(
        reply.verdict,
        Verdict::Accepted {
            text: "shipped".to_owned(),
            reprompt: false,
            client_error: false
        }
    );
    assert_eq!(reply.log_tail.as_deref(), Some("a line of the log"));
    assert_eq!(bench.actions.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_would_end_a_turn_is_a_verdict_and_no_error() {
    let bench = Bench::new().await;
    let asked = call(json!({"agent": "support-bot", "action": "bad"}));
    let outcome = bench
        .service
        .call_function(&bench.context(), "orders", &asked)
        .await;
    let verdict = outcome.expect("called").reply.expect("a reply").verdict;
    let Verdict::Refused { message, detail } = verdict else {
        panic!("{verdict:?}");
    };
    assert!(
        message.starts_with("The server encountered an error"),
        "{message}"
    );
    assert!(detail.is_some_and(|detail| detail.contains("TEXT.body")));
}

#[tokio::test]
async fn without_an_agent_one_is_made_up() {
    let bench = Bench::new().await;
    let asked = call(json!({
        "action": "POST /orders/{id}", "arguments": {"id": "7", "note": "x"}, "onlyEvent": true
    }));
    let outcome = bench
        .service
        .call_function(&bench.context(), "orders", &asked)
        .await;
    let outcome = outcome.expect("made");
    let event: Value = serde_json::from_str(&outcome.event).expect("JSON");
    assert_eq!(
        event["parameters"],
        json!([{"name": "id", "type": "integer", "value": "7"}])
    );
    assert_eq!(
        event["requestBody"]["content"]["application/json"]["properties"],
        json!([{"name": "note", "type": "string", "value": "x"}])
    );
    assert_eq!(outcome.reply, None);
    assert_eq!(bench.actions.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_there_is() {
    let bench = Bench::new().await;
    for (asked, said) in [
        (
            json!({"agent": "support-bot", "action": "no"}),
            "bad of Orders",
        ),
        (json!({"agent": "support-bot"}), "action"),
        (
            json!({"agent": "support-bot", "action": "ok", "arguments": {"x": "1"}}),
            "there is no parameter 'x'",
        ),
    ] {
        let refused = bench
            .service
            .call_function(&bench.context(), "orders", &call(asked))
            .await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.kind(), ExceptionKind::Validation);
        assert!(refused.message().contains(said), "{}", refused.message());
    }
    let unknown = call(json!({"agent": "nobody", "action": "ok"}));
    let refused = bench
        .service
        .call_function(&bench.context(), "orders", &unknown)
        .await;
    assert_eq!(
        refused.expect_err("refused").kind(),
        ExceptionKind::ResourceNotFound
    );
}
