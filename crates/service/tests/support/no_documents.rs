//! A server without buckets.

use bytes::Bytes;
use futures_core::future::BoxFuture;
use outcrop_engine::port::{DocumentSource, SourceError};

/// Has no object.
pub(crate) struct NoDocuments;

impl DocumentSource for NoDocuments {
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        _: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>> {
        let error = SourceError::NotFound {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            detail: "no documents here".to_owned(),
        };
        Box::pin(std::future::ready(Err(error)))
    }
}
