//! One worker process and everything it starts, which lives at most as long as its owner.
//!
//! On Linux the sandbox starts and ends it. Elsewhere it is a process group, and three things end it:
//! dropping the [`Process`], the end of the process itself (what it left behind is killed too), and,
//! through the pipe on its standard input, the end of the server, however sudden. That pipe is what
//! the variable `OUTCROP_LIFELINE` tells a bootstrap of.

#[cfg(target_os = "linux")]
mod confined;

use std::io::{self, PipeWriter};
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::net::TcpListener;
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::Shared;
use super::launch::Launch;
use super::runtime_api::Door;

/// By this a worker finds its Runtime API.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// How often a worker's memory is looked at.
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// A running worker process. Dropping it ends it and all it started.
#[derive(Debug)]
pub(super) enum Process {
    /// In the sandbox.
    #[cfg(target_os = "linux")]
    Confined(Arc<crate::sandbox::Confined>),
    /// A process like any other.
    Plain(Plain),
}

impl Process {
    /// Starts a worker with exactly the variables that `launch` has, and the address of its Runtime
    /// API, which is to be served behind the door. Errors are for people.
    pub(super) async fn start(
        launch: &Launch,
        output: PipeWriter,
        shared: &Shared,
    ) -> Result<(Self, Door), String> {
        #[cfg(target_os = "linux")]
        if let Some(sandbox) = &shared.settings.sandbox {
            return confined::start(launch, output, sandbox, &shared.processes).await;
        }
        if !launch.network {
            return Err(
                "it is to run without a network, which needs the sandbox; there is none here"
                    .to_owned(),
            );
        }
        let started = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let process = Plain::start(launch, &listener, output, &shared.processes)?;
            Ok::<_, io::Error>((Self::Plain(process), Door::open(listener)))
        };
        let program = launch.program.display();
        started
            .await
            .map_err(|error| format!("{program} cannot be started: {error}"))
    }

    /// Whether the process has not ended, by what is known at this moment.
    pub(super) fn is_alive(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Confined(confined) => confined.end().status().is_none(),
            Self::Plain(plain) => plain.group.leader_is_alive(),
        }
    }

    /// Waits for the end of the process.
    pub(super) async fn ended(&self) -> ExitStatus {
        match self {
            #[cfg(target_os = "linux")]
            Self::Confined(confined) => confined.end().wait().await,
            Self::Plain(plain) => plain.ended().await,
        }
    }

    /// Waits until it holds more memory than `limit`, and says how much. For ever where that cannot be
    /// seen.
    pub(super) async fn exceeds(&self, limit: u64) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Confined(confined) => loop {
                tokio::time::sleep(MEMORY_PAUSE).await;
                match confined.resident_bytes() {
                    Ok(bytes) if bytes > limit => return bytes,
                    Ok(_) => {}
                    // It has just ended; that is told elsewhere.
                    Err(_) => std::future::pending().await,
                }
            },
            Self::Plain(_) => std::future::pending().await,
        }
    }
}

/// A worker process outside of the sandbox. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Plain {
    group: Arc<Group>,
    ended: watch::Receiver<Option<ExitStatus>>,
    /// Held open, never written: see `python/bootstrap.py`.
    _lifeline: Option<ChildStdin>,
}

impl Plain {
    /// `tracker` counts the process until it has been reaped.
    fn start(
        launch: &Launch,
        listener: &TcpListener,
        output: PipeWriter,
        tracker: &TaskTracker,
    ) -> io::Result<Self> {
        let mut child = Command::new(&launch.program)
            .args(&launch.arguments)
            .current_dir(&launch.code)
            .env_clear()
            .envs(&launch.environment)
            .env(RUNTIME_API, listener.local_addr()?.to_string())
            .env("OUTCROP_LIFELINE", "1")
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

    async fn ended(&self) -> ExitStatus {
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

impl Drop for Plain {
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
