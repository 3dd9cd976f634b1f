//! Data sources of knowledge bases: where documents come from and how they are to be cut up, kept and
//! shown. Ingestion is not here.
//!
//! What ties members together is in [`rules`]. One whose knowledge base has never had a document is
//! deleted at once; any other is DELETING until its chunks are out of the index
//! ([`crate::knowledge::ingest`]).

mod rules;

use outcrop_model::control::{
    CreateDataSourceRequest, CreateDataSourceResponse, DataDeletionPolicy, DataSource,
    DataSourceStatus, DataSourceSummary, DeleteDataSourceRequest, DeleteDataSourceResponse,
    GetDataSourceRequest, GetDataSourceResponse, ListDataSourcesRequest, ListDataSourcesResponse,
    UpdateDataSourceRequest, UpdateDataSourceResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Order, StoreError, Write};

use super::paging::List;
use super::{Refused, knowledge_bases, quotas};
use crate::knowledge::ingest::queue::Task;
use crate::knowledge::ingest::stored::SourceRef;
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, scope};

/// `dataDeletionPolicy` where none is given (behaviour.md 9.1).
const DELETION_POLICY_DEFAULT: DataDeletionPolicy = DataDeletionPolicy::Delete;

impl Handle<op::CreateDataSource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateDataSourceRequest,
    ) -> Result<CreateDataSourceResponse, Exception> {
        rules::check_source(&input.data_source_configuration)?;
        if let Some(ingestion) = &input.vector_ingestion_configuration {
            rules::check_ingestion(ingestion)?;
        }
        let data_source = self
            .in_turn(&scope(cx), &input.knowledge_base_id, || {
                self.create_data_source(cx, &input)
            })
            .await?;
        Ok(CreateDataSourceResponse { data_source })
    }
}

impl Handle<op::GetDataSource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetDataSourceRequest,
    ) -> Result<GetDataSourceResponse, Exception> {
        let knowledge_base = input.knowledge_base_id.as_str();
        self.knowledge_base(cx, knowledge_base).await?;
        let found = self
            .data_source(&scope(cx), knowledge_base, &input.data_source_id)
            .await?;
        Ok(GetDataSourceResponse {
            data_source: found.body,
        })
    }
}

impl Handle<op::UpdateDataSource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateDataSourceRequest,
    ) -> Result<UpdateDataSourceResponse, Exception> {
        rules::check_source(&input.data_source_configuration)?;
        if let Some(ingestion) = &input.vector_ingestion_configuration {
            rules::check_ingestion(ingestion)?;
        }
        let data_source = self
            .in_turn(&scope(cx), &input.knowledge_base_id, || {
                self.update_data_source(cx, &input)
            })
            .await?;
        Ok(UpdateDataSourceResponse { data_source })
    }
}

impl Handle<op::DeleteDataSource> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteDataSourceRequest,
    ) -> Result<DeleteDataSourceResponse, Exception> {
        self.in_turn(&scope(cx), &input.knowledge_base_id, || {
            self.delete_data_source(cx, &input)
        })
        .await?;
        self.ingestion.wake();
        Ok(DeleteDataSourceResponse {
            data_source_id: input.data_source_id,
            knowledge_base_id: input.knowledge_base_id,
            status: DataSourceStatus::Deleting,
        })
    }
}

impl Handle<op::ListDataSources> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListDataSourcesRequest,
    ) -> Result<ListDataSourcesResponse, Exception> {
        self.knowledge_base(cx, &input.knowledge_base_id).await?;
        let list = List {
            operation: op::ListDataSources::SPEC.name,
            scope: &scope(cx),
            kind: kind::DATA_SOURCE,
            parent: &input.knowledge_base_id,
            order: Order::Created,
        };
        let page = list.page(input.max_results, input.next_token.as_deref())?;
        let (found, next_token) = self.list(&list, page).await?;
        Ok(ListDataSourcesResponse {
            data_source_summaries: found.into_iter().map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    /// The data source, or the 404 that names it.
    pub(super) async fn data_source(
        &self,
        scope: &Scope,
        knowledge_base: &str,
        id: &str,
    ) -> Result<Stored<DataSource>, Exception> {
        let found = self.load(key(scope, knowledge_base, id)).await?;
        found.ok_or_else(|| {
            Exception::not_found(format!(
                "DataSource with id {id} in KnowledgeBase with id {knowledge_base} is not found."
            ))
        })
    }

    async fn create_data_source(
        &self,
        cx: &CallContext,
        input: &CreateDataSourceRequest,
    ) -> Result<DataSource, Refused> {
        let scope = scope(cx);
        let knowledge_base_id = input.knowledge_base_id.as_str();
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::CreateDataSource>(cx, client_token, input)
            .await?;
        let knowledge_base = self.knowledge_base(cx, knowledge_base_id).await?;
        if let Some(made) = &token.made
            && let Some(found) = self.load(key(&scope, knowledge_base_id, made)).await?
        {
            return Ok(found.body);
        }
        knowledge_bases::check_stays(&knowledge_base.body)?;
        rules::check_fit(
            knowledge_base.body.knowledge_base_configuration.type_,
            input.data_source_configuration.type_,
        )?;
        self.check_room(
            cx,
            quotas::DATA_SOURCES,
            kind::DATA_SOURCE,
            knowledge_base_id,
        )
        .await?;
        let now = self.now();
        let id = self.ports.ids.resource_id();
        let made = new_data_source(&id, input, now);
        let mut writes: Vec<Write> = token.remember(&id, now).into_iter().collect();
        writes.push(knowledge_bases::guard(&knowledge_base));
        writes.push(put(
            key(&scope, knowledge_base_id, &id),
            &made,
            Expect::Absent,
            Some(&made.name),
        ));
        self.write(writes)
            .await
            .map_err(|cause| name_taken(cause, &input.name))?;
        Ok(made)
    }

    async fn update_data_source(
        &self,
        cx: &CallContext,
        input: &UpdateDataSourceRequest,
    ) -> Result<DataSource, Refused> {
        let knowledge_base_id = input.knowledge_base_id.as_str();
        let knowledge_base = self.knowledge_base(cx, knowledge_base_id).await?;
        let mut stored = self
            .data_source(&scope(cx), knowledge_base_id, &input.data_source_id)
            .await?;
        check_stays(&stored.body)?;
        rules::check_update(&stored.body, input)?;
        replace(&mut stored.body, input, self.now());
        let writes = vec![
            knowledge_bases::guard(&knowledge_base),
            stored.put(Some(&stored.body.name)),
        ];
        self.write(writes)
            .await
            .map_err(|cause| name_taken(cause, &input.name))?;
        Ok(stored.body)
    }

    async fn delete_data_source(
        &self,
        cx: &CallContext,
        input: &DeleteDataSourceRequest,
    ) -> Result<(), Refused> {
        let knowledge_base_id = input.knowledge_base_id.as_str();
        let knowledge_base = self.knowledge_base(cx, knowledge_base_id).await?;
        let scope = scope(cx);
        let mut stored = self
            .data_source(&scope, knowledge_base_id, &input.data_source_id)
            .await?;
        let mut writes = vec![knowledge_bases::guard(&knowledge_base)];
        if !self.may_be_indexed(&scope, knowledge_base_id).await? {
            writes.push(Write::Delete {
                key: stored.key,
                expect: Expect::Revision(stored.revision),
            });
            self.write(writes).await?;
            return Ok(());
        }
        let now = self.now();
        stored.body.status = DataSourceStatus::Deleting;
        stored.body.failure_reasons = None;
        stored.body.updated_at = now;
        writes.push(stored.put(Some(&stored.body.name)));
        let task = Task::DeleteSource {
            source: SourceRef {
                account_id: cx.account_id.clone(),
                region: cx.region.clone(),
                knowledge_base_id: knowledge_base_id.to_owned(),
                data_source_id: input.data_source_id.clone(),
            },
            failures: 0,
        };
        writes.push(task.enqueue(now.as_millis()));
        self.write(writes).await?;
        Ok(())
    }
}

/// Refuses to change what is being deleted.
fn check_stays(source: &DataSource) -> Result<(), Exception> {
    if source.status == DataSourceStatus::Deleting {
        return Err(Exception::conflict(format!(
            "DataSource with id {} is being deleted.",
            source.data_source_id
        )));
    }
    Ok(())
}

/// What is left out is cleared, but for the ingestion: it cannot be changed, so leaving it out leaves
/// it as it is.
fn replace(old: &mut DataSource, input: &UpdateDataSourceRequest, now: Timestamp) {
    let input = input.clone();
    old.name = input.name;
    old.description = input.description;
    old.data_source_configuration = input.data_source_configuration;
    old.data_deletion_policy = Some(
        input
            .data_deletion_policy
            .unwrap_or(DELETION_POLICY_DEFAULT),
    );
    old.server_side_encryption_configuration = input.server_side_encryption_configuration;
    if let Some(new) = input.vector_ingestion_configuration {
        let kept = old.vector_ingestion_configuration.get_or_insert_default();
        kept.custom_transformation_configuration = new.custom_transformation_configuration;
        kept.context_enrichment_configuration = new.context_enrichment_configuration;
    }
    old.updated_at = now;
}

fn name_taken(cause: StoreError, name: &str) -> Refused {
    if let StoreError::NameTaken { .. } = &cause {
        let message = format!("DataSource with name {name} already exists.");
        return Exception::conflict(message).with_source(cause).into();
    }
    cause.into()
}

fn new_data_source(id: &str, input: &CreateDataSourceRequest, now: Timestamp) -> DataSource {
    let input = input.clone();
    DataSource {
        created_at: now,
        data_deletion_policy: Some(
            input
                .data_deletion_policy
                .unwrap_or(DELETION_POLICY_DEFAULT),
        ),
        data_source_configuration: input.data_source_configuration,
        data_source_id: id.to_owned(),
        description: input.description,
        failure_reasons: None,
        knowledge_base_id: input.knowledge_base_id,
        name: input.name,
        server_side_encryption_configuration: input.server_side_encryption_configuration,
        status: DataSourceStatus::Available,
        updated_at: now,
        vector_ingestion_configuration: input.vector_ingestion_configuration,
    }
}

fn key(scope: &Scope, knowledge_base: &str, id: &str) -> Key {
    scope.key(kind::DATA_SOURCE, knowledge_base, id)
}

fn summary(found: DataSource) -> DataSourceSummary {
    DataSourceSummary {
        data_source_id: found.data_source_id,
        description: found.description,
        knowledge_base_id: found.knowledge_base_id,
        name: found.name,
        status: found.status,
        updated_at: found.updated_at,
    }
}
