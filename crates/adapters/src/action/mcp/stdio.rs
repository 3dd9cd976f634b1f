//! The process of an MCP server: started, listened to on its standard error, and ended with its owner.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;

use super::McpProcess;
use crate::action::local::LogCapture;

/// The server's own variables that every program needs.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/// How long the end of a process is waited for once its output has ended.
const END_PATIENCE: Duration = Duration::from_millis(200);

/// A started server.
pub(super) struct Streams {
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
    pub(super) child: Child,
}

/// The process and its group. Dropping it kills them.
#[derive(Debug)]
pub(super) struct Child {
    process: Mutex<tokio::process::Child>,
    group: Option<Pid>,
    log: Arc<LogCapture>,
    _pump: AbortOnDropHandle<()>,
}

/// Starts the server's process.
pub(super) fn start(name: &str, process: &McpProcess) -> Result<Streams, String> {
    let program = process.command.first().map_or("", String::as_str);
    spawn(name, process)
        .map_err(|error| format!("its program {program} cannot be started: {error}"))
}

fn spawn(name: &str, process: &McpProcess) -> io::Result<Streams> {
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    let (program, arguments) = process.command.split_first().ok_or_else(missing)?;
    let (log, errors) = LogCapture::new(name)?;
    let log = Arc::new(log);
    let own = PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut started = Command::new(program)
        .args(arguments)
        .current_dir(&process.folder)
        .env_clear()
        .envs(own)
        .envs(
            process
                .environment
                .iter()
                .map(|(name, value)| (name, value.expose())),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = started
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let input = started.stdin.take().ok_or_else(missing)?;
    let output = started.stdout.take().ok_or_else(missing)?;
    let pump = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.pump().await }
    });
    Ok(Streams {
        input,
        output,
        child: Child {
            process: Mutex::new(started),
            group,
            log,
            _pump: AbortOnDropHandle::new(pump),
        },
    })
}

impl Child {
    /// Whether the process is known to have ended.
    pub(super) fn has_ended(&self) -> bool {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(process.try_wait(), Ok(None))
    }

    /// `said`, with how the process ended if it has, and what it last wrote.
    pub(super) fn epitaph(&self, said: &str) -> String {
        let status = {
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            process.try_wait().ok().flatten()
        };
        let mut text = match status {
            Some(status) => format!("{said}; its process ended with {status}"),
            None => said.to_owned(),
        };
        if let Some(tail) = self.log.tail() {
            text.push_str("; it last wrote: ");
            text.push_str(tail.trim());
        }
        text
    }

    /// The same for a server that never got to work, which may be ending just now.
    pub(super) async fn explain(self, said: &str) -> String {
        let until = tokio::time::Instant::now() + END_PATIENCE;
        while !self.has_ended() && tokio::time::Instant::now() < until {
            tokio::time::sleep(END_PATIENCE / 20).await;
        }
        self.epitaph(said)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A process that was waited for has given its number back.
        if let Some(group) = self.group
            && !self.has_ended()
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
