//! What is to be done in the background, as jobs of the Store's queue.
//!
//! Payloads are a contract with the past: members may be added with a default, never renamed.
//! Invariant: one subject has one job. What is to be done with it stands in its own document, and is
//! read when the job is taken up.

use outcrop_knowledge::document::DocumentLocation;
use outcrop_store::{NewJob, Write};
use serde::{Deserialize, Serialize};

use super::stored::{SourceRef, document_id, hash};
use crate::records;

/// Looks for documents that are new, changed or gone.
pub(super) const SYNC: &str = "kb-ingest";
/// Indexes or removes single documents.
pub(super) const DOCUMENT: &str = "kb-document";
/// Takes out what is left of data sources and knowledge bases.
pub(super) const DELETE: &str = "kb-delete";

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Task {
    /// An ingestion job.
    Sync {
        /// Its data source.
        source: SourceRef,
        /// Its id.
        job_id: String,
    },
    /// What a client wants done with a document.
    Document {
        /// Its data source.
        source: SourceRef,
        /// The document.
        location: DocumentLocation,
        /// Attempts that failed.
        #[serde(default)]
        failures: u32,
    },
    /// A data source goes.
    DeleteSource {
        /// It.
        source: SourceRef,
        /// Attempts that failed.
        #[serde(default)]
        failures: u32,
    },
    /// A knowledge base goes, with all its data sources.
    DeleteBase {
        /// Account.
        account_id: String,
        /// Region.
        region: String,
        /// It.
        knowledge_base_id: String,
        /// Attempts that failed.
        #[serde(default)]
        failures: u32,
    },
}

impl Task {
    fn queue(&self) -> &'static str {
        match self {
            Self::Sync { .. } => SYNC,
            Self::Document { .. } => DOCUMENT,
            Self::DeleteSource { .. } | Self::DeleteBase { .. } => DELETE,
        }
    }

    /// The job's id.
    fn id(&self) -> String {
        let place = |source: &SourceRef| {
            format!(
                "{}/{}/{}",
                source.account_id,
                source.region,
                source.parent()
            )
        };
        let queue = self.queue();
        match self {
            Self::Sync { source, job_id } => format!("{queue}/{}/{job_id}", place(source)),
            Self::Document {
                source, location, ..
            } => {
                let document = hash(document_id(location).as_bytes());
                format!("{queue}/{}/{document}", place(source))
            }
            Self::DeleteSource { source, .. } => format!("{queue}/{}", place(source)),
            Self::DeleteBase {
                account_id,
                region,
                knowledge_base_id,
                ..
            } => format!("{queue}/{account_id}/{region}/{knowledge_base_id}"),
        }
    }

    /// The write that has it done from `due_at_ms` on.
    pub(crate) fn enqueue(&self, due_at_ms: i64) -> Write {
        Write::Enqueue(NewJob {
            id: self.id().into(),
            queue: self.queue(),
            payload: records::json(self).into(),
            due_at_ms,
        })
    }
}
