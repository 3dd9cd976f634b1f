//! Handlers written for Lambda, run unmodified in warm worker processes of this machine.
//!
//! One pool a function: it grows by a worker whenever an invocation finds none idle, up to the
//! mapping's limit, and shrinks when workers stay idle. When the code changes, calls in flight end on the
//! workers they are on, and later ones get workers with the new code. A worker is any program that speaks the Lambda
//! Runtime API, which is served here: Python through AWS's own runtime interface client, Node.js through
//! a client that comes with the server, or what a folder brings. Nothing of the server's own
//! environment reaches a handler but what `variables` names.

mod backoff;
mod code;
mod exchange;
mod fault;
mod function;
mod launch;
mod log;
mod node;
mod pool;
mod process;
pub(crate) mod python;
mod roster;
mod runtime_api;
mod start;
mod variables;
mod worker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::name::FunctionName;
use code::CodeWatch;
pub use function::{LocalFunction, LocalRuntime};
pub(super) use log::LogCapture;
use pool::Pool;
use python::Environments;
pub use variables::ReservedVariable;

/// What Lambda lets a function return from a synchronous call.
const MAX_REPLY_BYTES: usize = 6_291_556;
/// The shortest time between two looks for idle workers, whatever their time to live.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// How long [`Workers::shutdown`] waits for killed processes to be gone. The system needs
/// milliseconds; one stuck in the kernel must not keep the server from ending.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// What all functions of this machine share.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The interpreter that managed environments are made with; Python 3.10 or newer.
    pub python: PathBuf,
    /// The folder in which managed environments are made. May be shared between servers.
    pub environments: PathBuf,
    /// What a managed environment holds besides the function's own `requirements.txt`, as pip takes
    /// it. Must provide `awslambdaric`.
    pub packages: Vec<String>,
    /// The Node.js that handlers run in; version 18 or newer.
    pub node: PathBuf,
    /// Where workers run; none: as processes like any other, without a limit of memory.
    #[cfg(target_os = "linux")]
    pub sandbox: Option<crate::sandbox::Sandbox>,
    /// A worker without work for this long is ended.
    pub idle_ttl: Duration,
    /// How long a worker may take to import its handler.
    pub start_limit: Duration,
}

impl WorkerSettings {
    /// `python3` and `node`, environments in `environments`, the packages of Lambda's own Python runtime,
    /// ten minutes of idleness, a minute to start (Lambda allows ten seconds, on machines that do nothing else).
    pub fn new(environments: impl Into<PathBuf>) -> Self {
        Self {
            python: PathBuf::from("python3"),
            environments: environments.into(),
            packages: vec!["awslambdaric==4.2.2".to_owned(), "boto3==1.44.5".to_owned()],
            node: PathBuf::from("node"),
            #[cfg(target_os = "linux")]
            sandbox: None,
            idle_ttl: Duration::from_mins(10),
            start_limit: Duration::from_mins(1),
        }
    }
}

/// The pools of all functions.
#[derive(Debug)]
pub(super) struct Workers {
    shared: Arc<Shared>,
    pools: Arc<Mutex<Pools>>,
    tending: std::sync::Once,
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
    settings: WorkerSettings,
    environments: Environments,
    code: CodeWatch,
    /// Counts processes, so that shutting down can wait for their end.
    processes: TaskTracker,
    closed: CancellationToken,
}

impl Workers {
    pub(super) fn new(settings: WorkerSettings) -> Self {
        let environments = Environments::new(
            settings.python.clone(),
            settings.environments.clone(),
            settings.packages.clone(),
        );
        let shared = Shared {
            settings,
            environments,
            code: CodeWatch::new(),
            processes: TaskTracker::new(),
            closed: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            pools: Arc::default(),
            tending: std::sync::Once::new(),
        }
    }

    /// Invokes `function`, known as `name`, which comes from `source`.
    pub(super) async fn invoke(
        &self,
        source: Source,
        function: &Arc<LocalFunction>,
        name: FunctionName,
        call: ActionCall,
    ) -> Result<ActionReply, ActionError> {
        self.tending.call_once(|| {
            self.sweep();
            self.refresh();
        });
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
    pub(super) async fn prepare(&self, function: &LocalFunction) -> Result<(), String> {
        match function.runtime {
            LocalRuntime::Python => {
                let code = function.folder().await?;
                launch::interpreter(&self.shared, &code, function.install)
                    .await
                    .map(drop)
            }
            LocalRuntime::Node | LocalRuntime::Provided { .. } => Ok(()),
        }
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

impl Workers {
    /// Replaces idle workers when their code changes. Sleeps until it does.
    fn refresh(&self) {
        let closed = self.shared.closed.clone();
        let shared = Arc::downgrade(&self.shared);
        let pools = Arc::downgrade(&self.pools);
        tokio::spawn(async move {
            loop {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                let changes = shared.code.changes();
                drop(shared);
                tokio::select! {
                    () = closed.cancelled() => return,
                    () = changes => {}
                }
                let Some(pools) = pools.upgrade() else { return };
                let current: Vec<_> = lock(&pools).values().cloned().collect();
                drop(pools);
                for pool in current {
                    pool.refresh().await;
                }
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
