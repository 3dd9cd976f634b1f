//! Code: from an upload to pieces in the store, and back to one archive.
//!
//! The archive is unpacked before anything is stored, so that what is stored can be run. Pieces are
//! written before the document that names them and removed with it; what a crash leaves in between is
//! named by nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use outcrop_engine::port::{PackageError, SourceError};
use outcrop_model::blob::Blob;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_store::{Expect, Store, StoreError, Write};
use sha2::{Digest as _, Sha256};

use super::documents::{CodeRef, FunctionDoc, VersionDoc};
use super::invalid;
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, error};

/// Lambda's limit of an archive that comes in a request, in bytes.
const UPLOAD_BYTES_MAX: u64 = 50 << 20;
/// Lambda's limit of an archive in S3: no more than its content may have.
const OBJECT_BYTES_MAX: u64 = 250 << 20;
/// Bytes of one piece. In Base64 a megabyte, which no store minds; a multiple of three.
const PIECE_BYTES: usize = 3 << 18;
/// Pieces in one batch: other writers wait while a batch is written.
const PIECES_PER_BATCH: usize = 8;

/// Where the code of a request is.
pub(super) struct Source<'a> {
    pub(super) zip_file: Option<&'a Blob>,
    pub(super) s3_bucket: Option<&'a str>,
    pub(super) s3_key: Option<&'a str>,
    pub(super) s3_object_version: Option<&'a str>,
    pub(super) image_uri: Option<&'a str>,
}

/// An archive that can be run.
pub(super) struct Archive {
    bytes: Bytes,
    /// In lower-case hexadecimal digits.
    sha256: String,
    /// In Base64, as `CodeSha256` has it.
    pub(super) code_sha256: String,
}

impl Archive {
    /// `CodeSize`.
    pub(super) fn size(&self) -> i64 {
        i64::try_from(self.bytes.len()).unwrap_or(i64::MAX)
    }
}

impl Service {
    /// The archive of a request, checked by unpacking it.
    pub(super) async fn archive(&self, source: &Source<'_>) -> Result<Archive, Exception> {
        let bytes = self.archive_bytes(source).await?;
        let hash = Sha256::digest(&bytes);
        let archive = Archive {
            sha256: hex(&hash),
            code_sha256: STANDARD.encode(hash),
            bytes,
        };
        let unpacked = self
            .ports
            .packages
            .unpack(&archive.sha256, archive.bytes.clone())
            .await;
        unpacked.map_err(|error| unusable(&error))?;
        Ok(archive)
    }

    async fn archive_bytes(&self, source: &Source<'_>) -> Result<Bytes, Exception> {
        if source.image_uri.is_some() {
            return Err(invalid(
                "ImageUri: container images are not supported by Outcrop; upload a zip archive, or map the \
                 function with runtime = \"http\" to a running container.",
            ));
        }
        if source.s3_object_version.is_some() {
            return Err(invalid(
                "S3ObjectVersion: versions of objects are not supported by Outcrop.",
            ));
        }
        match (source.zip_file, source.s3_bucket, source.s3_key) {
            (Some(zip), None, None) if zip.as_bytes().is_empty() => {
                Err(invalid("Uploaded file must be a non-empty zip"))
            }
            (Some(zip), None, None) if zip.as_bytes().len() as u64 > UPLOAD_BYTES_MAX => {
                Err(invalid(format!(
                    "Zip file must be smaller than {UPLOAD_BYTES_MAX} bytes; larger ones go through S3."
                )))
            }
            (Some(zip), None, None) => Ok(zip.0.clone()),
            (None, Some(bucket), Some(key)) => {
                let read = self.ports.documents.read(bucket, key, OBJECT_BYTES_MAX);
                read.await.map_err(|error| unreadable(&error))
            }
            (None, None, None) => Err(invalid("Please provide a source for function code.")),
            _ => Err(invalid(
                "Please do not provide other FunctionCode parameters when providing a ZipFile, and both \
                 S3Bucket and S3Key without one.",
            )),
        }
    }

    /// Writes the pieces of an archive. Until a document names them, the caller takes them back if it
    /// fails.
    pub(super) async fn store_code(
        &self,
        scope: &Scope,
        function: &str,
        archive: &Archive,
    ) -> Result<CodeRef, Exception> {
        let upload = self.ports.ids.uuid();
        let parent = parent(function, &upload);
        let mut pieces = 0;
        for batch in archive.bytes.chunks(PIECE_BYTES * PIECES_PER_BATCH) {
            let mut writes = Vec::with_capacity(PIECES_PER_BATCH);
            for piece in batch.chunks(PIECE_BYTES) {
                let key = scope.key(kind::LAMBDA_CODE, &parent, &piece_id(pieces));
                writes.push(put(key, &STANDARD.encode(piece), Expect::Absent, None));
                pieces += 1;
            }
            self.write(writes).await.map_err(error::store)?;
        }
        Ok(CodeRef {
            upload,
            sha256: archive.sha256.clone(),
            pieces,
        })
    }

    /// Removes pieces that no document came to name. What cannot be removed now is only litter.
    pub(super) async fn take_back(&self, scope: &Scope, function: &str, code: &CodeRef) {
        let removed = self.write(vec![delete(scope, function, code)]).await;
        if let Err(error) = removed {
            tracing::warn!(function, %error, "code that nothing names could not be removed");
        }
    }

    /// What removes the code of `doc`, unless a published version has it too.
    pub(super) async fn drop_code(
        &self,
        scope: &Scope,
        name: &str,
        doc: &FunctionDoc,
    ) -> Result<Option<Write>, Exception> {
        let versions = self
            .children::<VersionDoc>(scope, kind::LAMBDA_VERSION, name)
            .await?;
        let is_used = |version: &Stored<VersionDoc>| version.body.code.upload == doc.code.upload;
        Ok((!versions.iter().any(is_used)).then(|| delete(scope, name, &doc.code)))
    }
}

/// What removes the pieces of `code`.
pub(super) fn delete(scope: &Scope, function: &str, code: &CodeRef) -> Write {
    Write::DeleteChildren {
        scope: Arc::clone(&scope.0),
        kind: kind::LAMBDA_CODE,
        parent: parent(function, &code.upload).into(),
    }
}

/// Why stored code cannot be given out.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The store does not answer.
    #[error("the code cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The function was changed or deleted meanwhile.
    #[error("the code is not there any more: piece {piece} of {pieces} is missing")]
    Gone {
        /// Which.
        piece: u32,
        /// How many there were.
        pieces: u32,
    },
    /// What is stored is not what was uploaded.
    #[error("the stored code is damaged: {0}")]
    Damaged(String),
}

/// Reads an archive out of the store.
pub(super) async fn load(
    store: &dyn Store,
    now_ms: i64,
    scope: &Scope,
    function: &str,
    code: &CodeRef,
) -> Result<Bytes, LoadError> {
    let parent = parent(function, &code.upload);
    let mut bytes = BytesMut::new();
    for piece in 0..code.pieces {
        let key = scope.key(kind::LAMBDA_CODE, &parent, &piece_id(piece));
        let record = store.get(&key, now_ms).await?.ok_or(LoadError::Gone {
            piece,
            pieces: code.pieces,
        })?;
        let text: String = serde_json::from_str(&record.body)
            .map_err(|error| LoadError::Damaged(error.to_string()))?;
        let piece = STANDARD
            .decode(text)
            .map_err(|error| LoadError::Damaged(error.to_string()))?;
        bytes.extend_from_slice(&piece);
    }
    let actual = hex(&Sha256::digest(&bytes));
    if actual == code.sha256 {
        Ok(bytes.freeze())
    } else {
        let expected = &code.sha256;
        Err(LoadError::Damaged(format!(
            "its hash is {actual}, not {expected}"
        )))
    }
}

fn parent(function: &str, upload: &str) -> String {
    format!("{function}/{upload}")
}

fn piece_id(piece: u32) -> String {
    format!("{piece:05}")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An archive that cannot be run, in AWS's words where there are any, then where the fault is.
fn unusable(error: &PackageError) -> Exception {
    match error {
        PackageError::NotZip { detail } => invalid(format!(
            "Could not unzip uploaded file. Please check your file, then try to upload again. Cause: {detail}"
        )),
        PackageError::TooLarge { limit_bytes } => invalid(format!(
            "Unzipped size must be smaller than {limit_bytes} bytes"
        )),
        PackageError::TooManyEntries { .. } | PackageError::Entry { .. } => invalid(format!(
            "Could not unzip uploaded file. Please check your file, then try to upload again. Cause: {error}"
        )),
        PackageError::Failed { detail } => Exception::internal(detail.clone()),
    }
}

fn unreadable(error: &SourceError) -> Exception {
    match error {
        SourceError::NotFound { .. } => invalid(format!(
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key \
             does not exist. Cause: {error}"
        )),
        SourceError::TooLarge { limit_bytes, .. } => Exception::new(
            ExceptionKind::InvalidParameterValue,
            format!("Unzipped size must be smaller than {limit_bytes} bytes"),
        ),
        SourceError::BadKey { .. } | SourceError::Unreadable { .. } => {
            invalid(format!("Error occurred while GetObject. Cause: {error}"))
        }
    }
}
