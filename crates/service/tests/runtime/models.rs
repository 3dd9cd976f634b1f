//! Which model answers a turn, and what it is asked besides the prompt.

use futures_util::StreamExt;
use outcrop_engine::port::{Latency, ModelError, PromptCache};
use outcrop_model::exception::ExceptionKind;
use outcrop_model::runtime::{OrchestrationTrace, ResponseStream, Trace};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, Say};

fn throttled() -> ModelError {
    ModelError::Throttled {
        detail: "slow down".to_owned(),
        retry_after_ms: None,
    }
}

fn rejected() -> ModelError {
    ModelError::Rejected {
        detail: "too long".to_owned(),
    }
}

async fn bench(fallbacks: &[&str]) -> Bench {
    let bench = Bench::new().await;
    let fallbacks = fallbacks.iter().map(|name| (*name).to_owned()).collect();
    bench.model.fallbacks.set(fallbacks).expect("set once");
    bench
}

/// The models that were asked, in this order.
fn asked(bench: &Bench) -> Vec<String> {
    let requests = bench.model.requests.lock().expect("unpoisoned");
    requests
        .iter()
        .map(|request| request.model.clone())
        .collect()
}

#[tokio::test]
async fn the_next_model_is_asked_before_any_output() {
    for failure in [
        Say::Fail(throttled()),
        Say::Fail(ModelError::Auth {
            detail: "no".to_owned(),
        }),
        Say::Fail(ModelError::Queued {
            detail: "full".to_owned(),
        }),
        Say::BreakOff("", throttled()),
    ] {
        let bench = bench(&["spare", "spare2"]).await;
        bench
            .model
            .says([failure, Say::Fail(throttled()), Say::Text("fine")]);
        let answer = bench.ask(json!({"inputText": "hi"})).await;
        assert_eq!(answer, Answer::Text("fine".to_owned()));
        assert_eq!(asked(&bench), ["anthropic.claude", "spare", "spare2"]);
    }
}

#[tokio::test]
async fn no_other_model_goes_on_where_one_broke_off() {
    let bench = bench(&["spare"]).await;
    bench.model.says([Say::BreakOff("half", throttled())]);
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert!(
        matches!(answer, Answer::Failed(ExceptionKind::Throttling, _)),
        "{answer:?}"
    );
    assert_eq!(asked(&bench), ["anthropic.claude"]);
}

#[tokio::test]
async fn a_request_that_is_refused_is_refused_for_good() {
    let bench = bench(&["spare"]).await;
    bench.model.says([Say::Fail(rejected())]);
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert!(
        matches!(&answer, Answer::Failed(ExceptionKind::DependencyFailed, message) if message.contains("too long")),
        "{answer:?}"
    );
    assert_eq!(asked(&bench), ["anthropic.claude"]);
}

/// What a fallback refuses says nothing of the request, and it is not asked again; the first model's
/// failure is the one that is told.
#[tokio::test]
async fn rounds_go_on_with_those_that_may_recover() {
    let bench = bench(&["spare", "spare2"]).await;
    bench.model.says([
        Say::Fail(throttled()),
        Say::Fail(rejected()),
        Say::Fail(throttled()),
        Say::Fail(throttled()),
        Say::Text("fine"),
    ]);
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert_eq!(answer, Answer::Text("fine".to_owned()));
    assert_eq!(
        asked(&bench),
        [
            "anthropic.claude",
            "spare",
            "spare2",
            "anthropic.claude",
            "spare2"
        ]
    );
}

#[tokio::test]
async fn the_first_models_failure_is_told() {
    let bench = bench(&["spare"]).await;
    let timeout = || ModelError::Timeout {
        detail: "late".to_owned(),
    };
    bench
        .model
        .says([Say::Fail(throttled()), Say::Fail(timeout())]);
    bench.model.says((0..3).map(|_| Say::Fail(throttled())));
    let answer = bench.ask(json!({"inputText": "hi"})).await;
    assert!(
        matches!(answer, Answer::Failed(ExceptionKind::Throttling, _)),
        "{answer:?}"
    );
    assert_eq!(bench.model.calls(), 5);
}

/// The raw responses that a traced turn shows.
async fn raw_responses(bench: &Bench, body: Value) -> Vec<Value> {
    let mut events = bench.start(body).await.expect("begins");
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        let Ok(ResponseStream::Trace(part)) = event else {
            continue;
        };
        if let Some(Trace::OrchestrationTrace(OrchestrationTrace::ModelInvocationOutput(output))) =
            part.trace
        {
            let content = output.raw_response.and_then(|raw| raw.content);
            found.push(serde_json::from_str(&content.expect("content")).expect("JSON"));
        }
    }
    found
}

#[tokio::test]
async fn the_trace_tells_which_model_answered() {
    let bench = bench(&["spare"]).await;
    bench.model.says([
        Say::Fail(throttled()),
        Say::Call("Orders__ok", json!({})),
        Say::Text("fine"),
    ]);
    let raw = raw_responses(&bench, json!({"inputText": "hi", "enableTrace": true})).await;
    assert_eq!(
        raw[0]["trace"],
        json!({"promptRouter": {"invokedModelId": "spare"}})
    );
    assert_eq!(raw[1]["trace"], Value::Null);
    assert_eq!(
        raw[0]["usage"],
        json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15})
    );
}

#[tokio::test]
async fn a_turns_call_says_how_it_is_to_be_served() {
    let bench = bench(&[]).await;
    bench.model.says([Say::Text("one"), Say::Text("two")]);
    let models = json!({"performanceConfig": {"latency": "optimized"}});
    bench
        .ask(json!({"inputText": "hi", "bedrockModelConfigurations": models}))
        .await;
    bench.ask(json!({"inputText": "again"})).await;
    let (first, second) = (bench.model.request(0), bench.model.request(1));
    assert_eq!(first.latency, Some(Latency::Optimized));
    assert_eq!(second.latency, None);
    assert_eq!(first.cache, PromptCache::StablePrefix);
    // One session is one caller in a queue.
    assert!(first.caller.is_some() && first.caller == second.caller);
    // What a vendor may cache is the same, byte by byte: the system text and all that was said.
    assert_eq!(first.system, second.system);
    assert_eq!(first.messages[0], second.messages[0]);
}
