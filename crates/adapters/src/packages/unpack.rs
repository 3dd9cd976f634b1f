//! Unpacks a zip archive that a stranger made.
//!
//! Every entry is a plain file or folder below the target, of which the whole is bounded in number and
//! in bytes as they really come out, not as the archive says. Links are refused: what they lead to is
//! not in the archive, or is there already.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use outcrop_engine::port::PackageError;
use zip::ZipArchive;
use zip::read::ZipFile;

/// Lambda's limit of the content of an archive, in bytes.
pub(super) const CONTENT_BYTES_MAX: u64 = 262_144_000;
/// A function with its dependencies has some thousand files; each costs the file system a node.
pub(super) const ENTRIES_MAX: usize = 50_000;
/// Longest path of an entry, in bytes; the target's own path comes before it.
const PATH_BYTES_MAX: usize = 1_024;
/// Read and written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Unpacks `archive` into the empty folder `target`.
pub(super) fn unpack(archive: Bytes, target: &Path) -> Result<(), PackageError> {
    let mut archive =
        ZipArchive::new(Cursor::new(archive)).map_err(|error| PackageError::NotZip {
            detail: error.to_string(),
        })?;
    let entries = archive.len();
    if entries == 0 {
        return Err(PackageError::NotZip {
            detail: "it is empty".to_owned(),
        });
    }
    if entries > ENTRIES_MAX {
        return Err(PackageError::TooManyEntries {
            entries,
            limit: ENTRIES_MAX,
        });
    }
    let mut left = CONTENT_BYTES_MAX;
    for index in 0..entries {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| PackageError::Entry {
                entry: format!("number {}", index + 1),
                detail: format!("cannot be read: {error}"),
            })?;
        left = write(&mut entry, target, left)?;
    }
    Ok(())
}

/// Writes one entry; how many bytes the rest may have.
fn write<R: Read>(
    entry: &mut ZipFile<'_, R>,
    target: &Path,
    left: u64,
) -> Result<u64, PackageError> {
    let name = entry.name().map_err(|error| PackageError::NotZip {
        detail: format!("the name of an entry cannot be read: {error}"),
    })?;
    let name = name.into_owned();
    let refuse = |detail: &str| PackageError::Entry {
        entry: name.clone(),
        detail: detail.to_owned(),
    };
    let place = |error: io::Error| PackageError::Entry {
        entry: name.clone(),
        detail: format!("cannot be written: {error}"),
    };
    let path = plain(&name).ok_or_else(|| refuse("is no plain relative path"))?;
    if entry.is_symlink() {
        return Err(refuse("is a symbolic link, which Outcrop does not unpack"));
    }
    let path = target.join(path);
    if entry.is_dir() {
        fs::create_dir_all(&path).map_err(place)?;
        return Ok(left);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(place)?;
    }
    let file = create(&path, entry.unix_mode()).map_err(place)?;
    copy(entry, file, left, &name)
}

/// Copies an entry's content, at most `left` bytes; how many the rest may have.
fn copy(
    content: &mut impl Read,
    mut file: File,
    mut left: u64,
    name: &str,
) -> Result<u64, PackageError> {
    let failed = |what: &str, error: &io::Error| PackageError::Entry {
        entry: name.to_owned(),
        detail: format!("cannot be {what}: {error}"),
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = content
            .read(&mut buffer)
            .map_err(|error| failed("read", &error))?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            return Ok(left);
        };
        left = left
            .checked_sub(count as u64)
            .ok_or(PackageError::TooLarge {
                limit_bytes: CONTENT_BYTES_MAX,
            })?;
        file.write_all(piece)
            .map_err(|error| failed("written", &error))?;
    }
}

/// A new file, executable where the archive says so; archives made on Windows do not say.
fn create(path: &Path, mode: Option<u32>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let is_executable = mode.is_some_and(|mode| mode & 0o111 != 0);
        options.mode(if is_executable { 0o755 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// An entry's name as a path that stays below where it begins.
fn plain(name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.len() > PATH_BYTES_MAX || name.contains(['\0', '\\']) {
        return None;
    }
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}
