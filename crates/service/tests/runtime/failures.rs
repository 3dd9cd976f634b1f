//! What goes wrong outside, and what the client and the next turn see of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use outcrop_engine::port::ModelError;
use outcrop_model::exception::ExceptionKind;
use outcrop_store::memory::MemoryStore;
use serde_json::json;

use crate::bench::{Answer, Bench, Say};

fn throttled() -> Say {
    Say::Fail(ModelError::Throttled {
        detail: "slow down".to_owned(),
        retry_after_ms: None,
    })
}

#[tokio::test]
async fn throttled_twice_then_fine_is_one_answer() {
    let bench = Bench::new().await;
    bench
        .model
        .says([throttled(), throttled(), Say::Text("fine")]);
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert_eq!(answer, Answer::Text("fine".to_owned()));
    assert_eq!(bench.model.calls(), 3);
}

#[tokio::test]
async fn a_model_that_stays_down_fails_the_turn_and_not_the_session() {
    let bench = Bench::new().await;
    bench
        .model
        .says([throttled(), throttled(), throttled(), throttled()]);
    let Answer::Failed(kind, message) = bench.ask(json!({"inputText": "one"})).await else {
        panic!("the turn fails in the stream");
    };
    assert_eq!(kind, ExceptionKind::Throttling);
    assert!(message.starts_with("Your request rate is too high.") && message.contains("slow down"));
    bench.model.says([Say::Text("back")]);
    let answer = bench.ask(json!({"inputText": "two"})).await;
    assert_eq!(answer, Answer::Text("back".to_owned()));
}

#[tokio::test]
async fn a_model_nobody_serves_is_refused_before_anything_begins() {
    let bench = Bench::over(Arc::new(MemoryStore::new()), "unmapped").await;
    let Answer::Refused(kind, message) = bench.ask(json!({"inputText": "hi"})).await else {
        panic!("refused over HTTP");
    };
    assert_eq!(kind, ExceptionKind::Validation);
    assert!(message.contains("add [[models]]"), "{message}");
}

#[tokio::test]
async fn a_broken_handler_shows_awss_sentence_the_place_and_the_log() {
    let bench = Bench::new().await;
    bench.model.says([Say::Call("Orders__bad", json!({}))]);
    let Answer::Failed(kind, message) = bench.ask(json!({"inputText": "one"})).await else {
        panic!("the turn fails in the stream");
    };
    assert_eq!(kind, ExceptionKind::DependencyFailed);
    let (before, after) = message
        .split_once(" Request id: ")
        .expect("it names the request");
    assert_eq!(
        before,
        "The server encountered an error processing the Lambda response. Check the Lambda response and retry the request Cause: response.functionResponse.responseBody.TEXT.body: expected a string, got 5"
    );
    assert!(
        after.starts_with("00000000-") && after.ends_with(" Log tail: a line of the log"),
        "{after}"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_stops_its_turn() {
    let bench = Bench::new().await;
    bench.model.says([Say::Hang]);
    let events = bench
        .start(json!({"inputText": "one"}))
        .await
        .expect("starts");
    while bench.model.calls() == 0 {
        tokio::task::yield_now().await;
    }
    drop(events);
    bench.service.idle().await;
    bench.model.says([Say::Text("next")]);
    let answer = bench.ask(json!({"inputText": "two"})).await;
    assert_eq!(answer, Answer::Text("next".to_owned()));
    assert_eq!(
        bench.model.request(1).messages.len(),
        3,
        "the stopped turn is closed"
    );
}

#[tokio::test]
async fn a_shutdown_journals_the_turn_and_tells_the_model_of_the_open_call() {
    let mut bench = Bench::new().await;
    bench.model.says([Say::Call("Orders__slow", json!({}))]);
    let events = bench
        .start(json!({"inputText": "one"}))
        .await
        .expect("starts");
    while bench.actions.calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    bench.service.shutdown().await;
    drop(events);
    bench.restart();
    bench.model.says([Say::Text("next")]);
    bench.ask(json!({"inputText": "two"})).await;
    let messages = serde_json::to_string(&bench.model.request(1).messages).expect("JSON");
    assert!(
        messages.contains("The outcome of this call is unknown"),
        "{messages}"
    );
    assert_eq!(
        bench.actions.calls.load(Ordering::SeqCst),
        1,
        "never run again"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let bench = Bench::new().await;
    for (more, member) in [
        (json!({"sessionState": {}}), "inputText is required"),
        (json!({"inputText": " "}), "inputText is required"),
    ] {
        let Answer::Refused(ExceptionKind::Validation, message) = bench.ask(more).await else {
            panic!("{member} is refused");
        };
        assert!(message.contains(member), "{message}");
    }
}

#[tokio::test]
async fn configurations_of_knowledge_bases_that_are_not_there_fail_within_the_stream() {
    let bench = Bench::new().await;
    let more = json!({"inputText": "x", "sessionState": {"knowledgeBaseConfigurations": [{
        "knowledgeBaseId": "KBKBKBKBKB",
        "retrievalConfiguration": {"vectorSearchConfiguration": {}}}]}});
    let message = "You can only provide configurations for up to 0 knowledge bases in the session state. Reduce the number of configurations and retry your request.";
    assert_eq!(
        bench.ask(more).await,
        Answer::Failed(ExceptionKind::Validation, message.to_owned())
    );
    assert_eq!(bench.model.calls(), 0);
}

#[tokio::test]
async fn names_are_a_convenience_that_strict_limits_take_away() {
    let mut bench = Bench::new().await;
    bench.model.says([Say::Text("hello")]);
    let by_name =
        || json!({"agentId": "support-bot", "agentAliasId": "AgentTestAlias", "inputText": "hi"});
    assert_eq!(bench.ask(by_name()).await, Answer::Text("hello".to_owned()));
    bench.make_strict();
    let Answer::Refused(kind, message) = bench.ask(by_name()).await else {
        panic!("refused");
    };
    assert_eq!(kind, ExceptionKind::Validation);
    assert_eq!(
        message,
        "1 validation error detected: Value 'support-bot' at 'agentId' failed to satisfy constraint: Member must have length less than or equal to 10"
    );
    let Answer::Refused(kind, _) = bench
        .ask(json!({"agentAliasId": "PROD", "inputText": "hi"}))
        .await
    else {
        panic!("refused");
    };
    assert_eq!(kind, ExceptionKind::ResourceNotFound);
}
