//! A running child, from the server's side.

use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use super::channel::Arrived;
use super::identity::Identity;
use super::message::Report;
use super::peer::{self, Origin};
use super::start::Line;
use super::{Connected, tree};

/// A child that runs. Dropping it ends the program and whatever it started.
#[derive(Debug)]
pub struct Confined {
    /// Of [`Input::Pipe`](super::Input::Pipe).
    pub stdin: Option<pipe::Sender>,
    /// Of [`Output::Pipe`](super::Output::Pipe).
    pub stdout: Option<pipe::Receiver>,
    /// Of [`Output::Pipe`](super::Output::Pipe).
    pub stderr: Option<pipe::Receiver>,
    /// The listener that was asked for. Where the child has a network of its own, nobody outside can
    /// connect to it.
    pub listener: Option<TcpListener>,
    launcher: u32,
    user: Option<u32>,
    end: End,
    _life: DropGuard,
}

/// The end of a child. Cheap to clone; does not keep the child alive.
#[derive(Clone, Debug)]
pub struct End(watch::Receiver<Option<ExitStatus>>);

impl End {
    /// Waits until the program has ended and everything it started is gone.
    pub async fn wait(&self) -> ExitStatus {
        let mut ended = self.0.clone();
        // The channel closes without a status only when the runtime itself is shutting down.
        ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|status| *status)
            .unwrap_or_default()
    }

    /// The status, if the program has ended and everything it started is gone.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.0.borrow()
    }
}

/// What a child has besides its launcher.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<pipe::Sender>,
    pub(super) stdout: Option<pipe::Receiver>,
    pub(super) stderr: Option<pipe::Receiver>,
    pub(super) listener: Option<TcpListener>,
}

impl Confined {
    /// The end of the child.
    pub fn end(&self) -> &End {
        &self.end
    }

    /// The process, on the server's side, whose descendants are the child.
    pub fn launcher(&self) -> u32 {
        self.launcher
    }

    /// Whether the connection between `local`, an address of the server's, and `peer` comes from this
    /// child. Its own listener needs this where others could connect to it.
    pub fn is_peer(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let Origin::Here(Some(socket)) = peer::origin(local, peer) else {
            return false;
        };
        match self.user {
            Some(user) => socket.user == user,
            None => peer::holder(tree::descendants(self.launcher), socket.inode).is_some(),
        }
    }

    /// Memory that the child's processes hold together, without what is only mapped from files.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        tree::resident_bytes(self.launcher)
    }
}

/// Watches over a started child until it is gone.
pub(super) fn watch(
    mut launcher: Child,
    mut line: Line,
    streams: Streams,
    held: Held,
    processes: &tokio_util::task::TaskTracker,
) -> Confined {
    let life = CancellationToken::new();
    let (sender, receiver) = watch::channel(None);
    let pid = launcher.id().unwrap_or_default();
    let user = held.identity.as_ref().map(Identity::user);
    processes.spawn({
        let life = life.clone();
        async move {
            let status = tokio::select! {
                status = last_word(&mut line) => status,
                () = life.cancelled() => None,
            };
            // This is what tells the launcher to end what is left.
            drop(line);
            if let Err(error) = launcher.wait().await {
                debug!(pid, %error, "a launcher could not be waited for");
            }
            held.give_back(pid);
            debug!(pid, ?status, "confined process ended");
            let killed = ExitStatus::from_raw(9);
            sender.send_replace(Some(status.unwrap_or(killed)));
        }
    });
    Confined {
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        listener: streams.listener,
        launcher: pid,
        user,
        end: End(receiver),
        _life: life.drop_guard(),
    }
}

/// What is given back when the child is gone.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) identity: Option<Identity>,
    pub(super) temporary: Option<super::start::PrivateFolder>,
    /// Given for a child that reaches the network.
    pub(super) connected: Option<Arc<Connected>>,
}

impl Held {
    fn give_back(self, launcher: u32) {
        let Self {
            identity,
            temporary,
            connected,
        } = self;
        if let Some(connected) = connected {
            connected.launchers().remove(&launcher);
        }
        // The folder before the user that owns it.
        drop(temporary);
        drop(identity);
    }
}

/// How the program ended, as the launcher tells it; none if the launcher went without a word.
async fn last_word(line: &mut Line) -> Option<ExitStatus> {
    loop {
        match line.inbox.next::<Report>() {
            Ok(Some((Report::Ended(status), _))) => return Some(ExitStatus::from_raw(status)),
            Ok(Some(_)) => {}
            Ok(None) => match line.read().await {
                Ok(Arrived::Bytes) => {}
                Ok(Arrived::End) | Err(_) => return None,
            },
            Err(error) => {
                debug!(%error, "a launcher's message cannot be read");
                return None;
            }
        }
    }
}
