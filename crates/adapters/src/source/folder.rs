//! Buckets as the sub-folders of one folder, objects as the files below them.
//!
//! Bucket names and keys come from clients. A key is refused unless it is a plain relative path, and
//! a file is refused if, links followed, it lies outside its bucket's folder. The check and the read
//! are two steps: whoever can write into the folder can race them, and can read it anyway.

mod objects;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{DocumentSource, ObjectPage, SourceError};
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
    /// Symbolic links, each named as a bucket; `None`: no bucket lies elsewhere.
    links: Option<PathBuf>,
}

/// Where a bucket's objects are.
pub(super) struct BucketPlace {
    /// As it is shown in errors.
    pub(super) path: PathBuf,
    /// Without links. All objects of the bucket lie below it.
    pub(super) real: PathBuf,
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
    /// There is a bucket of that name, in another place.
    #[error("the bucket {0} exists, and is not that folder")]
    Exists(String),
    /// No bucket can be linked to it.
    #[error("{} is no folder on the server's machine", .0.display())]
    NoFolder(PathBuf),
    /// This server keeps no links.
    #[error("this server's buckets lie in one folder")]
    NoLinks,
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
            Ok(root) => Ok(Self { root, links: None }),
            Err(source) => Err(RootError {
                root: root.to_owned(),
                source,
            }),
        }
    }

    /// Keeps links to buckets elsewhere in the folder `links`, which need not exist yet and must not
    /// lie where a bucket can.
    #[must_use]
    pub fn with_links(self, links: PathBuf) -> Self {
        Self {
            links: Some(links),
            ..self
        }
    }

    /// Makes `folder` a bucket, as it is and as it will be. One that is there already, and is that
    /// folder, is fine.
    ///
    /// # Errors
    /// The name is none of a bucket or another's, there is no such folder, or the link cannot be made.
    pub async fn link(&self, bucket: &str, folder: &Path) -> Result<(), BucketError> {
        let path = self.bucket(bucket)?;
        let links = self.links.as_ref().ok_or(BucketError::NoLinks)?;
        let link = links.join(bucket);
        let failed = |source| BucketError::Failed {
            path: link.clone(),
            source,
        };
        let no_folder = || BucketError::NoFolder(folder.to_owned());
        let real = tokio::fs::canonicalize(folder).await;
        let real = real.map_err(|_| no_folder())?;
        let found = tokio::fs::metadata(&real).await;
        if !folder.is_absolute() || !found.is_ok_and(|found| found.is_dir()) {
            return Err(no_folder());
        }
        let exists = || BucketError::Exists(bucket.to_owned());
        if tokio::fs::symlink_metadata(&path).await.is_ok() {
            return Err(exists());
        }
        tokio::fs::create_dir_all(links).await.map_err(failed)?;
        match tokio::fs::symlink(&real, &link).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let stands = tokio::fs::read_link(&link).await.map_err(failed)?;
                (stands == real).then_some(()).ok_or_else(exists)
            }
            outcome => outcome.map_err(failed),
        }
    }

    /// The folder that a bucket is linked to.
    async fn linked(&self, bucket: &str) -> Option<PathBuf> {
        let links = self.links.as_ref()?;
        tokio::fs::read_link(links.join(bucket)).await.ok()
    }

    /// Makes a bucket; one that is there already is fine.
    ///
    /// # Errors
    /// The name is none of a bucket, or the folder cannot be made.
    pub async fn create(&self, bucket: &str) -> Result<(), BucketError> {
        let path = self.bucket(bucket)?;
        if self.linked(bucket).await.is_some() {
            return Ok(());
        }
        tokio::fs::create_dir_all(&path)
            .await
            .map_err(|source| BucketError::Failed { path, source })
    }

    /// Removes an empty bucket, or the link to one that lies elsewhere.
    ///
    /// # Errors
    /// There is none, or it holds objects.
    pub async fn remove(&self, bucket: &str) -> Result<(), BucketError> {
        let path = self.bucket(bucket)?;
        if let (Some(links), Some(_)) = (&self.links, self.linked(bucket).await) {
            let link = links.join(bucket);
            let outcome = tokio::fs::remove_file(&link).await;
            return outcome.map_err(|source| BucketError::Failed { path: link, source });
        }
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
        if self.linked(name).await.is_some() {
            return true;
        }
        let found = tokio::fs::metadata(self.root.join(name)).await;
        found.is_ok_and(|found| found.is_dir())
    }

    /// Where a bucket is, links followed.
    pub(super) async fn place(&self, object: Object<'_>) -> Result<BucketPlace, SourceError> {
        let name = plain_name(object.bucket).ok_or_else(|| {
            object.unreadable("the bucket is not named as a bucket can be".to_owned())
        })?;
        let linked = self.linked(name).await;
        let is_linked = linked.is_some();
        let path = linked.unwrap_or_else(|| self.root.join(name));
        let real = tokio::fs::canonicalize(&path).await;
        let real = real.map_err(|e| object.failed(&path, &e))?;
        if !is_linked && !real.starts_with(self.real_root(object).await?) {
            return Err(object.unreadable(format!("{} leads out of the buckets", path.display())));
        }
        Ok(BucketPlace { path, real })
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
        let plain = plain_key(key).ok_or_else(|| object.bad_key())?;
        let place = self.place(object).await?;
        let path = place.path.join(plain);
        let real = tokio::fs::canonicalize(&path)
            .await
            .map_err(|e| object.failed(&path, &e))?;
        if !real.starts_with(&place.real) {
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
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ObjectPage, SourceError>> {
        Box::pin(self.list(bucket, prefix, after))
    }

    fn write<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        content: Bytes,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(self.write(bucket, key, content))
    }

    fn remove<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(self.delete(bucket, key))
    }

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

    pub(super) fn bad_key(self) -> SourceError {
        SourceError::BadKey {
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
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
