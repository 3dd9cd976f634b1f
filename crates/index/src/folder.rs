//! The folder that holds the indexes of all knowledge bases, each in a folder of its own.
//!
//! Invariant: one process at a time uses it. The operating system drops the lock with the process,
//! however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use outcrop_engine::port::IndexPlace;

use super::failure::Failure;

/// Name of the lock file.
const LOCK: &str = "lock";
/// What a folder's name ends with when it is to be deleted.
const GONE: &str = ".gone";

/// See the module.
#[derive(Debug)]
pub(super) struct Root {
    folder: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Root {
    /// A folder, which is not looked at yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            lock: Mutex::default(),
        }
    }

    /// The folder of one index.
    pub(super) fn base(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the folder this process's own, and finishes deletions that a crash interrupted.
    pub(super) fn lock(&self) -> Result<(), Failure> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(Failure::file(&self.folder))?;
        let path = self.folder.join(LOCK);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Failure::file(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Failure::Locked(self.folder.clone())),
            Err(TryLockError::Error(error)) => return Err(Failure::file(&path)(error)),
        }
        *lock = Some(file);
        for entry in fs::read_dir(&self.folder).map_err(Failure::file(&self.folder))? {
            let path = entry.map_err(Failure::file(&self.folder))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == &GONE[1..])
            {
                delete(&path)?;
            }
        }
        Ok(())
    }

    /// Deletes one index. It is gone at once, even if the process ends while its files are deleted.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.base(name);
        if !path.exists() {
            return Ok(());
        }
        self.lock()?;
        let gone = self.folder.join(format!("{name}{GONE}"));
        delete(&gone)?;
        match fs::rename(&path, &gone) {
            Ok(()) => delete(&gone),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::file(&path)(error)),
        }
    }
}

fn delete(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::file(path)(error)),
        _ => Ok(()),
    }
}

/// The name of a knowledge base's folder.
pub(super) fn name(place: &IndexPlace) -> Result<String, Failure> {
    for part in [&place.account_id, &place.region, &place.knowledge_base_id] {
        let plain = part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if part.is_empty() || !plain {
            return Err(Failure::Rejected(format!(
                "{part:?} cannot be part of the name of an index"
            )));
        }
    }
    Ok(format!(
        "{}_{}_{}",
        place.account_id, place.region, place.knowledge_base_id
    ))
}
