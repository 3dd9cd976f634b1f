//! One worker process and everything it starts: a process group that lives at most as long as its
//! owner.
//!
//! Three things end it: dropping the [`Process`], the end of the process itself (what it left behind
//! is killed too), and, through the pipe on its standard input, the end of the server, however sudden.

use std::io::{self, PipeWriter};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::launch::Launch;

/// A running worker process. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process {
    group: Arc<Group>,
    ended: watch::Receiver<Option<ExitStatus>>,
    /// Held open, never written: see `python/bootstrap.py`.
    _lifeline: Option<ChildStdin>,
}

impl Process {
    /// Starts a worker with exactly the variables that `launch` has, and the address of its Runtime
    /// API. `tracker` counts the process until it has been reaped.
    pub(super) fn start(
        launch: &Launch,
        runtime_api: SocketAddr,
        output: PipeWriter,
        tracker: &TaskTracker,
    ) -> io::Result<Self> {
        let mut child = Command::new(&launch.program)
            .args(&launch.arguments)
            .current_dir(&launch.code)
            .env_clear()
            .envs(&launch.environment)
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = Arc::new(Group(Mutex::new(pid)));
        let lifeline = child.stdin.take();
        debug!(pid = pid.map(Pid::as_raw_pid), "worker started");
        let (end, ended) = watch::channel(None);
        tracker.spawn({
            let group = Arc::clone(&group);
            async move {
                let status = child.wait().await;
                group.kill();
                debug!(pid = pid.map(Pid::as_raw_pid), ?status, "worker ended");
                end.send_replace(Some(status.unwrap_or_else(|_| ExitStatus::from_raw(0))));
            }
        });
        Ok(Self {
            group,
            ended,
            _lifeline: lifeline,
        })
    }

    /// Whether the process has not ended, by what the system knows at this moment.
    pub(super) fn is_alive(&self) -> bool {
        self.group.leader_is_alive()
    }

    /// Waits for the end of the process.
    pub(super) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        // The channel closes without a status only when the runtime itself is shutting down.
        ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|status| *status)
            .unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.kill();
    }
}

/// The process group, by its leader, until it has been killed.
#[derive(Debug)]
struct Group(Mutex<Option<Pid>>);

impl Group {
    /// Looks without reaping: that is left to whoever waits for the process.
    fn leader_is_alive(&self) -> bool {
        let leader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        leader.is_some_and(|leader| matches!(waitid(WaitId::Pid(leader), look), Ok(None)))
    }

    /// Kills every process of the group, once. Called at the latest right after the leader has been
    /// reaped, long before the system hands its number out again.
    fn kill(&self) {
        let leader = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(leader) = leader {
            // The one error that happens is that no process of the group is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
