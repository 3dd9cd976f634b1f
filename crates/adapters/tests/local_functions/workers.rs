//! When workers begin and end, and what a function needs to have one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use outcrop_adapters::action::{FunctionRegistry, WorkerSettings};
use outcrop_engine::port::ActionError;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_folder_brings_its_own_environment_or_its_requirements() {
    let scratch = tempfile::tempdir().unwrap();
    for name in [".venv", "venv"] {
        let code = scratch.path().join(format!("with-{name}"));
        std::fs::create_dir(&code).unwrap();
        let made = std::process::Command::new("python3")
            .args(["-m", "venv", "--without-pip", name])
            .current_dir(&code)
            .status()
            .unwrap();
        assert!(made.success());
        let text = "import sys\ndef handler(event, context):\n    return [sys.prefix, sys.argv]\n";
        std::fs::write(code.join("app.py"), text).unwrap();
        // It has no awslambdaric; that comes from the environment of functions without their own.
        let prefix = code.canonicalize().unwrap().join(name);
        let seen = value(&registry(python(&code, "app.handler")), &json!({})).await;
        assert_eq!(seen, json!([prefix, ["-c"]]));
    }

    let code = scratch.path().join("requirements");
    std::fs::create_dir(&code).unwrap();
    std::fs::write(code.join("requirements.txt"), "greeting\n").unwrap();
    // An interpreter whose environments have a pip that says what it was asked for.
    let interpreter = script(
        &scratch.path().join("python3"),
        "mkdir -p $4/bin && printf '#!/bin/sh\\necho $*\\nexit 1' > $4/bin/python && chmod +x $4/bin/python",
    );
    let echoing = WorkerSettings {
        python: interpreter,
        packages: vec!["awslambdaric".to_owned()],
        ..WorkerSettings::new(scratch.path().join("environments"))
    };
    let needy = registry_with(python(&code, "app.handler"), echoing);
    let error = invoke(&needy, &json!({})).await.unwrap_err().to_string();
    let file = code.canonicalize().unwrap().join("requirements.txt");
    let asked = format!("awslambdaric --requirement {}", file.display());
    assert!(error.ends_with(&asked), "{error}");
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

    let starting = WorkerSettings {
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

    let brief = WorkerSettings {
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
        let registry = registry(python(scratch.path(), "app.handler"));
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
    let fresh = || WorkerSettings::new(scratch.path().join("environments"));
    let without = WorkerSettings {
        python: PathBuf::from("no-such-python"),
        ..fresh()
    };
    let interpreter = detail(registry_with(
        function("behaviour", "app.describe"),
        without,
    ))
    .await;
    assert!(
        interpreter.contains("no-such-python cannot be started"),
        "{interpreter}"
    );

    let broken = script(
        &scratch.path().join("python3"),
        "echo starting; echo 'No module named venv' >&2; exit 1",
    );
    let failing = WorkerSettings {
        python: broken,
        ..fresh()
    };
    let venv = detail(registry_with(
        function("behaviour", "app.describe"),
        failing,
    ))
    .await;
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
        .args(["--exact", "workers::a_server_to_be_killed", "--ignored"])
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

/// Makes `path` a shell script.
fn script(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(path, executable).unwrap();
    path.to_owned()
}
