//! Edits of a function's code, and functions whose workers do not live.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::*;

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("app.py"), text).unwrap();
}

fn answers(version: usize) -> String {
    format!(
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    return {version}\n"
    )
}

/// Invokes until the reply is `expected`; how long that took.
async fn until_answer(
    registry: &outcrop_adapters::action::FunctionRegistry,
    expected: &Value,
) -> Duration {
    let begun = Instant::now();
    while value(registry, &json!(0)).await != *expected {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the edit has no effect"
        );
    }
    begun.elapsed()
}

#[tokio::test]
async fn an_edit_takes_effect_and_calls_in_flight_end_on_the_old_code() {
    let scratch = tempfile::tempdir().unwrap();
    write(scratch.path(), &answers(1));
    let registry = registry(python(scratch.path(), "app.handler"));
    assert_eq!(value(&registry, &json!(0)).await, json!(1));
    let (event, other) = (json!(1.5), json!(0));
    let slow = value(&registry, &event);
    let edit = async {
        // By now the slow call is on its worker.
        assert_eq!(value(&registry, &other).await, json!(1));
        write(scratch.path(), &answers(2));
        until_answer(&registry, &json!(2)).await;
    };
    let (slow, ()) = tokio::join!(slow, edit);
    assert_eq!(slow, json!(1));
    assert_eq!(value(&registry, &json!(0)).await, json!(2));
    // What a library or an editor leaves behind is no edit.
    let pid = |registry| async move { value(registry, &json!(0)).await };
    std::fs::create_dir(scratch.path().join("__pycache__")).unwrap();
    std::fs::write(scratch.path().join("__pycache__/app.pyc"), "x").unwrap();
    assert_eq!(pid(&registry).await, json!(2));
}

#[tokio::test]
async fn two_hundred_calls_in_flight_during_edits_all_finish() {
    const CALLS: usize = 200;
    let scratch = tempfile::tempdir().unwrap();
    write(scratch.path(), &answers(0));
    let registry = Arc::new(registry(python(scratch.path(), "app.handler")));
    let done = Arc::new(AtomicUsize::new(0));
    let calls = (0..CALLS).map(|_| {
        let (registry, done) = (Arc::clone(&registry), Arc::clone(&done));
        tokio::spawn(async move {
            let answer = value(&registry, &json!(0.01)).await;
            done.fetch_add(1, Ordering::Relaxed);
            answer.as_u64().unwrap()
        })
    });
    let calls = join_all(calls);
    let edits = async {
        for edit in 1..=4 {
            let (seen, scratch) = (Arc::clone(&done), scratch.path().to_owned());
            until("some more calls are done", || {
                seen.load(Ordering::Relaxed) >= edit * CALLS / 5
            })
            .await;
            // In two steps, as many editors do it: the code is broken in between.
            std::fs::write(scratch.join("app.py"), "def handler(").unwrap();
            write(&scratch, &answers(edit));
        }
    };
    let (answers, ()) = tokio::join!(calls, edits);
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), CALLS);
    assert_eq!(value(&registry, &json!(0)).await, json!(4));
}

#[tokio::test]
async fn a_function_that_does_not_live_is_held_until_its_code_changes() {
    let scratch = tempfile::tempdir().unwrap();
    write(scratch.path(), "print('on my way')\nraise SystemExit(3)\n");
    let registry = registry(python(scratch.path(), "app.handler"));
    let plain = format!("RequestId: {REQUEST_ID} Error: Runtime exited with error: exit status 3");
    for _ in 0..4 {
        let (error, log) = fault(&registry, &json!(0)).await;
        assert_eq!(error["errorMessage"], json!(plain));
        assert!(log.ends_with("on my way\n"), "{log}");
    }
    let (error, log) = fault(&registry, &json!(0)).await;
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("{plain} (4 workers in a row came to this end;")),
        "{message}"
    );
    assert!(log.ends_with("on my way\n"), "{log}");
    write(scratch.path(), &answers(1));
    let begun = Instant::now();
    loop {
        let reply = invoke(&registry, &json!(0)).await.unwrap();
        if reply.function_error.is_none() {
            assert_eq!(&reply.payload[..], b"1");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{reply:?}");
    }
}
