//! Where whole objects come from: API schemas, later files and documents.
//!
//! A bucket is a folder, or there are none. Objects are read in one piece and never written.

mod folder;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{DocumentSource, SourceError};

pub use folder::{BucketFolder, RootError};

/// No buckets at all: every read fails with the setting that would change that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoBuckets;

impl DocumentSource for NoBuckets {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        Box::pin(async move {
            Err(SourceError::Unreadable {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                detail:
                    "the configuration names no buckets. Add\n\n[s3]\nroot = \"buckets\"\n\nwhere \
                         `buckets` is a folder with one folder for each bucket"
                        .to_owned(),
            })
        })
    }
}

#[cfg(test)]
mod tests;
