//! Agents: the DRAFT that is edited, with everything it owns.
//!
//! Preparing is in [`super::prepare`], what is stored of an agent in [`documents`]. Deleting leaves a session that still lives to its own expiry,
//! and frozen definitions to the sessions that name them.

mod documents;

use outcrop_model::control::{
    Agent, AgentAlias, AgentStatus, AgentSummary, CreateAgentRequest, CreateAgentResponse,
    DeleteAgentRequest, DeleteAgentResponse, GetAgentRequest, GetAgentResponse, ListAgentsRequest,
    ListAgentsResponse, UpdateAgentRequest, UpdateAgentResponse, ops as op,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_store::{BATCH_WRITES_MAX, Expect, Order, Write};

use super::paging::List;
use super::{
    DRAFT, Refused, TEST_ALIAS, agent_key, agent_name_key, agent_rules, attempts, collaborators,
    guard, name_conflict, prompts, quotas, region_key, tags,
};
use crate::records::{AgentDoc, Scope, Stored, kind, put};
use crate::{Service, scope};
pub(super) use documents::new_agent;
use documents::{Owned, creation, definition, removal};

impl Handle<op::CreateAgent> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: CreateAgentRequest,
    ) -> Result<CreateAgentResponse, Exception> {
        agent_rules::check(&input)?;
        tags::check(input.tags.as_ref(), self.settings.strictness)?;
        let agent = attempts(|| self.create_agent(cx, &input)).await?;
        Ok(CreateAgentResponse { agent })
    }
}

impl Handle<op::GetAgent> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAgentRequest,
    ) -> Result<GetAgentResponse, Exception> {
        let agent = self.agent(cx, &input.agent_id).await?;
        Ok(GetAgentResponse {
            agent: shown(agent.body.agent),
        })
    }
}

impl Handle<op::UpdateAgent> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: UpdateAgentRequest,
    ) -> Result<UpdateAgentResponse, Exception> {
        let agent_id = input.agent_id.clone();
        let input = definition(input);
        agent_rules::check(&input)?;
        let attempt = || self.update_agent(cx, &agent_id, &input);
        let agent = self.in_turn(&scope(cx), &agent_id, attempt).await?;
        Ok(UpdateAgentResponse { agent })
    }
}

impl Handle<op::DeleteAgent> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteAgentRequest,
    ) -> Result<DeleteAgentResponse, Exception> {
        let attempt = || self.delete_agent(cx, &input);
        self.in_turn(&scope(cx), &input.agent_id, attempt).await?;
        Ok(DeleteAgentResponse {
            agent_id: input.agent_id,
            agent_status: AgentStatus::Deleting,
        })
    }
}

impl Handle<op::ListAgents> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: ListAgentsRequest,
    ) -> Result<ListAgentsResponse, Exception> {
        let list = List {
            operation: op::ListAgents::SPEC.name,
            scope: &scope(cx),
            kind: kind::AGENT,
            parent: "",
            // An edit to what belongs to an agent counts as one to the agent here.
            order: Order::UpdatedDescending,
        };
        let page = list.page(input.max_results, input.next_token.as_deref())?;
        let (agents, next_token) = self.list::<AgentDoc>(&list, page).await?;
        Ok(ListAgentsResponse {
            agent_summaries: agents.into_iter().map(summary).collect(),
            next_token,
        })
    }
}

impl Service {
    async fn create_agent(
        &self,
        cx: &CallContext,
        input: &CreateAgentRequest,
    ) -> Result<Agent, Refused> {
        let scope = scope(cx);
        let client_token = input.client_token.as_deref();
        let token = self
            .token::<op::CreateAgent>(cx, client_token, input)
            .await?;
        if let Some(made) = &token.made
            && let Some(agent) = self.load::<AgentDoc>(agent_key(&scope, made)).await?
        {
            return Ok(as_created(agent.body.agent));
        }
        self.check_room(cx, quotas::AGENTS, kind::AGENT, "").await?;
        let now = self.now();
        let agent_id = self
            .new_id("agent", input.tags.as_ref(), |id| region_key(cx, id))
            .await?;
        let agent = new_agent(cx, &agent_id, input, now);
        let mut writes: Vec<Write> = token.remember(&agent_id, now).into_iter().collect();
        writes.extend(creation(cx, &scope, &agent, input, now));
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Create", &input.agent_name))?;
        Ok(Agent {
            agent_status: AgentStatus::Creating,
            ..as_created(agent)
        })
    }

    async fn update_agent(
        &self,
        cx: &CallContext,
        agent_id: &str,
        input: &CreateAgentRequest,
    ) -> Result<Agent, Refused> {
        let scope = scope(cx);
        let mut stored = self.agent(cx, agent_id).await?;
        let old = &stored.body.agent;
        let mut new = Agent {
            client_token: old.client_token.clone(),
            created_at: old.created_at,
            prepared_at: old.prepared_at,
            ..new_agent(cx, agent_id, input, self.now())
        };
        // An update that changes nothing leaves a prepared agent prepared (behaviour.md 7.1).
        let same = Agent {
            agent_status: old.agent_status,
            updated_at: old.updated_at,
            ..new.clone()
        };
        if same == *old {
            new.agent_status = old.agent_status;
        }
        let mut renamed = Vec::new();
        if old.agent_name != new.agent_name {
            renamed.push(Write::Delete {
                key: agent_name_key(&scope, &old.agent_name),
                expect: Expect::Any,
            });
            let key = agent_name_key(&scope, &new.agent_name);
            renamed.push(put(key, &agent_id, Expect::Any, None));
        }
        stored.body.agent = new;
        let mut writes = vec![guard(&stored)];
        writes.extend(renamed);
        self.write(writes)
            .await
            .map_err(|cause| name_conflict(cause, "Update", &input.agent_name))?;
        Ok(Agent {
            agent_status: AgentStatus::Updating,
            ..shown(stored.body.agent)
        })
    }

    async fn delete_agent(
        &self,
        cx: &CallContext,
        input: &DeleteAgentRequest,
    ) -> Result<(), Refused> {
        let scope = scope(cx);
        let agent_id = input.agent_id.as_str();
        let agent = self.agent(cx, agent_id).await?;
        let aliases = self
            .children::<AgentAlias>(&scope, kind::ALIAS, agent_id)
            .await?;
        if input.skip_resource_in_use_check != Some(true) {
            self.check_not_in_use(&scope, &agent.body.agent, &aliases)
                .await?;
        }
        let alias_ids: Vec<_> = aliases.iter().map(|alias| alias.key.id.clone()).collect();
        let owned = Owned {
            versions: self.children(&scope, kind::VERSION, agent_id).await?,
            knowledge_bases: self.draft_associations(&scope, agent_id).await?,
            notes: self.notes_of(&scope, agent_id).await?,
            aliases,
        };
        let writes = removal(cx, &scope, &agent, owned);
        // The agent itself goes with the first batch. Should the process end before the last one,
        // what stays behind can be reached by nobody, for its id goes last and so is not used again.
        for batch in writes.chunks(BATCH_WRITES_MAX) {
            self.write(batch.to_vec()).await?;
        }
        for alias_id in alias_ids {
            let parent = format!("{agent_id}/{alias_id}");
            self.runtime.forget_memories(&scope, &parent).await?;
        }
        Ok(())
    }
}

impl Service {
    /// Refuses to delete an agent that clients invoke or supervisors need.
    async fn check_not_in_use(
        &self,
        scope: &Scope,
        agent: &Agent,
        aliases: &[Stored<AgentAlias>],
    ) -> Result<(), Exception> {
        let of_its_own = |alias: &&Stored<AgentAlias>| &*alias.key.id != TEST_ALIAS;
        if let Some(alias) = aliases.iter().find(of_its_own) {
            return Err(Exception::conflict(format!(
                "Could not perform Delete operation, since the agent {} (id: {}) is in use by the alias {} (id: {})",
                agent.agent_name, agent.agent_id, alias.body.agent_alias_name, alias.key.id
            )));
        }
        // Only the test alias is left.
        for alias in aliases {
            if let Some(supervisor) = self.supervisor_of(scope, &alias.body).await? {
                return Err(Exception::conflict(collaborators::in_use(
                    &alias.body,
                    &supervisor,
                )));
            }
        }
        Ok(())
    }
}

/// As `CreateAgent` shows it.
fn as_created(agent: Agent) -> Agent {
    Agent {
        prompt_override_configuration: None,
        ..agent
    }
}

/// As `GetAgent` shows it.
fn shown(mut agent: Agent) -> Agent {
    agent.prompt_override_configuration = Some(prompts::shown(&agent));
    agent
}

fn summary(document: AgentDoc) -> AgentSummary {
    let agent = document.agent;
    let latest = match document.last_version {
        0 => DRAFT.to_owned(),
        number => number.to_string(),
    };
    AgentSummary {
        agent_id: agent.agent_id,
        agent_name: agent.agent_name,
        agent_status: agent.agent_status,
        description: agent.description,
        guardrail_configuration: agent.guardrail_configuration,
        latest_agent_version: Some(latest),
        updated_at: agent.updated_at,
    }
}
