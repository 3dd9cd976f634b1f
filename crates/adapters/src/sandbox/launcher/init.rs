//! The launcher's inner process: confines itself step by step, then starts the program.
//!
//! The order matters: what needs a right comes before the right is given up, and what comes last
//! binds this process too.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::{DumpableBehavior, Signal};

use super::super::channel::{self, Inbox};
use super::super::message::{Reach, Report, Task};
use super::watch::{Seen, Watch};
use super::{Refused, close_inherited, landlock, limits, loopback, privilege, root, seccomp, step};

pub(super) fn run(server: &OwnedFd) -> Result<(), Refused> {
    close_inherited(server).map_err(step("closing inherited descriptors"))?;
    let message = Inbox::default().wait::<Task>(server);
    let Some((mut task, stdin)) = message.map_err(step("reading the task"))? else {
        return Ok(());
    };
    let listener = network(&mut task)?;
    let built = if task.mount {
        root::build(&task)?
    } else {
        root::Built {
            own_proc: false,
            reading: privilege::Reading::AsItsUser,
        }
    };
    limits::set(&task.limits)?;
    privilege::give_up(task.user, built.reading)?;
    // The supervisor's end ends this process, and with it its namespace. Asked for now, since giving
    // up rights forgets it; had it ended before, the server would know and close the channel.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(step("tying itself to its parent"))?;
    let landlock = landlock::apply(&task)?;
    std::env::set_current_dir(&task.directory).map_err(|error| Refused {
        step: "entering the working directory",
        cause: match error.kind() {
            std::io::ErrorKind::PermissionDenied if task.user.is_some() => format!(
                "{}: {error}; the server runs as root, and what it starts as another user: make the \
                 folder and those above it readable for all",
                task.directory.display()
            ),
            _ => format!("{}: {error}", task.directory.display()),
        },
    })?;
    if task.user.is_some() {
        // Children write for each other only where they are lent the same folder.
        rustix::process::umask(rustix::fs::Mode::WOTH);
    }
    home(&mut task);
    // Or else the program, which has the same user, could rewrite this process.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(step("hiding its memory"))?;
    let watch = Watch::new()?;
    let seccomp = seccomp::apply(&task)?;
    let started = Report::Started {
        landlock,
        seccomp,
        own_proc: built.own_proc,
    };
    let Some(mut command) = command(&task, stdin) else {
        return channel::send(server, &started, None).map_err(step("answering"));
    };
    let program = command.spawn().map_err(|error| Refused {
        step: "starting the program",
        cause: format!("{}: {error}", command.get_program().display()),
    })?;
    drop(command);
    limits::set_data(program.id(), &task.limits)?;
    let listener = listener.as_ref().map(AsFd::as_fd);
    channel::send(server, &started, listener).map_err(step("answering"))?;
    if let Seen::Ended(status) = watch.wait(program.id(), server)? {
        channel::send(server, &Report::Ended(status), None).map_err(step("answering"))?;
    }
    Ok(())
}

/// Makes a network of its own usable; what listens in it is handed to the server.
fn network(task: &mut Task) -> Result<Option<std::net::TcpListener>, Refused> {
    let Reach::Own { listener } = &task.network else {
        return Ok(None);
    };
    loopback::raise()?;
    let Some(variable) = listener else {
        return Ok(None);
    };
    let made = std::net::TcpListener::bind("127.0.0.1:0").map_err(step("making a listener"))?;
    let address = made.local_addr().map_err(step("making a listener"))?;
    let told = address.to_string().into();
    task.environment.insert(variable.clone(), told);
    Ok(Some(made))
}

/// Programs look for these folders. The server's own are not there for them.
fn home(task: &mut Task) {
    let private = task.temporary.clone().unwrap_or_else(|| "/tmp".into());
    for variable in ["HOME", "TMPDIR"] {
        let told = task.environment.get(variable);
        if told.is_none_or(|folder| std::fs::read_dir(folder).is_err()) {
            task.environment
                .insert(variable.to_owned(), private.clone().into());
        }
    }
}

fn command(task: &Task, stdin: Option<OwnedFd>) -> Option<Command> {
    let mut command = Command::new(task.program.as_ref()?);
    command
        .args(&task.arguments)
        .env_clear()
        .envs(&task.environment)
        // A program that ends its group means its own, not the launchers.
        .process_group(0)
        .stdin(stdin.map_or_else(Stdio::null, Stdio::from));
    Some(command)
}
