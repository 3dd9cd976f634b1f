//! A document as a client sent it, content and metadata, each of them inline or in a bucket.

use bytes::Bytes;
use outcrop_engine::port::DocumentSource;
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::{Attributes, FILE_SUFFIX};

use super::super::DocumentError;
use super::super::content::{self, About, File, Unread};
use super::super::stored::{UploadDoc, UploadedContent, UploadedMetadata, hash};
use crate::records;

/// The document as it was sent; without an `upload` the object of a bucket that it is.
pub(super) async fn file(
    documents: &dyn DocumentSource,
    location: &DocumentLocation,
    upload: Option<UploadDoc>,
) -> Result<File, DocumentError> {
    let Some(upload) = upload else {
        return beside(documents, location).await;
    };
    let about = match upload.metadata {
        None => About::default(),
        Some(UploadedMetadata::S3 { uri }) => {
            content::about(documents, &uri).await.map_err(unfit)?
        }
        Some(UploadedMetadata::Inline(attributes)) => About {
            attributes: Attributes::inline(&attributes)
                .map_err(|cause| DocumentError::Unfit(cause.to_string()))?,
            records: None,
            hash: hash(records::json(&attributes).as_bytes()),
        },
    };
    let (name, mime_type, bytes) = match upload.content {
        UploadedContent::Text(text) => (
            String::new(),
            Some("text/plain".to_owned()),
            Bytes::from(text),
        ),
        UploadedContent::Bytes { mime_type, data } => {
            (last_part(location.as_str()), Some(mime_type), data.0)
        }
        UploadedContent::S3 { uri } => {
            let bytes = content::object(documents, &uri, None).await;
            (last_part(&uri), None, bytes.map_err(unfit)?)
        }
    };
    let file = content::file(name, mime_type, bytes, about).await;
    file.map_err(unfit)
}

/// An object of a bucket that nobody sent: it is looked at anew, with its metadata file.
async fn beside(
    documents: &dyn DocumentSource,
    location: &DocumentLocation,
) -> Result<File, DocumentError> {
    let DocumentLocation::S3 { uri } = location else {
        return Err(DocumentError::Unfit(
            "what was sent of the document is not there any more".to_owned(),
        ));
    };
    let about = match content::about(documents, &format!("{uri}{FILE_SUFFIX}")).await {
        Err(Unread::Gone(_)) => About::default(),
        about => about.map_err(unfit)?,
    };
    let bytes = content::object(documents, uri, None).await;
    let file = content::file(last_part(uri), None, bytes.map_err(unfit)?, about).await;
    file.map_err(unfit)
}

/// What a client has named must be there.
fn unfit(cause: Unread) -> DocumentError {
    match cause {
        Unread::Gone(text) => DocumentError::Unfit(text),
        Unread::Failed(cause) => cause,
    }
}

/// The name of a file, for its format.
fn last_part(place: &str) -> String {
    place.rsplit('/').next().unwrap_or_default().to_owned()
}
