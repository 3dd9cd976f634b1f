//! Python handlers, run unmodified in warm worker processes of this machine.
//!
//! One pool a function: it grows by a worker whenever an invocation finds none idle, up to the
//! mapping's limit, and shrinks when workers stay idle. The workers run AWS's own runtime interface
//! client against a Runtime API served here, so that a handler meets on this machine what it meets in
//! Lambda. Nothing of the server's own environment reaches a handler but what [`INHERITED`] names.

mod environment;
mod exchange;
mod fault;
mod log;
mod pool;
mod process;
mod runtime_api;
mod variables;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::name::FunctionName;
use environment::Environments;
use pool::Pool;
pub use variables::ReservedVariable;

/// What Lambda lets a function return from a synchronous call.
const MAX_REPLY_BYTES: usize = 6_291_556;
/// The shortest time between two looks for idle workers, whatever their time to live.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// How long [`Workers::shutdown`] waits for killed processes to be gone. The system needs
/// milliseconds; one stuck in the kernel must not keep the server from ending.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// A function that is a folder of Python code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonFunction {
    /// The folder, Lambda's task root. Relative to the server's working directory.
    pub code: PathBuf,
    /// `module.function`, as in Lambda: `app.lambda_handler`.
    pub handler: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Told to the handler as its memory size, in MB. Not enforced.
    pub memory_mb: u32,
    /// Variables of the function. They win over those that every function gets.
    pub environment: BTreeMap<String, String>,
    /// How many invocations run at once; more wait.
    pub max_workers: NonZeroUsize,
}

impl PythonFunction {
    /// The function in `code` with everything else at its default: 30 seconds, 128 MB (Lambda's own
    /// default), no variables, four workers.
    pub fn new(code: impl Into<PathBuf>, handler: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            handler: handler.into(),
            timeout: Duration::from_secs(30),
            memory_mb: 128,
            environment: BTreeMap::new(),
            max_workers: const { NonZeroUsize::new(4).expect("four is not zero") },
        }
    }
}

impl PythonFunction {
    /// The folder as the system knows it, with links followed, as Lambda's task root has none.
    async fn folder(&self) -> Result<PathBuf, String> {
        match tokio::fs::canonicalize(&self.code).await {
            Ok(folder) if folder.is_dir() => Ok(folder),
            Ok(file) => Err(format!("its `code` {} is not a folder", file.display())),
            Err(error) => {
                let place = std::path::absolute(&self.code).unwrap_or_else(|_| self.code.clone());
                Err(format!(
                    "its `code` {} cannot be read: {error}",
                    place.display()
                ))
            }
        }
    }
}

/// What all Python functions share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonSettings {
    /// The interpreter that managed environments are made with; Python 3.10 or newer.
    pub python: PathBuf,
    /// The folder in which managed environments are made. May be shared between servers.
    pub environments: PathBuf,
    /// What a managed environment holds besides the function's own `requirements.txt`, as pip takes
    /// it. Must provide `awslambdaric`.
    pub packages: Vec<String>,
    /// A worker without work for this long is ended.
    pub idle_ttl: Duration,
    /// How long a worker may take to import its handler.
    pub start_limit: Duration,
}

impl PythonSettings {
    /// `python3`, environments in `environments`, the packages of Lambda's own runtime, ten minutes of
    /// idleness, a minute to start (Lambda allows ten seconds, on machines that do nothing else).
    pub fn new(environments: impl Into<PathBuf>) -> Self {
        Self {
            python: PathBuf::from("python3"),
            environments: environments.into(),
            packages: vec!["awslambdaric==4.2.2".to_owned(), "boto3==1.44.5".to_owned()],
            idle_ttl: Duration::from_mins(10),
            start_limit: Duration::from_mins(1),
        }
    }
}

/// The pools of all Python functions.
#[derive(Debug)]
pub(super) struct Workers {
    shared: Arc<Shared>,
    pools: Arc<Mutex<Pools>>,
    sweeping: std::sync::Once,
}

/// Where a function comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The mapping of this number.
    Mapping(usize),
    /// Registered while the server runs, with this identity. A changed one gets workers of its own;
    /// those of the old one end when they have been idle.
    Registered(String),
}

/// One pool for each name under which a mapping is used, since a handler sees its function's name.
type Pools = HashMap<(Source, FunctionName), Arc<Pool>>;

#[derive(Debug)]
struct Shared {
    settings: PythonSettings,
    environments: Environments,
    /// Counts processes, so that shutting down can wait for their end.
    processes: TaskTracker,
    closed: CancellationToken,
}

impl Shared {
    async fn interpreter(&self, code: &Path) -> Result<PathBuf, String> {
        let made = self
            .environments
            .interpreter(code, &self.processes, &self.closed)
            .await;
        made.map_err(|error| error.to_string())
    }
}

impl Workers {
    pub(super) fn new(settings: PythonSettings) -> Self {
        let environments = Environments::new(
            settings.python.clone(),
            settings.environments.clone(),
            settings.packages.clone(),
        );
        let shared = Shared {
            settings,
            environments,
            processes: TaskTracker::new(),
            closed: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            pools: Arc::default(),
            sweeping: std::sync::Once::new(),
        }
    }

    /// Invokes `function`, known as `name`, which comes from `source`.
    pub(super) async fn invoke(
        &self,
        source: Source,
        function: &Arc<PythonFunction>,
        name: FunctionName,
        call: ActionCall,
    ) -> Result<ActionReply, ActionError> {
        self.sweeping.call_once(|| self.sweep());
        let pool = {
            let mut pools = lock(&self.pools);
            let pool = pools.entry((source, name)).or_insert_with_key(|(_, name)| {
                Arc::new(Pool::new(
                    Arc::clone(&self.shared),
                    Arc::clone(function),
                    name.clone(),
                ))
            });
            Arc::clone(pool)
        };
        let function = call.function.clone();
        tokio::select! {
            biased;
            () = self.shared.closed.cancelled() => Err(ActionError::Failed {
                function,
                detail: "the server is shutting down".to_owned(),
            }),
            reply = pool.invoke(call) => reply,
        }
    }

    /// Makes the environment of `function` ready, so that its first invocation need not.
    pub(super) async fn prepare(&self, function: &PythonFunction) -> Result<(), String> {
        let code = function.folder().await?;
        self.shared.interpreter(&code).await.map(drop)
    }

    /// Ends every worker, also those at work, and waits until their processes are gone.
    pub(super) async fn shutdown(&self) {
        self.close();
        self.shared.processes.close();
        let gone = tokio::time::timeout(SHUTDOWN_LIMIT, self.shared.processes.wait()).await;
        if gone.is_err() {
            tracing::warn!(
                left = self.shared.processes.len(),
                "workers did not end in time"
            );
        }
    }

    fn close(&self) {
        self.shared.closed.cancel();
        for pool in lock(&self.pools).values() {
            pool.clear();
        }
    }

    /// Ends workers that have been idle for too long, and forgets pools without any.
    fn sweep(&self) {
        let idle_ttl = self.shared.settings.idle_ttl;
        let pause = (idle_ttl / 4).max(SWEEP_PAUSE);
        let closed = self.shared.closed.clone();
        let pools = Arc::downgrade(&self.pools);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = closed.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let Some(pools) = pools.upgrade() else { return };
                lock(&pools).retain(|_, pool| pool.expire(idle_ttl) || Arc::strong_count(pool) > 1);
            }
        });
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock(pools: &Mutex<Pools>) -> MutexGuard<'_, Pools> {
    pools.lock().unwrap_or_else(PoisonError::into_inner)
}
