//! Ingestion jobs: asked for, shown, listed and stopped. What a job does is in
//! [`crate::knowledge::ingest`].
//!
//! Invariant: a job is written together with the document that names it as the one at work on its data
//! source, so that there is never a second one.

use std::cmp::Ordering;

use outcrop_model::control::{
    DataSource, DataSourceStatus, DataSourceType, GetIngestionJobRequest, GetIngestionJobResponse,
    IngestionJob, IngestionJobFilter, IngestionJobSortBy, IngestionJobSortByAttribute,
    IngestionJobStatus, IngestionJobSummary, KnowledgeBase, KnowledgeBaseStatus,
    ListIngestionJobsRequest, ListIngestionJobsResponse, SortOrder, StartIngestionJobRequest,
    StartIngestionJobResponse, StopIngestionJobRequest, StopIngestionJobResponse, ops as op,
};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_store::{Cursor, Expect, Order, Page, Scan, Write};

use super::paging::List;
use super::{Refused, knowledge_bases, quotas};
use crate::knowledge::Base;
use crate::knowledge::ingest::kitchen::check_served;
use crate::knowledge::ingest::queue::Task;
use crate::knowledge::ingest::report::Report;
use crate::knowledge::ingest::statistics;
use crate::knowledge::ingest::stored::{JobDoc, SourceRef, hash};
use crate::records::{Stored, kind, put};
use crate::{Service, error, scope};

impl Handle<op::StartIngestionJob> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: StartIngestionJobRequest,
    ) -> Result<StartIngestionJobResponse, Exception> {
        let ingestion_job = self
            .in_turn(&scope(cx), &input.knowledge_base_id, || {
                self.start_ingestion_job(cx, &input)
            })
            .await?;
        self.ingestion.wake();
        Ok(StartIngestionJobResponse { ingestion_job })
    }
}

impl Handle<op::GetIngestionJob> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetIngestionJobRequest,
    ) -> Result<GetIngestionJobResponse, Exception> {
        let source = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?
            .reference;
        let found = self.ingestion_job(&source, &input.ingestion_job_id).await?;
        Ok(GetIngestionJobResponse {
            ingestion_job: found.body.shown(),
        })
    }
}

impl Handle<op::StopIngestionJob> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: StopIngestionJobRequest,
    ) -> Result<StopIngestionJobResponse, Exception> {
        let source = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?
            .reference;
        let ingestion_job =
            super::attempts(|| self.stop_ingestion_job(&source, &input.ingestion_job_id)).await?;
        self.ingestion.wake();
        Ok(StopIngestionJobResponse { ingestion_job })
    }
}

impl Handle<op::ListIngestionJobs> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListIngestionJobsRequest,
    ) -> Result<ListIngestionJobsResponse, Exception> {
        let source = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?
            .reference;
        let scope = scope(cx);
        let parent = source.parent();
        // A token is good for the same question only.
        let asked = crate::records::json(&(&input.filters, &input.sort_by));
        let question = format!("{parent}/{}", hash(asked.as_bytes()));
        let list = List {
            operation: op::ListIngestionJobs::SPEC.name,
            scope: &scope,
            kind: kind::INGESTION_JOB,
            parent: &question,
            order: Order::Created,
        };
        let page = list.page(input.max_results, input.next_token.as_deref())?;
        let found = self
            .children::<JobDoc>(&scope, kind::INGESTION_JOB, &parent)
            .await?;
        let jobs = found.into_iter().map(|stored| stored.body.job);
        let (jobs, next) = arranged(
            jobs.collect(),
            input.filters.as_deref(),
            input.sort_by.as_ref(),
            &page,
        );
        Ok(ListIngestionJobsResponse {
            ingestion_job_summaries: jobs.into_iter().map(summary).collect(),
            next_token: next.map(|cursor| list.token(&cursor)),
        })
    }
}

/// A data source whose documents are to be worked on.
pub(super) struct OpenSource {
    pub(super) reference: SourceRef,
    pub(super) knowledge_base: Stored<KnowledgeBase>,
    pub(super) data_source: Stored<DataSource>,
}

impl OpenSource {
    /// Refuses a knowledge base or data source that is not ready.
    ///
    /// # Errors
    /// `ValidationException`, in AWS's words where they are known.
    pub(super) fn check_ready(&self, what: &str) -> Result<(), Exception> {
        let base = &self.knowledge_base.body;
        if base.status != KnowledgeBaseStatus::Active {
            return Err(Exception::validation(format!(
                "You cannot {what} on a knowledgeBase with status {}.",
                base.status
            )));
        }
        let source = &self.data_source.body;
        if source.status != DataSourceStatus::Available {
            return Err(Exception::validation(format!(
                "You cannot {what} on a dataSource with status {}.",
                source.status
            )));
        }
        check_served(source).map_err(Exception::validation)?;
        let reference = &self.reference;
        Base::of(&reference.account_id, &reference.region, base).map(drop)
    }

    /// What goes along with each write of work to be done: the knowledge base has not changed
    /// meanwhile, and from now on its index may hold something.
    pub(super) fn guards(&self) -> [Write; 2] {
        let marker = put(self.reference.indexed_key(), &(), Expect::Any, None);
        [knowledge_bases::guard(&self.knowledge_base), marker]
    }
}

impl Service {
    /// A data source and its knowledge base, or the 404 of either.
    pub(super) async fn source(
        &self,
        cx: &CallContext,
        knowledge_base_id: &str,
        data_source_id: &str,
    ) -> Result<OpenSource, Exception> {
        let knowledge_base = self.knowledge_base(cx, knowledge_base_id).await?;
        let data_source = self
            .data_source(&scope(cx), knowledge_base_id, data_source_id)
            .await?;
        Ok(OpenSource {
            reference: SourceRef {
                account_id: cx.account_id.clone(),
                region: cx.region.clone(),
                knowledge_base_id: knowledge_base_id.to_owned(),
                data_source_id: data_source_id.to_owned(),
            },
            knowledge_base,
            data_source,
        })
    }

    async fn ingestion_job(
        &self,
        source: &SourceRef,
        job_id: &str,
    ) -> Result<Stored<JobDoc>, Exception> {
        let found = self.load(source.job_key(job_id)).await?;
        found.ok_or_else(|| {
            Exception::not_found(format!(
                "IngestionJob with id {job_id} in DataSource with id {} in KnowledgeBase with id {} is not found.",
                source.data_source_id, source.knowledge_base_id
            ))
        })
    }

    async fn start_ingestion_job(
        &self,
        cx: &CallContext,
        input: &StartIngestionJobRequest,
    ) -> Result<IngestionJob, Refused> {
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::StartIngestionJob>(cx, client_token, input)
            .await?;
        let open = self
            .source(cx, &input.knowledge_base_id, &input.data_source_id)
            .await?;
        let source = &open.reference;
        if let Some(made) = &token.made
            && let Some(found) = self.load::<JobDoc>(source.job_key(made)).await?
        {
            return Ok(found.body.shown());
        }
        open.check_ready("start an ingestion job")?;
        check_type(&open.data_source.body)?;
        self.check_no_other_job(source).await?;
        let now = self.now();
        let id = self.ports.ids.resource_id();
        let job = IngestionJob {
            data_source_id: source.data_source_id.clone(),
            description: input.description.clone(),
            failure_reasons: None,
            ingestion_job_id: id.clone(),
            knowledge_base_id: source.knowledge_base_id.clone(),
            started_at: now,
            statistics: Some(statistics::none()),
            status: IngestionJobStatus::Starting,
            text_ready_at: None,
            updated_at: now,
        };
        let doc = JobDoc {
            job,
            after: None,
            report: Report::default(),
        };
        let mut writes: Vec<Write> = token.remember(&id, now).into_iter().collect();
        writes.extend(open.guards());
        writes.push(put(source.active_key(), &id, Expect::Absent, None));
        writes.push(put(source.job_key(&id), &doc, Expect::Absent, None));
        writes.push(
            Task::Sync {
                source: source.clone(),
                job_id: id,
            }
            .enqueue(now.as_millis()),
        );
        self.write(writes).await?;
        Ok(doc.job)
    }

    /// Refuses a job while another works on the data source; under strict limits also more than AWS
    /// lets work at a time (behaviour.md 9.5).
    async fn check_no_other_job(&self, source: &SourceRef) -> Result<(), Exception> {
        if let Some(active) = self.load::<String>(source.active_key()).await? {
            return Err(Exception::conflict(format!(
                "The ingestion job {} is in progress for the data source {} of the knowledge base {}. Wait for it to finish or stop it, then start another.",
                active.body, source.data_source_id, source.knowledge_base_id
            )));
        }
        let strictness = self.settings.strictness;
        let Ok(limit) = u32::try_from(quotas::INGESTION_JOBS.limit(strictness)) else {
            return Ok(());
        };
        let scan = Scan {
            scope: source.scope().0,
            kind: kind::INGESTION_ACTIVE,
            parent: "".into(),
            order: Order::Id,
            now_ms: self.now().as_millis(),
        };
        let page = Page { limit, after: None };
        let listing = self.ports.store.list(scan, page).await;
        let active = listing.map_err(error::store)?.records;
        let of_base = format!("{}/", source.knowledge_base_id);
        if let Some(other) = active
            .iter()
            .find(|record| record.key.id.starts_with(&of_base))
        {
            return Err(Exception::conflict(format!(
                "Another ingestion job is in progress for the knowledge base {} (data source {}). Wait for it to finish or stop it, then start another.",
                source.knowledge_base_id,
                other.key.id.strip_prefix(&of_base).unwrap_or_default()
            )));
        }
        quotas::INGESTION_JOBS.check(active.len().saturating_add(1), strictness)
    }

    async fn stop_ingestion_job(
        &self,
        source: &SourceRef,
        job_id: &str,
    ) -> Result<IngestionJob, Refused> {
        let mut found = self.ingestion_job(source, job_id).await?;
        let job = &mut found.body.job;
        match job.status {
            IngestionJobStatus::Stopping | IngestionJobStatus::Stopped => {}
            IngestionJobStatus::Starting | IngestionJobStatus::InProgress => {
                job.status = IngestionJobStatus::Stopping;
                job.updated_at = self.now();
                self.write(vec![found.put(None)]).await?;
            }
            status => {
                return Err(Exception::new(
                    ExceptionKind::Conflict,
                    format!(
                        "The ingestion job {job_id} cannot be stopped, for its status is {status}."
                    ),
                )
                .into());
            }
        }
        Ok(found.body.shown())
    }
}

/// Refuses a source that no job reads.
fn check_type(source: &DataSource) -> Result<(), Exception> {
    let type_ = source.data_source_configuration.type_;
    match type_ {
        DataSourceType::S3 | DataSourceType::Web => Ok(()),
        DataSourceType::Custom => Err(Exception::validation(format!(
            "The data source {} is of type CUSTOM. Its documents are ingested with IngestKnowledgeBaseDocuments, not by an ingestion job.",
            source.data_source_id
        ))),
        other => Err(Exception::validation(format!(
            "Ingestion from a data source of type {other} is not supported by Outcrop. S3 and WEB are; documents from elsewhere can be ingested through a data source of type CUSTOM."
        ))),
    }
}

/// One page of the jobs that are asked for, in the order that is asked for: the latest first unless
/// told otherwise.
fn arranged(
    mut jobs: Vec<IngestionJob>,
    filters: Option<&[IngestionJobFilter]>,
    sort_by: Option<&IngestionJobSortBy>,
    page: &Page,
) -> (Vec<IngestionJob>, Option<Cursor>) {
    for filter in filters.unwrap_or_default() {
        jobs.retain(|job| {
            filter
                .values
                .iter()
                .any(|value| value == job.status.as_str())
        });
    }
    let (attribute, order) = sort_by.map_or(
        (
            IngestionJobSortByAttribute::StartedAt,
            SortOrder::Descending,
        ),
        |by| (by.attribute, by.order),
    );
    let place = |job: &IngestionJob| match attribute {
        IngestionJobSortByAttribute::Status => IngestionJobStatus::VALUES
            .iter()
            .position(|status| *status == job.status)
            .and_then(|place| i64::try_from(place).ok())
            .unwrap_or(i64::MAX),
        _ => job.started_at.as_nanos(),
    };
    let compare = |left: (i64, &str), right: (i64, &str)| -> Ordering {
        let ascending = left.cmp(&right);
        if order == SortOrder::Ascending {
            ascending
        } else {
            ascending.reverse()
        }
    };
    jobs.sort_by(|left, right| {
        compare(
            (place(left), &left.ingestion_job_id),
            (place(right), &right.ingestion_job_id),
        )
    });
    if let Some(after) = &page.after {
        jobs.retain(|job| {
            compare((place(job), &job.ingestion_job_id), (after.sort, &after.id))
                == Ordering::Greater
        });
    }
    let more = jobs.len() > page.limit as usize;
    jobs.truncate(page.limit as usize);
    let next = jobs.last().filter(|_| more).map(|job| Cursor {
        sort: place(job),
        id: job.ingestion_job_id.as_str().into(),
    });
    (jobs, next)
}

fn summary(job: IngestionJob) -> IngestionJobSummary {
    IngestionJobSummary {
        data_source_id: job.data_source_id,
        description: job.description,
        ingestion_job_id: job.ingestion_job_id,
        knowledge_base_id: job.knowledge_base_id,
        started_at: job.started_at,
        statistics: job.statistics,
        status: job.status,
        text_ready_at: job.text_ready_at,
        updated_at: job.updated_at,
    }
}
