//! The process of an MCP server: started, listened to on its standard error, and ended with its owner.
//!
//! Where there is a sandbox it runs inside: it reads its folder and the paths among its arguments,
//! writes what the operator names, and has the network unless that is switched off. Elsewhere it is a
//! process group.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, PipeWriter};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use super::{McpProcess, Shelter};
use crate::action::local::LogCapture;

/// The server's own variables that every program needs.
const PASSED_ON: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];
/// How long the end of a process is waited for once its output has ended.
const END_PATIENCE: Duration = Duration::from_millis(200);
/// How often it is looked for in that time.
const END_LOOKS: u32 = 20;

type Input = Box<dyn AsyncWrite + Send + Unpin>;
type Output = Box<dyn AsyncRead + Send + Unpin>;

/// A started server.
pub(super) struct Streams {
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) child: Child,
}

/// The process and whatever it started. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Child {
    life: Life,
    log: Arc<LogCapture>,
    _pump: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Life {
    /// In the sandbox.
    #[cfg(target_os = "linux")]
    Confined(Box<crate::sandbox::Confined>),
    /// A process group of its own.
    Plain(Plain),
}

#[derive(Debug)]
struct Plain {
    process: Mutex<tokio::process::Child>,
    group: Option<Pid>,
}

/// What is to be run.
struct Launch<'a> {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    process: &'a McpProcess,
}

/// Starts the server's process.
pub(super) async fn start(
    name: &str,
    process: &McpProcess,
    shelter: &Shelter,
) -> Result<Streams, String> {
    let program = process.command.first().map_or("", String::as_str);
    let told = |error: String| format!("its program {program} cannot be started: {error}");
    let launch = Launch::of(process).map_err(told)?;
    let (log, errors) = LogCapture::new(name).map_err(|error| told(error.to_string()))?;
    let (input, output, life) = spawn(&launch, errors, shelter).await.map_err(told)?;
    let log = Arc::new(log);
    let pump = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.pump().await }
    });
    Ok(Streams {
        input,
        output,
        child: Child {
            life,
            log,
            _pump: AbortOnDropHandle::new(pump),
        },
    })
}

impl<'a> Launch<'a> {
    fn of(process: &'a McpProcess) -> Result<Self, String> {
        let (program, arguments) = process.command.split_first().ok_or("there is none")?;
        let own = PASSED_ON
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)));
        let given = process
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), OsString::from(value.expose())));
        Ok(Self {
            program: find(program)?,
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: own.chain(given).collect(),
            process,
        })
    }
}

/// A path as it is, a name from the search path.
fn find(program: &str) -> Result<PathBuf, String> {
    let path = Path::new(program);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let is_executable = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(path))
        .find(is_executable)
        .ok_or_else(|| "it is not on the search path".to_owned())
}

#[cfg(target_os = "linux")]
async fn spawn(
    launch: &Launch<'_>,
    errors: PipeWriter,
    shelter: &Shelter,
) -> Result<(Input, Output, Life), String> {
    use crate::sandbox::{Confinement, Input as Stdin, Network, Output as Stdout};

    let Some(sandbox) = shelter else {
        return plain(launch, errors);
    };
    let named = launch.process.command.iter().skip(1).map(PathBuf::from);
    let confinement = Confinement {
        arguments: launch.arguments.clone(),
        environment: launch.environment.clone(),
        readable: named
            .filter(|path| path.is_absolute() && path.exists())
            .collect(),
        writable: launch.process.writable.clone(),
        network: if launch.process.network {
            Network::Open
        } else {
            Network::Off
        },
        stdin: Stdin::Pipe,
        stdout: Stdout::Pipe,
        stderr: Stdout::To(errors.into()),
        ..Confinement::new(&launch.program, &launch.process.folder)
    };
    let confined = sandbox.spawn(confinement).await;
    let mut confined = confined.map_err(|error| error.to_string())?;
    let input = confined.stdin.take().ok_or("it has no standard input")?;
    let output = confined.stdout.take().ok_or("it has no standard output")?;
    let life = Life::Confined(Box::new(confined));
    Ok((Box::new(input), Box::new(output), life))
}

#[cfg(not(target_os = "linux"))]
async fn spawn(
    launch: &Launch<'_>,
    errors: PipeWriter,
    _shelter: &Shelter,
) -> Result<(Input, Output, Life), String> {
    plain(launch, errors)
}

fn plain(launch: &Launch<'_>, errors: PipeWriter) -> Result<(Input, Output, Life), String> {
    if !launch.process.network {
        return Err("it is to run without a network, which needs the sandbox".to_owned());
    }
    let started = Command::new(&launch.program)
        .args(&launch.arguments)
        .current_dir(&launch.process.folder)
        .env_clear()
        .envs(&launch.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut process = started.map_err(|error: io::Error| error.to_string())?;
    let input = process.stdin.take().ok_or("it has no standard input")?;
    let output = process.stdout.take().ok_or("it has no standard output")?;
    let group = process
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let life = Life::Plain(Plain {
        process: Mutex::new(process),
        group,
    });
    Ok((Box::new(input), Box::new(output), life))
}

impl Child {
    /// Whether the process is known to have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.status().is_some()
    }

    fn status(&self) -> Option<ExitStatus> {
        match &self.life {
            #[cfg(target_os = "linux")]
            Life::Confined(confined) => confined.end().status(),
            Life::Plain(plain) => plain.status(),
        }
    }

    /// `said`, with how the process ended if it has, and what it last wrote.
    pub(super) fn epitaph(&self, said: &str) -> String {
        let mut text = match self.status() {
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
        for _ in 0..END_LOOKS {
            if self.has_ended() {
                break;
            }
            tokio::time::sleep(END_PATIENCE / END_LOOKS).await;
        }
        self.epitaph(said)
    }
}

impl Plain {
    fn status(&self) -> Option<ExitStatus> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.try_wait().ok().flatten()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // A process that was waited for has given its number back.
        if let Some(group) = self.group
            && self.status().is_none()
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
