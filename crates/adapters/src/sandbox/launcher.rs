//! The launcher: the server's binary, started again to take rights away from itself and then start a
//! program.
//!
//! Two processes do it. The *supervisor* makes the namespaces, which only its children enter, starts
//! the *init* in them, and stays outside to end what is left. The init, process 1 of its namespace,
//! builds the file system, sets limits, gives up its user and its rights, confines itself with
//! Landlock and seccomp, starts the program and reaps orphans until it ends. Either goes when the
//! server's end of their standard input closes; when the init goes, the kernel ends everything in its
//! namespace.
//!
//! Invariant: single-threaded throughout, since confinement is a matter of threads.

mod init;
mod landlock;
mod limits;
mod loopback;
mod privilege;
mod root;
mod seccomp;
mod supervisor;
mod watch;

use std::fmt::Display;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use super::channel;
use super::message::{INIT, Namespaces, Report, SUPERVISOR};

/// The first descriptor that is not a standard stream.
const FIRST_OTHER: i32 = 3;

/// A step that the system refused.
#[derive(Debug)]
struct Refused {
    step: &'static str,
    cause: String,
}

/// For `map_err`: what was tried.
fn step<E: Display>(step: &'static str) -> impl FnOnce(E) -> Refused {
    move |error| Refused {
        step,
        cause: error.to_string(),
    }
}

/// Does what the arguments of this process say, if they are a launcher's. To be called before anything
/// else, above all before any thread is started.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next()?;
    if role != SUPERVISOR && role != INIT {
        return None;
    }
    if io::stdin().is_terminal() {
        eprintln!("error: this command is the sandbox's own");
        return Some(ExitCode::from(2));
    }
    let Ok(server) = io::stdin().as_fd().try_clone_to_owned() else {
        return Some(ExitCode::FAILURE);
    };
    let outcome = if role == SUPERVISOR {
        let namespaces = arguments.next().unwrap_or_default();
        supervisor::run(&server, Namespaces::parse(&namespaces.to_string_lossy()))
    } else {
        init::run(&server)
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => {
            tell(&server, &refused);
            ExitCode::FAILURE
        }
    })
}

fn tell(server: &OwnedFd, refused: &Refused) {
    let report = Report::Failed {
        step: refused.step.to_owned(),
        cause: refused.cause.clone(),
    };
    // A server that is gone needs no telling.
    let _ = channel::send(server, &report, None);
}

/// Closes what the server itself inherited and never knew of. Its own descriptors close by themselves.
fn close_inherited(keep: &OwnedFd) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open {
        if descriptor >= FIRST_OTHER && descriptor != keep.as_raw_fd() {
            // The one that the listing itself used is closed already.
            let _ = nix::unistd::close(descriptor);
        }
    }
    Ok(())
}
