//! Running other programs: with their output shown, shown and kept, or kept only.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, ensure};

/// A command line as a person would type it, for messages.
pub(crate) fn display(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}

/// Runs a command with its output shown; fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| display(command))?;
    ensure!(status.success(), "{} ended with {status}", display(command));
    Ok(())
}

/// Runs a command and returns what it printed; its errors are shown only when it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| display(command))?;
    ensure!(
        output.status.success(),
        "{} ended with {}\n{}{}",
        display(command),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a command can be run and succeeds, silently.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command with both outputs shown as they come; returns whether it succeeded, and their lines
/// in the order of arrival.
pub(crate) fn tee(command: &mut Command) -> Result<(bool, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| display(command))?;
    let kept = Arc::new(Mutex::new(String::new()));
    let readers = [
        child.stdout.take().map(|pipe| relay(pipe, &kept)),
        child.stderr.take().map(|pipe| relay(pipe, &kept)),
    ];
    let status = child.wait().with_context(|| display(command))?;
    for reader in readers.into_iter().flatten() {
        // A reader ends with its pipe; it has nothing to fail with.
        let _ = reader.join();
    }
    let text = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((status.success(), text))
}

/// Shows the lines of `pipe` and adds them to `kept`.
fn relay(pipe: impl Read + Send + 'static, kept: &Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    let kept = Arc::clone(kept);
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // A closed terminal must not end the tests.
            let _ = writeln!(std::io::stdout(), "{line}");
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_str(&line);
            kept.push('\n');
        }
    })
}
