//! One ingestion job: from a claim to COMPLETE, FAILED or STOPPED (behaviour.md 9.5).
//!
//! A job fails only where no document can be done: the bucket or the model is missing, or so many
//! documents fail one after another that whatever they need must be. Everything else is the failure
//! of a document. Taken up again after a crash, it goes on behind the last window that was done.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use outcrop_model::control::{
    DataSource, DataSourceStatus, DataSourceType, DocumentStatus, IngestionJobStatus,
    KnowledgeBase, KnowledgeBaseStatus,
};
use outcrop_store::Job;
use tokio::sync::{MutexGuard, mpsc};
use tracing::{debug, info, warn};

use super::budget::{DOCUMENTS_AT_ONCE, Share};
use super::content::{self, About, Unread};
use super::kitchen::{Kitchen, Pieces};
use super::ledger::{Intended, Ledger, Outcome, Touched};
use super::plan::{Place, Planner, Window};
use super::stored::{JobDoc, Mark, SourceRef};
use super::{DocumentError, Shared, Trouble, web};
use crate::background::finish;
use crate::records::Stored;
use outcrop_knowledge::metadata::FILE_SUFFIX;

/// How often a job may be claimed. Far beyond what restarts can need: it ends a job that brings its
/// process down each time.
const CLAIMS_MAX: u32 = 100;
/// Most documents whose chunks are embedded in one call, as many as are ready.
const EMBEDDED_TOGETHER: usize = 64;
/// Calls of the embedding model at once, so that it has work while others are put into the index.
const EMBEDDINGS_AT_ONCE: usize = 2;
/// Documents taken out of the index in one call.
const REMOVED_TOGETHER: usize = 100;
/// How often a job looks whether it has been stopped from another process.
const LOOK: Duration = Duration::from_secs(2);

/// Does a job.
pub(super) async fn perform(shared: &Arc<Shared>, claim: &Job, source: SourceRef, job_id: &str) {
    let found = shared.load::<JobDoc>(source.job_key(job_id)).await;
    let job = match found {
        Ok(Some(job)) => job,
        Ok(None) => return shared.background.settle(claim, vec![finish(claim)]).await,
        Err(cause) => return warn!(job_id, ?cause, "an ingestion job cannot be read"),
    };
    let done = match job.body.job.status {
        IngestionJobStatus::Complete | IngestionJobStatus::Failed | IngestionJobStatus::Stopped => {
            return shared.background.settle(claim, vec![finish(claim)]).await;
        }
        IngestionJobStatus::Stopping => Err(Trouble::Stopped),
        _ if claim.attempts > CLAIMS_MAX => {
            Err(Trouble::Failed("the job was begun too often".to_owned()))
        }
        _ => {
            let mut ledger = Ledger::new(shared, claim, &source, job);
            tokio::select! {
                done = run(shared, &mut ledger, &source, job_id) => match done {
                    Ok(()) => ledger.end(IngestionJobStatus::Complete, None).await,
                    Err(trouble) => Err(trouble),
                },
                trouble = shared.until_stopped(&source, job_id) => Err(trouble),
            }
        }
    };
    let Err(trouble) = done else {
        info!(
            job_id,
            data_source_id = source.data_source_id,
            "an ingestion job is complete"
        );
        return;
    };
    end(shared, claim, &source, job_id, trouble).await;
}

/// Ends a job that did not come to its end.
async fn end(
    shared: &Arc<Shared>,
    claim: &Job,
    source: &SourceRef,
    job_id: &str,
    trouble: Trouble,
) {
    let (status, failure) = match trouble {
        Trouble::Stopped => (IngestionJobStatus::Stopped, None),
        Trouble::Failed(cause) => (IngestionJobStatus::Failed, Some(cause)),
        Trouble::Lost => return debug!(job_id, "an ingestion job is done by somebody else"),
        Trouble::Store(cause) => {
            return warn!(job_id, %cause, "an ingestion job waits for the store");
        }
    };
    info!(job_id, %status, cause = failure, "an ingestion job has ended");
    // What was written last counts, and the wish to stop is above it.
    let ended = match shared.load::<JobDoc>(source.job_key(job_id)).await {
        Ok(Some(job)) => {
            let ledger = Ledger::new(shared, claim, source, job);
            ledger.end(status, failure.as_deref()).await
        }
        Ok(None) => return shared.background.settle(claim, vec![finish(claim)]).await,
        Err(trouble) => Err(trouble),
    };
    if let Err(trouble) = ended {
        warn!(
            job_id,
            ?trouble,
            "the end of an ingestion job could not be written"
        );
    }
}

async fn run(
    shared: &Arc<Shared>,
    ledger: &mut Ledger,
    source: &SourceRef,
    job_id: &str,
) -> Result<(), Trouble> {
    let (knowledge_base, data_source) = shared.open_source(source).await?;
    ledger.begin().await?;
    let kitchen = Kitchen::open(
        shared,
        source,
        job_id,
        &knowledge_base.body,
        &data_source.body,
    )
    .await?;
    let configuration = &data_source.body.data_source_configuration;
    if let (DataSourceType::Web, Some(web)) =
        (configuration.type_, &configuration.web_configuration)
    {
        let crawler = shared.ports.knowledge.crawler.as_deref();
        let crawler = crawler
            .ok_or_else(|| Trouble::Failed("this server does not crawl the web".to_owned()))?;
        return web::run(&kitchen, ledger, crawler, Arc::new(web.clone())).await;
    }
    let place = place(&data_source.body)?;
    let after = ledger.after().map(ToOwned::to_owned);
    let mut planner = Planner::new(
        shared,
        source,
        place,
        &kitchen.recipe,
        job_id,
        after.as_deref(),
    );
    loop {
        let mut window = planner.window().await?;
        remove(&kitchen, ledger, &mut window).await?;
        index(&kitchen, ledger, &mut window).await?;
        let is_last = window.is_last;
        ledger.close(window).await?;
        if is_last {
            return Ok(());
        }
    }
}

/// Where the documents of a data source are.
fn place(source: &DataSource) -> Result<Place, Trouble> {
    let configuration = &source.data_source_configuration;
    let Some(s3) = configuration
        .s3_configuration
        .as_ref()
        .filter(|_| configuration.type_ == DataSourceType::S3)
    else {
        return Err(Trouble::Failed(format!(
            "ingestion from a data source of type {} is not supported by Outcrop",
            configuration.type_
        )));
    };
    let bucket = s3.bucket_arn.rsplit(':').next().unwrap_or_default();
    let prefixes = s3.inclusion_prefixes.as_deref().unwrap_or_default();
    Ok(Place {
        bucket: bucket.to_owned(),
        prefix: prefixes.first().cloned().unwrap_or_default(),
    })
}

pub(super) async fn remove(
    kitchen: &Kitchen,
    ledger: &mut Ledger,
    window: &mut Window,
) -> Result<(), Trouble> {
    let mut gone = std::mem::take(&mut window.remove);
    while !gone.is_empty() {
        let rest = gone.split_off(gone.len().min(REMOVED_TOGETHER));
        let keys: Vec<_> = gone
            .iter()
            .map(|stored| kitchen.key(&stored.body.location))
            .collect();
        let cleared = kitchen.clear(&keys).await;
        cleared.map_err(|cause| Trouble::Failed(cause.text().to_owned()))?;
        for stored in gone {
            // A client's own wish to have it deleted is done with this.
            let is_wished = stored.body.status == DocumentStatus::Deleting;
            debug!(document = &*stored.key.id, is_wished, "a document is gone");
            ledger.removed(stored);
        }
        ledger.flush().await?;
        gone = rest;
    }
    Ok(())
}

/// A document on its way into the index.
struct Underway<'a> {
    intended: Intended,
    pieces: Pieces,
    turn: MutexGuard<'a, ()>,
    share: Share,
}

type Ended = (Intended, Result<Outcome, Trouble>);

pub(super) async fn index(
    kitchen: &Kitchen,
    ledger: &mut Ledger,
    window: &mut Window,
) -> Result<(), Trouble> {
    let works = std::mem::take(&mut window.index);
    if works.is_empty() {
        return Ok(());
    }
    let intended = ledger.intend(works).await?;
    let (ready, mut waiting) = mpsc::channel(EMBEDDED_TOGETHER);
    let cut = async move {
        let taken = stream::iter(intended)
            .map(|intended| take_up(kitchen, intended))
            .buffer_unordered(DOCUMENTS_AT_ONCE);
        // Nobody waits any more where the other half has failed, and ends this one.
        taken
            .for_each(|taken| async { drop(ready.send(taken).await) })
            .await;
        Ok(())
    };
    // What has become ready meanwhile goes together.
    let groups = stream::poll_fn(|cx| {
        let mut group = Vec::new();
        let taken = waiting.poll_recv_many(cx, &mut group, EMBEDDED_TOGETHER);
        taken.map(|count| (count > 0).then_some(group))
    });
    let mut ended = groups
        .map(|group| bring_in(kitchen, group))
        .buffer_unordered(EMBEDDINGS_AT_ONCE)
        .flat_map(stream::iter)
        .boxed();
    let brought_in = async {
        while let Some((intended, outcome)) = ended.next().await {
            ledger.record(intended, outcome?).await?;
        }
        Ok(())
    };
    tokio::try_join!(cut, brought_in).map(drop)
}

/// Reads a document and cuts it up, unless it is as it was.
async fn take_up(kitchen: &Kitchen, intended: Intended) -> Result<Underway<'_>, Ended> {
    let shared = &kitchen.shared;
    let work = &intended.work;
    let key = kitchen.source.document_key(&work.location);
    let turn = shared.lines.stand_in(key).await;
    let mut share = shared.budget.share(work.object.size).await;
    let cut = cut(kitchen, &intended).await;
    share.leave_place();
    match cut {
        Ok(Taken::Pieces(pieces)) => Ok(Underway {
            intended,
            pieces,
            turn,
            share,
        }),
        Ok(Taken::Same(mark)) => Err((intended, Ok(Outcome::Same(mark)))),
        Ok(Taken::Gone) => {
            let outcome = match clear(kitchen, &intended).await {
                Ok(()) => Ok(Outcome::Gone),
                Err(cause) => Outcome::of(cause, Touched::Perhaps),
            };
            Err((intended, outcome))
        }
        Err(cause) => Err(failed(kitchen, intended, cause, Touched::No).await),
    }
}

fn name_of(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

enum Taken {
    Pieces(Pieces),
    Same(Mark),
    Gone,
}

async fn cut(kitchen: &Kitchen, intended: &Intended) -> Result<Taken, DocumentError> {
    let work = &intended.work;
    let uri = work.location.as_str();
    let documents = &*kitchen.shared.ports.documents;
    let read = async {
        if let Some(page) = &work.page {
            let name = name_of(uri.split(['?', '#']).next().unwrap_or_default());
            let (mime_type, content) = (page.mime_type.clone(), page.content.clone());
            return content::file(name, mime_type, content, About::default()).await;
        }
        let about = match &work.metadata {
            Some(_) => content::about(documents, &format!("{uri}{FILE_SUFFIX}")).await?,
            None => About::default(),
        };
        let bytes = content::object(documents, uri, Some(work.object.size)).await?;
        content::file(name_of(uri), None, bytes, about).await
    };
    let file = match read.await {
        Ok(file) => file,
        Err(Unread::Gone(cause)) => {
            debug!(uri, cause, "an object has gone since it was listed");
            return Ok(Taken::Gone);
        }
        Err(Unread::Failed(cause)) => return Err(cause),
    };
    let new = kitchen.mark(&file);
    if let Some(old) = work.held()
        && (&old.content, &old.metadata, &old.recipe) == (&new.content, &new.metadata, &new.recipe)
    {
        return Ok(Taken::Same(old.clone()));
    }
    kitchen.cut(&work.location, file).await.map(Taken::Pieces)
}

async fn clear(kitchen: &Kitchen, intended: &Intended) -> Result<(), DocumentError> {
    if !intended.work.again() {
        return Ok(());
    }
    kitchen.clear(&[kitchen.key(&intended.work.location)]).await
}

/// What a failure means for the index: a document that cannot be read as it is now must not be found
/// as it was.
async fn failed(
    kitchen: &Kitchen,
    intended: Intended,
    cause: DocumentError,
    index: Touched,
) -> Ended {
    if let DocumentError::Unfit(_) = &cause
        && let Err(cause) = clear(kitchen, &intended).await
    {
        return (intended, Outcome::of(cause, Touched::Perhaps));
    }
    (intended, Outcome::of(cause, index))
}

/// Embeds what is ready and puts it into the index.
async fn bring_in(kitchen: &Kitchen, group: Vec<Result<Underway<'_>, Ended>>) -> Vec<Ended> {
    let mut ended = Vec::with_capacity(group.len());
    let mut held = Vec::with_capacity(group.len());
    let mut all = Vec::with_capacity(group.len());
    for member in group {
        match member {
            Ok(Underway {
                intended,
                pieces,
                turn,
                share,
            }) => {
                held.push((intended, turn, share));
                all.push(pieces);
            }
            Err(done) => ended.push(done),
        }
    }
    if all.is_empty() {
        return ended;
    }
    let served = kitchen.embed(all).await;
    for ((intended, _turn, _share), served) in held.into_iter().zip(served) {
        ended.push(match served {
            Ok(served) => match kitchen.put(served).await {
                Ok(mark) => (intended, Ok(Outcome::Indexed(mark))),
                Err(cause) => failed(kitchen, intended, cause, Touched::Perhaps).await,
            },
            Err(cause) => failed(kitchen, intended, cause, Touched::No).await,
        });
    }
    ended
}

impl Shared {
    /// A data source and its knowledge base, both ready.
    ///
    /// # Errors
    /// [`Trouble::Stopped`] where either is going or gone.
    pub(super) async fn open_source(
        &self,
        source: &SourceRef,
    ) -> Result<(Stored<KnowledgeBase>, Stored<DataSource>), Trouble> {
        let base = self.load::<KnowledgeBase>(source.base_key()).await?;
        let found = self.load::<DataSource>(source.source_key()).await?;
        let (Some(base), Some(found)) = (base, found) else {
            return Err(Trouble::Stopped);
        };
        if base.body.status != KnowledgeBaseStatus::Active
            || found.body.status != DataSourceStatus::Available
        {
            return Err(Trouble::Stopped);
        }
        Ok((base, found))
    }

    /// Waits until a job is to stop.
    async fn until_stopped(&self, source: &SourceRef, job_id: &str) -> Trouble {
        let mut changed = self.background.changes();
        loop {
            tokio::select! {
                _ = changed.changed() => {}
                () = self.ports.clock.sleep(LOOK) => {}
            }
            match self.load::<JobDoc>(source.job_key(job_id)).await {
                Ok(Some(job)) if job.body.job.status == IngestionJobStatus::Stopping => {
                    return Trouble::Stopped;
                }
                Ok(None) => return Trouble::Lost,
                // Whoever writes will find out about the store.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }
}
