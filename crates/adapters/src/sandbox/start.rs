//! Starting a child: what is asked for, made into a task for the launcher.

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;
use tracing::{debug, warn};

use super::channel::{self, Arrived, Inbox};
use super::confined::{self, Confined, Held, Streams};
use super::message::{Account, Limits, Namespaces, Reach, Report, SUPERVISOR, Task};
use super::{
    Confinement, Inner, Input, Network, Output, START_LIMIT, SandboxError, SandboxSettings, tree,
};

/// The launcher and its init count as processes of the child where they have its user.
const OWN_PROCESSES: u32 = 2;

/// The server's end of the channel to a launcher.
#[derive(Debug)]
pub(super) struct Line {
    socket: UnixStream,
    pub(super) inbox: Inbox,
}

impl Line {
    pub(super) async fn read(&mut self) -> io::Result<Arrived> {
        let Self { socket, inbox } = self;
        let socket = &*socket;
        socket
            .async_io(Interest::READABLE, || inbox.read(socket))
            .await
    }

    async fn send(&self, bytes: &[u8], passed: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let passed = passed.filter(|_| sent == 0);
            let socket = &self.socket;
            sent += socket
                .async_io(Interest::WRITABLE, || {
                    channel::send_some(socket, rest, passed)
                })
                .await?;
        }
        Ok(())
    }
}

/// A folder on the host that is removed with the child.
#[derive(Debug)]
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn make(below: &Path, owner: Option<Account>) -> io::Result<Self> {
        let path = below.join(format!("outcrop-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path)?;
        let folder = Self(path);
        std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o700))?;
        if let Some(Account { user, group }) = owner {
            std::os::unix::fs::chown(&folder.0, Some(user), Some(group))?;
        }
        Ok(folder)
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            warn!(folder = %self.0.display(), %error, "a private folder could not be removed");
        }
    }
}

pub(super) async fn start(
    inner: &Inner,
    confinement: Confinement,
) -> Result<Confined, SandboxError> {
    let strength = &inner.strength;
    if confinement.network == Network::Off
        && let Err(reason) = strength.network_off()
    {
        if !inner.settings.allow_network_leak {
            return Err(SandboxError::NetworkOff { reason });
        }
        debug!(
            reason,
            "a process that should have no network may have some"
        );
    }
    let identity = if strength.user {
        let users = &inner.identities;
        Some(users.take().ok_or(SandboxError::Users(users.count()))?)
    } else {
        None
    };
    let user = identity.as_ref().map(|identity| Account {
        user: identity.user(),
        group: inner.settings.first_user,
    });
    let namespaces = Namespaces {
        network: strength.namespaces.network && confinement.network == Network::Off,
        ..strength.namespaces
    };
    let temporary = if namespaces.mount {
        None
    } else {
        let made = PrivateFolder::make(&inner.settings.temporary, user);
        Some(made.map_err(|error| refused("making a private folder", &error))?)
    };
    let listener = host_listener(&confinement, namespaces).await?;
    let mut streams = Streams::default();
    let stdin = stdin(confinement.stdin, &mut streams)?;
    let (stdout, reader) = output(confinement.stdout)?;
    streams.stdout = reader;
    let (stderr, reader) = output(confinement.stderr)?;
    streams.stderr = reader;

    let folder = temporary.as_ref().map(|folder| folder.0.clone());
    let description = Description {
        program: confinement.program,
        arguments: confinement.arguments,
        directory: confinement.directory,
        environment: confinement.environment,
        readable: confinement.readable,
        writable: confinement.writable,
        network: confinement.network,
        variable: confinement.listener,
        limits: confinement.limits,
    };
    let program = description.program.clone();
    let task = description.task(inner, namespaces, user, folder, listener.as_ref())?;
    let task =
        channel::encode(&task).map_err(|error| SandboxError::Description(error.to_string()))?;

    let (socket, theirs) =
        StdStream::pair().map_err(|error| refused("making a channel", &error))?;
    let mut command = command(&inner.settings, namespaces);
    command
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(stderr);
    let launcher = command.spawn().map_err(|source| SandboxError::Launcher {
        launcher: inner.settings.launcher.clone(),
        source,
    })?;
    // It holds the launcher's ends of the channel and of the streams.
    drop(command);
    let connected = (confinement.network == Network::Open).then(|| Arc::clone(&inner.connected));
    if let Some(connected) = &connected {
        connected.launchers().extend(launcher.id());
        connected.any.store(true, Ordering::Release);
    }
    let mut line = line(socket).map_err(|error| refused("making a channel", &error))?;
    let held = Held {
        identity,
        temporary,
        connected,
    };
    let begun = tokio::time::timeout(START_LIMIT, async {
        // A launcher that fails at once may do so before it has read everything.
        if let Err(error) = line.send(&task, stdin.as_ref().map(AsFd::as_fd)).await {
            debug!(%error, "a launcher did not take its task");
        }
        begin(&mut line, &program).await
    });
    let begun = begun.await.unwrap_or(Err(SandboxError::Silent {
        program,
        what: "it took too long",
    }));
    // Watched from here on in any case: what has been started has to be ended and reaped.
    let mut confined = confined::watch(launcher, line, streams, held, &inner.processes);
    let inside = begun?;
    confined.listener = match (listener, inside) {
        (Some(listener), _) => Some(listener),
        (None, Some(descriptor)) => Some(accept_listener(descriptor)?),
        (None, None) => None,
    };
    Ok(confined)
}

/// The parts of a [`Confinement`] that the launcher hears of.
struct Description {
    program: PathBuf,
    arguments: Vec<OsString>,
    directory: PathBuf,
    environment: std::collections::BTreeMap<String, OsString>,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    network: Network,
    variable: Option<String>,
    limits: super::Limits,
}

impl Description {
    fn task(
        mut self,
        inner: &Inner,
        namespaces: Namespaces,
        user: Option<Account>,
        temporary: Option<PathBuf>,
        listener: Option<&TcpListener>,
    ) -> Result<Task, SandboxError> {
        let port = match listener {
            Some(listener) => {
                let address = listener
                    .local_addr()
                    .map_err(|error| refused("making a listener", &error))?;
                if let Some(variable) = &self.variable {
                    let told = address.to_string().into();
                    self.environment.insert(variable.clone(), told);
                }
                Some(address.port())
            }
            None => None,
        };
        let network = match self.network {
            Network::Open => Reach::Open,
            Network::Off if namespaces.network => Reach::Own {
                listener: self.variable,
            },
            Network::Off => Reach::Port(port),
        };
        if let Some(folder) = &temporary {
            self.environment.insert("TMPDIR".to_owned(), folder.into());
        }
        let strength = &inner.strength;
        Ok(Task {
            program: Some(self.program),
            arguments: self.arguments,
            directory: self.directory,
            environment: self.environment,
            readable: self.readable,
            writable: self.writable,
            temporary,
            mount: namespaces.mount,
            network,
            user,
            limits: limits(&self.limits, strength.counts_processes()),
            landlock: strength.landlock,
            seccomp: strength.seccomp,
        })
    }
}

fn limits(limits: &super::Limits, counts_processes: bool) -> Limits {
    // Where the system counts all processes of the server's user, as many as there are now are not the
    // child's: a rough limit, but one.
    let others = if counts_processes {
        0
    } else {
        tree::tasks_of(rustix::process::geteuid().as_raw())
    };
    let processes = others + u64::from(limits.processes.saturating_add(OWN_PROCESSES));
    Limits {
        data_bytes: limits.data_bytes,
        processes: Some(processes),
        open_files: limits.open_files.into(),
        file_bytes: limits.file_bytes,
        temporary_bytes: limits.temporary_bytes,
        cpu_seconds: limits.cpu_seconds,
    }
}

/// A listener on the host's loopback, if the child has no network of its own to have one in.
async fn host_listener(
    confinement: &Confinement,
    namespaces: Namespaces,
) -> Result<Option<TcpListener>, SandboxError> {
    if confinement.listener.is_none() || namespaces.network {
        return Ok(None);
    }
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let bound = bound.map_err(|error| refused("making a listener", &error))?;
    Ok(Some(bound))
}

/// The launcher, without its streams.
pub(super) fn command(settings: &SandboxSettings, namespaces: Namespaces) -> Command {
    let mut command = Command::new(&settings.launcher);
    command
        .arg(SUPERVISOR)
        .arg(namespaces.text())
        .env_clear()
        .current_dir("/");
    // An interpreter or a library path of the server's is for the launcher too, which is the server.
    if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", path);
    }
    command
}

fn line(socket: StdStream) -> io::Result<Line> {
    socket.set_nonblocking(true)?;
    Ok(Line {
        socket: UnixStream::from_std(socket)?,
        inbox: Inbox::default(),
    })
}

/// Waits for the program to run.
async fn begin(line: &mut Line, program: &Path) -> Result<Option<OwnedFd>, SandboxError> {
    let silent = |what| SandboxError::Silent {
        program: program.to_owned(),
        what,
    };
    loop {
        match line.inbox.next::<Report>() {
            Ok(Some((Report::Started { .. }, descriptor))) => return Ok(descriptor),
            Ok(Some((Report::Failed { step, cause }, _))) => {
                return Err(SandboxError::Refused { step, cause });
            }
            Ok(Some((Report::Ended(_), _))) => return Err(silent("it ended")),
            Ok(None) => match line.read().await {
                Ok(Arrived::Bytes) => {}
                Ok(Arrived::End) | Err(_) => return Err(silent("it ended without a word")),
            },
            Err(_) => return Err(silent("what it said makes no sense")),
        }
    }
}

fn accept_listener(descriptor: OwnedFd) -> Result<TcpListener, SandboxError> {
    let listener = std::net::TcpListener::from(descriptor);
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| refused("taking over the listener", &error))
}

fn stdin(input: Input, streams: &mut Streams) -> Result<Option<OwnedFd>, SandboxError> {
    match input {
        Input::Null => Ok(None),
        Input::Pipe => {
            let made = io::pipe().and_then(|(reader, writer)| {
                streams.stdin = Some(pipe::Sender::from_owned_fd(writer.into())?);
                Ok(reader.into())
            });
            made.map(Some)
                .map_err(|error| refused("making a pipe", &error))
        }
    }
}

fn output(output: Output) -> Result<(Stdio, Option<pipe::Receiver>), SandboxError> {
    match output {
        Output::Null => Ok((Stdio::null(), None)),
        Output::Inherit => Ok((Stdio::inherit(), None)),
        Output::To(descriptor) => Ok((Stdio::from(descriptor), None)),
        Output::Pipe => {
            let made = io::pipe().and_then(|(reader, writer)| {
                let reader = pipe::Receiver::from_owned_fd(reader.into())?;
                Ok((Stdio::from(writer), Some(reader)))
            });
            made.map_err(|error| refused("making a pipe", &error))
        }
    }
}

fn refused(step: &str, error: &io::Error) -> SandboxError {
    SandboxError::Refused {
        step: step.to_owned(),
        cause: error.to_string(),
    }
}
