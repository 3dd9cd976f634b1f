//! Ends: nothing that a child starts outlives it.

use std::time::{Duration, Instant};

use crate::support::{folder, line, python, run, runs, sandboxes, shell, strong, until};

/// Starts a daemon, twice forked and in a session of its own, and prints when it runs.
const DAEMON: &str = "import os, sys, time\n\
                      if os.fork() == 0:\n\
                      \x20 os.setsid()\n\
                      \x20 if os.fork() == 0:\n\
                      \x20   os.close(1); os.close(2)\n\
                      \x20   time.sleep(600)\n\
                      \x20 os._exit(0)\n\
                      os.wait(); print('started', flush=True)\n";

#[tokio::test]
async fn a_daemon_ends_with_its_child() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let mark = format!("daemon-of-{name}-{}", std::process::id());
        let script = format!("{DAEMON}time.sleep(600) # {mark}");
        let mut child = sandbox.spawn(python(&script, own.path())).await.unwrap();
        assert_eq!(line(&mut child).await, "started");
        assert!(runs(&mark), "{name}");
        let end = child.end().clone();
        drop(child);
        end.wait().await;
        assert!(!runs(&mark), "{name}");
    }
}

#[tokio::test]
async fn a_daemon_ends_with_the_program() {
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let mark = format!("orphan-of-{name}-{}", std::process::id());
        let script = format!("{DAEMON}# {mark}");
        let (_, status) = run(&sandbox, python(&script, own.path())).await;
        assert!(status.success(), "{name}");
        assert!(!runs(&mark), "{name}");
    }
}

#[tokio::test]
async fn a_killed_launcher_leaves_nothing() {
    let sandbox = strong();
    let own = folder();
    let mark = format!("left-{}", std::process::id());
    let script = format!("{DAEMON}time.sleep(600) # {mark}");
    let mut child = sandbox.spawn(python(&script, own.path())).await.unwrap();
    assert_eq!(line(&mut child).await, "started");
    let launcher = i32::try_from(child.launcher()).unwrap();
    let launcher = rustix::process::Pid::from_raw(launcher).unwrap();
    rustix::process::kill_process(launcher, rustix::process::Signal::KILL).unwrap();
    until("the daemon ends", || !runs(&mark)).await;
    assert!(!child.end().wait().await.success());
}

#[tokio::test]
async fn a_start_is_quick() {
    let sandbox = strong();
    let own = folder();
    run(&sandbox, shell("true", own.path())).await;
    let begun = Instant::now();
    let rounds = 10;
    for _ in 0..rounds {
        run(&sandbox, shell("true", own.path())).await;
    }
    let each = begun.elapsed() / rounds;
    println!("{each:?} each, with {}", sandbox.strength());
    // An order of magnitude more than it takes, for a machine that does something else.
    assert!(each < Duration::from_millis(500), "{each:?}");
}

#[tokio::test]
async fn private_folders_go_with_their_children() {
    let temporary = folder();
    let sandbox =
        outcrop_adapters::sandbox::Sandbox::new(outcrop_adapters::sandbox::SandboxSettings {
            namespaces: false,
            temporary: temporary.path().to_owned(),
            ..crate::support::settings()
        });
    let own = folder();
    let script = "mkdir -p $TMPDIR/a/b && echo x > $TMPDIR/a/b/c && echo $TMPDIR";
    let (printed, _) = run(&sandbox, shell(script, own.path())).await;
    let canonical = temporary.path().canonicalize().unwrap();
    assert!(
        printed.starts_with(&canonical.display().to_string())
            || printed.starts_with(&temporary.path().display().to_string()),
        "{printed}"
    );
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
