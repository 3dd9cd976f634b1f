//! The code interpreter: Python that a model wrote, one confined process a session.
//!
//! A session's process begins with its first run and ends with the session, after its idle time, at
//! a run that cannot be stopped otherwise, or with the server. Nothing of it is kept on disk: what the
//! code wrote lies in the private folder of its process and goes with it. The Python environment is
//! made on first use, from pinned packages, in the cache that functions share.
//!
//! Not done here: what the model and the client are told of a run (`engine::orchestration`), and the
//! confinement itself ([`crate::sandbox`]).
//!
//! Invariant: a run that nobody waits for any more has ended.

mod message;
mod process;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{CodeCall, CodeError, CodeInterpreter, CodeReply};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::action::Environments;
use crate::sandbox::Sandbox;
use process::{Process, Ran};

/// How often sessions are looked through for those whose idle time is over.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// What the packages are: what models write code for, and what reads the types of files that AWS
/// lets a user give.
const PACKAGES: [&str; 8] = [
    "numpy==2.4.6",
    "pandas==3.1.1",
    "matplotlib==3.11.2",
    "openpyxl==3.1.5",
    "xlrd==2.0.2",
    "pypdf==7.1.0",
    "python-docx==1.2.0",
    "PyYAML==6.0.3",
];

/// How code is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSettings {
    /// The interpreter that the environment is made with; Python 3.11 or newer, which the packages
    /// want.
    pub python: PathBuf,
    /// The folder in which environments are made. May be shared between servers.
    pub environments: PathBuf,
    /// What the environment holds, as pip takes it.
    pub packages: Vec<String>,
    /// How long one run may take.
    pub time_limit: Duration,
    /// The memory that a session's processes may use, each of them.
    pub memory_bytes: u64,
    /// Most sessions with a state at once. The one that was longest without work makes room.
    pub sessions_max: usize,
}

impl CodeSettings {
    /// A minute a run, 1 GB, and AWS's quota of 25 sessions.
    pub fn new(environments: impl Into<PathBuf>) -> Self {
        Self {
            python: PathBuf::from("python3"),
            environments: environments.into(),
            packages: PACKAGES.map(ToOwned::to_owned).to_vec(),
            time_limit: Duration::from_mins(1),
            memory_bytes: 1024 * 1024 * 1024,
            sessions_max: 25,
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct PythonInterpreter {
    shared: Arc<Shared>,
    sweeping: Once,
}

#[derive(Debug)]
struct Shared {
    settings: CodeSettings,
    sandbox: Sandbox,
    environments: Environments,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    /// Counts builders of environments.
    tasks: TaskTracker,
    closed: CancellationToken,
}

/// One session's state. A run holds the lock, so that others of the session wait.
#[derive(Debug)]
struct Session {
    process: tokio::sync::Mutex<Option<Process>>,
    use_: Mutex<Use>,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    last: Instant,
    idle_ttl: Duration,
}

impl PythonInterpreter {
    /// An interpreter that starts nothing before it is used.
    pub fn new(settings: CodeSettings, sandbox: Sandbox) -> Self {
        let environments = Environments::new(
            settings.python.clone(),
            settings.environments.clone(),
            settings.packages.clone(),
        );
        Self {
            shared: Arc::new(Shared {
                settings,
                sandbox,
                environments,
                sessions: Mutex::default(),
                tasks: TaskTracker::new(),
                closed: CancellationToken::new(),
            }),
            sweeping: Once::new(),
        }
    }

    /// Ends every session.
    pub async fn shutdown(&self) {
        self.shared.closed.cancel();
        self.shared.sessions().clear();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Ends sessions whose idle time is over.
    fn sweep(&self) {
        let shared = Arc::downgrade(&self.shared);
        let closed = self.shared.closed.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = closed.cancelled() => return,
                    () = tokio::time::sleep(SWEEP_PAUSE) => {}
                }
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                let now = Instant::now();
                shared
                    .sessions()
                    .retain(|_, session| session.is_at_work() || !session.is_over(now));
            }
        });
    }
}

impl Drop for PythonInterpreter {
    fn drop(&mut self) {
        self.shared.closed.cancel();
    }
}

impl CodeInterpreter for PythonInterpreter {
    fn prepare(&self) {
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            // The run that needs it reports what is wrong.
            let _ = shared.interpreter().await;
        });
    }

    fn execute(&self, call: CodeCall) -> BoxFuture<'_, Result<CodeReply, CodeError>> {
        self.sweeping.call_once(|| self.sweep());
        Box::pin(async move {
            tokio::select! {
                biased;
                () = self.shared.closed.cancelled() => Err(unavailable("the server is shutting down")),
                reply = self.shared.execute(call) => reply,
            }
        })
    }

    fn end(&self, session: &str) {
        self.shared.sessions().remove(session);
    }
}

impl Shared {
    async fn execute(&self, call: CodeCall) -> Result<CodeReply, CodeError> {
        let session = self.session(&call)?;
        let mut held = session.process.lock().await;
        // Taken out: should this future be dropped, the process goes with it.
        let kept = held.take().filter(Process::is_alive);
        let fresh = kept.is_none();
        let mut process = match kept {
            Some(process) => process,
            None => self.start().await?,
        };
        let ran = process.run(&call, self.settings.time_limit).await;
        let mut reply = match ran {
            Ran::Replied(reply) => {
                *held = Some(process);
                reply
            }
            Ran::Ended(reply) => reply,
        };
        session.used(call.idle_ttl);
        reply.fresh = fresh;
        Ok(reply)
    }

    /// The session of a call; makes room for it where all are taken.
    fn session(&self, call: &CodeCall) -> Result<Arc<Session>, CodeError> {
        let mut sessions = self.sessions();
        if let Some(session) = sessions.get(&call.session) {
            return Ok(Arc::clone(session));
        }
        let limit = self.settings.sessions_max;
        if sessions.len() >= limit {
            let idle = sessions.iter().filter(|(_, session)| !session.is_at_work());
            let Some(oldest) = idle
                .min_by_key(|(_, session)| session.use_().last)
                .map(|(name, _)| name.clone())
            else {
                return Err(CodeError::Busy { limit });
            };
            warn!(
                limit,
                "a session of the code interpreter was ended to make room"
            );
            sessions.remove(&oldest);
        }
        let session = Arc::new(Session {
            process: tokio::sync::Mutex::new(None),
            use_: Mutex::new(Use {
                last: Instant::now(),
                idle_ttl: call.idle_ttl,
            }),
        });
        sessions.insert(call.session.clone(), Arc::clone(&session));
        Ok(session)
    }

    async fn start(&self) -> Result<Process, CodeError> {
        let interpreter = self.interpreter().await?;
        let begun = Instant::now();
        let process = Process::start(&self.sandbox, &interpreter, self.settings.memory_bytes)
            .await
            .map_err(|error| unavailable(&error.to_string()))?;
        info!(
            elapsed_ms = begun.elapsed().as_millis(),
            "code interpreter started"
        );
        Ok(process)
    }

    async fn interpreter(&self) -> Result<PathBuf, CodeError> {
        let made = self.environments.shared(&self.tasks, &self.closed).await;
        made.map_err(|error| {
            unavailable(&format!(
                "its python environment cannot be made; it is downloaded on first use: {error}"
            ))
        })
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn use_(&self) -> MutexGuard<'_, Use> {
        self.use_.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self, idle_ttl: Duration) {
        *self.use_() = Use {
            last: Instant::now(),
            idle_ttl,
        };
    }

    /// Whether a call holds it. Asked with the sessions locked, so that none can begin meanwhile.
    fn is_at_work(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    fn is_over(&self, now: Instant) -> bool {
        let used = *self.use_();
        now.duration_since(used.last) > used.idle_ttl
    }
}

fn unavailable(detail: &str) -> CodeError {
    CodeError::Unavailable {
        detail: detail.to_owned(),
    }
}
