//! The launcher's outer process: makes the namespaces and outlives what is in them.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::super::message::{INIT, Namespaces};
use super::super::tree;
use super::watch::{self, Seen, Watch};
use super::{Refused, close_inherited, privilege, step};

/// How long processes without a namespace that would end them are hunted. Their number is limited, so
/// that a fraction of a second does.
const HUNT_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn run(server: &OwnedFd, namespaces: Namespaces) -> Result<(), Refused> {
    close_inherited(server).map_err(step("closing inherited descriptors"))?;
    nix::unistd::setsid().map_err(step("beginning a session"))?;
    if !namespaces.process {
        // Whoever loses its parent becomes a child of this process, so that none gets away.
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own)).map_err(step("adopting orphans"))?;
    }
    enter(namespaces)?;
    let watch = Watch::new()?;
    let init = Command::new("/proc/self/exe")
        .arg(INIT)
        .stdin(Stdio::inherit())
        .spawn()
        .map_err(step("starting the inner launcher"))?;
    let seen = watch.wait(init.id(), server)?;
    if seen == Seen::Abandoned {
        watch::end(init.id());
    }
    if !namespaces.process {
        hunt();
    }
    Ok(())
}

fn enter(namespaces: Namespaces) -> Result<(), Refused> {
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWUSER, namespaces.user);
    flags.set(
        CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC,
        namespaces.process,
    );
    flags.set(CloneFlags::CLONE_NEWNS, namespaces.mount);
    flags.set(CloneFlags::CLONE_NEWNET, namespaces.network);
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    unshare(flags).map_err(step("entering namespaces"))?;
    if namespaces.user {
        let write = |file: &str, text: String| {
            fs::write(format!("/proc/self/{file}"), text).map_err(step("mapping the user"))
        };
        // An ordinary user may map a group only after giving up the right to leave it.
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("{user} {user} 1"))?;
        write("gid_map", format!("{group} {group} 1"))?;
        privilege::keep_over_exec()?;
    }
    Ok(())
}

/// Kills all descendants until there are none.
fn hunt() {
    let begun = Instant::now();
    let own = std::process::id();
    while begun.elapsed() < HUNT_LIMIT {
        let descendants = tree::descendants(own);
        let prey = descendants.iter().filter(|&&pid| pid != own);
        let mut found = false;
        for pid in prey.filter_map(|&pid| i32::try_from(pid).ok()) {
            found = true;
            // It may have ended since.
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if !found {
            return;
        }
        watch::reap_all();
    }
}
