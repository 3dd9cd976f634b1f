//! A child that extracts: the server's binary, started again to read files that other people wrote.
//!
//! It limits itself, then reads one file after the other from its standard input and answers each.
//! Invariant: its limits are set, and it is confined where the system can, before it reads the first
//! byte of a file.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use bytes::Bytes;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use outcrop_engine::port::{ExtractCall, ExtractError, Extraction};

use super::message::{self, Hello, ROLE};

/// Reads one file. Runs in the child only.
pub type Parse = fn(ExtractCall) -> Result<Extraction, ExtractError>;

/// Open files of a child: its standard streams.
const OPEN_FILES: u64 = 3;

/// Becomes such a child, if the arguments of this process say so. To be called before anything else,
/// above all before any thread is started.
pub fn run_if_asked(parse: Parse) -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != ROLE {
        return None;
    }
    if io::stdin().is_terminal() {
        eprintln!("error: this command is the server's own");
        return Some(ExitCode::from(2));
    }
    let mut number = || arguments.next()?.parse::<u64>().ok();
    let (Some(memory_bytes), Some(processor_seconds)) = (number(), number()) else {
        return Some(ExitCode::from(2));
    };
    Some(match run(parse, memory_bytes, processor_seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn run(parse: Parse, memory_bytes: u64, processor_seconds: u64) -> io::Result<()> {
    // What a parser panics about becomes the file's error, and belongs in no log.
    std::panic::set_hook(Box::new(|_| {}));
    let confined = restrict(memory_bytes)?;
    let mut server = io::stdin().lock();
    let mut answers = io::stdout().lock();
    message::write(&mut answers, &Hello { confined })?;
    while let Some((request, content)) = message::read_request(&mut server)? {
        allow(processor_seconds)?;
        let reply = parse(ExtractCall {
            name: request.name,
            mime_type: request.mime_type,
            content: Bytes::from(content),
            records: request.records,
        });
        message::write(&mut answers, &reply)?;
    }
    Ok(())
}

fn restrict(memory_bytes: u64) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    let memory = [(Resource::RLIMIT_DATA, memory_bytes)];
    // Not every system counts what is written to alone.
    #[cfg(not(target_os = "linux"))]
    let memory = [
        (Resource::RLIMIT_DATA, memory_bytes),
        (Resource::RLIMIT_AS, memory_bytes),
    ];
    let others = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_NOFILE, OPEN_FILES),
    ];
    for (resource, limit) in memory.into_iter().chain(others) {
        let (_, most) = getrlimit(resource)?;
        let limit = limit.min(most);
        match setrlimit(resource, limit, limit) {
            Ok(()) => {}
            // Systems that have no such limit; the server's clock is there still.
            Err(_) if cfg!(not(target_os = "linux")) => {}
            Err(error) => return Err(error.into()),
        }
    }
    #[cfg(target_os = "linux")]
    let confined = super::confine::apply();
    #[cfg(not(target_os = "linux"))]
    let confined = false;
    Ok(confined)
}

/// Gives this process so much more processor time. The server's clock ends it too; this one goes on
/// when the server is gone.
fn allow(processor_seconds: u64) -> io::Result<()> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = usage.user_time().tv_sec() + usage.system_time().tv_sec();
    let (_, most) = getrlimit(Resource::RLIMIT_CPU)?;
    let until = u64::try_from(used).unwrap_or(0) + 1 + processor_seconds;
    setrlimit(Resource::RLIMIT_CPU, until.min(most), most)?;
    Ok(())
}
