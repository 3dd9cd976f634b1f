//! Python functions with the real runtime interface client.
//!
//! The first run makes a Python environment below the target folder, which needs `python3` (3.10 or
//! newer) and a package index; later runs use it again.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use outcrop_adapters::action::{
    FunctionMapping, FunctionRegistry, FunctionRuntime, FunctionSettings, PythonFunction,
    PythonSettings,
};
use outcrop_engine::port::{ActionCall, ActionError, ActionExecutor, ActionReply};
use serde_json::{Value, json};

const REQUEST_ID: &str = "0d5c2f0e-6f5e-4b53-9b0a-6a7f8f1c2d3e";
/// Far longer than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_mins(1);

fn folder(name: &str) -> PathBuf {
    // As a process sees it: with links followed.
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions");
    functions.canonicalize().unwrap().join(name)
}

fn function(code: &str, handler: &str) -> PythonFunction {
    PythonFunction::new(folder(code), handler)
}

fn settings() -> PythonSettings {
    PythonSettings::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("python"))
}

fn registry_with(function: PythonFunction, python: PythonSettings) -> FunctionRegistry {
    let mapping = FunctionMapping {
        pattern: "*".to_owned(),
        runtime: FunctionRuntime::Python(function),
    };
    let settings = FunctionSettings {
        region: "us-west-2".to_owned(),
        account_id: "111111111111".to_owned(),
        python,
    };
    FunctionRegistry::new(vec![mapping], settings).unwrap()
}

fn registry(function: PythonFunction) -> FunctionRegistry {
    registry_with(function, settings())
}

fn call(event: &Value) -> ActionCall {
    ActionCall {
        function: "arn:aws:lambda:eu-west-1:222222222222:function:order-tools:7".to_owned(),
        event: Bytes::from(event.to_string()),
        idempotency_key: "run-1/4".to_owned(),
        request_id: REQUEST_ID.to_owned(),
    }
}

async fn invoke(registry: &FunctionRegistry, event: &Value) -> Result<ActionReply, ActionError> {
    ActionExecutor::invoke(registry, call(event)).await
}

/// The payload of an invocation that went well.
async fn value(registry: &FunctionRegistry, event: &Value) -> Value {
    let reply = invoke(registry, event).await.unwrap();
    assert_eq!(reply.function_error, None, "{reply:?}");
    serde_json::from_slice(&reply.payload).unwrap()
}

/// The error object and the log tail of an invocation that did not.
async fn fault(registry: &FunctionRegistry, event: &Value) -> (Value, String) {
    let reply = invoke(registry, event).await.unwrap();
    assert_eq!(
        reply.function_error.as_deref(),
        Some("Unhandled"),
        "{reply:?}"
    );
    (
        serde_json::from_slice(&reply.payload).unwrap(),
        reply.log_tail.unwrap_or_default(),
    )
}

/// Waits for a condition that something else brings about.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn is_running(pid: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // A zombie is not running; whoever has to reap it may be somebody else.
    !stat
        .rsplit(')')
        .next()
        .unwrap()
        .trim_start()
        .starts_with('Z')
}

#[tokio::test]
async fn the_guides_handler_runs_unmodified() {
    let registry = registry(function("order-tools", "app.lambda_handler"));
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
async fn a_folder_brings_its_own_environment_or_its_requirements() {
    let scratch = tempfile::tempdir().unwrap();
    let code = scratch.path().join("own");
    std::fs::create_dir(&code).unwrap();
    let venv = ["-m", "venv", "--without-pip", ".venv"];
    let made = std::process::Command::new("python3")
        .args(venv)
        .current_dir(&code)
        .status()
        .unwrap();
    assert!(made.success());
    let own = registry(PythonFunction::new(&code, "app.handler"));
    let error = invoke(&own, &json!({})).await.unwrap_err().to_string();
    assert!(
        error.contains("has no awslambdaric; install it there"),
        "{error}"
    );
    assert!(error.contains("No module named 'awslambdaric'"), "{error}");

    let code = scratch.path().join("requirements");
    std::fs::create_dir(&code).unwrap();
    std::fs::write(code.join("requirements.txt"), "./greeting\n").unwrap();
    let fails = PythonSettings {
        packages: Vec::new(),
        ..PythonSettings::new(scratch.path().join("environments"))
    };
    let needy = registry_with(PythonFunction::new(&code, "app.handler"), fails);
    let error = invoke(&needy, &json!({})).await.unwrap_err().to_string();
    assert!(error.contains("--requirement"), "{error}");
    assert!(error.contains("greeting"), "{error}");
}

#[tokio::test]
async fn time_is_limited_and_the_next_invocation_gets_a_new_worker() {
    let scratch = tempfile::tempdir().unwrap();
    let pids = scratch.path().join("pids");
    let mut hanging = function("behaviour", "app.hang");
    hanging.timeout = Duration::from_millis(1500);
    let hanging = registry(hanging);
    for _ in 0..2 {
        let (error, log) = fault(&hanging, &json!(pids)).await;
        let message = error["errorMessage"].as_str().unwrap();
        let expected = format!("Z {REQUEST_ID} Task timed out after 1.50 seconds");
        assert!(message.ends_with(&expected), "{message}");
        assert!(log.ends_with("hanging\n"), "{log}");
        let pids = std::fs::read_to_string(&pids).unwrap();
        until("worker and child are gone", || {
            !pids.split(' ').any(is_running)
        })
        .await;
    }

    let starting = PythonSettings {
        start_limit: Duration::from_millis(500),
        ..settings()
    };
    let (error, _) = fault(
        &registry_with(function("broken", "slow.handler"), starting),
        &json!({}),
    )
    .await;
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with("Task timed out after 0.50 seconds"),
        "{message}"
    );
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

#[tokio::test]
async fn invocations_of_one_function_overlap() {
    let scratch = tempfile::tempdir().unwrap();
    let registry = registry(function("behaviour", "app.meet"));
    let guest =
        |own: &str, other: &str| json!({"folder": scratch.path(), "self": own, "other": other});
    let (one, two) = (guest("one", "two"), guest("two", "one"));
    let (one, two) = tokio::join!(value(&registry, &one), value(&registry, &two));
    assert_ne!(one, two);
}

#[tokio::test]
async fn more_invocations_than_workers_wait() {
    let mut single = function("behaviour", "app.describe");
    single.max_workers = std::num::NonZeroUsize::MIN;
    let registry = registry(single);
    let event = json!({});
    let (one, two, three) = tokio::join!(
        value(&registry, &event),
        value(&registry, &event),
        value(&registry, &event)
    );
    assert_eq!(one["pid"], two["pid"]);
    assert_eq!(one["pid"], three["pid"]);
}

#[tokio::test]
async fn dropping_an_invocation_ends_its_worker_and_its_children() {
    let scratch = tempfile::tempdir().unwrap();
    let pids = scratch.path().join("pids");
    let registry = registry(function("behaviour", "app.hang"));
    let event = json!(pids);
    let invocation = invoke(&registry, &event);
    tokio::select! {
        reply = invocation => panic!("{reply:?}"),
        () = until("the handler runs", || pids.exists()) => {}
    }
    let pids = std::fs::read_to_string(&pids).unwrap();
    until("worker and child are gone", || {
        !pids.split(' ').any(is_running)
    })
    .await;
}

#[tokio::test]
async fn idle_workers_and_the_registrys_own_end_with_it() {
    let described = || function("behaviour", "app.describe");
    let pid =
        async |registry: &FunctionRegistry| value(registry, &json!({})).await["pid"].to_string();

    let dropped = registry(described());
    let worker = pid(&dropped).await;
    assert!(is_running(&worker));
    drop(dropped);
    until("the worker is gone", || !is_running(&worker)).await;

    let brief = PythonSettings {
        idle_ttl: Duration::from_millis(20),
        ..settings()
    };
    let expiring = registry_with(described(), brief);
    let worker = pid(&expiring).await;
    until("the idle worker is gone", || !is_running(&worker)).await;
    assert_ne!(pid(&expiring).await, worker);

    let shut = registry(described());
    let worker = pid(&shut).await;
    shut.shutdown().await;
    assert!(!is_running(&worker));
    let refused = invoke(&shut, &json!({})).await.unwrap_err();
    assert!(
        refused.to_string().ends_with("the server is shutting down"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_idle_worker_that_died_is_replaced() {
    let registry = registry(function("behaviour", "app.describe"));
    let first = value(&registry, &json!({})).await["pid"].to_string();
    let killed = std::process::Command::new("kill")
        .args(["-9", &first])
        .status()
        .unwrap();
    assert!(killed.success());
    let process = Path::new("/proc").join(&first);
    until("the worker is dead", || !process.exists()).await;
    let second = value(&registry, &json!({})).await["pid"].to_string();
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_new_worker_runs_the_file_as_it_is_now() {
    let scratch = tempfile::tempdir().unwrap();
    let write = |answer: u8| {
        let text = format!("def handler(event, context):\n    return {answer}\n");
        std::fs::write(scratch.path().join("app.py"), text).unwrap();
    };
    for answer in [1, 2] {
        write(answer);
        let registry = registry(PythonFunction::new(scratch.path(), "app.handler"));
        assert_eq!(value(&registry, &json!({})).await, json!(answer));
    }
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(
        left.len(),
        1,
        "the function's folder is left as it was: {left:?}"
    );
}

#[tokio::test]
async fn what_keeps_a_function_from_running_is_named() {
    let detail = async |registry: FunctionRegistry| match invoke(&registry, &json!({})).await {
        Err(ActionError::Failed { detail, .. }) => detail,
        other => panic!("{other:?}"),
    };
    let missing = detail(registry(function("nowhere", "app.handler"))).await;
    assert!(
        missing.contains("tests/functions/nowhere cannot be read"),
        "{missing}"
    );

    let scratch = tempfile::tempdir().unwrap();
    let fresh = || PythonSettings::new(scratch.path().join("environments"));
    let python = PythonSettings {
        python: PathBuf::from("no-such-python"),
        ..fresh()
    };
    let interpreter = detail(registry_with(function("behaviour", "app.describe"), python)).await;
    assert!(
        interpreter.contains("no-such-python cannot be started"),
        "{interpreter}"
    );

    let broken = scratch.path().join("python3");
    let script = "#!/bin/sh\necho starting\necho 'No module named venv' >&2\nexit 1\n";
    std::fs::write(&broken, script).unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let python = PythonSettings {
        python: broken,
        ..fresh()
    };
    let venv = detail(registry_with(function("behaviour", "app.describe"), python)).await;
    assert!(venv.contains("python3 -m venv --clear "), "{venv}");
    assert!(
        venv.ends_with("failed (exit status: 1):\nstarting\nNo module named venv"),
        "{venv}"
    );
}

/// Not a test of its own: the server that the next test kills.
#[tokio::test]
#[ignore = "runs until it is killed"]
async fn a_server_to_be_killed() {
    let pids = std::env::var("OUTCROP_TEST_PIDS").unwrap();
    let registry = registry(function("behaviour", "app.hang"));
    let _ = invoke(&registry, &json!(pids)).await;
}

#[tokio::test]
async fn workers_do_not_outlive_a_killed_server() {
    let scratch = tempfile::tempdir().unwrap();
    let pids = scratch.path().join("pids");
    let mut server = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_server_to_be_killed", "--ignored"])
        .env("OUTCROP_TEST_PIDS", &pids)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("the handler runs", || pids.exists()).await;
    server.kill().await.unwrap();
    let pids = std::fs::read_to_string(&pids).unwrap();
    until("worker and child are gone", || {
        !pids.split(' ').any(is_running)
    })
    .await;
}
