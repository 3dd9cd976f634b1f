//! History, attributes, return of control and the end of sessions.

use std::sync::atomic::Ordering;

use outcrop_engine::converse::text_of;
use outcrop_model::control::ops::CreateAgentAlias;
use outcrop_model::exception::ExceptionKind;
use serde_json::json;

use crate::bench::{Answer, Bench, Say, collect};

fn text(text: &str) -> Answer {
    Answer::Text(text.to_owned())
}

#[tokio::test]
async fn history_and_attributes_go_on_and_prompt_attributes_do_not() {
    let bench = Bench::new().await;
    bench.model.says([
        Say::Call("Orders__ok", json!({})),
        Say::Text("<answer>first"),
        Say::Text("<answer>second"),
    ]);
    let first = json!({"inputText": "one", "sessionState": {
        "sessionAttributes": {"user": "u-1"}, "promptSessionAttributes": {"day": "Monday"}}});
    assert_eq!(bench.ask(first).await, text("first"));
    assert!(bench.model.request(0).system.contains("day: Monday"));
    assert_eq!(bench.ask(json!({"inputText": "two"})).await, text("second"));
    let request = bench.model.request(2);
    assert!(!request.system.contains("Monday"));
    let texts: Vec<String> = request
        .messages
        .iter()
        .map(|message| text_of(message))
        .collect();
    assert_eq!(texts, ["one", "", "", "<answer>first</answer>", "two"]);
}

#[tokio::test]
async fn a_lambdas_attributes_replace_the_sessions() {
    let bench = Bench::new().await;
    bench.model.says([
        Say::Call("Orders__ok", json!({})),
        Say::Text("done"),
        Say::Call("Orders__ok", json!({})),
        Say::Text("done"),
    ]);
    let first = json!({"inputText": "one", "sessionState": {"sessionAttributes": {"user": "u-1", "lost": "x"}}});
    bench.ask(first).await;
    let events = bench
        .start(json!({"inputText": "two", "enableTrace": true}))
        .await
        .expect("starts");
    assert_eq!(collect(events).await, text("done"));
    let started = bench.model.request(2);
    assert!(started.messages.len() > 2);
}

#[tokio::test]
async fn a_return_of_control_is_answered_even_after_a_restart() {
    for restarts in [false, true] {
        let mut bench = Bench::new().await;
        bench
            .model
            .says([Say::Call("Client__open", json!({})), Say::Text("opened")]);
        let Answer::Control(payload) = bench.ask(json!({"inputText": "open it"})).await else {
            panic!("control is returned");
        };
        if restarts {
            bench.restart();
        }
        let results = |id: &str| {
            json!({"sessionState": {"invocationId": id, "returnControlInvocationResults": [
                {"functionResult": {"actionGroup": "Client", "function": "open", "responseBody": {"TEXT": {"body": "it is open"}}}}]}})
        };
        let Answer::Refused(kind, message) = bench.ask(results("wrong")).await else {
            panic!("another id is refused");
        };
        assert_eq!(kind, ExceptionKind::Validation);
        assert!(
            message.contains("Unexpected invocationId: wrong"),
            "{message}"
        );
        let id = payload["invocationId"].as_str().expect("an id");
        assert_eq!(bench.ask(results(id)).await, text("opened"));
        let Answer::Refused(_, message) = bench.ask(results(id)).await else {
            panic!("an answer is taken once");
        };
        assert!(message.contains("No invocation is waiting"), "{message}");
    }
}

#[tokio::test]
async fn new_input_abandons_a_return_of_control() {
    let bench = Bench::new().await;
    bench.model.says([
        Say::Call("Client__open", json!({})),
        Say::Text("never mind"),
    ]);
    bench.ask(json!({"inputText": "open it"})).await;
    assert_eq!(
        bench.ask(json!({"inputText": "forget it"})).await,
        text("never mind")
    );
    let messages = bench.model.request(1).messages;
    let last = serde_json::to_string(&messages).expect("JSON");
    assert!(
        last.contains("No result was given for this call") && last.contains("forget it"),
        "{last}"
    );
}

#[tokio::test]
async fn one_turn_a_session_at_a_time() {
    let bench = Bench::new().await;
    bench.model.says([
        Say::Call("Orders__slow", json!({})),
        Say::Text("slow answer"),
    ]);
    let events = bench
        .start(json!({"inputText": "one"}))
        .await
        .expect("starts");
    let Answer::Refused(kind, _) = bench.ask(json!({"inputText": "two"})).await else {
        panic!("the second is refused");
    };
    assert_eq!(kind, ExceptionKind::Conflict);
    bench.actions.release.add_permits(1);
    assert_eq!(collect(events).await, text("slow answer"));
    bench.model.says([Say::Text("free again")]);
    assert_eq!(
        bench.ask(json!({"inputText": "three"})).await,
        text("free again")
    );
}

#[tokio::test]
async fn a_session_ends_when_asked_and_when_idle() {
    let bench = Bench::new().await;
    bench.model.says(["a", "b", "c", "d", "e"].map(Say::Text));
    bench.ask(json!({"inputText": "one"})).await;
    bench
        .ask(json!({"inputText": "two", "endSession": true}))
        .await;
    bench.ask(json!({"inputText": "three"})).await;
    assert_eq!(bench.model.request(1).messages.len(), 3);
    assert_eq!(
        bench.model.request(2).messages.len(),
        1,
        "a new session is empty"
    );
    assert_eq!(bench.ask(json!({"endSession": true})).await, text(""));
    bench.ask(json!({"inputText": "four"})).await;
    assert_eq!(bench.model.request(3).messages.len(), 1);
    let ten_minutes_ns = 601 * 1_000_000_000;
    bench.clock.0.fetch_add(ten_minutes_ns, Ordering::SeqCst);
    bench.ask(json!({"inputText": "five"})).await;
    assert_eq!(
        bench.model.request(4).messages.len(),
        1,
        "an idle session is forgotten"
    );
}

#[tokio::test]
async fn history_given_by_the_caller_comes_first_and_stays() {
    let bench = Bench::new().await;
    bench.model.says(["a", "b"].map(Say::Text));
    let history = json!({"messages": [
        {"role": "user", "content": [{"text": "earlier"}]},
        {"role": "assistant", "content": [{"text": "answered"}]}]});
    bench
        .ask(json!({"inputText": "now", "sessionState": {"conversationHistory": history}}))
        .await;
    bench.ask(json!({"inputText": "then"})).await;
    let texts: Vec<String> = bench
        .model
        .request(1)
        .messages
        .iter()
        .map(|message| text_of(message))
        .collect();
    assert_eq!(texts, ["earlier", "answered", "now", "a", "then"]);
    let empty = json!({"messages": [{"role": "user", "content": [{"text": ""}]}]});
    let Answer::Refused(_, message) = bench
        .ask(json!({"inputText": "x", "sessionState": {"conversationHistory": empty}}))
        .await
    else {
        panic!("empty text is refused");
    };
    assert!(message.ends_with("The text in content block cannot be null or empty."));
}

#[tokio::test]
async fn attributes_that_are_sent_again_are_merged_in() {
    let bench = Bench::new().await;
    bench.model.says([
        Say::Text("a"),
        Say::Text("b"),
        Say::Call("Orders__ok", json!({})),
        Say::Text("c"),
    ]);
    for attributes in [
        json!({"user": "u-1", "tier": "free"}),
        json!({"tier": "paid"}),
    ] {
        let state = json!({"sessionAttributes": attributes});
        bench
            .ask(json!({"inputText": "x", "sessionState": state}))
            .await;
    }
    bench.ask(json!({"inputText": "call it"})).await;
    let events = bench.actions.events.lock().expect("unpoisoned").clone();
    assert_eq!(
        events[0]["sessionAttributes"],
        json!({"user": "u-1", "tier": "paid"})
    );
}

#[tokio::test]
async fn every_turn_begins_the_idle_time_anew() {
    let bench = Bench::new().await;
    bench.model.says(["a", "b", "c"].map(Say::Text));
    let most_of_it_ns = 599 * 1_000_000_000;
    for input in ["one", "two", "three"] {
        bench.ask(json!({"inputText": input})).await;
        bench.clock.0.fetch_add(most_of_it_ns, Ordering::SeqCst);
    }
    assert_eq!(bench.model.request(2).messages.len(), 5);
}

#[tokio::test]
async fn one_session_id_names_another_session_under_another_alias() {
    let bench = Bench::new().await;
    let alias = bench
        .control::<CreateAgentAlias>(json!({"agentId": bench.agent_id, "agentAliasName": "live"}))
        .await;
    let alias = alias["agentAlias"]["agentAliasId"].clone();
    bench.model.says(["a", "b", "c"].map(Say::Text));
    bench.ask(json!({"inputText": "one"})).await;
    bench
        .ask(json!({"inputText": "two", "agentAliasId": alias}))
        .await;
    bench.ask(json!({"inputText": "three"})).await;
    let said = |call| {
        let messages = bench.model.request(call).messages;
        let texts = messages.iter().map(|message| text_of(message));
        texts.collect::<Vec<String>>()
    };
    assert_eq!(said(1), ["two"]);
    assert_eq!(said(2), ["one", "a", "three"]);
}
