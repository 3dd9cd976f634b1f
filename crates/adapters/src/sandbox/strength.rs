//! What this machine gives to keep children apart, found by trying.

use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::SandboxSettings;
use super::channel::{self, Inbox};
use super::message::{Account, Limits, Namespaces, Reach, Report, SUPERVISOR, Task};

/// Landlock's interface from which on it can refuse TCP connections (Linux 6.7).
const LANDLOCK_TCP: i32 = 4;

/// What is in force for children. Its display is a sentence for the log.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each was found out by itself"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strength {
    pub(super) namespaces: Namespaces,
    /// Whether each child gets a user of its own.
    pub(super) user: bool,
    /// The version of Landlock's interface, 0 for none.
    pub(super) landlock: i32,
    pub(super) seccomp: bool,
    pub(super) own_proc: bool,
    /// Whether the system counts the processes of a user by user namespace.
    counts_in_namespace: bool,
    /// What was tried in vain, and what the system said.
    missing: Vec<String>,
}

impl Strength {
    /// Whether a child can be kept off the network; the error says what is missing.
    pub fn network_off(&self) -> Result<(), String> {
        if self.namespaces.network || (self.landlock >= LANDLOCK_TCP && self.seccomp) {
            return Ok(());
        }
        Err(format!(
            "it allows no network namespace, and Landlock's interface is {}, at least {LANDLOCK_TCP} \
             is needed",
            self.landlock
        ))
    }

    /// Whether a child that is to have no network gets an empty one of its own.
    pub fn own_network(&self) -> bool {
        self.namespaces.network
    }

    /// Whether children cannot read the host's files beyond those of the system.
    pub fn keeps_files(&self) -> bool {
        self.namespaces.mount || self.landlock > 0
    }

    /// Whether a limit of processes is one of the child's own.
    pub(super) fn counts_processes(&self) -> bool {
        self.user || (self.namespaces.user && self.counts_in_namespace)
    }

    /// What was tried in vain, for the log.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let namespaces = self.namespaces.text();
        if !namespaces.is_empty() {
            parts.push(format!("namespaces ({})", namespaces.replace(',', ", ")));
        }
        if self.landlock > 0 {
            parts.push(format!("Landlock {}", self.landlock));
        }
        if self.seccomp {
            parts.push("seccomp".to_owned());
        }
        if self.user {
            parts.push("a user for each child".to_owned());
        }
        parts.push("resource limits".to_owned());
        f.write_str(&parts.join(", "))
    }
}

/// Linux 5.14.
const COUNTS_IN_NAMESPACE: (u32, u32) = (5, 14);

/// The version of the running kernel, 0.0 if it does not say.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|part: char| !part.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Tries from the strongest to the weakest.
pub(super) fn find(settings: &SandboxSettings) -> Strength {
    let root = rustix::process::geteuid().is_root();
    let own = |user| Namespaces {
        user,
        process: true,
        mount: true,
        network: true,
    };
    let dropped = root.then_some(Account {
        user: settings.first_user,
        group: settings.first_user,
    });
    let mut candidates = Vec::new();
    if settings.namespaces {
        if root {
            candidates.push((own(false), dropped));
        }
        candidates.push((own(true), None));
    }
    candidates.push((Namespaces::default(), dropped));
    if root {
        candidates.push((Namespaces::default(), None));
    }
    let mut missing = Vec::new();
    for (namespaces, user) in candidates {
        match attempt(settings, namespaces, user) {
            Ok((landlock, seccomp, own_proc)) => {
                return Strength {
                    namespaces,
                    user: user.is_some(),
                    landlock,
                    seccomp,
                    own_proc,
                    counts_in_namespace: kernel() >= COUNTS_IN_NAMESPACE,
                    missing,
                };
            }
            Err(reason) => {
                let what = match (namespaces.process, namespaces.user) {
                    (true, true) => "namespaces as an ordinary user",
                    (true, false) => "namespaces",
                    (false, _) => "a user for each child",
                };
                missing.push(format!("{what}: {reason}"));
            }
        }
    }
    Strength {
        missing,
        ..Strength::default()
    }
}

/// Goes through all steps of a start but the last.
fn attempt(
    settings: &SandboxSettings,
    namespaces: Namespaces,
    user: Option<Account>,
) -> Result<(i32, bool, bool), String> {
    let task = Task {
        program: None,
        arguments: Vec::new(),
        directory: PathBuf::from("/"),
        environment: std::collections::BTreeMap::new(),
        readable: Vec::new(),
        writable: Vec::new(),
        temporary: None,
        mount: namespaces.mount,
        network: if namespaces.network {
            Reach::Own { listener: None }
        } else {
            Reach::Port(None)
        },
        user,
        limits: Limits {
            data_bytes: None,
            processes: None,
            open_files: 64,
            file_bytes: 1024,
            temporary_bytes: 1024 * 1024,
            cpu_seconds: None,
        },
        landlock: 0,
        seccomp: false,
    };
    let text = |error: std::io::Error| error.to_string();
    let (socket, theirs) = UnixStream::pair().map_err(text)?;
    socket
        .set_read_timeout(Some(super::START_LIMIT))
        .map_err(text)?;
    let mut launcher = Command::new(&settings.launcher)
        .arg(SUPERVISOR)
        .arg(namespaces.text())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{} cannot be started: {error}", settings.launcher.display()))?;
    // A launcher that fails at once may do so before it has read its task; its answer tells.
    let _ = channel::send(&socket, &task, None);
    let answer = Inbox::default().wait::<Report>(&socket);
    drop(socket);
    // It ends because its lifeline has; nothing depends on how.
    let _ = launcher.wait();
    match answer.map_err(text)? {
        Some((
            Report::Started {
                landlock,
                seccomp,
                own_proc,
            },
            _,
        )) => Ok((landlock, seccomp, own_proc)),
        Some((Report::Failed { step, cause }, _)) => Err(format!("{step}: {cause}")),
        Some((Report::Ended(_), _)) | None => Err("the launcher ended without a word".to_owned()),
    }
}
