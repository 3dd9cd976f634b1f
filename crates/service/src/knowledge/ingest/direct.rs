//! What a client wants done with one document: indexed as it was sent, or taken out.
//!
//! What is to be done stands in the document, so a job that is late does what is asked for by then,
//! and one that is needless does nothing.
//!
//! Invariant: whoever has been to the index and finds that the document is another's by now has it seen
//! to once more. So the last to write to the index is one whose commit the Store has taken, in whatever
//! order several servers come to it.

mod sent;

use std::sync::Arc;
use std::time::Duration;

use outcrop_engine::port::{DocumentKey, IndexError};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::control::{DocumentStatus, KnowledgeBase};
use outcrop_store::{Expect, Job, StoreError, Write};
use tracing::{debug, warn};

use super::kitchen::Kitchen;
use super::queue::Task;
use super::stored::{DocumentDoc, Mark, SourceRef, UploadDoc};
use super::{DocumentError, Shared, Trouble};
use crate::background::finish;
use crate::knowledge::Base;
use crate::records::Stored;

/// Attempts at one document where what it needs is not there.
const ATTEMPTS_MAX: u32 = 5;
/// The wait before the second; each later one is four times as long.
const BACKOFF: Duration = Duration::from_secs(2);
/// How often a job may be claimed: it ends one that brings its process down each time.
const CLAIMS_MAX: u32 = 100;
/// How often a document is asked for once more while others write it.
const WRITES_MAX: u32 = 8;
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
        Err(Trouble::Stopped) => shared.background.settle(claim, vec![finish(claim)]).await,
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
                // The document goes along, so that nothing is dropped that was sent in this moment.
                let writes = vec![doc.put(None), self.drop_upload(), finish(self.claim)];
                self.commit(writes).await
            }
        }
    }

    async fn delete(&self, doc: Stored<DocumentDoc>) -> Result<(), Trouble> {
        let base = self.base().await?.ok_or(Trouble::Stopped)?;
        if let Err(cause) = self.remove(&base).await {
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
        doubt(&mut doc.body);
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
            Ok(mark) => self.indexed(doc, mark).await,
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
        let documents = &*self.shared.ports.documents;
        let sent = upload.map(|stored| stored.body);
        let file = sent::file(documents, &self.location, sent).await?;
        let _share = self.shared.budget.share(file.content.len() as u64).await;
        let pieces = kitchen.cut(&self.location, file).await?;
        let mut served = kitchen.embed(vec![pieces]).await;
        let Some(served) = served.pop() else {
            return Err(Failure::Lost);
        };
        let served = served?;
        // Who is late already leaves the index alone. Who gets late from here on is found out by the
        // next commit.
        if !self
            .shared
            .background
            .holds(self.claim)
            .await
            .map_err(Failure::Store)?
        {
            return Err(Failure::Lost);
        }
        Ok(kitchen.put(served).await?)
    }

    async fn indexed(&self, mut doc: Stored<DocumentDoc>, mark: Mark) -> Result<(), Trouble> {
        doc.body.status = DocumentStatus::Indexed;
        doc.body.reason = None;
        doc.body.updated_at = self.shared.now();
        doc.body.indexed = Some(mark);
        doc.body.before = None;
        doc.body.again = false;
        doc.body.failed_in = None;
        self.end(doc).await
    }

    /// Has it tried again after a while, unless it has been tried often enough. Whoever asks for the
    /// document meanwhile is told why it is not there yet.
    async fn later(&self, mut doc: Stored<DocumentDoc>, cause: String) -> Result<(), Trouble> {
        let failures = self.failures.saturating_add(1);
        if failures >= ATTEMPTS_MAX {
            return self.fail(doc, cause).await;
        }
        let wait = BACKOFF.saturating_mul(4_u32.saturating_pow(failures - 1));
        warn!(cause, failures, "a document is tried again");
        doc.body.reason = Some(cause);
        if doc.body.status == DocumentStatus::InProgress {
            doc.body.status = DocumentStatus::Pending;
        }
        doc.body.updated_at = self.shared.now();
        let again = self.enqueue(failures, wait);
        self.commit(vec![doc.put(None), again]).await
    }

    async fn fail(&self, mut doc: Stored<DocumentDoc>, cause: String) -> Result<(), Trouble> {
        doc.body.status = DocumentStatus::Failed;
        doc.body.reason = Some(cause);
        doc.body.updated_at = self.shared.now();
        self.end(doc).await
    }

    /// Writes how the document is in the end.
    ///
    /// Another server may still be on its way into the index with what was wanted before. The document
    /// is then asked for once more, and what only a client had is kept for that: for as long as it can
    /// take until such a server notices. Then the job comes back and finds that there is nothing to do.
    async fn end(&self, doc: Stored<DocumentDoc>) -> Result<(), Trouble> {
        let is_custom = matches!(self.location, DocumentLocation::Custom { .. });
        let mut writes = vec![doc.put(None)];
        if is_custom && !self.shared.settings.exclusive_store {
            writes.push(self.enqueue(0, self.shared.background.lease()));
        } else {
            writes.extend([self.drop_upload(), finish(self.claim)]);
        }
        self.commit(writes).await
    }

    /// The document is not known (any more): nothing of it may be in the index, unless its data source
    /// went and left there what it had.
    async fn clean_up(&self) -> Result<(), Trouble> {
        let retained = self.shared.load::<()>(self.source.retained_key()).await?;
        if retained.is_none()
            && let Some(base) = self.base().await?
        {
            let removed = self.remove(&base).await;
            removed.map_err(|cause| Trouble::Failed(cause.to_string()))?;
        }
        let still_unknown = Write::Delete {
            key: self.source.document_key(&self.location),
            expect: Expect::Absent,
        };
        self.commit(vec![still_unknown, self.drop_upload(), finish(self.claim)])
            .await
    }

    /// The knowledge base, unless it is gone.
    async fn base(&self) -> Result<Option<Base>, Trouble> {
        let key = self.source.base_key();
        let found = self.shared.load::<KnowledgeBase>(key).await?;
        let (account_id, region) = (&self.source.account_id, &self.source.region);
        let base = found.map(|found| Base::of(account_id, region, &found.body));
        Ok(base.transpose()?)
    }

    /// Takes the document out of the index.
    async fn remove(&self, base: &Base) -> Result<(), IndexError> {
        let documents = [DocumentKey {
            data_source_id: self.source.data_source_id.clone(),
            location: self.location.clone(),
        }];
        let index = &self.shared.ports.knowledge.index;
        self.shared
            .patiently(|| index.remove(&base.place, &documents))
            .await
    }

    fn drop_upload(&self) -> Write {
        Write::Delete {
            key: self.source.upload_key(&self.location),
            expect: Expect::Any,
        }
    }

    /// The write that has the document seen to after a while, in place of this claim.
    fn enqueue(&self, failures: u32, wait: Duration) -> Write {
        let task = Task::Document {
            source: self.source.clone(),
            location: self.location.clone(),
            failures,
        };
        let due_at = self.shared.now().saturating_add(wait);
        task.enqueue(due_at.as_millis())
    }

    /// Writes; the first write is the document's, and is refused where it is another's by now.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), Trouble> {
        match self.shared.commit(writes).await {
            Ok(_) => Ok(()),
            Err(StoreError::Stale { .. }) => {
                self.once_more().await?;
                Err(Trouble::Lost)
            }
            Err(cause) => Err(cause.into()),
        }
    }

    /// Has the document seen to by whoever claims its job next: another has written it since this claim
    /// began, and whether the index holds what is the other's or this claim's, nobody knows.
    async fn once_more(&self) -> Result<(), Trouble> {
        for _ in 0..WRITES_MAX {
            let key = self.source.document_key(&self.location);
            let found = self.shared.load::<DocumentDoc>(key).await?;
            let mut writes = Vec::with_capacity(2);
            if let Some(mut doc) = found {
                match doc.body.status {
                    // Its job comes to the index after this claim.
                    DocumentStatus::Starting | DocumentStatus::Pending => return Ok(()),
                    DocumentStatus::Deleting | DocumentStatus::DeleteInProgress => {}
                    _ => {
                        doc.body.status = DocumentStatus::Pending;
                        doc.body.updated_at = self.shared.now();
                        doubt(&mut doc.body);
                        writes.push(doc.put(None));
                    }
                }
            }
            writes.push(self.enqueue(0, Duration::ZERO));
            match self.shared.commit(writes).await {
                Ok(_) => {
                    self.shared.background.wake();
                    return Ok(());
                }
                Err(StoreError::Stale { .. }) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        Err(Trouble::Failed(format!(
            "it was written by others {WRITES_MAX} times while it was to be seen to once more"
        )))
    }
}

/// From here on the index may hold what was there, what was sent, or nothing.
fn doubt(doc: &mut DocumentDoc) {
    doc.again = true;
    if let Some(held) = doc.indexed.take() {
        doc.before = Some(held);
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
