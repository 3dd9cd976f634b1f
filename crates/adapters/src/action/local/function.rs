//! What a function of this machine is: code, a handler in it, and what a worker may use.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What executes the code of a [`LocalFunction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalRuntime {
    /// Python, with AWS's own runtime interface client (`awslambdaric`).
    Python,
    /// Node.js, `CommonJS` or ES modules, with a Runtime API client that comes with this server.
    Node,
    /// A program that speaks the Lambda Runtime API itself, such as one built for `provided.al2023`.
    Provided {
        /// Program and arguments; a program without a `/` is looked for on the search path, a
        /// relative one in the code folder. Empty: the file `bootstrap` of the code folder.
        command: Vec<String>,
    },
}

impl LocalRuntime {
    /// As the configuration and registered functions spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Provided { .. } => "provided",
        }
    }
}

/// A function that runs in worker processes of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFunction {
    /// What executes the code.
    pub runtime: LocalRuntime,
    /// The folder, Lambda's task root. Relative to the server's working directory.
    pub code: PathBuf,
    /// `module.function`, as in Lambda: `app.lambda_handler`. Handed to a provided runtime as it is.
    pub handler: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Memory of one worker, in MB.
    pub memory_mb: u32,
    /// Variables of the function. They win over those that every function gets.
    pub environment: BTreeMap<String, String>,
    /// How many invocations run at once; more wait.
    pub max_workers: NonZeroUsize,
    /// Whether its workers may open connections. The Runtime API is reached either way.
    pub network: bool,
    /// Folders its workers may write, besides a private temporary one. Changes there are no changes of
    /// the code.
    pub writable: Vec<PathBuf>,
    /// Whether workers are replaced when a file of the code folder changes. Of use where somebody
    /// edits it.
    pub reload: bool,
    /// Whether the operator vouches for the code, so that the packages its `requirements.txt` names may
    /// be installed outside of what confines its workers. As on AWS, uploaded code brings its packages.
    pub install: bool,
}

impl LocalFunction {
    /// The function in `code` with everything else at its default: 30 seconds, 128 MB (Lambda's own
    /// default), no variables, four workers, the network, nothing writable, reloaded on change.
    pub fn new(
        runtime: LocalRuntime,
        code: impl Into<PathBuf>,
        handler: impl Into<String>,
    ) -> Self {
        Self {
            runtime,
            code: code.into(),
            handler: handler.into(),
            timeout: Duration::from_secs(30),
            memory_mb: 128,
            environment: BTreeMap::new(),
            max_workers: const { NonZeroUsize::new(4).expect("four is not zero") },
            network: true,
            writable: Vec::new(),
            reload: true,
            install: true,
        }
    }

    /// The folder as the system knows it, with links followed, as Lambda's task root has none.
    pub(super) async fn folder(&self) -> Result<PathBuf, String> {
        match tokio::fs::canonicalize(&self.code).await {
            Ok(folder) if folder.is_dir() => Ok(folder),
            Ok(file) => Err(format!("its `code` {} is not a folder", file.display())),
            Err(error) => Err(format!(
                "its `code` {} cannot be read: {error}",
                absolute(&self.code).display()
            )),
        }
    }

    /// The folders it may write, as the system knows them.
    pub(super) async fn written(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in &self.writable {
            // One that is not there cannot be written either.
            found.extend(tokio::fs::canonicalize(folder).await.ok());
        }
        found
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
