//! Knowledge bases: what they are made of, kept and shown. Nothing is stored in or read from a vector
//! store here.
//! One that has never had a document is deleted at once; any other is DELETING until its chunks are
//! out of the index ([`crate::knowledge::ingest`]).
//!
//! What ties members together is in [`rules`]. Invariant: a write to a data source carries its
//! knowledge base's document at the revision that was read, so nothing is made below one that is
//! being deleted.

mod rules;

use outcrop_model::arn::KnowledgeBaseArn;
use outcrop_model::control::{
    CreateKnowledgeBaseRequest, CreateKnowledgeBaseResponse, DeleteKnowledgeBaseRequest,
    DeleteKnowledgeBaseResponse, GetKnowledgeBaseRequest, GetKnowledgeBaseResponse, KnowledgeBase,
    KnowledgeBaseStatus, KnowledgeBaseSummary, ListKnowledgeBasesRequest,
    ListKnowledgeBasesResponse, UpdateKnowledgeBaseRequest, UpdateKnowledgeBaseResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Order, StoreError, Write};

use super::paging::List;
use super::{Refused, attempts, quotas, tags, tags_key};
use crate::knowledge::ingest::queue::Task;
use crate::knowledge::ingest::stored::indexed_key;
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, scope};

impl Handle<op::CreateKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateKnowledgeBaseRequest,
    ) -> Result<CreateKnowledgeBaseResponse, Exception> {
        rules::check(
            &input.knowledge_base_configuration,
            input.storage_configuration.as_ref(),
            self.settings.strictness,
        )?;
        tags::check(input.tags.as_ref(), self.settings.strictness)?;
        let knowledge_base = attempts(|| self.create_knowledge_base(cx, &input)).await?;
        Ok(CreateKnowledgeBaseResponse { knowledge_base })
    }
}

impl Handle<op::GetKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetKnowledgeBaseRequest,
    ) -> Result<GetKnowledgeBaseResponse, Exception> {
        let found = self.knowledge_base(cx, &input.knowledge_base_id).await?;
        Ok(GetKnowledgeBaseResponse {
            knowledge_base: found.body,
        })
    }
}

impl Handle<op::UpdateKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateKnowledgeBaseRequest,
    ) -> Result<UpdateKnowledgeBaseResponse, Exception> {
        let knowledge_base = self
            .in_turn(&scope(cx), &input.knowledge_base_id, || {
                self.update_knowledge_base(cx, &input)
            })
            .await?;
        Ok(UpdateKnowledgeBaseResponse { knowledge_base })
    }
}

impl Handle<op::DeleteKnowledgeBase> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteKnowledgeBaseRequest,
    ) -> Result<DeleteKnowledgeBaseResponse, Exception> {
        let id = input.knowledge_base_id.as_str();
        self.in_turn(&scope(cx), id, || self.delete_knowledge_base(cx, id))
            .await?;
        self.ingestion.wake();
        Ok(DeleteKnowledgeBaseResponse {
            knowledge_base_id: input.knowledge_base_id,
            status: KnowledgeBaseStatus::Deleting,
        })
    }
}

impl Handle<op::ListKnowledgeBases> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListKnowledgeBasesRequest,
    ) -> Result<ListKnowledgeBasesResponse, Exception> {
        let list = List {
            operation: op::ListKnowledgeBases::SPEC.name,
            scope: &scope(cx),
            kind: kind::KNOWLEDGE_BASE,
            parent: "",
            order: Order::Created,
        };
        let page = list.page(input.max_results, input.next_token.as_deref())?;
        let (found, next_token) = self.list(&list, page).await?;
        Ok(ListKnowledgeBasesResponse {
            knowledge_base_summaries: found.into_iter().map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    /// The knowledge base, or the 404 that names it (behaviour.md 7.3).
    pub(super) async fn knowledge_base(
        &self,
        cx: &CallContext,
        id: &str,
    ) -> Result<Stored<KnowledgeBase>, Exception> {
        if let Some(found) = self.load(key(&scope(cx), id)).await? {
            return Ok(found);
        }
        let message = format!("KnowledgeBase with id {id} is not found.");
        Err(self
            .elsewhere(cx, region_key(cx, id), "KnowledgeBase", id, message)
            .await)
    }

    async fn create_knowledge_base(
        &self,
        cx: &CallContext,
        input: &CreateKnowledgeBaseRequest,
    ) -> Result<KnowledgeBase, Refused> {
        let scope = scope(cx);
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::CreateKnowledgeBase>(cx, client_token, input)
            .await?;
        if let Some(made) = &token.made
            && let Some(found) = self.load::<KnowledgeBase>(key(&scope, made)).await?
        {
            return Ok(found.body);
        }
        self.check_room(cx, quotas::KNOWLEDGE_BASES, kind::KNOWLEDGE_BASE, "")
            .await?;
        let now = self.now();
        let id = self
            .new_id("knowledge base", input.tags.as_ref(), |id| {
                region_key(cx, id)
            })
            .await?;
        let made = new_knowledge_base(cx, &id, input, now);
        let mut writes: Vec<Write> = token.remember(&id, now).into_iter().collect();
        writes.push(put(
            key(&scope, &id),
            &made,
            Expect::Absent,
            Some(&made.name),
        ));
        writes.push(put(region_key(cx, &id), &cx.region, Expect::Absent, None));
        writes.push(tags::put(
            &scope,
            &made.knowledge_base_arn,
            input.tags.clone(),
        ));
        self.write(writes)
            .await
            .map_err(|cause| name_taken(cause, &input.name))?;
        Ok(KnowledgeBase {
            status: KnowledgeBaseStatus::Creating,
            ..made
        })
    }

    async fn update_knowledge_base(
        &self,
        cx: &CallContext,
        input: &UpdateKnowledgeBaseRequest,
    ) -> Result<KnowledgeBase, Refused> {
        let mut stored = self.knowledge_base(cx, &input.knowledge_base_id).await?;
        check_stays(&stored.body)?;
        rules::check_update(&stored.body, input)?;
        let body = &mut stored.body;
        body.name.clone_from(&input.name);
        body.description.clone_from(&input.description);
        body.role_arn.clone_from(&input.role_arn);
        if let Some(fields) = &input.metadata_configurations {
            body.metadata_configurations = Some(fields.clone()).filter(|fields| !fields.is_empty());
        }
        body.updated_at = self.now();
        self.write(vec![guard(&stored)])
            .await
            .map_err(|cause| name_taken(cause, &input.name))?;
        Ok(KnowledgeBase {
            status: KnowledgeBaseStatus::Updating,
            ..stored.body
        })
    }

    /// Whether the index may hold something of a knowledge base.
    pub(super) async fn may_be_indexed(&self, scope: &Scope, id: &str) -> Result<bool, Exception> {
        let found = self.load::<()>(indexed_key(scope, id)).await?;
        Ok(found.is_some())
    }

    /// Data sources go with their knowledge base: what the service model says of
    /// `dataDeletionPolicy` speaks of the deletion of either.
    async fn delete_knowledge_base(&self, cx: &CallContext, id: &str) -> Result<(), Refused> {
        let scope = scope(cx);
        let mut stored = self.knowledge_base(cx, id).await?;
        if let Some(agent) = self.agent_with_knowledge_base(&scope, id).await? {
            return Err(Exception::conflict(format!(
                "Could not perform Delete operation, since the knowledge base {} (id: {id}) is in use by the agent with id {agent}",
                stored.body.name
            ))
            .into());
        }
        if self.may_be_indexed(&scope, id).await? {
            let now = self.now();
            stored.body.status = KnowledgeBaseStatus::Deleting;
            stored.body.failure_reasons = None;
            stored.body.updated_at = now;
            let task = Task::DeleteBase {
                account_id: cx.account_id.clone(),
                region: cx.region.clone(),
                knowledge_base_id: id.to_owned(),
                failures: 0,
            };
            self.write(vec![guard(&stored), task.enqueue(now.as_millis())])
                .await?;
            return Ok(());
        }
        let delete = |key| Write::Delete {
            key,
            expect: Expect::Any,
        };
        self.write(vec![
            Write::Delete {
                key: stored.key,
                expect: Expect::Revision(stored.revision),
            },
            Write::DeleteChildren {
                scope: scope.0.clone(),
                kind: kind::DATA_SOURCE,
                parent: id.into(),
            },
            delete(tags_key(&scope, &stored.body.knowledge_base_arn)),
            delete(region_key(cx, id)),
        ])
        .await?;
        Ok(())
    }
}

/// Refuses to change what is being deleted.
pub(super) fn check_stays(body: &KnowledgeBase) -> Result<(), Exception> {
    if body.status == KnowledgeBaseStatus::Deleting {
        return Err(Exception::conflict(format!(
            "KnowledgeBase with id {} is being deleted.",
            body.knowledge_base_id
        )));
    }
    Ok(())
}

/// Writes the knowledge base as it is (or as the caller changed it) if nobody else has written it
/// meanwhile.
pub(super) fn guard(stored: &Stored<KnowledgeBase>) -> Write {
    stored.put(Some(&stored.body.name))
}

fn name_taken(cause: StoreError, name: &str) -> Refused {
    if let StoreError::NameTaken { .. } = &cause {
        let message = format!("KnowledgeBase with name {name} already exists.");
        return Exception::conflict(message).with_source(cause).into();
    }
    cause.into()
}

fn new_knowledge_base(
    cx: &CallContext,
    id: &str,
    input: &CreateKnowledgeBaseRequest,
    now: Timestamp,
) -> KnowledgeBase {
    let input = input.clone();
    KnowledgeBase {
        created_at: now,
        description: input.description,
        failure_reasons: None,
        knowledge_base_arn: KnowledgeBaseArn::new(&cx.region, &cx.account_id, id).to_string(),
        knowledge_base_configuration: input.knowledge_base_configuration,
        knowledge_base_id: id.to_owned(),
        metadata_configurations: None,
        name: input.name,
        role_arn: input.role_arn,
        status: KnowledgeBaseStatus::Active,
        storage_configuration: input.storage_configuration,
        updated_at: now,
    }
}

fn key(scope: &Scope, id: &str) -> Key {
    scope.key(kind::KNOWLEDGE_BASE, "", id)
}

fn region_key(cx: &CallContext, id: &str) -> Key {
    super::account_key(cx, kind::KNOWLEDGE_BASE_REGION, id)
}

fn summary(found: KnowledgeBase) -> KnowledgeBaseSummary {
    KnowledgeBaseSummary {
        description: found.description,
        knowledge_base_id: found.knowledge_base_id,
        name: found.name,
        status: found.status,
        updated_at: found.updated_at,
    }
}
