//! A session's process: `interpreter.py` in the sandbox, without a network.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use outcrop_engine::port::{
    CodeCall, CodeFile, CodeReply, OUTPUT_FILE_BYTES_MAX, OUTPUT_FILES_MAX,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tracing::debug;

use super::message::{self, ANSWER_BYTES_MAX};
use crate::sandbox::{
    Confined, Confinement, Input, Limits, Network, Output, Sandbox, SandboxError,
};

const PROGRAM: &str = include_str!("interpreter.py");
/// How long beyond its limit a run may take to stop by itself. Code inside a library of C does not
/// hear that its time is up.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Files a session may have open; images and tables need few.
const OPEN_FILES: u32 = 256;
/// All of a session's files together, which are in memory where the system lets them be.
const FILES_BYTES: u64 = 256 * 1024 * 1024;
/// Threads of numerical libraries. Each of more would take memory from the session's limit, and the
/// processor from others.
const THREADS: &str = "2";

/// See the module's description. Dropping it ends the code and all that it started.
#[derive(Debug)]
pub(super) struct Process {
    confined: Confined,
    requests: pipe::Sender,
    answers: BufReader<pipe::Receiver>,
    /// What has been laid down for the code, by name.
    files: HashMap<String, Bytes>,
}

/// What became of a run.
pub(super) enum Ran {
    /// The process can be used again.
    Replied(CodeReply),
    /// It cannot.
    Ended(CodeReply),
}

impl Process {
    pub(super) async fn start(
        sandbox: &Sandbox,
        interpreter: &Path,
        memory_bytes: u64,
    ) -> Result<Self, SandboxError> {
        let environment = interpreter
            .parent()
            .and_then(Path::parent)
            .unwrap_or(interpreter);
        let mut confinement = Confinement::new(interpreter, environment);
        confinement.arguments = vec![
            // Neither the user's packages nor the folder it starts in.
            OsString::from("-I"),
            OsString::from("-c"),
            OsString::from(PROGRAM),
            OsString::from(OUTPUT_FILES_MAX.to_string()),
            OsString::from(OUTPUT_FILE_BYTES_MAX.to_string()),
        ];
        confinement.environment = variables(interpreter);
        confinement.network = Network::Off;
        confinement.limits = Limits {
            data_bytes: Some(memory_bytes),
            open_files: OPEN_FILES,
            file_bytes: FILES_BYTES,
            temporary_bytes: FILES_BYTES,
            ..Limits::default()
        };
        confinement.stdin = Input::Pipe;
        confinement.stdout = Output::Pipe;
        let mut confined = sandbox.spawn(confinement).await?;
        let (Some(requests), Some(answers)) = (confined.stdin.take(), confined.stdout.take())
        else {
            return Err(SandboxError::Description(
                "the child has no pipes".to_owned(),
            ));
        };
        Ok(Self {
            confined,
            requests,
            answers: BufReader::new(answers),
            files: HashMap::new(),
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.confined.end().status().is_none()
    }

    /// Runs code to its end, or to the end of its time.
    pub(super) async fn run(&mut self, call: &CodeCall, limit: Duration) -> Ran {
        let new: Vec<&CodeFile> = call
            .files
            .iter()
            .filter(|file| self.files.get(&file.name) != Some(&file.content))
            .collect();
        let line = message::request(&call.code, &new, limit.as_secs_f64());
        for file in new {
            self.files.insert(file.name.clone(), file.content.clone());
        }
        match tokio::time::timeout(limit + STOP_GRACE, self.exchange(&line)).await {
            Ok(Ok(answer)) => match message::answer(&answer) {
                Ok(reply) => Ran::Replied(reply),
                Err(what) => {
                    debug!(what, "the code interpreter's answer cannot be read");
                    Ran::Ended(failed(
                        "The interpreter's answer could not be read.".to_owned(),
                    ))
                }
            },
            Ok(Err(_)) => {
                let ended = tokio::time::timeout(STOP_GRACE, self.confined.end().wait()).await;
                let how = ended.map_or_else(
                    |_| "it closed its channel".to_owned(),
                    |status| status.to_string(),
                );
                Ran::Ended(failed(format!(
                    "The interpreter ended during the run ({how}). The code may have used too much memory or ended the process."
                )))
            }
            Err(_) => Ran::Ended(CodeReply {
                timed_out: true,
                ..failed(format!(
                    "The code was stopped after {} seconds, the time one run may take.",
                    limit.as_secs_f64()
                ))
            }),
        }
    }

    async fn exchange(&mut self, line: &[u8]) -> std::io::Result<Vec<u8>> {
        self.requests.write_all(line).await?;
        self.requests.flush().await?;
        let mut answer = Vec::new();
        let limit = ANSWER_BYTES_MAX as u64;
        (&mut self.answers)
            .take(limit)
            .read_until(b'\n', &mut answer)
            .await?;
        if answer.last() == Some(&b'\n') {
            Ok(answer)
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }
}

fn failed(error: String) -> CodeReply {
    CodeReply {
        error: Some(error),
        ended: true,
        ..CodeReply::default()
    }
}

fn variables(interpreter: &Path) -> BTreeMap<String, OsString> {
    let mut path = OsString::new();
    if let Some(folder) = interpreter.parent() {
        path.push(folder);
        path.push(":");
    }
    path.push("/usr/local/bin:/usr/bin:/bin");
    let mut variables = BTreeMap::from([("PATH".to_owned(), path)]);
    let text = [
        // A console without a language is ASCII, and printing "é" would raise.
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("MPLBACKEND", "module://outcrop_plots"),
        ("OMP_NUM_THREADS", THREADS),
        ("OPENBLAS_NUM_THREADS", THREADS),
    ];
    variables.extend(text.map(|(name, value)| (name.to_owned(), value.into())));
    // Interpreters built outside the system's folders find their libraries by it.
    if let Some(folders) = std::env::var_os("LD_LIBRARY_PATH") {
        variables.insert("LD_LIBRARY_PATH".to_owned(), folders);
    }
    variables
}
