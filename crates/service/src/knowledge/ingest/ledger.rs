//! What a job has done, written down as it goes.
//!
//! Documents and the job's own document are one batch, so that the statistics are those of the
//! documents, whatever happens. The batch is refused where the job has been asked to stop or is done
//! by somebody else by now. A document that somebody else has written meanwhile is looked at once more.

use std::sync::Arc;
use std::time::Duration;

use outcrop_knowledge::document::DocumentLocation;
use outcrop_model::control::{DocumentStatus, IngestionJobStatus};
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Job, StoreError, Write};

use super::plan::{Window, Work};
use super::queue::Task;
use super::statistics::{self, Counts};
use super::stored::{DocumentDoc, JobDoc, Mark, SourceRef};
use super::{DocumentError, Shared, Trouble};
use crate::background::finish;
use crate::records::{Stored, put};

/// Documents written at once.
const BATCH_MAX: usize = 64;
/// How long a document waits for others to be written with: whoever watches sees it so much later.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// So many documents that fail one after another, for reasons that are not their own, fail the job:
/// whatever they need is not there.
const UNLUCKY_MAX: u32 = 32;

/// See the module.
pub(super) struct Ledger {
    shared: Arc<Shared>,
    claim: Job,
    source: SourceRef,
    job: Stored<JobDoc>,
    writes: Vec<(DocumentLocation, Write)>,
    counts: Counts,
    written_at: Timestamp,
    unlucky: u32,
}

/// A document that is being worked on, as the Store knows.
pub(super) struct Intended {
    pub(super) work: Work,
    revision: u64,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is in the index as it is now.
    Indexed(Mark),
    /// It was there before.
    Same(Mark),
    /// It has gone, from its bucket and from the index.
    Gone,
    /// It is not in the index.
    Unfit(String),
    /// It could not be indexed this time.
    Unlucky {
        /// Why.
        reason: String,
        /// Whether the index still holds what it did.
        index: Touched,
    },
}

/// Whether a document in the index may be another than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    No,
    Perhaps,
}

impl Ledger {
    pub(super) fn new(
        shared: &Arc<Shared>,
        claim: &Job,
        source: &SourceRef,
        job: Stored<JobDoc>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            claim: claim.clone(),
            source: source.clone(),
            job,
            writes: Vec::new(),
            counts: Counts::default(),
            written_at: shared.now(),
            unlucky: 0,
        }
    }

    /// The object up to which everything is done.
    pub(super) fn after(&self) -> Option<&str> {
        self.job.body.after.as_deref()
    }

    /// Shows that the job is at work.
    pub(super) async fn begin(&mut self) -> Result<(), Trouble> {
        self.job.body.job.status = IngestionJobStatus::InProgress;
        self.flush().await
    }

    /// Writes down what is going to be worked on, before the index knows of it.
    pub(super) async fn intend(&mut self, works: Vec<Work>) -> Result<Vec<Intended>, Trouble> {
        let now = self.shared.now();
        for work in &works {
            let doc = DocumentDoc {
                location: work.location.clone(),
                status: DocumentStatus::InProgress,
                reason: None,
                updated_at: now,
                indexed: None,
                before: work.before().cloned(),
                again: work.again(),
                failed_in: None,
            };
            let known = work.known.as_ref();
            let expect = known.map_or(Expect::Absent, |known| Expect::Revision(known.revision));
            let key = self.source.document_key(&work.location);
            self.writes
                .push((work.location.clone(), put(key, &doc, expect, None)));
        }
        self.flush().await?;
        let works = works.into_iter().map(|work| Intended {
            revision: work.known.as_ref().map_or(0, |known| known.revision) + 1,
            work,
        });
        Ok(works.collect())
    }

    /// That a document has been taken out of the index.
    pub(super) fn removed(&mut self, gone: Stored<DocumentDoc>) {
        self.counts.deleted += 1;
        let delete = Write::Delete {
            key: gone.key,
            expect: Expect::Revision(gone.revision),
        };
        self.writes.push((gone.body.location, delete));
    }

    /// What became of a document.
    ///
    /// # Errors
    /// [`Trouble::Failed`] where too many in a row could not be done.
    pub(super) async fn record(
        &mut self,
        intended: Intended,
        outcome: Outcome,
    ) -> Result<(), Trouble> {
        self.enter(intended, outcome)?;
        let waited = self.shared.now().saturating_since(self.written_at);
        if self.writes.len() >= BATCH_MAX || waited >= BATCH_WAIT {
            self.flush().await?;
        }
        Ok(())
    }

    fn enter(&mut self, intended: Intended, outcome: Outcome) -> Result<(), Trouble> {
        let Intended { work, revision } = intended;
        let again = work.again();
        let before = work.before().cloned();
        let key = self.source.document_key(&work.location);
        let expect = Expect::Revision(revision);
        let mut doc = DocumentDoc {
            location: work.location.clone(),
            status: DocumentStatus::Indexed,
            reason: None,
            updated_at: self.shared.now(),
            indexed: None,
            before: None,
            again: false,
            failed_in: None,
        };
        let versions = |mark: Mark| Mark {
            version: work.object.version.clone(),
            metadata_version: work.metadata.clone(),
            ..mark
        };
        let mut unlucky = None;
        match outcome {
            Outcome::Indexed(mark) => {
                self.count(again, before.as_ref(), &mark);
                doc.indexed = Some(versions(mark));
            }
            Outcome::Same(mark) => doc.indexed = Some(versions(mark)),
            Outcome::Gone => {
                if again {
                    self.counts.deleted += 1;
                } else {
                    self.counts.skipped += 1;
                }
                self.writes
                    .push((work.location, Write::Delete { key, expect }));
                return Ok(());
            }
            Outcome::Unfit(reason) => {
                self.fail(&mut doc, reason);
            }
            Outcome::Unlucky { reason, index } => {
                unlucky = Some(reason.clone());
                self.fail(&mut doc, reason);
                doc.again = again || index == Touched::Perhaps;
                doc.indexed = work.held().filter(|_| index == Touched::No).cloned();
                doc.before = before;
            }
        }
        self.writes
            .push((work.location, put(key, &doc, expect, None)));
        let Some(reason) = unlucky else {
            self.unlucky = 0;
            return Ok(());
        };
        self.unlucky += 1;
        if self.unlucky < UNLUCKY_MAX {
            return Ok(());
        }
        Err(Trouble::Failed(format!(
            "{UNLUCKY_MAX} documents in a row could not be ingested, the last one because {reason}"
        )))
    }

    fn count(&mut self, again: bool, old: Option<&Mark>, new: &Mark) {
        if !again {
            self.counts.new += 1;
            return;
        }
        let is_same = |of: fn(&Mark) -> &str| old.is_some_and(|old| of(old) == of(new));
        if old.is_some() && !is_same(|mark| &mark.metadata) {
            self.counts.metadata_modified += 1;
        }
        if !is_same(|mark| &mark.content) || !is_same(|mark| &mark.recipe) {
            self.counts.modified += 1;
        }
    }

    fn fail(&mut self, doc: &mut DocumentDoc, reason: String) {
        self.counts.failed += 1;
        let file = doc.location.as_str();
        self.job.body.report.add(file, &reason);
        doc.status = DocumentStatus::Failed;
        doc.reason = Some(reason);
        doc.failed_in = Some(self.job.body.job.ingestion_job_id.clone());
    }

    /// That all is looked at once more, from the beginning.
    pub(super) fn look_anew(&mut self) {
        let counted = self.job.body.job.statistics.as_mut();
        if let Some(scanned) = counted.map(|counted| &mut counted.number_of_documents_scanned) {
            *scanned = Some(0);
        }
    }

    /// That a page could not be fetched.
    pub(super) fn unfetched(&mut self, url: &str, reason: &str) {
        self.counts.failed += 1;
        self.job.body.report.add(url, reason);
    }

    /// That a window is done.
    pub(super) async fn close(&mut self, window: Window) -> Result<(), Trouble> {
        let counts = window.counts;
        self.counts.scanned += counts.scanned;
        self.counts.metadata_scanned += counts.metadata_scanned;
        if window.upto.is_some() {
            // With what is still to be written, in one batch.
            self.job.body.after = window.upto;
        }
        self.flush().await
    }

    /// Writes all there is to write.
    pub(super) async fn flush(&mut self) -> Result<(), Trouble> {
        let now = self.shared.now();
        let job = &mut self.job.body.job;
        job.updated_at = now;
        let counted = job.statistics.get_or_insert_with(statistics::none);
        std::mem::take(&mut self.counts).add_to(counted);
        self.written_at = now;
        let mut writes = std::mem::take(&mut self.writes);
        loop {
            let batch = std::iter::once(self.job.put(None));
            let batch = batch.chain(writes.iter().map(|(_, write)| write.clone()));
            match self.shared.commit(batch.collect()).await {
                Ok(committed) => {
                    self.job.revision = committed.revisions.first().copied().unwrap_or_default();
                    return Ok(());
                }
                Err(StoreError::Stale { index: 0 }) => return Err(self.overtaken().await?),
                Err(StoreError::Stale { index }) if index <= writes.len() => {
                    let (location, _) = writes.swap_remove(index - 1);
                    self.ask_anew(location).await?;
                }
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    /// Somebody else has written a document since this job looked at it, and what the index holds of
    /// it now may be of either: it is indexed once more.
    async fn ask_anew(&self, location: DocumentLocation) -> Result<(), Trouble> {
        let now = self.shared.now();
        let doc = DocumentDoc {
            location: location.clone(),
            status: DocumentStatus::Pending,
            reason: None,
            updated_at: now,
            indexed: None,
            before: None,
            again: true,
            failed_in: None,
        };
        let key = self.source.document_key(&location);
        let task = Task::Document {
            source: self.source.clone(),
            location,
            failures: 0,
        };
        self.shared
            .commit(vec![
                put(key, &doc, Expect::Any, None),
                task.enqueue(now.as_millis()),
            ])
            .await?;
        self.shared.background.wake();
        Ok(())
    }

    /// Why the job's document is not as this job left it.
    async fn overtaken(&self) -> Result<Trouble, Trouble> {
        let id = &self.job.body.job.ingestion_job_id;
        let found = self.shared.load::<JobDoc>(self.source.job_key(id)).await?;
        Ok(match found {
            Some(found) if found.body.job.status == IngestionJobStatus::Stopping => {
                Trouble::Stopped
            }
            _ => Trouble::Lost,
        })
    }

    /// Ends the job.
    pub(super) async fn end(
        mut self,
        status: IngestionJobStatus,
        failure: Option<&str>,
    ) -> Result<(), Trouble> {
        let now = self.shared.now();
        let body = &mut self.job.body;
        body.job.status = status;
        body.job.updated_at = now;
        if status == IngestionJobStatus::Complete {
            body.job.text_ready_at = Some(now);
        }
        if let Some(failure) = failure {
            body.report.fail(failure);
        }
        let writes = vec![
            self.job.put(None),
            Write::Delete {
                key: self.source.active_key(),
                expect: Expect::Any,
            },
            finish(&self.claim),
        ];
        match self.shared.commit(writes).await {
            Ok(_) => Ok(()),
            Err(StoreError::Stale { .. }) => Err(self.overtaken().await?),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl Outcome {
    /// What a failure amounts to.
    ///
    /// # Errors
    /// [`Trouble::Failed`] where it is not the document's alone.
    pub(super) fn of(error: DocumentError, index: Touched) -> Result<Self, Trouble> {
        match error {
            DocumentError::Unfit(text) => Ok(Self::Unfit(text)),
            DocumentError::Unlucky(reason) => Ok(Self::Unlucky { reason, index }),
            DocumentError::Hopeless(text) => Err(Trouble::Failed(text)),
        }
    }
}
