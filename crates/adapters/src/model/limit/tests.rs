//! Calls against limits, on a clock that only moves when everybody waits.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::stream::StreamExt;
use outcrop_engine::port::ModelRequest;
use tokio::task::JoinHandle;

use super::*;
use crate::model::fixture::request;
use crate::model::scripted::{Part, Reply, ScriptedModel};

const NONE: Limits = Limits {
    max_concurrency: None,
    requests_per_minute: None,
    tokens_per_minute: None,
    queue_max: 100,
    queue_timeout: Duration::from_mins(10),
};

fn limited(limits: Limits, replies: usize) -> (Arc<Limited>, Arc<ScriptedModel>) {
    let replies = (0..replies).map(|_| Reply::Message(vec![Part::text("Hi")]));
    let model = Arc::new(ScriptedModel::new(replies));
    let limited = Limited::new(model.clone(), limits, "m*");
    (Arc::new(limited), model)
}

fn call_of(caller: &str) -> ModelRequest {
    ModelRequest {
        caller: Some(Arc::from(caller)),
        ..request("m")
    }
}

/// A call in a task of its own, and what became of it.
fn spawn(limited: &Arc<Limited>, request: ModelRequest) -> JoinHandle<Result<(), ModelError>> {
    let limited = Arc::clone(limited);
    tokio::spawn(async move {
        let mut answer = limited.converse(request).await?;
        while let Some(event) = answer.next().await {
            event?;
        }
        Ok(())
    })
}

/// Lets every task go as far as it can without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_set_nothing_waits() {
    assert!(NONE.is_unlimited());
    let (limited, _) = limited(NONE, 3);
    let start = Instant::now();
    for _ in 0..3 {
        assert!(spawn(&limited, request("m")).await.expect("done").is_ok());
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_answer_holds_its_place_until_it_is_read_or_dropped() {
    let limits = Limits {
        max_concurrency: Some(1),
        ..NONE
    };
    let (limited, model) = limited(limits, 4);
    let answer = limited.converse(request("m")).await.expect("the first");
    let second = spawn(&limited, request("m"));
    settle().await;
    assert_eq!(model.requests().len(), 1, "the second waits");
    drop(answer);
    assert!(second.await.expect("done").is_ok());
    let mut read = limited.converse(request("m")).await.expect("the third");
    while read.next().await.is_some() {}
    // Read to its end, though still held.
    let fourth = limited.converse(request("m")).await;
    assert!(fourth.is_ok());
}

#[tokio::test(start_paused = true)]
async fn callers_take_turns_and_each_keeps_its_order() {
    let limits = Limits {
        max_concurrency: Some(1),
        ..NONE
    };
    let (limited, model) = limited(limits, 10);
    let first = limited.converse(request("m")).await.expect("the first");
    let mut tasks = Vec::new();
    for (caller, model) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("b", "5")] {
        let mut request = call_of(caller);
        request.model = model.to_owned();
        tasks.push(spawn(&limited, request));
        settle().await;
    }
    drop(first);
    for task in tasks {
        assert!(task.await.expect("done").is_ok());
    }
    let order: Vec<String> = model
        .requests()
        .into_iter()
        .skip(1)
        .map(|request| request.model)
        .collect();
    assert_eq!(order, ["1", "4", "2", "5", "3"]);
}

#[tokio::test(start_paused = true)]
async fn the_queue_ends_somewhere_and_the_wait_too() {
    let limits = Limits {
        max_concurrency: Some(1),
        queue_max: 1,
        queue_timeout: Duration::from_secs(5),
        ..NONE
    };
    let (limited, _) = limited(limits, 2);
    let first = limited.converse(request("m")).await.expect("the first");
    let start = Instant::now();
    let waits = spawn(&limited, request("m"));
    settle().await;
    let full = limited.converse(request("m")).await.err().expect("full");
    assert_eq!(
        full.to_string(),
        "too many calls of the model wait: 1 calls of the models `m*` wait already, at most that many may (queue_max)"
    );
    let slow = waits.await.expect("done").expect_err("slow");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(
        slow.to_string(),
        "too many calls of the model wait: a call of the models `m*` waited 5 s for its turn, at most that long may it (queue_timeout_s)"
    );
    assert!(!slow.is_retryable() && slow.may_fall_back());
    drop(first);
    assert!(limited.converse(request("m")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_the_queue() {
    let limits = Limits {
        max_concurrency: Some(1),
        queue_max: 2,
        ..NONE
    };
    let (limited, model) = limited(limits, 4);
    let first = limited.converse(request("m")).await.expect("the first");
    let gone = spawn(&limited, request("m"));
    let kept = spawn(&limited, request("m"));
    settle().await;
    gone.abort();
    assert!(gone.await.is_err());
    // Its place is free again.
    let third = spawn(&limited, request("m"));
    settle().await;
    drop(first);
    assert!(kept.await.expect("done").is_ok());
    assert!(third.await.expect("done").is_ok());
    assert_eq!(model.requests().len(), 3);
    let state = limited.gate.state();
    assert!(state.in_flight == 0 && state.queue.is_empty());
}

/// A call whose turn came at the same moment as its end gives the turn on.
#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_takes_is_given_on() {
    let limits = Limits {
        max_concurrency: Some(1),
        requests_per_minute: Some(60),
        ..NONE
    };
    let (limited, _) = limited(limits, 3);
    let first = limited.converse(request("m")).await.expect("the first");
    let gone = spawn(&limited, request("m"));
    let kept = spawn(&limited, request("m"));
    settle().await;
    drop(first);
    gone.abort();
    assert!(gone.await.is_err());
    assert!(kept.await.expect("done").is_ok());
    let state = limited.gate.state();
    assert!(state.in_flight == 0 && state.queue.is_empty());
    let requests = state.requests.as_ref().expect("a bucket");
    assert!((requests.level - 58.0).abs() < 0.1, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_minute_allows_so_many_calls_and_then_an_even_flow() {
    let limits = Limits {
        requests_per_minute: Some(6),
        ..NONE
    };
    let (limited, _) = limited(limits, 9);
    let start = Instant::now();
    let done = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (task, done) = (spawn(&limited, request("m")), Arc::clone(&done));
            tokio::spawn(async move {
                task.await.expect("done").expect("an answer");
                done.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    settle().await;
    assert_eq!(done.load(Ordering::Relaxed), 6);
    for task in tasks {
        task.await.expect("done");
    }
    assert_eq!(start.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_charged_by_estimate_and_corrected_by_the_answer() {
    let limits = Limits {
        tokens_per_minute: Some(1_200),
        ..NONE
    };
    let (limited, _) = limited(limits, 3);
    let mut call = request("m");
    call.inference.max_tokens = Some(1_000);
    assert_eq!(estimate::tokens(&call), 1_001);
    let start = Instant::now();
    // Each is estimated at 1,001 and uses 15: only the estimates of calls at once add up.
    for _ in 0..3 {
        assert!(spawn(&limited, call.clone()).await.expect("done").is_ok());
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    let tokens = limited
        .gate
        .state()
        .tokens
        .as_ref()
        .map(|bucket| bucket.level);
    assert!(
        tokens.is_some_and(|level| (level - 1_155.0).abs() < 0.1),
        "{tokens:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_above_the_minutes_tokens_passes_when_the_bucket_is_full() {
    let limits = Limits {
        tokens_per_minute: Some(600),
        ..NONE
    };
    let (limited, _) = limited(limits, 2);
    let mut call = request("m");
    call.inference.max_tokens = Some(5_000);
    let first = limited.converse(call.clone()).await.expect("the first");
    // Cut off: what it used nobody knows, so the estimate stays. 4,401 below zero take a while.
    drop(first);
    let start = Instant::now();
    assert!(limited.converse(call).await.is_ok());
    let waited = start.elapsed().as_secs();
    assert!((500..=501).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_costs_no_tokens() {
    let limits = Limits {
        tokens_per_minute: Some(2_000),
        ..NONE
    };
    let error = || ModelError::Unavailable {
        detail: "down".to_owned(),
    };
    let model = Arc::new(ScriptedModel::new([
        Reply::Error(error()),
        Reply::Events(vec![Err(error())]),
        Reply::BreaksOff(vec![Part::text("half")], error()),
    ]));
    let limited = Arc::new(Limited::new(model, limits, "m*"));
    let level = |limited: &Limited| {
        let state = limited.gate.state();
        state.tokens.as_ref().map_or(0.0, |bucket| bucket.level)
    };
    for expected in [2_000.0, 2_000.0, 975.0] {
        assert_eq!(
            spawn(&limited, request("m")).await.expect("done"),
            Err(error())
        );
        assert!((level(&limited) - expected).abs() < 0.1, "{expected}");
    }
}
