//! What the server and its launcher tell each other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The first argument of a launcher that is to make the namespaces; the second is [`Namespaces`].
pub(super) const SUPERVISOR: &str = "sandbox-supervisor";
/// The first argument of a launcher inside them, which reads a [`Task`] from its standard input.
pub(super) const INIT: &str = "sandbox-init";

/// The namespaces of a child.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is there or not, whatever the others are"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Namespaces {
    /// Of users, which gives an ordinary user the right to the others.
    pub(super) user: bool,
    /// Of processes.
    pub(super) process: bool,
    /// Of mounts.
    pub(super) mount: bool,
    /// Of networks.
    pub(super) network: bool,
}

impl Namespaces {
    const NAMES: [&'static str; 4] = ["user", "process", "mount", "network"];

    /// As an argument.
    pub(super) fn text(self) -> String {
        let chosen = [self.user, self.process, self.mount, self.network];
        let names: Vec<&str> = Self::NAMES
            .into_iter()
            .zip(chosen)
            .filter_map(|(name, chosen)| chosen.then_some(name))
            .collect();
        names.join(",")
    }

    /// The reverse of [`Self::text`].
    pub(super) fn parse(text: &str) -> Self {
        let has = |name: &str| text.split(',').any(|part| part == name);
        Self {
            user: has("user"),
            process: has("process"),
            mount: has("mount"),
            network: has("network"),
        }
    }
}

/// What the inner launcher is to do. A descriptor may come with it: the program's standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    /// None: everything but starting it, to find out what the machine gives.
    pub(super) program: Option<PathBuf>,
    pub(super) arguments: Vec<OsString>,
    pub(super) directory: PathBuf,
    pub(super) environment: BTreeMap<String, OsString>,
    pub(super) readable: Vec<PathBuf>,
    pub(super) writable: Vec<PathBuf>,
    /// The private folder on the host, where there is no mount namespace for one in memory.
    pub(super) temporary: Option<PathBuf>,
    /// Whether there is a mount namespace to build a file system in.
    pub(super) mount: bool,
    pub(super) network: Reach,
    /// Whom to become.
    pub(super) user: Option<Account>,
    pub(super) limits: Limits,
    /// The version of Landlock's interface without which the program is not started.
    pub(super) landlock: i32,
    /// Whether the program is not started without seccomp.
    pub(super) seccomp: bool,
}

/// A user and its group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

/// What is left of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reach {
    /// The host's.
    Open,
    /// A namespace of its own, and in it a listener whose address goes into this variable.
    Own { listener: Option<String> },
    /// The host's, closed by Landlock and seccomp but for this port of the loopback.
    Port(Option<u16>),
}

/// Limits as the system takes them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Limits {
    pub(super) data_bytes: Option<u64>,
    pub(super) processes: Option<u64>,
    pub(super) open_files: u64,
    pub(super) file_bytes: u64,
    pub(super) temporary_bytes: u64,
    pub(super) cpu_seconds: Option<u64>,
}

/// What a launcher says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The program runs, or would run. The listener comes with it, if one was asked for.
    Started {
        /// The version of Landlock's interface that confines it, 0 for none.
        landlock: i32,
        /// Whether system calls are filtered.
        seccomp: bool,
        /// Whether `/proc` shows its own processes only.
        own_proc: bool,
    },
    /// It does not.
    Failed { step: String, cause: String },
    /// It has ended: the status as `wait` tells it.
    Ended(i32),
}
