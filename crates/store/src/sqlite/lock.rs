//! The exclusive lock on a data folder.
//!
//! The operating system holds it for the open file and drops it with the process, however that ends,
//! so no stale lock can outlive a crash. The process id in the file only words the error.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::OpenError;

/// Name of the lock file within the data folder.
const FILE_NAME: &str = "lock";

/// The most of a lock file that is read for a process id; it has at most ten digits.
const HOLDER_BYTES_MAX: u64 = 16;

/// Held as long as the store is open.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks the folder or says who has it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        let failed = |source| OpenError::Folder {
            path: path.clone(),
            source,
        };
        // Not truncated on opening: until the lock is ours, the content is the holder's.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    path: folder.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The process id in the lock file; where it cannot be read (Windows denies it), the error does
/// without.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
