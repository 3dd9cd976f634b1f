//! Functions in Node.js, and programs that speak the Runtime API themselves.

use std::path::PathBuf;
use std::time::Duration;

use outcrop_adapters::action::{FunctionRegistry, LocalFunction, LocalRuntime, WorkerSettings};
use outcrop_engine::port::ActionError;
use serde_json::{Value, json};

use crate::support::*;

fn node(handler: &str) -> FunctionRegistry {
    registry_with(node_function(handler), with_node())
}

fn node_function(handler: &str) -> LocalFunction {
    LocalFunction::new(LocalRuntime::Node, folder("node"), handler)
}

fn with_node() -> WorkerSettings {
    WorkerSettings {
        node: node_program(),
        ..settings()
    }
}

fn provided(command: &[&str]) -> LocalFunction {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    LocalFunction::new(LocalRuntime::Provided { command }, folder("provided"), "h")
}

#[tokio::test]
async fn a_node_handler_finds_what_it_finds_in_lambda() {
    let registry = node("index.describe");
    let mut seen = value(&registry, &json!({"a": [1, "é"]})).await;
    let pid = seen["pid"].take();
    assert_eq!(
        seen,
        json!({
            "event": {"a": [1, "é"]},
            "id": REQUEST_ID,
            "arn": "arn:aws:lambda:eu-west-1:222222222222:function:order-tools:7",
            "name": "order-tools",
            "memory": "128",
            "custom": {"outcrop-idempotency-key": "run-1/4"},
            "inTime": true,
            "cwd": folder("node"),
            "helper": "a helper",
            "installed": "hello",
            "pid": null,
        })
    );
    assert_eq!(
        value(&registry, &json!(1)).await["pid"],
        pid,
        "it stays warm"
    );
    let seen = value(&node("module.handler"), &json!(1)).await;
    assert_eq!(seen, json!({"event": 1, "required": "undefined"}));
}

#[tokio::test]
async fn a_node_handler_answers_in_any_of_lambdas_ways() {
    for (handler, expected) in [
        ("index.calls", json!({"called": 5})),
        ("index.nothing", Value::Null),
        ("index.succeeds", json!("done")),
    ] {
        let registry = node(handler);
        for _ in 0..2 {
            assert_eq!(value(&registry, &json!(5)).await, expected, "{handler}");
        }
    }
}

#[tokio::test]
async fn what_a_node_handler_streams_arrives_joined() {
    let registry = node("index.streams");
    for _ in 0..2 {
        let reply = invoke(&registry, &json!(5)).await.unwrap();
        assert_eq!(reply.function_error, None, "{reply:?}");
        let written = String::from_utf8_lossy(&reply.payload);
        assert_eq!(written, "{\"asked\":5}{\"id\":36}");
    }
    let (error, _) = fault(&node("index.streamsAndThrows"), &json!({})).await;
    assert_eq!(error["errorMessage"], json!("no more"));
}

#[tokio::test]
async fn what_a_node_handler_does_wrong_is_a_fault() {
    let of = async |handler: &str| fault(&node(handler), &json!({})).await;
    for (handler, kind, message) in [
        ("index.refuses", "TypeError", "no such order"),
        ("index.throws", "RangeError", "too far"),
        (
            "index.loses",
            "Runtime.UnhandledPromiseRejection",
            "Error: lost",
        ),
        (
            "index.absent",
            "Runtime.HandlerNotFound",
            "index.absent is undefined or not exported",
        ),
    ] {
        let (error, log) = of(handler).await;
        assert_eq!(error["errorType"], json!(kind));
        assert_eq!(error["errorMessage"], json!(message));
        assert!(log.contains("\tINFO\timported\n"), "{log}");
        assert!(log.contains(message) && !log.contains("[eval]"), "{log}");
    }
    let (_, log) = of("index.throws").await;
    assert!(
        log.contains(&format!("\t{REQUEST_ID}\tERROR\tabout to\nfail\n")),
        "{log}"
    );
    assert_eq!(
        of("index.circular").await.0["errorType"],
        json!("Runtime.MarshalError")
    );
    assert_eq!(
        of("broken.handler").await.0["errorType"],
        json!("Runtime.UserCodeSyntaxError")
    );
    let (error, _) = of("lacking.handler").await;
    assert_eq!(error["errorType"], json!("Runtime.ImportModuleError"));
    let exit = format!("RequestId: {REQUEST_ID} Error: Runtime exited with error: exit status 4");
    assert_eq!(of("index.leaves").await.0["errorMessage"], json!(exit));

    let mut looping = node_function("index.loops");
    looping.timeout = Duration::from_millis(500);
    let (error, _) = fault(&registry_with(looping, with_node()), &json!({})).await;
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with("Task timed out after 0.50 seconds"),
        "{message}"
    );
}

#[tokio::test]
async fn a_program_that_speaks_the_runtime_api_is_a_runtime() {
    for (command, arguments) in [
        (vec![], json!([])),
        (vec!["./bootstrap", "--fast"], json!(["--fast"])),
        (vec!["python3", "bootstrap", "x"], json!(["x"])),
    ] {
        let registry = registry(provided(&command));
        let first = invoke(&registry, &json!(1)).await.unwrap();
        let reply: Value = serde_json::from_slice(&first.payload).unwrap();
        assert_eq!(reply, json!({"event": 1, "arguments": arguments}));
        assert!(first.log_tail.unwrap().starts_with("begins h"));
        let (error, _) = fault(&registry, &json!("fail")).await;
        assert_eq!(
            error,
            json!({"errorType": "Own", "errorMessage": "as asked"})
        );
        let (error, _) = fault(&registry, &json!("leave")).await;
        assert!(
            error["errorMessage"]
                .as_str()
                .unwrap()
                .ends_with("exit status 7")
        );
        assert_eq!(value(&registry, &json!(2)).await["event"], json!(2));
    }
}

#[tokio::test]
async fn a_runtime_that_is_not_there_is_named() {
    let detail = async |registry: FunctionRegistry| match invoke(&registry, &json!({})).await {
        Err(ActionError::Failed { detail, .. }) => detail,
        other => panic!("{other:?}"),
    };
    let without = WorkerSettings {
        node: PathBuf::from("no-such-node"),
        ..settings()
    };
    let node = detail(registry_with(node_function("index.handler"), without)).await;
    assert!(
        node.starts_with("Node.js cannot be found as no-such-node;"),
        "{node}"
    );
    let program = detail(registry(provided(&["no-such-program"]))).await;
    assert_eq!(
        program,
        "the program no-such-program of its `command` is not on the search path"
    );
}
