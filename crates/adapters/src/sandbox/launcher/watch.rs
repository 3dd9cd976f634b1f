//! Waiting for a child or for the end of the server, whichever comes first.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};

use super::{Refused, step};

/// What ended the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The child has ended, with this status as `wait` tells it.
    Ended(i32),
    /// The server has closed its end.
    Abandoned,
}

/// Learns of ended children from its making on.
pub(super) struct Watch {
    signals: SignalFd,
}

impl Watch {
    /// To be made before the child is started. Children get a mask of signals of their own.
    pub(super) fn new() -> Result<Self, Refused> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_block().map_err(step("waiting for signals"))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).map_err(step("waiting for signals"))?;
        Ok(Self { signals })
    }

    /// Waits, and reaps whatever else ends meanwhile.
    pub(super) fn wait(&self, child: u32, server: &OwnedFd) -> Result<Seen, Refused> {
        let child = Pid::from_raw(i32::try_from(child).map_err(step("waiting for a process"))?);
        loop {
            let mut descriptors = [
                // Only its end is of interest, which is always told.
                PollFd::new(server, PollFlags::empty()),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            match poll(&mut descriptors, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(step("waiting for a process")(error)),
            }
            let [server, _] = &descriptors;
            if !server.revents().is_empty() {
                return Ok(Seen::Abandoned);
            }
            while let Ok(Some(_)) = self.signals.read_signal() {}
            if let Some(status) = reap(child)? {
                return Ok(Seen::Ended(status));
            }
        }
    }
}

/// Reaps every child that has ended; the status of `child` if it is among them.
fn reap(child: Pid) -> Result<Option<i32>, Refused> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => ended = Some((code & 0xff) << 8),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                ended = Some(signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(ended),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(step("waiting for a process")(error)),
        }
    }
}

/// Kills a child and waits for its end.
pub(super) fn end(child: u32) {
    let Ok(child) = i32::try_from(child).map(Pid::from_raw) else {
        return;
    };
    // Whatever these say, the child is gone or never was.
    let _ = nix::sys::signal::kill(child, Signal::SIGKILL);
    let _ = waitid(Id::Pid(child), WaitPidFlag::WEXITED);
}

/// Reaps what has ended, for a process that waits for nobody in particular.
pub(super) fn reap_all() {
    // An error is no child, which is the aim.
    let _ = reap(Pid::from_raw(0));
}
