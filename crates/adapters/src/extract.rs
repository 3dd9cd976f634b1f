//! The text of files, read in processes of their own.
//!
//! Parsers of documents are given whatever somebody put into a bucket. They run in children of the
//! server ([`child`]) with hard limits of memory and time, and, on Linux, without any right but to
//! compute and answer, so that a hostile file costs its own extraction and nothing else (ADR 0020). A
//! child reads many files, one after the other, since starting one costs more than reading a small
//! file. Invariant: no byte of a file is parsed in the server's own process.

pub mod child;
#[cfg(target_os = "linux")]
mod confine;
mod message;
mod process;

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use nix::libc;
use outcrop_engine::port::{ExtractCall, ExtractError, Extraction, Extractor};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use process::{Broken, Process};

/// How long a child waits for the next file. An idle server has none.
const IDLE: Duration = Duration::from_secs(10);

/// Files that one child reads. What a file may have left behind in it ends with it.
const FILES_A_CHILD: u32 = 500;

/// A child that has read a file from this size on is not used again: its memory may be in pieces.
const FILE_BYTES_LARGE: usize = 4 * 1024 * 1024;

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractorSettings {
    /// The program that calls [`child::run_if_asked`] first of all.
    pub program: PathBuf,
    /// Memory of a child.
    pub memory_bytes: u64,
    /// How long reading one file may take.
    pub time_limit: Duration,
    /// How many children there may be at once.
    pub children: usize,
}

impl ExtractorSettings {
    /// The defaults, for a program that is its own child. 1 GiB holds the largest file with its text
    /// and what parsers make of it; two minutes are ten times what the slowest honest file was seen to
    /// take; more children than processors would only wait for each other.
    pub fn of_this_program() -> std::io::Result<Self> {
        // The running program, even where its file has been replaced.
        #[cfg(target_os = "linux")]
        let program = PathBuf::from("/proc/self/exe");
        #[cfg(not(target_os = "linux"))]
        let program = std::env::current_exe()?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            program,
            memory_bytes: 1024 * 1024 * 1024,
            time_limit: Duration::from_mins(2),
            children: processors.clamp(1, 8),
        })
    }
}

/// Extracts in children. Cheap to clone; starts nothing before the first file.
#[derive(Clone, Debug)]
pub struct ChildExtractor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ExtractorSettings,
    places: Semaphore,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    children: Vec<Used>,
    /// Whether something waits to end them.
    ending: bool,
    /// Whether it has been said that children are not confined.
    warned: bool,
}

/// A child that has read files.
#[derive(Debug)]
struct Used {
    process: Process,
    files: u32,
    since: Instant,
}

impl ChildExtractor {
    /// With these settings.
    pub fn new(settings: ExtractorSettings) -> Self {
        let places = Semaphore::new(settings.children.max(1));
        Self {
            shared: Arc::new(Shared {
                settings,
                places,
                idle: Mutex::default(),
            }),
        }
    }

    /// How many children wait for a file.
    pub fn waiting(&self) -> usize {
        self.shared.idle().children.len()
    }

    async fn read(&self, call: ExtractCall) -> Result<Extraction, ExtractError> {
        // Closed never.
        let _place = self.shared.places.acquire().await.ok();
        let mut again = self.shared.take();
        loop {
            let (mut used, is_new) = match again.take() {
                Some(used) => (used, false),
                None => (self.shared.start().await?, true),
            };
            let limit = self.shared.settings.time_limit;
            match used.process.extract(&call, limit).await {
                Ok(reply) => {
                    used.files += 1;
                    if call.content.len() < FILE_BYTES_LARGE && used.files < FILES_A_CHILD {
                        Shared::give_back(&self.shared, used);
                    }
                    return reply;
                }
                // What was read before may be why: the file gets a child that has read nothing.
                Err(Broken::Ended(status)) if !is_new => {
                    debug!(
                        ?status,
                        name = call.name,
                        "a child that extracts ended, another one tries"
                    );
                }
                Err(broken) => return Err(self.shared.refusal(&broken, &call.name)),
            }
        }
    }
}

impl Extractor for ChildExtractor {
    fn extract(&self, call: ExtractCall) -> BoxFuture<'_, Result<Extraction, ExtractError>> {
        Box::pin(self.read(call))
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child that waits, the one that has waited least.
    fn take(&self) -> Option<Used> {
        let mut idle = self.idle();
        while let Some(mut used) = idle.children.pop() {
            if used.process.is_alive() {
                return Some(used);
            }
        }
        None
    }

    async fn start(&self) -> Result<Used, ExtractError> {
        let process = Process::start(&self.settings).await.map_err(|broken| {
            let program = self.settings.program.display();
            warn!(%program, ?broken, "a child that extracts could not be started");
            ExtractError::Failed("the process that reads files could not be started".to_owned())
        })?;
        if !process.is_confined() && !std::mem::replace(&mut self.idle().warned, true) {
            warn!(
                "files are read in a process that is limited but not confined: no system call filters here"
            );
        }
        Ok(Used {
            process,
            files: 0,
            since: Instant::now(),
        })
    }

    fn give_back(shared: &Arc<Self>, mut used: Used) {
        used.since = Instant::now();
        let mut idle = shared.idle();
        idle.children.push(used);
        if !std::mem::replace(&mut idle.ending, true) {
            tokio::spawn(Self::end_idle(Arc::downgrade(shared)));
        }
    }

    /// Ends children that have waited long enough, until none is left.
    async fn end_idle(shared: std::sync::Weak<Self>) {
        loop {
            tokio::time::sleep(IDLE).await;
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let mut idle = shared.idle();
            idle.children.retain(|used| used.since.elapsed() < IDLE);
            if idle.children.is_empty() {
                idle.ending = false;
                return;
            }
        }
    }

    /// What a client is told of a child that gave no reply.
    fn refusal(&self, broken: &Broken, name: &str) -> ExtractError {
        debug!(?broken, name, "a file could not be read");
        let seconds = self.settings.time_limit.as_secs();
        let memory = self.settings.memory_bytes / (1024 * 1024);
        let late = || {
            ExtractError::TooLarge(format!(
                "reading the file took longer than {seconds} seconds"
            ))
        };
        let large = || {
            ExtractError::TooLarge(format!(
                "reading the file needs more than {memory} MB of memory, or is nested too deeply"
            ))
        };
        match broken {
            Broken::Late => late(),
            Broken::Ended(Some(status)) => match status.signal() {
                Some(libc::SIGXCPU) => late(),
                // Without memory, or at the end of the stack, a program ends itself; the system ends
                // one that has the most when there is none left.
                Some(libc::SIGABRT | libc::SIGSEGV | libc::SIGKILL | libc::SIGBUS) => large(),
                _ => {
                    ExtractError::Failed(format!("the process that read the file ended ({status})"))
                }
            },
            Broken::Ended(None) => {
                ExtractError::Failed("the process that read the file went away".to_owned())
            }
            Broken::Nonsense(what) => {
                ExtractError::TooLarge(format!("the file's text could not be taken over: {what}"))
            }
            Broken::Start(error) => ExtractError::Failed(error.to_string()),
        }
    }
}
