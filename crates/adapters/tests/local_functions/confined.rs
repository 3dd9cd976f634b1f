//! Workers in the sandbox, and what they may do to others.

use std::io::Write as _;
use std::time::{Duration, Instant};

use outcrop_adapters::action::{FunctionRegistry, LocalFunction, WorkerSettings};
use outcrop_adapters::sandbox::{Sandbox, SandboxSettings};
use serde_json::json;

use crate::support::*;

fn sandboxed(function: LocalFunction) -> FunctionRegistry {
    let launcher = SandboxSettings::new(env!("CARGO_BIN_EXE_sandbox-launcher"));
    let confined = WorkerSettings {
        sandbox: Some(Sandbox::new(launcher)),
        node: node_program(),
        ..settings()
    };
    registry_with(function, confined)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_api_is_reached_with_and_without_a_network() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = json!(["127.0.0.1", listener.local_addr().unwrap().port()]);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"hello");
        }
    });
    for network in [true, false] {
        let mut reaching = function("behaviour", "app.reach");
        reaching.network = network;
        let registry = sandboxed(reaching);
        for _ in 0..2 {
            let answer = value(&registry, &address).await;
            assert_eq!(answer == json!("hello"), network, "{answer}");
        }
        let mut node = LocalFunction::new(
            outcrop_adapters::action::LocalRuntime::Node,
            folder("node"),
            "index.calls",
        );
        node.network = network;
        assert_eq!(
            value(&sandboxed(node), &json!(5)).await,
            json!({"called": 5})
        );
        registry.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_does_to_itself_is_told_and_done_to_nobody_else() {
    let good = sandboxed(function("behaviour", "app.describe"));
    let neighbour = value(&good, &json!({})).await["pid"].take();
    let of = async |handler: &str, event| {
        let mut bad = function("behaviour", handler);
        bad.timeout = Duration::from_secs(20);
        if handler == "app.flood" {
            bad.memory_mb = 512;
        }
        let (error, log) = fault(&sandboxed(bad), &event).await;
        (
            error["errorType"].clone(),
            error["errorMessage"].to_string(),
            log,
        )
    };
    let (kind, message, _) = of("app.hoard", json!(400_000_000)).await;
    assert_eq!(kind, json!("Runtime.OutOfMemory"), "{message}");
    assert!(message.contains("its memory is 128 MB"), "{message}");
    // Too fast for anybody to look: the system refuses it.
    let (kind, ..) = of("app.hoard", json!(4_000_000_000_u64)).await;
    assert_eq!(kind, json!("MemoryError"));
    let (kind, ..) = of("app.flood", json!(50_000_000)).await;
    assert_eq!(kind, json!("Function.ResponseSizeTooLarge"));
    let (_, message, log) = of("app.leave", json!(3)).await;
    assert!(message.contains("exit status 3"), "{message}");
    assert!(log.ends_with("leaving\n"), "{log}");
    let (_, message, _) = of("app.crash", json!(0)).await;
    assert!(message.contains("segmentation fault"), "{message}");

    let begun = Instant::now();
    let shouting = sandboxed(function("behaviour", "app.shout"));
    let shouted = invoke(&shouting, &json!(100)).await.unwrap();
    assert_eq!(&shouted.payload[..], b"\"done\"");
    assert_eq!(shouted.log_tail.unwrap().len(), 4096);
    println!("100 MB of output took {:?}", begun.elapsed());

    assert_eq!(value(&good, &json!({})).await["pid"], neighbour);
}
