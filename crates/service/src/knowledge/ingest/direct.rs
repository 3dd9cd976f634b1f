//! What a client wants done with one document: indexed as it was sent, or taken out.
//!
//! What is to be done stands in the document, so a job that is late does what is asked for by then,
//! and one that is needless does nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::{Attributes, FILE_SUFFIX};
use outcrop_model::control::DocumentStatus;
use outcrop_store::{Expect, Job, StoreError, Write};
use tracing::{debug, warn};

use super::content::{self, About, File, Unread};
use super::kitchen::Kitchen;
use super::queue::Task;
use super::stored::{
    DocumentDoc, Mark, SourceRef, UploadDoc, UploadedContent, UploadedMetadata, hash,
};
use super::worker::finish;
use super::{DocumentError, Shared, Trouble};
use crate::knowledge::Base;
use crate::records::{self, Stored};

/// Attempts at one document where what it needs is not there.
const ATTEMPTS_MAX: u32 = 5;
/// The wait before the second; each later one is four times as long.
const BACKOFF: Duration = Duration::from_secs(2);
/// How often a job may be claimed: it ends one that brings its process down each time.
const CLAIMS_MAX: u32 = 100;
/// What a transformation is told in place of a job.
const NO_JOB: &str = "DIRECT";

/// One document to see to.
struct Errand<'a> {
    shared: &'a Arc<Shared>,
    claim: &'a Job,
    source: SourceRef,
    location: DocumentLocation,
    failures: u32,
}

/// Does what is wanted.
pub(super) async fn perform(
    shared: &Arc<Shared>,
    claim: &Job,
    source: SourceRef,
    location: DocumentLocation,
    failures: u32,
) {
    let errand = Errand {
        shared,
        claim,
        source,
        location,
        failures,
    };
    let key = errand.source.document_key(&errand.location);
    let _turn = shared.lines.stand_in(&key).await;
    let document = key.id;
    match errand.run().await {
        Ok(()) => {}
        Err(Trouble::Lost) => debug!(
            document = &*document,
            "a document is seen to by somebody else"
        ),
        Err(Trouble::Stopped) => shared.settle(claim, vec![finish(claim)]).await,
        Err(Trouble::Store(cause)) => {
            warn!(document = &*document, %cause, "a document waits for the store");
        }
        Err(Trouble::Failed(cause)) => warn!(
            document = &*document,
            cause, "a document could not be seen to"
        ),
    }
}

impl Errand<'_> {
    async fn run(&self) -> Result<(), Trouble> {
        let key = self.source.document_key(&self.location);
        let Some(doc) = self.shared.load::<DocumentDoc>(key).await? else {
            // Its data source may have gone while it was put into the index.
            return self.clean_up().await;
        };
        match doc.body.status {
            DocumentStatus::Deleting | DocumentStatus::DeleteInProgress => self.delete(doc).await,
            DocumentStatus::Starting | DocumentStatus::Pending | DocumentStatus::InProgress => {
                self.index(doc).await
            }
            _ => {
                let writes = vec![self.drop_upload(), finish(self.claim)];
                self.shared.settle(self.claim, writes).await;
                Ok(())
            }
        }
    }

    async fn delete(&self, doc: Stored<DocumentDoc>) -> Result<(), Trouble> {
        let base = self.base().await?;
        let documents = [outcrop_engine::port::DocumentKey {
            data_source_id: self.source.data_source_id.clone(),
            location: self.location.clone(),
        }];
        let index = &self.shared.ports.knowledge.index;
        let removed = self
            .shared
            .patiently(|| index.remove(&base.place, &documents))
            .await;
        if let Err(cause) = removed {
            return self.later(doc, cause.to_string()).await;
        }
        let delete = Write::Delete {
            key: doc.key,
            expect: Expect::Revision(doc.revision),
        };
        self.commit(vec![delete, self.drop_upload(), finish(self.claim)])
            .await
    }

    async fn index(&self, mut doc: Stored<DocumentDoc>) -> Result<(), Trouble> {
        let (base, source) = self.shared.open_source(&self.source).await?;
        if self.claim.attempts > CLAIMS_MAX {
            return self
                .fail(doc, "the document was begun too often".to_owned())
                .await;
        }
        // From here on the index may hold what was there, what was sent, or nothing.
        doc.body.again = true;
        if let Some(held) = doc.body.indexed.take() {
            doc.body.before = Some(held);
        }
        doc.body.status = DocumentStatus::InProgress;
        doc.body.updated_at = self.shared.now();
        let committed = self.shared.commit(vec![doc.put(None)]).await;
        doc.revision = match committed {
            Ok(committed) => committed.revisions.first().copied().unwrap_or_default(),
            // A newer wish has a job of its own.
            Err(StoreError::Stale { .. }) => return Err(Trouble::Lost),
            Err(cause) => return Err(cause.into()),
        };
        let kitchen =
            Kitchen::open(self.shared, &self.source, NO_JOB, &base.body, &source.body).await;
        let kitchen = match kitchen {
            Ok(kitchen) => kitchen,
            Err(Trouble::Failed(cause)) => return self.later(doc, cause).await,
            Err(trouble) => return Err(trouble),
        };
        match self.bring_in(&kitchen).await {
            Ok(mark) => self.indexed(&kitchen, doc, mark).await,
            Err(Failure::Lost) => Err(Trouble::Lost),
            Err(Failure::Store(cause)) => Err(cause.into()),
            Err(Failure::Document(DocumentError::Unfit(cause))) => {
                let cleared = kitchen.clear(&[kitchen.key(&self.location)]).await;
                match cleared {
                    Ok(()) => self.fail(doc, cause).await,
                    Err(_) => self.later(doc, cause).await,
                }
            }
            Err(Failure::Document(cause)) => self.later(doc, cause.text().to_owned()).await,
        }
    }

    async fn bring_in(&self, kitchen: &Kitchen) -> Result<Mark, Failure> {
        let key = self.source.upload_key(&self.location);
        let upload = self.shared.load::<UploadDoc>(key).await;
        let upload = upload.map_err(|trouble| match trouble {
            Trouble::Store(cause) => Failure::Store(cause),
            _ => Failure::Document(DocumentError::Unfit(
                "what was sent of the document cannot be read".to_owned(),
            )),
        })?;
        let file = self.file(upload.map(|stored| stored.body)).await?;
        let _share = self.shared.budget.share(file.content.len() as u64).await;
        let pieces = kitchen.cut(&self.location, file).await?;
        let mut served = kitchen.embed(vec![pieces]).await;
        let Some(served) = served.pop() else {
            return Err(Failure::Lost);
        };
        let served = served?;
        // Nobody else may have been given the document meanwhile, on this server or another.
        if !self
            .shared
            .holds(self.claim)
            .await
            .map_err(Failure::Store)?
        {
            return Err(Failure::Lost);
        }
        Ok(kitchen.put(served).await?)
    }

    /// The document as it was sent.
    async fn file(&self, upload: Option<UploadDoc>) -> Result<File, Failure> {
        let documents = &*self.shared.ports.documents;
        let Some(upload) = upload else {
            return self.beside(documents).await;
        };
        let about = match upload.metadata {
            None => About::default(),
            Some(UploadedMetadata::S3 { uri }) => content::about(documents, &uri).await?,
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
                let name = self.location.as_str().rsplit('/').next();
                (name.unwrap_or_default().to_owned(), Some(mime_type), data.0)
            }
            UploadedContent::S3 { uri } => {
                let bytes = content::object(documents, &uri, None).await?;
                (name_of(&uri), None, bytes)
            }
        };
        Ok(content::file(name, mime_type, bytes, about).await?)
    }

    /// An object of a bucket that nobody sent: it is looked at anew, with its metadata file.
    async fn beside(
        &self,
        documents: &dyn outcrop_engine::port::DocumentSource,
    ) -> Result<File, Failure> {
        let DocumentLocation::S3 { uri } = &self.location else {
            return Err(Failure::Document(DocumentError::Unfit(
                "what was sent of the document is not there any more".to_owned(),
            )));
        };
        let about = match content::about(documents, &format!("{uri}{FILE_SUFFIX}")).await {
            Err(Unread::Gone(_)) => About::default(),
            about => about?,
        };
        let bytes = content::object(documents, uri, None).await?;
        Ok(content::file(name_of(uri), None, bytes, about).await?)
    }

    async fn indexed(
        &self,
        kitchen: &Kitchen,
        mut doc: Stored<DocumentDoc>,
        mark: Mark,
    ) -> Result<(), Trouble> {
        doc.body.status = DocumentStatus::Indexed;
        doc.body.reason = None;
        doc.body.updated_at = self.shared.now();
        doc.body.indexed = Some(mark);
        doc.body.before = None;
        doc.body.again = false;
        doc.body.failed_in = None;
        let writes = vec![doc.put(None), self.drop_upload(), finish(self.claim)];
        match self.commit(writes).await {
            Err(Trouble::Lost) => {
                let found = self.shared.load::<DocumentDoc>(doc.key).await?;
                if found.is_none() {
                    let key = kitchen.key(&self.location);
                    let cleared = kitchen.clear(&[key]).await;
                    cleared.map_err(|cause| Trouble::Failed(cause.text().to_owned()))?;
                    return self.clean_up().await;
                }
                Err(Trouble::Lost)
            }
            done => done,
        }
    }

    /// Has it tried again after a while, unless it has been tried often enough. Whoever asks for the
    /// document meanwhile is told why it is not there yet.
    async fn later(&self, mut doc: Stored<DocumentDoc>, cause: String) -> Result<(), Trouble> {
        let failures = self.failures.saturating_add(1);
        if failures >= ATTEMPTS_MAX {
            return self.fail(doc, cause).await;
        }
        let wait = BACKOFF.saturating_mul(4_u32.saturating_pow(failures - 1));
        let now = self.shared.now();
        warn!(cause, failures, "a document is tried again");
        doc.body.reason = Some(cause);
        if doc.body.status == DocumentStatus::InProgress {
            doc.body.status = DocumentStatus::Pending;
        }
        doc.body.updated_at = now;
        let task = Task::Document {
            source: self.source.clone(),
            location: self.location.clone(),
            failures,
        };
        let due_at = now.saturating_add(wait).as_millis();
        self.commit(vec![doc.put(None), task.enqueue(due_at)]).await
    }

    async fn fail(&self, mut doc: Stored<DocumentDoc>, cause: String) -> Result<(), Trouble> {
        doc.body.status = DocumentStatus::Failed;
        doc.body.reason = Some(cause);
        doc.body.updated_at = self.shared.now();
        self.commit(vec![doc.put(None), self.drop_upload(), finish(self.claim)])
            .await
    }

    /// The document is not known (any more): nothing of it may be in the index.
    async fn clean_up(&self) -> Result<(), Trouble> {
        let index = &self.shared.ports.knowledge.index;
        let found = self.shared.load(self.source.base_key()).await?;
        let known: Option<Stored<outcrop_model::control::KnowledgeBase>> = found;
        if let Some(base) = known {
            let base = Base::of(&self.source.account_id, &self.source.region, &base.body)?;
            let documents = [outcrop_engine::port::DocumentKey {
                data_source_id: self.source.data_source_id.clone(),
                location: self.location.clone(),
            }];
            let removed = self
                .shared
                .patiently(|| index.remove(&base.place, &documents))
                .await;
            removed.map_err(|cause| Trouble::Failed(cause.to_string()))?;
        }
        self.shared
            .settle(self.claim, vec![self.drop_upload(), finish(self.claim)])
            .await;
        Ok(())
    }

    async fn base(&self) -> Result<Base, Trouble> {
        let found = self.shared.load(self.source.base_key()).await?;
        let base: Stored<outcrop_model::control::KnowledgeBase> = found.ok_or(Trouble::Stopped)?;
        Ok(Base::of(
            &self.source.account_id,
            &self.source.region,
            &base.body,
        )?)
    }

    fn drop_upload(&self) -> Write {
        Write::Delete {
            key: self.source.upload_key(&self.location),
            expect: Expect::Any,
        }
    }

    /// Writes; the first write is the document's.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), Trouble> {
        match self.shared.commit(writes).await {
            Ok(_) => Ok(()),
            Err(StoreError::Stale { .. }) => Err(Trouble::Lost),
            Err(cause) => Err(cause.into()),
        }
    }
}

/// Why a document is not in the index.
enum Failure {
    Document(DocumentError),
    Store(StoreError),
    Lost,
}

impl From<DocumentError> for Failure {
    fn from(cause: DocumentError) -> Self {
        Self::Document(cause)
    }
}

impl From<Unread> for Failure {
    fn from(cause: Unread) -> Self {
        Self::Document(match cause {
            Unread::Gone(text) => DocumentError::Unfit(text),
            Unread::Failed(cause) => cause,
        })
    }
}

fn name_of(uri: &str) -> String {
    uri.rsplit('/').next().unwrap_or_default().to_owned()
}
