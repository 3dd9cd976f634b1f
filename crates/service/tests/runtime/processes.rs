//! Two processes on one store: each sees what the other did, and a session has one turn at a time.

use std::sync::atomic::Ordering;

use outcrop_engine::converse::text_of;
use outcrop_model::exception::ExceptionKind;
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, SHARED_LEASE, Say, collect};

fn text(text: &str) -> Answer {
    Answer::Text(text.to_owned())
}

fn say(input: &str) -> Value {
    json!({"inputText": input})
}

/// What the model was shown at one of its calls.
fn shown(bench: &Bench, call: usize) -> Vec<String> {
    let messages = bench.model.request(call).messages;
    messages.iter().map(|message| text_of(message)).collect()
}

fn assert_busy(answer: &Answer) {
    assert!(
        matches!(answer, Answer::Refused(ExceptionKind::Conflict, _)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_session_goes_from_one_process_to_the_other_and_back() {
    let mut a = Bench::new().await;
    let b = a.two_processes();
    a.model.says(["1", "2", "3", "4"].map(Say::Text));
    for (process, input, answer) in [(&a, "one", "1"), (&b, "two", "2"), (&b, "three", "3")] {
        assert_eq!(process.ask(say(input)).await, text(answer));
    }
    // What the first process has in memory is of the past.
    assert_eq!(a.ask(say("four")).await, text("4"));
    assert_eq!(shown(&a, 3), ["one", "1", "two", "2", "three", "3", "four"]);
}

#[tokio::test]
async fn control_returned_by_one_process_is_answered_at_the_other() {
    let mut a = Bench::new().await;
    let b = a.two_processes();
    a.model.says([
        Say::Call("Client__open", json!({})),
        Say::Text("opened"),
        Say::Text("closed"),
    ]);
    let Answer::Control(payload) = a.ask(say("open it")).await else {
        panic!("control is returned");
    };
    let results = json!({"sessionState": {
        "invocationId": payload["invocationId"],
        "returnControlInvocationResults": [{"functionResult": {
            "actionGroup": "Client", "function": "open",
            "responseBody": {"TEXT": {"body": "it is open"}}}}]}});
    assert_eq!(b.ask(results.clone()).await, text("opened"));
    let Answer::Refused(kind, message) = a.ask(results).await else {
        panic!("an answer is taken once, wherever");
    };
    assert_eq!(kind, ExceptionKind::Validation);
    assert!(message.contains("No invocation is waiting"), "{message}");
    assert_eq!(a.ask(say("close it")).await, text("closed"));
}

#[tokio::test]
async fn a_session_in_a_turn_is_busy_for_the_other_process() {
    let mut a = Bench::new().await;
    let b = a.two_processes();
    a.model.says([
        Say::Call("Orders__slow", json!({})),
        Say::Text("slow answer"),
    ]);
    let events = a.start(say("one")).await.expect("starts");
    assert_busy(&b.ask(say("two")).await);
    assert_busy(&b.ask(json!({"endSession": true})).await);
    a.actions.release.add_permits(1);
    assert_eq!(collect(events).await, text("slow answer"));
    a.model.says([Say::Text("free again")]);
    assert_eq!(b.ask(say("three")).await, text("free again"));
    assert_eq!(b.ask(json!({"endSession": true})).await, text(""));
    assert_eq!(a.ask(json!({"endSession": true})).await, text(""));
}

#[tokio::test]
async fn a_lapsed_lease_is_taken_over_and_its_turn_fenced() {
    let mut a = Bench::new().await;
    let b = a.two_processes();
    a.model.says([
        Say::Call("Orders__slow", json!({})),
        Say::Text("taken over"),
        Say::Text("late"),
    ]);
    let events = a.start(say("one")).await.expect("starts");
    // The action must have begun, or its outcome would not be in doubt.
    while a.actions.calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_busy(&b.ask(say("two")).await);
    let lease_ns = i64::try_from(SHARED_LEASE.as_nanos()).expect("minutes");
    a.clock.0.fetch_add(lease_ns, Ordering::SeqCst);
    assert_eq!(b.ask(say("three")).await, text("taken over"));
    // The first process comes back to life too late: its turn ends, and changes nothing.
    a.actions.release.add_permits(1);
    let late = collect(events).await;
    assert!(
        matches!(late, Answer::Failed(ExceptionKind::Conflict, _)),
        "{late:?}"
    );
    a.model.says([Say::Text("all in order")]);
    b.ask(say("four")).await;
    let messages = b.model.request(2).messages;
    let seen = serde_json::to_string(&messages).expect("JSON");
    assert!(
        seen.contains("three") && seen.contains("taken over"),
        "{seen}"
    );
    assert!(!seen.contains("late"), "{seen}");
}

#[tokio::test]
async fn a_session_begun_anew_elsewhere_is_not_mistaken_for_the_old_one() {
    let mut a = Bench::new().await;
    let b = a.two_processes();
    a.model.says(["old", "new", "newer"].map(Say::Text));
    a.ask(say("old question")).await;
    // Ended and begun again by the other process, to the very revision the first one remembers.
    b.ask(json!({"endSession": true})).await;
    b.ask(say("new question")).await;
    assert_eq!(a.ask(say("go on")).await, text("newer"));
    assert_eq!(shown(&a, 2), ["new question", "new", "go on"]);
}
