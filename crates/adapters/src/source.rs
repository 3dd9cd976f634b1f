//! Where whole objects come from, and where few are written: API schemas, files, documents and their
//! chunks on the way through a function.
//!
//! A bucket is a folder, or one of S3's. Objects are read and written in one piece.

mod folder;
mod s3;
mod web;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{DocumentSource, ObjectPage, SourceError};

pub use folder::{BucketError, BucketFolder, RootError};
pub use s3::{S3Buckets, S3Error, S3Settings};
pub use web::WebCrawler;

/// Folders first, then S3: a bucket that is a folder of the root is served from there alone, so that
/// a forgotten file in it is missed rather than found elsewhere.
#[derive(Clone, Debug)]
pub struct Buckets {
    folders: BucketFolder,
    s3: Option<S3Buckets>,
}

impl Buckets {
    /// `s3` serves the buckets that are no folders; without it there are none.
    pub fn new(folders: BucketFolder, s3: Option<S3Buckets>) -> Self {
        Self { folders, s3 }
    }
}

impl DocumentSource for Buckets {
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ObjectPage, SourceError>> {
        Box::pin(async move {
            match &self.s3 {
                Some(s3) if !self.folders.holds(bucket).await => {
                    s3.list(bucket, prefix, after).await
                }
                _ => self.folders.list(bucket, prefix, after).await,
            }
        })
    }

    fn write<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        content: Bytes,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            match &self.s3 {
                Some(s3) if !self.folders.holds(bucket).await => {
                    s3.write(bucket, key, content).await
                }
                _ => self.folders.write(bucket, key, content).await,
            }
        })
    }

    fn remove<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            match &self.s3 {
                Some(s3) if !self.folders.holds(bucket).await => s3.delete(bucket, key).await,
                _ => self.folders.delete(bucket, key).await,
            }
        })
    }

    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        Box::pin(async move {
            match &self.s3 {
                Some(s3) if !self.folders.holds(bucket).await => {
                    s3.read(bucket, key, limit_bytes).await
                }
                _ => self.folders.read(bucket, key, limit_bytes).await,
            }
        })
    }
}

#[cfg(test)]
mod tests;
