//! What a job has to do, a window at a time: the objects of a bucket side by side with the documents
//! that the Store knows.
//!
//! Invariant: windows follow one another in the order of ids, and all that is done about one depends
//! on nothing in the next. A job that was cut short goes on behind the last window that was done.

use std::sync::Arc;

use bytes::Bytes;
use outcrop_engine::port::{ObjectInfo, SourceError};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::control::DocumentStatus;

use super::listing::{Known, Listed, Listing};
use super::s3_uri;
use super::statistics::Counts;
use super::stored::{DocumentDoc, Mark, SourceRef, document_id};
use super::{Shared, Trouble};
use crate::records::Stored;

/// Documents to be worked on in one window. Each is a few hundred bytes until its turn comes.
const WORK_MAX: usize = 256;
/// Objects looked at in one window.
const LOOK_MAX: i64 = 5_000;

/// Where an ingestion from a bucket looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) prefix: String,
}

/// Some of what there is to do.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// To be indexed.
    pub(super) index: Vec<Work>,
    /// To be taken out: they are not in the bucket any more.
    pub(super) remove: Vec<Stored<DocumentDoc>>,
    /// What was looked at.
    pub(super) counts: Counts,
    /// The object up to which everything is done when this is; `None` where there is no further one.
    pub(super) upto: Option<String>,
    pub(super) is_last: bool,
}

/// A document to be indexed.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) location: DocumentLocation,
    pub(super) object: ObjectInfo,
    /// The version of its metadata file, if there is one.
    pub(super) metadata: Option<String>,
    /// What the Store says of it.
    pub(super) known: Option<Stored<DocumentDoc>>,
    /// Its content, where that has been fetched already.
    pub(super) page: Option<Page>,
}

/// A page of the web.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) mime_type: Option<String>,
    pub(super) content: Bytes,
}

impl Work {
    /// What the index holds of it for certain.
    pub(super) fn held(&self) -> Option<&Mark> {
        self.known.as_ref()?.body.indexed.as_ref()
    }

    /// What was indexed of it last.
    pub(super) fn before(&self) -> Option<&Mark> {
        let before = || self.known.as_ref()?.body.before.as_ref();
        self.held().or_else(before)
    }

    /// Whether the index may hold something of it.
    pub(super) fn again(&self) -> bool {
        let is_marked = self.known.as_ref().is_some_and(|known| known.body.again);
        is_marked || self.before().is_some()
    }
}

/// See the module.
pub(super) struct Planner {
    place: Place,
    listing: Listing,
    /// An object that did not fit into the last window.
    pending: Option<Listed>,
    known: Known,
    recipe: String,
    job_id: String,
}

impl Planner {
    /// Plans for what comes behind the object `after`.
    pub(super) fn new(
        shared: &Arc<Shared>,
        source: &SourceRef,
        place: Place,
        recipe: &str,
        job_id: &str,
        after: Option<&str>,
    ) -> Self {
        let key = after.and_then(s3_uri).map(|(_, key)| key.to_owned());
        let documents = Arc::clone(&shared.ports.documents);
        Self {
            listing: Listing::new(documents, &place.bucket, &place.prefix, key),
            pending: None,
            known: Known::new(shared, source, after),
            place,
            recipe: recipe.to_owned(),
            job_id: job_id.to_owned(),
        }
    }

    pub(super) async fn window(&mut self) -> Result<Window, Trouble> {
        let mut window = Window::default();
        while window.index.len() + window.remove.len() < WORK_MAX
            && window.counts.scanned + window.counts.metadata_scanned < LOOK_MAX
        {
            let listed = if let Some(pending) = self.pending.take() {
                Some(pending)
            } else {
                let listed = self.listing.next().await;
                listed.map_err(|cause| Trouble::Failed(unlisted(&cause)))?
            };
            match listed {
                Some(Listed::Metadata { key }) => {
                    window.counts.metadata_scanned += 1;
                    window.upto = Some(self.uri(&key));
                }
                Some(Listed::Document { object, metadata }) => {
                    self.compare(&mut window, object, metadata).await?;
                }
                None => {
                    while let Some(gone) = self.known.next_to(None).await? {
                        window.remove.push(gone);
                        if window.remove.len() == WORK_MAX {
                            return Ok(window);
                        }
                    }
                    window.is_last = true;
                    return Ok(window);
                }
            }
        }
        Ok(window)
    }

    async fn compare(
        &mut self,
        window: &mut Window,
        object: ObjectInfo,
        metadata: Option<String>,
    ) -> Result<(), Trouble> {
        let uri = self.uri(&object.key);
        let location = DocumentLocation::S3 { uri: uri.clone() };
        let id = document_id(&location);
        let mut known = None;
        while let Some(found) = self.known.next_to(Some(&id)).await? {
            if *found.key.id == id {
                known = Some(found);
                break;
            }
            window.remove.push(found);
            if window.remove.len() >= WORK_MAX {
                self.pending = Some(Listed::Document { object, metadata });
                return Ok(());
            }
        }
        window.counts.scanned += 1;
        window.upto = Some(uri);
        let is_done = known
            .as_ref()
            .is_some_and(|known| self.is_done(&known.body, &object, metadata.as_ref()));
        if !is_done {
            window.index.push(Work {
                location,
                object,
                metadata,
                known,
                page: None,
            });
        }
        Ok(())
    }

    /// Whether nothing is to be done about a document.
    fn is_done(&self, known: &DocumentDoc, object: &ObjectInfo, metadata: Option<&String>) -> bool {
        match known.status {
            DocumentStatus::Indexed => known.indexed.as_ref().is_some_and(|mark| {
                !mark.version.is_empty()
                    && mark.version == object.version
                    && mark.metadata_version.as_ref() == metadata
                    && mark.recipe == self.recipe
            }),
            DocumentStatus::Failed => known.failed_in.as_ref() == Some(&self.job_id),
            _ => false,
        }
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.place.bucket)
    }
}

fn unlisted(cause: &SourceError) -> String {
    match cause {
        SourceError::NotFound { bucket, detail, .. } => {
            format!("the bucket {bucket} does not exist: {detail}")
        }
        SourceError::Unreadable { bucket, detail, .. } => {
            format!("the bucket {bucket} cannot be listed: {detail}")
        }
        SourceError::BadKey { .. } | SourceError::TooLarge { .. } => cause.to_string(),
    }
}
