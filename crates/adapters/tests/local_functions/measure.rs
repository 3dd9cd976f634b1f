//! What a call of a local function costs. Not a test: it asserts nothing, and prints.
//!
//! `cargo nextest run --workspace --test local_functions --run-ignored only measure --no-capture`

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outcrop_adapters::action::FunctionRegistry;
use serde_json::json;

use crate::support::*;

const CALLS: usize = 2_000;
const CALLERS: usize = 8;
const STARTS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure() {
    let scratch = tempfile::tempdir().unwrap();
    let text = "def handler(event, context):\n    return event\n";
    std::fs::write(scratch.path().join("app.py"), text).unwrap();
    let fresh = || registry(python(scratch.path(), "app.handler"));
    fresh().prepare().await;
    let registry = Arc::new(fresh());
    let event =
        json!({"function": "get_order_status", "parameters": [{"name": "id", "value": "1"}]});
    value(&registry, &event).await;

    let mut warm = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        value(&registry, &event).await;
        warm.push(begun.elapsed());
    }
    println!("warm call: {}", quantiles(warm));

    let crowd = async |registry: &Arc<FunctionRegistry>| {
        let callers = (0..CALLERS).map(|_| {
            let (registry, event) = (Arc::clone(registry), event.clone());
            tokio::spawn(async move {
                for _ in 0..CALLS / CALLERS {
                    value(&registry, &event).await;
                }
            })
        });
        join_all(callers).await;
    };
    crowd(&registry).await;
    let begun = Instant::now();
    crowd(&registry).await;
    let a_second = f64::from(u32::try_from(CALLS).unwrap()) / begun.elapsed().as_secs_f64();
    println!("{CALLERS} callers, 4 workers: {a_second:.0} calls a second");

    let (mut cold, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let begun = Instant::now();
        assert!(
            Command::new("python3")
                .args(["-c", "pass"])
                .status()
                .unwrap()
                .success()
        );
        bare.push(begun.elapsed());
        let registry = fresh();
        let begun = Instant::now();
        value(&registry, &event).await;
        cold.push(begun.elapsed());
    }
    println!(
        "python itself: {}\ncold call: {}",
        quantiles(bare),
        quantiles(cold)
    );
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| {
        times
            .get((times.len() - 1) * share / 100)
            .unwrap()
            .as_secs_f64()
            * 1e3
    };
    format!("p50 {:.3} ms, p99 {:.3} ms", at(50), at(99))
}
