//! One child that extracts, from the server's side.
//!
//! Invariant: dropping it ends the process, whatever it is doing.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use outcrop_engine::port::{ExtractCall, ExtractError};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::ExtractorSettings;
use super::message::{self, Hello, LENGTH_BYTES, REPLY_BYTES_MAX, ROLE, Reply, Request};

/// How long a child may take to say that it is there. It takes milliseconds; the rest is for a machine
/// that is busy with something else.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long the end of a process that has closed its channel may take to become known.
const END_LIMIT: Duration = Duration::from_secs(3);

/// Longest first message, bytes.
const HELLO_BYTES_MAX: u64 = 1024;

/// What is set aside for a reply before any of it has come, bytes.
const REPLY_BYTES_FIRST: u64 = 64 * 1024;

/// From this size on, a reply is read apart from other work: it takes longer than a millisecond.
const REPLY_BYTES_LARGE: usize = 256 * 1024;

/// A child.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    requests: ChildStdin,
    answers: ChildStdout,
    confined: bool,
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Broken {
    /// It could not be started, or does not speak.
    Start(std::io::Error),
    /// It has ended.
    Ended(Option<ExitStatus>),
    /// Its time is up.
    Late,
    /// What it said makes no sense, or is too long.
    Nonsense(String),
}

impl Process {
    pub(super) async fn start(settings: &ExtractorSettings) -> Result<Self, Broken> {
        let mut command = Command::new(&settings.program);
        command
            .arg(ROLE)
            .arg(settings.memory_bytes.to_string())
            .arg(settings.time_limit.as_secs().max(1).to_string())
            .env_clear()
            // The server's allocator takes a gigabyte at its start, untouched; what is not taken by
            // and by counts against the limit, and large pieces would find nothing left.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(Broken::Start)?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Broken::Nonsense("it has no pipes".to_owned()));
        };
        let mut process = Self {
            child,
            requests,
            answers,
            confined: false,
        };
        let hello = tokio::time::timeout(START_LIMIT, process.read(HELLO_BYTES_MAX));
        let hello = hello.await.map_err(|_| Broken::Late)?;
        let Hello { confined } = match hello {
            Ok(bytes) => parsed(&bytes)?,
            Err(error) => return Err(process.broken(error).await),
        };
        process.confined = confined;
        Ok(process)
    }

    /// Whether it can do no more than compute and answer.
    pub(super) fn is_confined(&self) -> bool {
        self.confined
    }

    /// Whether it has not ended.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Has it read a file.
    pub(super) async fn extract(
        &mut self,
        call: &ExtractCall,
        limit: Duration,
    ) -> Result<Reply, Broken> {
        let request = Request {
            name: call.name.clone(),
            mime_type: call.mime_type.clone(),
            records: call.records.clone(),
            length: u64::try_from(call.content.len()).unwrap_or(u64::MAX),
        };
        let request =
            message::framed(&request).map_err(|error| Broken::Nonsense(error.to_string()))?;
        if request.len() > LENGTH_BYTES + message::REQUEST_BYTES_MAX as usize {
            return Ok(Err(ExtractError::TooLarge(format!(
                "the file's name and its columns' names have {} bytes, at most {}",
                request.len() - LENGTH_BYTES,
                message::REQUEST_BYTES_MAX
            ))));
        }
        let exchange = async {
            self.requests.write_all(&request).await?;
            self.requests.write_all(&call.content).await?;
            self.requests.flush().await?;
            self.read(REPLY_BYTES_MAX).await
        };
        let answer = tokio::time::timeout(limit, exchange).await;
        match answer.map_err(|_| Broken::Late)? {
            Ok(bytes) if bytes.len() < REPLY_BYTES_LARGE => parsed(&bytes),
            Ok(bytes) => match tokio::task::spawn_blocking(move || parsed(&bytes)).await {
                Ok(reply) => reply,
                Err(error) => Err(Broken::Nonsense(error.to_string())),
            },
            Err(error) => Err(self.broken(error).await),
        }
    }

    async fn read(&mut self, limit: u64) -> std::io::Result<Vec<u8>> {
        let length = self.answers.read_u64_le().await?;
        if length > limit {
            let told = format!("an answer of {length} bytes, at most {limit} expected");
            return Err(std::io::Error::other(told));
        }
        let first = usize::try_from(length.min(REPLY_BYTES_FIRST)).unwrap_or_default();
        let mut answer = Vec::with_capacity(first);
        (&mut self.answers)
            .take(length)
            .read_to_end(&mut answer)
            .await?;
        if answer.len() as u64 == length {
            Ok(answer)
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Why the channel broke.
    async fn broken(&mut self, error: std::io::Error) -> Broken {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        if !matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) {
            return Broken::Nonsense(error.to_string());
        }
        let ended = tokio::time::timeout(END_LIMIT, self.child.wait()).await;
        Broken::Ended(ended.ok().and_then(Result::ok))
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Broken> {
    serde_json::from_slice(bytes).map_err(|error| Broken::Nonsense(error.to_string()))
}
