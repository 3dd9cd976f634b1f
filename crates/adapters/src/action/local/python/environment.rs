//! The Python environments in which handlers run.
//!
//! A function folder with a `.venv` or `venv` of its own runs in that. Any other runs in an environment
//! made here on first use: what Lambda's own Python runtime has (the runtime interface client and
//! boto3), plus the folder's `requirements.txt`. An environment is named by the digest of what goes into
//! it, so that functions with the same needs share one and a changed `requirements.txt` makes a new one.
//! Where a folder's own environment lacks the client, it is taken from such an environment.
//!
//! Several servers may share the folder: a lock file admits one builder at a time, and only a finished
//! environment carries the marker that makes it usable.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

/// Making an environment downloads packages; on the slowest line this is still a failure to report.
const BUILD_LIMIT: Duration = Duration::from_mins(10);
/// How often a builder looks whether another one has finished.
const LOCK_POLL: Duration = Duration::from_millis(100);
/// How much of a failed command's output is passed on; pip puts the cause at the end.
const OUTPUT_BYTES: usize = 4 * 1024;
/// A larger `requirements.txt` is not one.
const REQUIREMENTS_BYTES: u64 = 256 * 1024;
/// Written last.
const READY: &str = "outcrop-ready";

/// Environments of its own that a folder may have, in order.
const OWN: [&str; 2] = [".venv", "venv"];
/// The interpreter within an environment.
const PROGRAM: &str = "bin/python";
/// What a worker cannot do without.
const CLIENT: &str = "awslambdaric";

/// What runs a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub(crate) program: PathBuf,
    /// Where the runtime's own packages lie when the interpreter's environment lacks them.
    pub(crate) runtime_packages: Option<PathBuf>,
}

/// Makes and remembers environments.
#[derive(Debug)]
pub(crate) struct Environments {
    python: PathBuf,
    folder: PathBuf,
    packages: Vec<String>,
    made: Mutex<HashMap<String, Arc<OnceCell<PathBuf>>>>,
}

/// Why a function has no interpreter to run in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("{} cannot be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the python interpreter {} cannot be started ({source}); install Python 3.10 or newer, or \
         name one as `interpreter` under [python]", python.display()
    )]
    Interpreter { python: PathBuf, source: io::Error },
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        command: String,
        status: String,
        output: String,
    },
    #[error("making the python environment {} took longer than {} s", path.display(), BUILD_LIMIT.as_secs())]
    Timeout { path: PathBuf },
    #[error("the server is shutting down")]
    Closed,
}

impl Environments {
    pub(crate) fn new(python: PathBuf, folder: PathBuf, packages: Vec<String>) -> Self {
        Self {
            python,
            folder,
            packages,
            made: Mutex::default(),
        }
    }

    /// The interpreter for the function in `code`, or for one whose folder has no say in it, made ready
    /// first where necessary. The work goes on when the caller loses interest: the next one profits.
    pub(crate) async fn interpreter(
        &self,
        code: Option<&Path>,
        tracker: &TaskTracker,
        closed: &CancellationToken,
    ) -> Result<Interpreter, EnvironmentError> {
        let own = code.and_then(|code| {
            OWN.iter()
                .map(|name| code.join(name))
                .find(|own| usable(own))
        });
        let Some(own) = own else {
            let recipe = self.recipe(code).await?;
            return Ok(Interpreter {
                program: self.made(recipe, tracker, closed).await?,
                runtime_packages: None,
            });
        };
        let runtime_packages = match packages(&own) {
            Some(packages) if packages.join(CLIENT).exists() => None,
            Some(_) | None => {
                let recipe = self.recipe(None).await?;
                let folder = recipe.path.clone();
                self.made(recipe, tracker, closed).await?;
                packages(&folder)
            }
        };
        Ok(Interpreter {
            program: own.join(PROGRAM),
            runtime_packages,
        })
    }

    /// The interpreter of the environment that belongs to no function.
    pub(crate) async fn shared(
        &self,
        tracker: &TaskTracker,
        closed: &CancellationToken,
    ) -> Result<PathBuf, EnvironmentError> {
        let recipe = self.recipe(None).await?;
        self.made(recipe, tracker, closed).await
    }

    /// The interpreter of the environment that `recipe` describes.
    async fn made(
        &self,
        recipe: Recipe,
        tracker: &TaskTracker,
        closed: &CancellationToken,
    ) -> Result<PathBuf, EnvironmentError> {
        let cell = self.cell(&recipe);
        let build = || async {
            let closed = closed.clone();
            let path = recipe.path.clone();
            let building = tracker.spawn(async move {
                tokio::select! {
                    built = tokio::time::timeout(BUILD_LIMIT, recipe.build()) => {
                        built.unwrap_or(Err(EnvironmentError::Timeout { path }))
                    }
                    () = closed.cancelled() => Err(EnvironmentError::Closed),
                }
            });
            building.await.unwrap_or(Err(EnvironmentError::Closed))
        };
        cell.get_or_try_init(build).await.cloned()
    }

    /// Where the interpreter is remembered. An environment that somebody has deleted is forgotten.
    fn cell(&self, recipe: &Recipe) -> Arc<OnceCell<PathBuf>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = made.entry(recipe.name.clone()).or_default();
        if cell.get().is_some_and(|interpreter| !interpreter.exists()) {
            *cell = Arc::default();
        }
        Arc::clone(cell)
    }

    /// What goes into the environment of the function in `code`, or into the one without a function.
    async fn recipe(&self, code: Option<&Path>) -> Result<Recipe, EnvironmentError> {
        let requirements = match code {
            Some(code) => Requirements::read(&code.join("requirements.txt")).await?,
            None => None,
        };
        let mut digest = Sha256::new();
        digest.update(self.python.as_os_str().as_encoded_bytes());
        for package in &self.packages {
            digest.update(b"\0");
            digest.update(package);
        }
        if let Some(requirements) = &requirements {
            digest.update(b"\0\0");
            digest.update(&requirements.content);
        }
        // Enough of the digest to tell environments apart, short enough for a folder's name.
        let digest = digest.finalize();
        let start = digest.first_chunk().expect("a SHA-256 digest has 32 bytes");
        let name = format!("{:016x}", u64::from_be_bytes(*start));
        Ok(Recipe {
            path: self.folder.join(&name),
            name,
            python: self.python.clone(),
            packages: self.packages.clone(),
            requirements: requirements.map(|requirements| requirements.path),
        })
    }
}

/// Whether an environment has an interpreter: one that was copied from elsewhere may have lost it.
fn usable(environment: &Path) -> bool {
    environment.join(PROGRAM).exists()
}

/// Where the packages of an environment lie.
fn packages(environment: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(environment.join("lib")).ok()?;
    versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("site-packages"))
        .find(|packages| packages.is_dir())
}

struct Requirements {
    path: PathBuf,
    content: Vec<u8>,
}

impl Requirements {
    async fn read(path: &Path) -> Result<Option<Self>, EnvironmentError> {
        let failed = |source| EnvironmentError::Io {
            path: path.to_owned(),
            source,
        };
        match tokio::fs::metadata(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > REQUIREMENTS_BYTES => {
                return Err(failed(io::Error::other("it is too large")));
            }
            Ok(_) => {}
        }
        let content = tokio::fs::read(path).await.map_err(failed)?;
        Ok(Some(Self {
            path: path.to_owned(),
            content,
        }))
    }
}

/// All that goes into one environment.
struct Recipe {
    name: String,
    path: PathBuf,
    python: PathBuf,
    packages: Vec<String>,
    requirements: Option<PathBuf>,
}

impl Recipe {
    async fn build(&self) -> Result<PathBuf, EnvironmentError> {
        let interpreter = self.path.join(PROGRAM);
        let _lock = self.lock().await?;
        // The interpreter is a link: it dangles when the Python it was made from has been removed.
        if self.path.join(READY).exists() && interpreter.exists() {
            return Ok(interpreter);
        }
        let begun = Instant::now();
        info!(path = %self.path.display(), packages = ?self.packages, "making a python environment");
        let mut venv = Command::new(&self.python);
        venv.args(["-m", "venv", "--clear"]).arg(&self.path);
        run(venv).await?;
        let mut pip = Command::new(&interpreter);
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--quiet",
        ]);
        pip.args(&self.packages);
        if let Some(requirements) = &self.requirements {
            pip.arg("--requirement").arg(requirements);
        }
        run(pip).await?;
        let marker = self.path.join(READY);
        tokio::fs::write(&marker, self.packages.join("\n"))
            .await
            .map_err(|source| EnvironmentError::Io {
                path: marker,
                source,
            })?;
        let elapsed_ms = begun.elapsed().as_millis();
        info!(path = %self.path.display(), elapsed_ms, "python environment ready");
        Ok(interpreter)
    }

    /// Waits for the lock; the caller bounds the wait. The system releases it with the file, also
    /// when the process dies.
    async fn lock(&self) -> Result<File, EnvironmentError> {
        let path = self.path.with_extension("lock");
        let failed = |source| EnvironmentError::Io {
            path: path.clone(),
            source,
        };
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        }
        let file = File::create(&path).map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}

/// Runs a command to its end, which comes at the latest when the future is dropped.
async fn run(mut command: Command) -> Result<(), EnvironmentError> {
    let program = PathBuf::from(command.as_std().get_program());
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| EnvironmentError::Interpreter {
            python: program,
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let end = printed
        .get(printed.len().saturating_sub(OUTPUT_BYTES)..)
        .unwrap_or_default();
    let words: Vec<_> = std::iter::once(command.as_std().get_program())
        .chain(command.as_std().get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    Err(EnvironmentError::Command {
        command: words.join(" "),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(end).trim().to_owned(),
    })
}
