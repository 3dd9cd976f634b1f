//! Children that may do little: functions, the code interpreter, MCP servers over stdio.
//!
//! The program is started through the server's own binary, which first takes away from itself what the
//! program must not have, since nothing unsafe may run between fork and exec. [`launcher`] is that
//! half; what it does step by step stands there and in ADR 0010. This file is the server's half: what
//! is asked for ([`Confinement`]), what the machine gives ([`Sandbox::strength`]), and the running
//! child ([`Confined`]).
//!
//! Invariant: what a child starts, however deep and however detached, ends when its [`Confined`] is
//! dropped or the server dies.

mod channel;
mod confined;
mod identity;
pub mod launcher;
mod message;
mod peer;
mod places;
mod start;
mod strength;
mod tree;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

pub use confined::{Confined, End};
pub use strength::Strength;

use identity::Identities;

/// How long the launcher may take until the program runs. It needs some ten milliseconds; the rest is
/// for a machine that is busy with something else.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The server's and the children's, whose files belong to their common group too.
const LENT_MODE: u32 = 0o2770;

/// How the sandbox of a server is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSettings {
    /// The program that calls [`launcher::run_if_asked`] first of all: the server itself, as
    /// `/proc/self/exe`, so that replacing the file does not matter to a running server.
    pub launcher: PathBuf,
    /// Users to run children as when the server runs as root, one each: the first of them, whose number
    /// is also the group of all.
    pub first_user: u32,
    /// How many there are, which is how many children a server run by root can have at once.
    pub users: u32,
    /// Whether [`Network::Off`] is granted, with a warning, where it cannot be enforced.
    pub allow_network_leak: bool,
    /// Whether to use namespaces where the machine gives them.
    pub namespaces: bool,
    /// Where children get their private folder when they cannot have a file system of their own.
    pub temporary: PathBuf,
}

impl SandboxSettings {
    /// The defaults, with `launcher`. The users lie above those that people get and below those that
    /// Debian and systemd hand out, and inside the 65,536 that a container usually has.
    pub fn new(launcher: impl Into<PathBuf>) -> Self {
        Self {
            launcher: launcher.into(),
            first_user: 59_000,
            users: 512,
            allow_network_leak: false,
            namespaces: true,
            temporary: std::env::temp_dir(),
        }
    }

    /// The defaults for a program that is its own launcher.
    pub fn of_this_program() -> Self {
        Self::new("/proc/self/exe")
    }
}

/// What a child is to be.
#[derive(Debug)]
pub struct Confinement {
    /// Absolute.
    pub program: PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
    /// The working directory; readable without being named again.
    pub directory: PathBuf,
    /// Every variable it gets, but for `listener`'s.
    pub environment: BTreeMap<String, OsString>,
    /// Folders and files it may read and execute besides the system's own and the interpreter's.
    pub readable: Vec<PathBuf>,
    /// Folders it may also write besides its private temporary one, `/tmp`.
    pub writable: Vec<PathBuf>,
    /// What it may reach.
    pub network: Network,
    /// Whether it needs a loopback listener of ours, which it may reach whatever `network` says: the
    /// variable that tells it the address, `127.0.0.1:PORT`. See [`Confined::listener`].
    pub listener: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Its standard input.
    pub stdin: Input,
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error, and its launcher's.
    pub stderr: Output,
}

impl Confinement {
    /// `program`, in `directory`, with nothing else: no variables, no network, standard streams closed.
    pub fn new(program: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            directory: directory.into(),
            environment: BTreeMap::new(),
            readable: Vec::new(),
            writable: Vec::new(),
            network: Network::Off,
            listener: None,
            limits: Limits::default(),
            stdin: Input::Null,
            stdout: Output::Null,
            stderr: Output::Null,
        }
    }
}

/// What a child may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Whatever the server reaches, but for the server itself: see [`Sandbox::is_inside`].
    Open,
    /// Nothing.
    Off,
}

/// What a child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Writable memory of each process. Address space is not limited: Node.js and Go reserve far more
    /// of it than they use.
    pub data_bytes: Option<u64>,
    /// Processes and threads together.
    pub processes: u32,
    /// Open files of each process.
    pub open_files: u32,
    /// The size of each file it writes.
    pub file_bytes: u64,
    /// All of its private temporary folder, where the system lets it have one in memory.
    pub temporary_bytes: u64,
    /// Processor time of each process in its whole life.
    pub cpu_seconds: Option<u64>,
}

impl Default for Limits {
    /// 256 processes and threads, which a numerical library needs on a large machine; Lambda's 1,024
    /// open files and 512 MB of `/tmp`; no limit of memory and time.
    fn default() -> Self {
        Self {
            data_bytes: None,
            processes: 256,
            open_files: 1_024,
            file_bytes: 512 * 1024 * 1024,
            temporary_bytes: 512 * 1024 * 1024,
            cpu_seconds: None,
        }
    }
}

/// A standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Ends at once.
    Null,
    /// [`Confined::stdin`].
    Pipe,
}

/// A standard output or error.
#[derive(Debug)]
pub enum Output {
    /// Goes nowhere.
    Null,
    /// Goes where the server's goes.
    Inherit,
    /// [`Confined::stdout`] or [`Confined::stderr`].
    Pipe,
    /// Goes there.
    To(OwnedFd),
}

/// Why a child was not started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The system refused something before the launcher ran.
    #[error("the launcher {} cannot be started: {source}", launcher.display())]
    Launcher {
        /// The launcher.
        launcher: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The launcher could not do one of its steps, and what it starts would have been less confined
    /// than asked for; or the program cannot be executed.
    #[error("{step}: {cause}")]
    Refused {
        /// What was tried.
        step: String,
        /// What the system says.
        cause: String,
    },
    /// The launcher ended, or said nothing in time.
    #[error("the launcher did not start {} ({what})", program.display())]
    Silent {
        /// The program.
        program: PathBuf,
        /// What happened instead.
        what: &'static str,
    },
    /// A path or variable that cannot be passed on.
    #[error("what is to be started cannot be described: {0}")]
    Description(String),
    /// All users are taken.
    #[error("all {0} users that children run as are taken: there are as many children")]
    Users(u32),
    /// The machine cannot keep the child off the network, and nobody allowed to go without.
    #[error(
        "this machine cannot keep a process off the network ({reason}), and code that must have none \
         is not run without that; `network_off = \"best-effort\"` under [sandbox] allows it"
    )]
    NetworkOff {
        /// What is missing.
        reason: String,
    },
}

/// Starts children. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: SandboxSettings,
    strength: Strength,
    identities: Identities,
    /// Launchers that have not been reaped.
    processes: TaskTracker,
    /// Launchers of children that reach the network.
    connected: Arc<Connected>,
}

/// Children from which the server itself has to be kept.
#[derive(Debug, Default)]
struct Connected {
    /// Whether there has ever been one: most servers have none, and need not look.
    any: AtomicBool,
    launchers: Mutex<HashSet<u32>>,
}

impl Connected {
    fn launchers(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.launchers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Finds out what this machine gives, by trying it with the launcher: takes some ten milliseconds
    /// for each thing it does not give.
    pub fn new(settings: SandboxSettings) -> Self {
        let strength = strength::find(&settings);
        let identities = Identities::new(settings.first_user, settings.users);
        let inner = Inner {
            settings,
            strength,
            identities,
            processes: TaskTracker::new(),
            connected: Arc::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What is in force.
    pub fn strength(&self) -> &Strength {
        &self.inner.strength
    }

    /// Starts the program and waits until it runs. Must be called inside a tokio runtime.
    pub async fn spawn(&self, confinement: Confinement) -> Result<Confined, SandboxError> {
        start::start(&self.inner, confinement).await
    }

    /// Whether the connection between `local`, an address of the server's, and `peer` comes from inside
    /// of a child. Reads from `/proc`: for connections as they are made, not for each request.
    pub fn is_inside(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let inner = &self.inner;
        if !inner.connected.any.load(Ordering::Acquire) {
            return false;
        }
        let socket = match peer::origin(local, peer) {
            peer::Origin::Elsewhere => return false,
            peer::Origin::Here(None) => return true,
            peer::Origin::Here(Some(socket)) => socket,
        };
        if inner.strength.user {
            return socket.inode == 0 || inner.identities.contains(socket.user);
        }
        if socket.inode != 0 && socket.user != rustix::process::geteuid().as_raw() {
            return false;
        }
        let launchers = inner.connected.launchers().clone();
        if launchers.is_empty() {
            return false;
        }
        let children: HashSet<u32> = launchers.into_iter().flat_map(tree::descendants).collect();
        let others = peer::processes()
            .into_iter()
            .filter(|pid| !children.contains(pid));
        peer::holder(children.iter().copied(), socket.inode).is_some()
            || peer::holder(others, socket.inode).is_none()
    }

    /// Makes a folder of the server's own one that children may be given to write: where they have
    /// users of their own, these share a group.
    pub fn lend(&self, folder: &Path) -> io::Result<()> {
        if self.inner.strength.user {
            let group = self.inner.settings.first_user;
            std::os::unix::fs::chown(folder, None, Some(group))?;
            let mode = std::fs::Permissions::from_mode(LENT_MODE);
            std::fs::set_permissions(folder, mode)?;
        }
        Ok(())
    }

    /// Waits until every child is gone. Those whose [`Confined`] lives go on.
    pub async fn gone(&self) {
        self.inner.processes.close();
        self.inner.processes.wait().await;
    }
}
