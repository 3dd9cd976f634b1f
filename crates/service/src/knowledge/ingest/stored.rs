//! What the Store holds of ingestion: which documents there are, and the jobs that look for more.
//!
//! Bodies are a contract with the past: members may be added with a default, never renamed. Invariant:
//! a document that an index holds has a [`DocumentDoc`], for that is written first.

use std::fmt::Write as _;

use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::blob::Blob;
use outcrop_model::control::{DocumentStatus, IngestionJob};
use outcrop_model::timestamp::Timestamp;
use outcrop_store::Key;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::report::Report;
use crate::records::{Scope, kind};

/// Longest id of a document that is its location as it stands: a bucket's name and S3's longest key
/// fit, and so does the key in a B-tree of `PostgreSQL` (about 2,700 bytes with all its parts).
const PLAIN_ID_BYTES_MAX: usize = 1_200;
/// What the ids of longer ones begin with.
const HASHED: &str = "sha256:";

/// A data source and the knowledge base it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceRef {
    /// Account.
    pub(crate) account_id: String,
    /// Region.
    pub(crate) region: String,
    /// Knowledge base.
    pub(crate) knowledge_base_id: String,
    /// Data source.
    pub(crate) data_source_id: String,
}

impl SourceRef {
    pub(crate) fn scope(&self) -> Scope {
        Scope::new(&self.account_id, &self.region)
    }

    /// The parent of all that belongs to the data source.
    pub(crate) fn parent(&self) -> String {
        format!("{}/{}", self.knowledge_base_id, self.data_source_id)
    }

    pub(crate) fn base_key(&self) -> Key {
        self.scope()
            .key(kind::KNOWLEDGE_BASE, "", &self.knowledge_base_id)
    }

    pub(crate) fn source_key(&self) -> Key {
        self.scope().key(
            kind::DATA_SOURCE,
            &self.knowledge_base_id,
            &self.data_source_id,
        )
    }

    pub(crate) fn job_key(&self, job_id: &str) -> Key {
        self.scope()
            .key(kind::INGESTION_JOB, &self.parent(), job_id)
    }

    /// The document that names the job at work on the data source.
    pub(crate) fn active_key(&self) -> Key {
        self.scope().key(kind::INGESTION_ACTIVE, "", &self.parent())
    }

    /// The document that says that the index may hold something of the knowledge base.
    pub(crate) fn indexed_key(&self) -> Key {
        indexed_key(&self.scope(), &self.knowledge_base_id)
    }

    /// The document that says that the data source is gone and that the index keeps what it had.
    pub(crate) fn retained_key(&self) -> Key {
        self.scope().key(
            kind::KB_RETAINED,
            &self.knowledge_base_id,
            &self.data_source_id,
        )
    }

    pub(crate) fn document_key(&self, location: &DocumentLocation) -> Key {
        self.scope()
            .key(kind::KB_DOCUMENT, &self.parent(), &document_id(location))
    }

    pub(crate) fn upload_key(&self, location: &DocumentLocation) -> Key {
        self.scope()
            .key(kind::KB_UPLOAD, &self.parent(), &document_id(location))
    }
}

/// See [`SourceRef::indexed_key`].
pub(crate) fn indexed_key(scope: &Scope, knowledge_base_id: &str) -> Key {
    scope.key(kind::KB_INDEXED, "", knowledge_base_id)
}

/// The id that a document is stored under. Those of objects of one bucket have the order of their
/// keys, which a job relies on.
pub(crate) fn document_id(location: &DocumentLocation) -> String {
    let text = location.as_str();
    let plain = text.len() <= PLAIN_ID_BYTES_MAX
        && !text.contains('\0')
        && !text.starts_with(HASHED)
        && !text.is_empty();
    if plain {
        text.to_owned()
    } else {
        format!("{HASHED}{}", hash(text.as_bytes()))
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobDoc {
    /// As `GetIngestionJob` shows it, but for its failure reasons.
    pub(crate) job: IngestionJob,
    /// Everything up to this object of the bucket is done, and is counted in the statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// Why documents failed.
    #[serde(default)]
    pub(crate) report: Report,
}

impl JobDoc {
    /// As clients see it.
    pub(crate) fn shown(self) -> IngestionJob {
        let reasons = self.report.reasons();
        IngestionJob {
            failure_reasons: Some(reasons).filter(|reasons| !reasons.is_empty()),
            ..self.job
        }
    }
}

/// A document of a data source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentDoc {
    /// Where it is.
    pub(crate) location: DocumentLocation,
    /// As clients see it.
    pub(crate) status: DocumentStatus,
    /// Why it is not indexed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// When the status changed.
    pub(crate) updated_at: Timestamp,
    /// What the index holds of it, where that is known for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) indexed: Option<Mark>,
    /// What the index held of it when the work that is going on began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Mark>,
    /// Whether the index may hold something of it that no mark tells of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) again: bool,
    /// The job that failed to index it, which does not try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed_in: Option<String>,
}

/// What was indexed, so that a job can tell whether it still is what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mark {
    /// The object's version as its bucket lists it; empty where it has none.
    #[serde(default)]
    pub(crate) version: String,
    /// The same of its `.metadata.json`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata_version: Option<String>,
    /// SHA-256 of the content.
    pub(crate) content: String,
    /// SHA-256 of the metadata.
    pub(crate) metadata: String,
    /// SHA-256 of all else that decides what is indexed: the embedding model and how documents of the
    /// data source are read and cut.
    pub(crate) recipe: String,
    /// Chunks.
    #[serde(default)]
    pub(crate) chunks: u32,
}

/// What a client has sent of a document that is not indexed yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadDoc {
    /// Tells one upload from the next.
    pub(crate) id: String,
    /// Its content.
    pub(crate) content: UploadedContent,
    /// Its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<UploadedMetadata>,
}

/// Where the content of an uploaded document is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum UploadedContent {
    /// Here, as text.
    Text(String),
    /// Here, as a file.
    Bytes {
        /// MIME type.
        mime_type: String,
        /// Content.
        data: Blob,
    },
    /// In a bucket.
    S3 {
        /// `s3://bucket/key`.
        uri: String,
    },
}

/// Where its metadata is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum UploadedMetadata {
    /// Here.
    Inline(Vec<outcrop_model::control::MetadataAttribute>),
    /// In a bucket.
    S3 {
        /// `s3://bucket/key`.
        uri: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> String {
        document_id(&DocumentLocation::Custom {
            id: text.to_owned(),
        })
    }

    #[test]
    fn ids_are_locations_unless_these_are_too_long_or_odd() {
        let longest = "é".repeat(PLAIN_ID_BYTES_MAX / 2);
        assert_eq!(id(&longest), longest);
        assert_eq!(id("s3://docs/a b\n.txt"), "s3://docs/a b\n.txt");
        for odd in [
            format!("{longest}x"),
            "a\0b".to_owned(),
            "sha256:x".to_owned(),
        ] {
            let id = id(&odd);
            assert!(id.starts_with(HASHED) && id.len() == 71, "{id}");
        }
    }
}
