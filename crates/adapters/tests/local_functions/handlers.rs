//! What a handler meets, and what becomes of what it does.

use bytes::Bytes;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn the_guides_handler_runs_unmodified() {
    let registry = registry(function("order-tools", "app.lambda_handler"));
    registry.prepare().await;
    let event = json!({
        "messageVersion": "1.0",
        "actionGroup": "OrderTools",
        "function": "get_order_status",
        "parameters": [{"name": "order_id", "type": "string", "value": "A-482"}],
    });
    let body = "{'status': 'in transit', 'eta': '2026-05-02'}";
    let expected = json!({
        "messageVersion": "1.0",
        "response": {
            "actionGroup": "OrderTools",
            "function": "get_order_status",
            "functionResponse": {"responseBody": {"application/json": {"body": body}}},
        },
    });
    assert_eq!(value(&registry, &event).await, expected);
    registry.shutdown().await;
}

#[tokio::test]
async fn a_handler_finds_what_it_finds_in_lambda() {
    let mut described = function("behaviour", "app.describe");
    described
        .environment
        .insert("STAGE".to_owned(), "dev".to_owned());
    described.memory_mb = 256;
    let registry = registry(described);
    let mut seen = value(&registry, &json!({"a": [1, "é"]})).await;
    let again = value(&registry, &json!({})).await;
    assert_eq!(seen["pid"], again["pid"], "the worker stays warm");

    let remaining_ms = seen["context"]["remaining_ms"].take().as_i64().unwrap();
    assert!((1..=30_000).contains(&remaining_ms), "{remaining_ms}");
    assert_eq!(seen["arguments"], json!({"a": [1, "é"]}));
    assert_eq!(seen["stdin"], json!(""));
    assert_eq!(seen["cwd"], json!(folder("behaviour")));
    assert_eq!(seen["path"], json!(folder("behaviour")));
    let arn = "arn:aws:lambda:eu-west-1:222222222222:function:order-tools:7";
    let context = json!({
        "request_id": REQUEST_ID,
        "arn": arn,
        "name": "order-tools",
        "version": "7",
        "memory": "256",
        "remaining_ms": null,
        "custom": {"outcrop-idempotency-key": "run-1/4"},
    });
    assert_eq!(seen["context"], context);

    let environment = seen["environment"].as_object().unwrap();
    for (name, expected) in [
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_NAME", "order-tools"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/order-tools"),
        ("AWS_REGION", "eu-west-1"),
        ("STAGE", "dev"),
        ("TZ", ":UTC"),
        ("_HANDLER", "app.describe"),
    ] {
        assert_eq!(environment.get(name), Some(&json!(expected)), "{name}");
    }
    for name in [
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_EXECUTION_ENV",
        "LAMBDA_TASK_ROOT",
        "_X_AMZN_TRACE_ID",
    ] {
        assert!(environment.contains_key(name), "{name}");
    }
    assert_eq!(
        environment.get("CARGO_MANIFEST_DIR"),
        None,
        "the test's own environment leaks"
    );
}

#[tokio::test]
async fn what_an_invocation_prints_is_its_log_tail() {
    let registry = registry(function("behaviour", "app.talk"));
    let first = invoke(&registry, &json!({"word": "one"})).await.unwrap();
    let second = invoke(&registry, &json!({"word": "two"})).await.unwrap();
    assert_eq!(first.payload, Bytes::from_static(b"\"one\""));
    let first = first.log_tail.unwrap();
    assert!(
        first.starts_with("imported\nto stdout one\nto stderr one\n[INFO]\t"),
        "{first}"
    );
    assert!(
        first.ends_with(&format!(
            "\t{REQUEST_ID}\tto the logger one\nfrom a child\n"
        )),
        "{first}"
    );
    let second = second.log_tail.unwrap();
    assert!(second.starts_with("to stdout two\n"), "{second}");
}

#[tokio::test]
async fn an_exception_is_a_fault_with_its_traceback() {
    let registry = registry(function("behaviour", "app.fail"));
    for _ in 0..2 {
        let (error, log) = fault(&registry, &json!({})).await;
        assert_eq!(error["errorType"], json!("ValueError"));
        assert_eq!(error["errorMessage"], json!("no such order"));
        assert_eq!(error["requestId"], json!(REQUEST_ID));
        assert_eq!(error["stackTrace"].as_array().unwrap().len(), 1);
        assert!(
            log.contains("about to fail\n[ERROR] ValueError: no such order\nTraceback"),
            "{log}"
        );
        assert!(
            log.contains("    raise ValueError(\"no such order\")"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_very_long_traceback_arrives() {
    let registry = registry(function("behaviour", "app.recurse"));
    let (error, log) = fault(&registry, &json!({})).await;
    assert_eq!(error["errorType"], json!("RecursionError"));
    assert!(log.contains("return recurse(event, context)"), "{log}");
}

#[tokio::test]
async fn a_result_that_is_not_json_is_a_fault() {
    let registry = registry(function("behaviour", "app.unserialisable"));
    let (error, _) = fault(&registry, &json!({})).await;
    assert_eq!(error["errorType"], json!("Runtime.MarshalError"));
}

#[tokio::test]
async fn the_end_of_the_process_is_a_fault() {
    let exit = |reason: &str| {
        json!({
            "errorType": "Runtime.ExitError",
            "errorMessage": format!("RequestId: {REQUEST_ID} Error: {reason}"),
        })
    };
    let leaving = registry(function("behaviour", "app.leave"));
    let (error, log) = fault(&leaving, &json!(4)).await;
    assert_eq!(error, exit("Runtime exited with error: exit status 4"));
    assert!(log.ends_with("leaving\n"), "{log}");
    let (error, _) = fault(&leaving, &json!(0)).await;
    assert_eq!(error, exit("Runtime exited without providing a reason"));
    let crashing = registry(function("behaviour", "app.crash"));
    let (error, _) = fault(&crashing, &json!(0)).await;
    assert_eq!(
        error,
        exit("Runtime exited with error: signal: segmentation fault")
    );
}

#[tokio::test]
async fn a_handler_that_cannot_be_imported_says_why() {
    let (error, log) = fault(&registry(function("broken", "imports.handler")), &json!({})).await;
    assert_eq!(error["errorType"], json!("Runtime.ImportModuleError"));
    let message = "Unable to import module 'imports': No module named 'a_module_that_nobody_has'";
    assert_eq!(error["errorMessage"], json!(message));
    assert!(log.contains("helper.py\", line 1, in <module>"), "{log}");

    let (error, log) = fault(&registry(function("broken", "syntax.handler")), &json!({})).await;
    assert_eq!(error["errorType"], json!("Runtime.UserCodeSyntaxError"));
    assert!(log.contains("syntax.py\" Line 1"), "{log}");

    let (error, log) = fault(&registry(function("broken", "raises.handler")), &json!({})).await;
    assert_eq!(error["errorType"], json!("RuntimeError"));
    assert!(log.contains("reading the configuration\n"), "{log}");
    assert!(
        log.contains("raise RuntimeError(\"no configuration\")"),
        "{log}"
    );

    let (error, _) = fault(&registry(function("behaviour", "app.absent")), &json!({})).await;
    assert_eq!(
        error["errorMessage"],
        json!("Handler 'absent' missing on module 'app'")
    );

    let (error, log) = fault(&registry(function("broken", "exits.handler")), &json!({})).await;
    assert_eq!(error["errorType"], json!("Runtime.ExitError"));
    assert!(log.contains("giving up\n"), "{log}");
}

#[tokio::test]
async fn a_platform_without_the_native_client_does_without_it() {
    let registry = registry(function("portable", "app.handler"));
    for event in [json!("one"), json!({"two": "é"})] {
        let expected = json!({"event": event, "left_ms": true});
        assert_eq!(value(&registry, &event).await, expected);
        let (error, _) = fault(&registry, &json!(null)).await;
        assert_eq!(error["errorMessage"], json!("nothing é"));
    }
}

#[tokio::test]
async fn a_reply_may_be_as_large_as_lambda_allows() {
    let registry = registry(function("behaviour", "app.flood"));
    // Two bytes are the quotes.
    let reply = invoke(&registry, &json!(6_291_554)).await.unwrap();
    assert_eq!(
        (reply.payload.len(), reply.function_error),
        (6_291_556, None)
    );
    let (error, _) = fault(&registry, &json!(6_291_555)).await;
    let expected = json!({
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage":
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    });
    assert_eq!(error, expected);
    assert_eq!(value(&registry, &json!(1)).await, json!("x"));
}
