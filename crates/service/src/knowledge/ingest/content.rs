//! The bytes of a document and what is said of it, read within bounds.
//!
//! Nothing larger than a document may be is ever read whole: a bucket that knows the size is asked
//! first, and the read itself ends at the limit.

use bytes::Bytes;
use outcrop_engine::port::{DocumentSource, SourceError};
use outcrop_knowledge::document::RecordFields;
use outcrop_knowledge::metadata::{Attributes, FILE_BYTES_MAX, MetadataFile};

use super::stored::hash;
use super::{DocumentError, s3_uri};

/// Largest file of a document (behaviour.md 9.4).
pub(super) const FILE_BYTES: u64 = 50 * 1024 * 1024;
/// The same, as it is told.
const FILE_MEGABYTES: u64 = FILE_BYTES / 1024 / 1024;
/// From this size on a hash is not for a thread that others wait for: it takes half a millisecond.
const HASH_ELSEWHERE_BYTES: usize = 256 * 1024;

/// A document as it came.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Its name, for the format.
    pub(super) name: String,
    /// Its MIME type, where somebody said.
    pub(super) mime_type: Option<String>,
    /// Its bytes.
    pub(super) content: Bytes,
    /// Their hash.
    pub(super) content_hash: String,
    /// What is said of it.
    pub(super) about: About,
}

/// What is said of a document.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// Its attributes.
    pub(super) attributes: Attributes,
    /// Which columns of a CSV file are what.
    pub(super) records: Option<RecordFields>,
    /// The hash of all that was said.
    pub(super) hash: String,
}

/// Why there is no content.
#[derive(Debug)]
pub(super) enum Unread {
    /// It has gone since it was listed.
    Gone(String),
    /// It cannot be read.
    Failed(DocumentError),
}

/// The content of an object.
pub(super) async fn object(
    documents: &dyn DocumentSource,
    uri: &str,
    size: Option<u64>,
) -> Result<Bytes, Unread> {
    let Some((bucket, key)) = s3_uri(uri) else {
        return Err(unfit(format!("{uri} is not of the form s3://bucket/key")));
    };
    if size.is_some_and(|size| size > FILE_BYTES) {
        return Err(too_large());
    }
    match documents.read(bucket, key, FILE_BYTES).await {
        Ok(content) => Ok(content),
        Err(SourceError::TooLarge { .. }) => Err(too_large()),
        Err(cause @ SourceError::BadKey { .. }) => Err(unfit(cause.to_string())),
        Err(cause @ SourceError::NotFound { .. }) => Err(Unread::Gone(cause.to_string())),
        Err(cause @ SourceError::Unreadable { .. }) => {
            Err(Unread::Failed(DocumentError::Unlucky(cause.to_string())))
        }
    }
}

/// What a `.metadata.json` says.
pub(super) async fn about(documents: &dyn DocumentSource, uri: &str) -> Result<About, Unread> {
    let Some((bucket, key)) = s3_uri(uri) else {
        return Err(unfit(format!("{uri} is not of the form s3://bucket/key")));
    };
    let limit = FILE_BYTES_MAX as u64;
    let bytes = match documents.read(bucket, key, limit).await {
        Ok(bytes) => bytes,
        Err(SourceError::TooLarge { .. }) => {
            return Err(unfit(format!(
                "the metadata file {uri} is larger than {FILE_BYTES_MAX} bytes"
            )));
        }
        Err(cause @ SourceError::BadKey { .. }) => return Err(unfit(cause.to_string())),
        Err(cause @ SourceError::NotFound { .. }) => return Err(Unread::Gone(cause.to_string())),
        Err(cause @ SourceError::Unreadable { .. }) => {
            return Err(Unread::Failed(DocumentError::Unlucky(cause.to_string())));
        }
    };
    let file = MetadataFile::parse(&bytes).map_err(|cause| unfit(cause.to_string()))?;
    Ok(About {
        attributes: file.attributes,
        records: file.records,
        hash: hash(&bytes),
    })
}

/// A document as it is to be read.
pub(super) async fn file(
    name: String,
    mime_type: Option<String>,
    content: Bytes,
    about: About,
) -> Result<File, Unread> {
    if content.len() as u64 > FILE_BYTES {
        return Err(too_large());
    }
    let content_hash = if content.len() < HASH_ELSEWHERE_BYTES {
        hash(&content)
    } else {
        let content = content.clone();
        let hashed = tokio::task::spawn_blocking(move || hash(&content)).await;
        hashed.map_err(|cause| {
            Unread::Failed(DocumentError::Unlucky(format!(
                "the content could not be hashed: {cause}"
            )))
        })?
    };
    Ok(File {
        name,
        mime_type,
        content,
        content_hash,
        about,
    })
}

fn unfit(text: String) -> Unread {
    Unread::Failed(DocumentError::Unfit(text))
}

fn too_large() -> Unread {
    unfit(format!(
        "the file is larger than {FILE_MEGABYTES} MB, the most a document may have"
    ))
}
