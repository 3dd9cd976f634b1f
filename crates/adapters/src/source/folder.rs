//! Buckets as the sub-folders of one folder, objects as the files below them.
//!
//! Bucket names and keys come from clients. A key is refused unless it is a plain relative path, and
//! a file is refused if, links followed, it lies outside its bucket's folder. The check and the read
//! are two steps: whoever can write into the folder can race them, and can read it anyway.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{DocumentSource, SourceError};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// S3's own limit of a key.
const MAX_KEY_BYTES: usize = 1024;
/// S3's own limit of a bucket's name.
const MAX_BUCKET_BYTES: usize = 63;

/// The folder of `[s3] root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketFolder {
    root: PathBuf,
}

/// The working directory, against which a relative root is read, is not known.
#[derive(Debug, thiserror::Error)]
#[error("the folder of buckets {} cannot be located: {source}", root.display())]
pub struct RootError {
    root: PathBuf,
    source: io::Error,
}

/// Why a bucket cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// No bucket can be named so.
    #[error("{0:?} is no name of a bucket: 1 to 63 letters, digits, points, - and _")]
    Name(String),
    /// There is no such bucket.
    #[error("there is no bucket {0}")]
    NotFound(String),
    /// It holds objects.
    #[error("the bucket {0} is not empty")]
    NotEmpty(String),
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    Failed {
        /// The folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

impl BucketFolder {
    /// The buckets in `root`. The folder need not exist yet.
    ///
    /// # Errors
    /// `root` is relative and there is no working directory.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, RootError> {
        let root = root.as_ref();
        match std::path::absolute(root) {
            Ok(root) => Ok(Self { root }),
            Err(source) => Err(RootError {
                root: root.to_owned(),
                source,
            }),
        }
    }

    /// Makes a bucket; one that is there already is fine.
    ///
    /// # Errors
    /// The name is none of a bucket, or the folder cannot be made.
    pub async fn create(&self, bucket: &str) -> Result<(), BucketError> {
        let path = self.bucket(bucket)?;
        tokio::fs::create_dir_all(&path)
            .await
            .map_err(|source| BucketError::Failed { path, source })
    }

    /// Removes an empty bucket.
    ///
    /// # Errors
    /// There is none, or it holds objects.
    pub async fn remove(&self, bucket: &str) -> Result<(), BucketError> {
        let path = self.bucket(bucket)?;
        let outcome = tokio::fs::remove_dir(&path).await;
        outcome.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BucketError::NotFound(bucket.to_owned()),
            io::ErrorKind::DirectoryNotEmpty => BucketError::NotEmpty(bucket.to_owned()),
            _ => BucketError::Failed { path, source },
        })
    }

    /// Whether there is a folder of that name.
    pub(super) async fn holds(&self, bucket: &str) -> bool {
        let Some(name) = plain_name(bucket) else {
            return false;
        };
        let found = tokio::fs::metadata(self.root.join(name)).await;
        found.is_ok_and(|found| found.is_dir())
    }

    fn bucket(&self, bucket: &str) -> Result<PathBuf, BucketError> {
        plain_name(bucket)
            .map(|name| self.root.join(name))
            .ok_or_else(|| BucketError::Name(bucket.to_owned()))
    }

    pub(super) async fn read(
        &self,
        bucket: &str,
        key: &str,
        limit_bytes: u64,
    ) -> Result<Bytes, SourceError> {
        let object = Object { bucket, key };
        let bucket_path = self.root.join(plain_name(bucket).ok_or_else(|| {
            object.unreadable("the bucket is not named as a bucket can be".to_owned())
        })?);
        let path =
            bucket_path.join(plain_key(key).ok_or_else(|| {
                object.unreadable("the key is not a plain relative path".to_owned())
            })?);
        let real_bucket = tokio::fs::canonicalize(&bucket_path)
            .await
            .map_err(|e| object.failed(&bucket_path, &e))?;
        let real = tokio::fs::canonicalize(&path)
            .await
            .map_err(|e| object.failed(&path, &e))?;
        if !real.starts_with(&real_bucket)
            || !real_bucket.starts_with(self.real_root(object).await?)
        {
            return Err(object.unreadable(format!("{} leads out of the bucket", path.display())));
        }
        // Before opening: opening a named pipe would wait for a writer.
        let found = tokio::fs::metadata(&real)
            .await
            .map_err(|e| object.failed(&path, &e))?;
        if !found.is_file() {
            return Err(object.not_found(format!("{} is not a file", path.display())));
        }
        let too_large = object.too_large(limit_bytes);
        if found.len() > limit_bytes {
            return Err(too_large);
        }
        let file = File::open(&real)
            .await
            .map_err(|e| object.failed(&path, &e))?;
        let mut content = Vec::new();
        // The file may have grown since.
        file.take(limit_bytes.saturating_add(1))
            .read_to_end(&mut content)
            .await
            .map_err(|e| object.failed(&path, &e))?;
        if u64::try_from(content.len()).is_ok_and(|length| length <= limit_bytes) {
            Ok(Bytes::from(content))
        } else {
            Err(too_large)
        }
    }

    async fn real_root(&self, object: Object<'_>) -> Result<PathBuf, SourceError> {
        tokio::fs::canonicalize(&self.root)
            .await
            .map_err(|e| object.failed(&self.root, &e))
    }
}

impl DocumentSource for BucketFolder {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        Box::pin(self.read(bucket, key, limit_bytes))
    }
}

/// What is asked for, to name it in errors.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

impl Object<'_> {
    pub(super) fn too_large(self, limit_bytes: u64) -> SourceError {
        SourceError::TooLarge {
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
            limit_bytes,
        }
    }

    pub(super) fn not_found(self, detail: String) -> SourceError {
        SourceError::NotFound {
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
            detail,
        }
    }

    pub(super) fn unreadable(self, detail: String) -> SourceError {
        SourceError::Unreadable {
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
            detail,
        }
    }

    fn failed(self, path: &Path, error: &io::Error) -> SourceError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                self.not_found(format!("there is no {}", path.display()))
            }
            _ => self.unreadable(format!("{}: {error}", path.display())),
        }
    }
}

/// One component of a path that stays where it is.
pub(super) fn plain_name(bucket: &str) -> Option<&str> {
    let plain = !bucket.is_empty()
        && bucket.len() <= MAX_BUCKET_BYTES
        && bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    (plain && is_component(bucket)).then_some(bucket)
}

/// A relative path without turns, as a key of S3 may also be something else: `a//b`, `../a`.
fn plain_key(key: &str) -> Option<&str> {
    let plain = key.len() <= MAX_KEY_BYTES
        && !key.contains(['\0', '\\'])
        && key.split('/').all(is_component);
    plain.then_some(key)
}

fn is_component(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}
