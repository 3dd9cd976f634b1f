//! The code of uploaded functions, unpacked on this machine: one folder for each archive, named by the
//! archive's SHA-256.
//!
//! A folder appears whole or not at all. It is kept while functions use it, and for an hour after, so
//! that calls which began on it can end; the store has the archive. Nothing here runs code.

mod unpack;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{FunctionPackages, PackageError};
use uuid::Uuid;

/// Folders that are kept however long nobody has used them: to unpack one again costs a call seconds.
const FOLDERS_KEPT: usize = 64;
/// How long a folder stays after its last use. A call may take 15 minutes, and a worker may idle longer.
const KEPT_FOR: Duration = Duration::from_hours(1);
/// What the names of folders begin with that are being filled.
const UNFINISHED: &str = "unfinished-";

/// See the module's description.
#[derive(Clone, Debug)]
pub struct PackageFolders {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// When each folder was last asked for, by the process that this is.
    used: Mutex<HashMap<String, Instant>>,
    /// Held while unpacking, so that a crowd of first calls unpacks once.
    unpacking: tokio::sync::Mutex<()>,
}

impl PackageFolders {
    /// Below `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                root: root.into(),
                used: Mutex::default(),
                unpacking: tokio::sync::Mutex::default(),
            }),
        }
    }

    async fn find(&self, sha256: &str) -> Option<PathBuf> {
        let folder = self.shared.folder(sha256)?;
        let known = self.shared.touch(sha256);
        // Asked of the file system once; a folder that was there is not removed while it is in use.
        if known || tokio::fs::try_exists(&folder).await.unwrap_or(false) {
            return Some(folder);
        }
        self.shared.used().remove(sha256);
        None
    }

    async fn unpack(&self, sha256: &str, archive: Bytes) -> Result<PathBuf, PackageError> {
        let _turn = self.shared.unpacking.lock().await;
        if let Some(folder) = self.find(sha256).await {
            return Ok(folder);
        }
        let shared = Arc::clone(&self.shared);
        let sha256 = sha256.to_owned();
        let work = move || shared.unpack(&sha256, archive);
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(failed(&error)))
    }
}

impl FunctionPackages for PackageFolders {
    fn find<'a>(&'a self, sha256: &'a str) -> BoxFuture<'a, Option<PathBuf>> {
        Box::pin(self.find(sha256))
    }

    fn unpack<'a>(
        &'a self,
        sha256: &'a str,
        archive: Bytes,
    ) -> BoxFuture<'a, Result<PathBuf, PackageError>> {
        Box::pin(self.unpack(sha256, archive))
    }
}

impl Shared {
    /// Where an archive's folder is or would be. A name that is no hash has none.
    fn folder(&self, sha256: &str) -> Option<PathBuf> {
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| self.root.join(sha256))
    }

    /// Notes a use; whether the folder was known before.
    fn touch(&self, sha256: &str) -> bool {
        self.used()
            .insert(sha256.to_owned(), Instant::now())
            .is_some()
    }

    fn used(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpack(&self, sha256: &str, archive: Bytes) -> Result<PathBuf, PackageError> {
        let folder = self
            .folder(sha256)
            .ok_or_else(|| failed(&format!("{sha256} is no hash")))?;
        fs::create_dir_all(&self.root).map_err(|error| failed(&error))?;
        let unfinished = Unfinished::new(&self.root)?;
        unpack::unpack(archive, &unfinished.0)?;
        match fs::rename(&unfinished.0, &folder) {
            // Another process on the same folder was faster.
            Err(_) if folder.is_dir() => {}
            renamed => renamed.map_err(|error| failed(&error))?,
        }
        self.touch(sha256);
        if let Err(error) = self.sweep() {
            tracing::warn!(%error, "code that nobody uses could not be removed");
        }
        Ok(folder)
    }

    /// Removes what nobody has used for a while, the oldest first, and what was never finished.
    fn sweep(&self) -> io::Result<()> {
        let mut unused: Vec<(SystemTime, PathBuf)> = Vec::new();
        let mut folders = 0;
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let modified = entry.metadata()?.modified()?;
            let is_old = modified.elapsed().is_ok_and(|age| age > KEPT_FOR);
            if name.starts_with(UNFINISHED) {
                if is_old {
                    fs::remove_dir_all(entry.path())?;
                }
                continue;
            }
            folders += 1;
            let in_use = self
                .used()
                .get(&name)
                .is_some_and(|used| used.elapsed() <= KEPT_FOR);
            if is_old && !in_use {
                unused.push((modified, entry.path()));
            }
        }
        unused.sort();
        let surplus = usize::saturating_sub(folders, FOLDERS_KEPT);
        for (_, path) in unused.into_iter().take(surplus) {
            if let Some(name) = path.file_name() {
                self.used().remove(name.to_string_lossy().as_ref());
            }
            fs::remove_dir_all(&path)?;
        }
        Ok(())
    }
}

/// A folder that is being filled, removed unless it has been moved to its place.
struct Unfinished(PathBuf);

impl Unfinished {
    fn new(root: &Path) -> Result<Self, PackageError> {
        let path = root.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        fs::create_dir(&path).map_err(|error| failed(&error))?;
        Ok(Self(path))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Not there any more if all went well.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn failed(detail: &impl ToString) -> PackageError {
    PackageError::Failed {
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests;
