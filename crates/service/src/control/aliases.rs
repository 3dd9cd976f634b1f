//! Aliases: names for versions, under which clients invoke.
//!
//! Without a routing configuration an alias is given a version of its own, cut from what is prepared
//! (an agent whose draft is not prepared is prepared first). TSTALIASID comes and goes with its agent.

mod routing;

use outcrop_model::arn::AgentAliasArn;
use outcrop_model::control::{
    AgentAlias, AgentAliasRoutingConfigurationListItem, AgentAliasStatus, AgentAliasSummary,
    AliasInvocationState, CreateAgentAliasRequest, CreateAgentAliasResponse,
    DeleteAgentAliasRequest, DeleteAgentAliasResponse, GetAgentAliasRequest, GetAgentAliasResponse,
    ListAgentAliasesRequest, ListAgentAliasesResponse, UpdateAgentAliasRequest,
    UpdateAgentAliasResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Order, Write};

use super::paging::List;
use super::{
    Refused, TEST_ALIAS, collaborators, gone, guard, name_conflict, quotas, tags, tags_key,
};
use crate::records::{Scope, Stored, kind, put};
use crate::{Service, scope};
use routing::{event, in_passing, reroute};
pub(super) use routing::{route, routes_to};

/// Whether a new alias may be invoked.
pub(super) const INVOCATION_STATE_DEFAULT: AliasInvocationState =
    AliasInvocationState::AcceptInvocations;

/// What the service model says of deleting the test alias, said of updating it too.
const TEST_ALIAS_IS_FIXED: &str = r"1 validation error detected: Value 'TSTALIASID' at 'agentAliasId' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!\bTSTALIASID\b)[0-9a-zA-Z]+";

impl Handle<op::CreateAgentAlias> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateAgentAliasRequest,
    ) -> Result<CreateAgentAliasResponse, Exception> {
        tags::check(input.tags.as_ref(), self.settings.strictness)?;
        let attempt = || self.create_alias(cx, &input);
        let agent_alias = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(CreateAgentAliasResponse { agent_alias })
    }
}

impl Handle<op::GetAgentAlias> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAgentAliasRequest,
    ) -> Result<GetAgentAliasResponse, Exception> {
        self.agent(cx, &input.agent_id).await?;
        let alias = self
            .alias(&scope(cx), &input.agent_id, &input.agent_alias_id)
            .await?;
        Ok(GetAgentAliasResponse {
            agent_alias: alias.body,
        })
    }
}

impl Handle<op::UpdateAgentAlias> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateAgentAliasRequest,
    ) -> Result<UpdateAgentAliasResponse, Exception> {
        if input.agent_alias_id == TEST_ALIAS {
            return Err(Exception::validation(TEST_ALIAS_IS_FIXED));
        }
        let attempt = || self.update_alias(cx, &input);
        let agent_alias = self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(UpdateAgentAliasResponse { agent_alias })
    }
}

impl Handle<op::DeleteAgentAlias> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteAgentAliasRequest,
    ) -> Result<DeleteAgentAliasResponse, Exception> {
        let attempt = || self.delete_alias(cx, &input);
        self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(DeleteAgentAliasResponse {
            agent_alias_id: input.agent_alias_id,
            agent_alias_status: AgentAliasStatus::Deleting,
            agent_id: input.agent_id,
        })
    }
}

impl Handle<op::ListAgentAliases> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListAgentAliasesRequest,
    ) -> Result<ListAgentAliasesResponse, Exception> {
        self.agent(cx, &input.agent_id).await?;
        let list = List {
            operation: op::ListAgentAliases::SPEC.name,
            scope: &scope(cx),
            kind: kind::ALIAS,
            parent: &input.agent_id,
            order: Order::Created,
        };
        let page = list.page(input.max_results, input.next_token.as_deref())?;
        let (aliases, next_token) = self.list(&list, page).await?;
        Ok(ListAgentAliasesResponse {
            agent_alias_summaries: aliases.into_iter().map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    async fn alias(
        &self,
        scope: &Scope,
        agent_id: &str,
        alias_id: &str,
    ) -> Result<Stored<AgentAlias>, Exception> {
        let alias = self.load(key(scope, agent_id, alias_id)).await?;
        alias.ok_or_else(gone)
    }

    async fn create_alias(
        &self,
        cx: &CallContext,
        input: &CreateAgentAliasRequest,
    ) -> Result<AgentAlias, Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::CreateAgentAlias>(cx, client_token, input)
            .await?;
        let mut agent = self.agent(cx, agent_id).await?;
        if let Some(made) = &token.made
            && let Some(alias) = self.load::<AgentAlias>(key(&scope, agent_id, made)).await?
        {
            return Ok(alias.body);
        }
        let count = self
            .children::<AgentAlias>(&scope, kind::ALIAS, agent_id)
            .await?
            .len();
        // The test alias, which is always there, makes room for the new one.
        quotas::ALIASES.check(count, self.settings.strictness)?;
        let asked = input.routing_configuration.as_deref();
        let routing = self.route(cx, &mut agent, asked).await?;
        let now = self.now();
        let alias_id = self
            .new_id("alias", input.tags.as_ref(), |id| key(&scope, agent_id, id))
            .await?;
        let alias = new_alias(cx, &alias_id, input, &routing.item, now);
        let mut writes: Vec<Write> = token
            .remember(&alias.agent_alias_id, now)
            .into_iter()
            .collect();
        writes.push(guard(&agent));
        writes.extend(creation(&scope, &alias));
        writes.push(tags::put(
            &scope,
            &alias.agent_alias_arn,
            input.tags.clone(),
        ));
        writes.extend(routing.writes);
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Create", &input.agent_alias_name))?;
        Ok(AgentAlias {
            agent_alias_status: AgentAliasStatus::Creating,
            ..in_passing(alias, routing.cut)
        })
    }

    async fn update_alias(
        &self,
        cx: &CallContext,
        input: &UpdateAgentAliasRequest,
    ) -> Result<AgentAlias, Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let mut agent = self.agent(cx, agent_id).await?;
        let mut alias = self.alias(&scope, agent_id, &input.agent_alias_id).await?;
        let asked = input.routing_configuration.as_deref();
        let routing = self.route(cx, &mut agent, asked).await?;
        let now = self.now();
        let old_name = alias.body.agent_alias_name.clone();
        let body = &mut alias.body;
        body.agent_alias_name.clone_from(&input.agent_alias_name);
        body.agent_alias_status = AgentAliasStatus::Prepared;
        // Pausing is meant to last until it is ended, whatever else is updated meanwhile.
        body.alias_invocation_state = input.alias_invocation_state.or(body.alias_invocation_state);
        body.description.clone_from(&input.description);
        body.updated_at = now;
        reroute(body, routing.item, now);
        let mut writes = vec![guard(&agent), alias.put(Some(&alias.body.agent_alias_name))];
        writes.extend(routing.writes);
        if old_name != alias.body.agent_alias_name {
            writes.push(Write::Delete {
                key: name_key(&scope, agent_id, &old_name),
                expect: Expect::Any,
            });
            writes.push(name_put(&scope, &alias.body));
        }
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Update", &input.agent_alias_name))?;
        Ok(AgentAlias {
            agent_alias_status: AgentAliasStatus::Updating,
            ..in_passing(alias.body, routing.cut)
        })
    }

    async fn delete_alias(
        &self,
        cx: &CallContext,
        input: &DeleteAgentAliasRequest,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let agent = self.agent(cx, agent_id).await?;
        let alias = self.alias(&scope, agent_id, &input.agent_alias_id).await?;
        if let Some(supervisor) = self.supervisor_of(&scope, &alias.body).await? {
            // The service model gives this operation no ConflictException.
            let message = collaborators::in_use(&alias.body, &supervisor);
            return Err(Exception::validation(message).into());
        }
        let delete = |key| Write::Delete {
            key,
            expect: Expect::Any,
        };
        self.write(vec![
            guard(&agent),
            delete(name_key(&scope, agent_id, &alias.body.agent_alias_name)),
            delete(tags_key(&scope, &alias.body.agent_alias_arn)),
            collaborators::forget(&scope, &alias.body),
            Write::Delete {
                key: alias.key,
                expect: Expect::Revision(alias.revision),
            },
        ])
        .await?;
        // Nobody can ask for them any more; what a crash here leaves behind expires.
        let parent = format!("{agent_id}/{}", input.agent_alias_id);
        self.runtime.forget_memories(&scope, &parent).await?;
        Ok(())
    }
}

/// What is written for a new alias besides its tags.
pub(super) fn creation(scope: &Scope, alias: &AgentAlias) -> [Write; 2] {
    [document_put(scope, alias), name_put(scope, alias)]
}

/// The document of a new alias. Without [`name_put`] nobody finds it by its name.
pub(super) fn document_put(scope: &Scope, alias: &AgentAlias) -> Write {
    put(
        key(scope, &alias.agent_id, &alias.agent_alias_id),
        alias,
        Expect::Absent,
        Some(&alias.agent_alias_name),
    )
}

fn new_alias(
    cx: &CallContext,
    alias_id: &str,
    input: &CreateAgentAliasRequest,
    item: &AgentAliasRoutingConfigurationListItem,
    now: Timestamp,
) -> AgentAlias {
    let arn = AgentAliasArn::new(&cx.region, &cx.account_id, &input.agent_id, alias_id);
    AgentAlias {
        agent_alias_arn: arn.to_string(),
        agent_alias_history_events: Some(vec![event(item.clone(), now)]),
        agent_alias_id: alias_id.to_owned(),
        agent_alias_name: input.agent_alias_name.clone(),
        agent_alias_status: AgentAliasStatus::Prepared,
        agent_id: input.agent_id.clone(),
        alias_invocation_state: Some(INVOCATION_STATE_DEFAULT),
        client_token: input.client_token.clone(),
        created_at: now,
        description: input.description.clone(),
        failure_reasons: None,
        routing_configuration: vec![item.clone()],
        updated_at: now,
    }
}

pub(super) fn key(scope: &Scope, agent_id: &str, alias_id: &str) -> Key {
    scope.key(kind::ALIAS, agent_id, alias_id)
}

fn name_key(scope: &Scope, agent_id: &str, name: &str) -> Key {
    scope.key(kind::ALIAS_NAME, agent_id, name)
}

fn name_put(scope: &Scope, alias: &AgentAlias) -> Write {
    let key = name_key(scope, &alias.agent_id, &alias.agent_alias_name);
    put(key, &alias.agent_alias_id, Expect::Any, None)
}

fn summary(alias: AgentAlias) -> AgentAliasSummary {
    AgentAliasSummary {
        agent_alias_id: alias.agent_alias_id,
        agent_alias_name: alias.agent_alias_name,
        agent_alias_status: alias.agent_alias_status,
        alias_invocation_state: alias.alias_invocation_state,
        created_at: alias.created_at,
        description: alias.description,
        routing_configuration: Some(alias.routing_configuration),
        updated_at: alias.updated_at,
    }
}
