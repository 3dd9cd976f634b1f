//! The port of the code interpreter: Python that a model wrote, run with a state that lasts as long
//! as a session.
//!
//! Plain data and one trait. What is shown to the model and to the client of a run is the engine's
//! business; where and how confined the code runs is the implementation's.

use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_model::blob::Blob;
use serde::{Deserialize, Serialize};

/// What stands in code for the folder with the session's files (behaviour.md 12.3).
pub const BASE_PATH: &str = "$BASE_PATH$";
/// Most files that one run gives back; `OutputFiles` of the service model takes no more.
pub const OUTPUT_FILES_MAX: usize = 5;
/// Most bytes of a file that a run gives back; `FileBody` of the service model takes no more.
pub const OUTPUT_FILE_BYTES_MAX: usize = 1_000_000;

/// One run of code.
#[derive(Clone, Debug)]
pub struct CodeCall {
    /// Names one life of a session. Runs of one name share variables and files.
    pub session: String,
    /// How long the state is kept after the last run.
    pub idle_ttl: Duration,
    /// The code, with [`BASE_PATH`] as the model wrote it.
    pub code: String,
    /// The files that the user gave to the session, all of them: the implementation knows which ones
    /// are there already.
    pub files: Vec<CodeFile>,
}

/// A file for code to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFile {
    /// Its name below [`BASE_PATH`], without any folder.
    pub name: String,
    /// Its bytes.
    pub content: Bytes,
}

/// What became of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeReply {
    /// What was printed, and the value of a last expression; shortened in the middle where it was
    /// too long.
    pub output: String,
    /// Why it failed: a traceback, or a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it was stopped at the time limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Whether the state began with this run: what earlier ones left in memory was not there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Whether the state has ended with this run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// New and changed files, within [`OUTPUT_FILES_MAX`] and [`OUTPUT_FILE_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<CodeOutputFile>,
    /// New and changed files that could not be given back, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
}

/// A file that code wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeOutputFile {
    /// Its name below [`BASE_PATH`].
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its length.
    pub bytes: u64,
    /// Its bytes. Not journaled: they are sent with the step that learns of them, or never.
    #[serde(skip)]
    pub content: Blob,
}

/// Why code could not be run at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum CodeError {
    /// Every interpreter that may exist is at work; the model is told, and may try again.
    #[error("all {limit} sessions of the code interpreter are at work")]
    Busy {
        /// Most sessions at once.
        limit: usize,
    },
    /// There is no interpreter to run it: no Python, no packages, no confinement.
    #[error("the code interpreter is not available: {detail}")]
    Unavailable {
        /// Cause, and what to do about it.
        detail: String,
    },
}

/// Runs code. The runs of one session come one after the other.
pub trait CodeInterpreter: Send + Sync {
    /// Called when a turn begins in which code may be run: begins, without waiting, what the first
    /// run would have to wait for.
    fn prepare(&self);

    /// Runs code once. Dropping the future stops the code and ends the session's state.
    fn execute(&self, call: CodeCall) -> BoxFuture<'_, Result<CodeReply, CodeError>>;

    /// Ends a session's state, if there is one.
    fn end(&self, session: &str);
}

/// A server that runs no code.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCodeInterpreter;

impl CodeInterpreter for NoCodeInterpreter {
    fn prepare(&self) {}

    fn execute(&self, _: CodeCall) -> BoxFuture<'_, Result<CodeReply, CodeError>> {
        Box::pin(std::future::ready(Err(CodeError::Unavailable {
            detail: "this server was set up without one".to_owned(),
        })))
    }

    fn end(&self, _: &str) {}
}
