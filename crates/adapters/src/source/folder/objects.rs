//! Listing, writing and removing the objects of a folder that is a bucket.
//!
//! A listing has the order of S3's, by the bytes of the keys, a page at a time: folders are walked in
//! that order from the key behind which the page begins. Files and folders whose names begin with a
//! point are no objects: version control, editors and half-written files keep theirs so. A link counts
//! for what it leads to, unless that lies outside the bucket. A name that no key may have, such as one
//! with a backslash, is told like all others; reading it says why it is not read. All of this blocks,
//! and runs where that is fine.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use outcrop_engine::port::{ObjectInfo, ObjectPage, SourceError};

use super::{BucketFolder, BucketPlace, Object, is_component, plain_key};

/// Objects of one page, as S3 has it.
const PAGE: usize = 1_000;
/// Deepest folder: S3's longest key has fewer parts.
const DEPTH_MAX: usize = 512;

impl BucketFolder {
    pub(in crate::source) async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<ObjectPage, SourceError> {
        let object = Object {
            bucket,
            key: prefix,
        };
        let place = self.place(object).await?;
        let walk = Walk {
            prefix: prefix.to_owned(),
            after: after.unwrap_or_default().to_owned(),
            bucket: place.real,
            found: Vec::new(),
        };
        blocking(object, move || walk.page()).await
    }

    pub(in crate::source) async fn write(
        &self,
        bucket: &str,
        key: &str,
        content: Bytes,
    ) -> Result<(), SourceError> {
        let object = Object { bucket, key };
        let (place, path) = self.target(object).await?;
        blocking(object, move || write(&place, &path, &content)).await
    }

    pub(in crate::source) async fn delete(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<(), SourceError> {
        let object = Object { bucket, key };
        let (place, path) = self.target(object).await?;
        blocking(object, move || match parent_within(&place, &path) {
            Ok(_) => match fs::remove_file(&path) {
                Err(error) if is_missing(&error) => Ok(()),
                outcome => outcome,
            },
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }

    async fn target(&self, object: Object<'_>) -> Result<(BucketPlace, PathBuf), SourceError> {
        let plain = plain_key(object.key).ok_or_else(|| object.bad_key())?;
        let place = self.place(object).await?;
        let path = place.real.join(plain);
        Ok((place, path))
    }
}

async fn blocking<T: Send + 'static>(
    object: Object<'_>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| object.unreadable(error.to_string())),
        Err(error) => Err(object.unreadable(error.to_string())),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The folder of a key, if links do not lead it out of the bucket.
fn parent_within(place: &BucketPlace, path: &Path) -> io::Result<PathBuf> {
    let parent = path.parent().unwrap_or(path);
    let real = fs::canonicalize(parent)?;
    if real.starts_with(&place.real) {
        return Ok(real);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} leads out of the bucket", path.display()),
    ))
}

/// Nobody sees a half-written object: it is written beside its place and moved there.
fn write(place: &BucketPlace, path: &Path, content: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Folders are made one by one from the last that is there, which must lie in the bucket.
    let mut missing = Vec::new();
    let mut parent = path.parent().unwrap_or(path);
    while !parent.exists() && parent != place.real {
        missing.push(parent);
        parent = parent.parent().unwrap_or(&place.real);
    }
    parent_within(place, &parent.join("object"))?;
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome?,
        }
    }
    let folder = parent_within(place, path)?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let beside = folder.join(format!(".outcrop-{}-{number}.tmp", std::process::id()));
    let written = fs::write(&beside, content).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It is hidden, and the error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// One walk through a bucket.
struct Walk {
    prefix: String,
    /// Keys up to this one have been told.
    after: String,
    /// Without links.
    bucket: PathBuf,
    found: Vec<ObjectInfo>,
}

/// A file or folder on the way.
struct Entry {
    /// Its name; that of a folder with a slash, as keys below it go on.
    name: String,
    path: PathBuf,
    metadata: Metadata,
}

impl Walk {
    fn page(mut self) -> io::Result<ObjectPage> {
        let bucket = self.bucket.clone();
        let mut above = Vec::new();
        self.folder(&bucket, "", &mut above)?;
        let more = self.found.len() > PAGE;
        self.found.truncate(PAGE);
        let next = self.found.last().filter(|_| more);
        Ok(ObjectPage {
            next: next.map(|last| last.key.clone()),
            objects: self.found,
        })
    }

    /// Walks one folder; `above` are the folders it lies in, without links.
    fn folder(&mut self, path: &Path, key: &str, above: &mut Vec<PathBuf>) -> io::Result<()> {
        let real = fs::canonicalize(path)?;
        // A link into a folder above would never end.
        if above.len() == DEPTH_MAX || above.contains(&real) {
            return Ok(());
        }
        let mut entries = self.entries(path, key)?;
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        above.push(real);
        for entry in entries {
            if self.found.len() > PAGE {
                break;
            }
            let key = format!("{key}{}", entry.name);
            if entry.metadata.is_dir() {
                match self.folder(&entry.path, &key, above) {
                    // It has gone since.
                    Err(error) if is_missing(&error) => {}
                    outcome => outcome?,
                }
            } else {
                self.found.push(ObjectInfo {
                    key,
                    size: entry.metadata.len(),
                    version: version(&entry.metadata),
                });
            }
        }
        above.pop();
        Ok(())
    }

    /// What of a folder may belong to the page.
    fn entries(&self, path: &Path, key: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Some(name) = plain(entry.file_name()) else {
                continue;
            };
            let path = entry.path();
            let kind = entry.file_type()?;
            let is_link = kind.is_symlink();
            // What cannot belong to the page is not looked at any closer.
            let is_wanted = |key: &str, is_folder| self.wants(key, is_folder);
            let as_file = format!("{key}{name}");
            let as_folder = format!("{as_file}/");
            let is_candidate = if is_link {
                is_wanted(&as_file, false) || is_wanted(&as_folder, true)
            } else if kind.is_dir() {
                is_wanted(&as_folder, true)
            } else {
                kind.is_file() && is_wanted(&as_file, false)
            };
            if !is_candidate {
                continue;
            }
            if is_link && !fs::canonicalize(&path).is_ok_and(|real| real.starts_with(&self.bucket))
            {
                continue;
            }
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(error),
            };
            let name = if metadata.is_dir() {
                format!("{name}/")
            } else {
                name
            };
            let whole = format!("{key}{name}");
            let belongs = metadata.is_dir() || metadata.is_file();
            if belongs && self.wants(&whole, metadata.is_dir()) {
                entries.push(Entry {
                    name,
                    path,
                    metadata,
                });
            }
        }
        Ok(entries)
    }

    /// Whether an object, or an object below a folder, may belong to the page.
    fn wants(&self, key: &str, is_folder: bool) -> bool {
        if is_folder {
            let has_prefix = key.starts_with(&self.prefix) || self.prefix.starts_with(key);
            has_prefix && (key > self.after.as_str() || self.after.starts_with(key))
        } else {
            key.starts_with(&self.prefix) && key > self.after.as_str()
        }
    }
}

/// The name of what can be an object, or be on the way to one.
fn plain(name: OsString) -> Option<String> {
    let name = name.into_string().ok()?;
    (!name.starts_with('.') && is_component(&name)).then_some(name)
}

/// What changes whenever the content does: sizes and times, and which file it is.
fn version(metadata: &Metadata) -> String {
    format!(
        "{:x}-{:x}.{:x}-{:x}.{:x}-{:x}",
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
        metadata.ino()
    )
}
