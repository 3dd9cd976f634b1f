//! What is stored of an agent, as data: the definition a request gives, and the writes that make an
//! agent or take it away.

use outcrop_model::arn::{AgentAliasArn, AgentArn};
use outcrop_model::control::{
    Agent, AgentAlias, AgentAliasStatus, AgentCollaboration, AgentKnowledgeBase, AgentStatus,
    CreateAgentRequest, OrchestrationType, UpdateAgentRequest,
};
use outcrop_model::handle::CallContext;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Write};

use crate::control::{
    DRAFT, OF_VERSION, TEST_ALIAS, TEST_ALIAS_NAME, agent_key, agent_knowledge_bases,
    agent_name_key, agent_rules, aliases, collaborators, region_key, tags, tags_key,
    version_parent,
};
use crate::records::{AgentDoc, Scope, Stored, VersionDoc, kind, put};

/// `idleSessionTTLInSeconds` where none is given.
const IDLE_SESSION_TTL_DEFAULT_S: i32 = 600;

/// `UpdateAgent` replaces the whole definition, so it is read as a creation.
pub(super) fn definition(input: UpdateAgentRequest) -> CreateAgentRequest {
    CreateAgentRequest {
        agent_collaboration: input.agent_collaboration,
        agent_name: input.agent_name,
        agent_resource_role_arn: Some(input.agent_resource_role_arn),
        client_token: None,
        custom_orchestration: input.custom_orchestration,
        customer_encryption_key_arn: input.customer_encryption_key_arn,
        description: input.description,
        foundation_model: Some(input.foundation_model),
        guardrail_configuration: input.guardrail_configuration,
        idle_session_ttl_in_seconds: input.idle_session_ttl_in_seconds,
        instruction: input.instruction,
        memory_configuration: input.memory_configuration,
        orchestration_type: input.orchestration_type,
        prompt_override_configuration: input.prompt_override_configuration,
        tags: None,
    }
}

/// The agent a request defines, not prepared.
pub(in crate::control) fn new_agent(
    cx: &CallContext,
    agent_id: &str,
    input: &CreateAgentRequest,
    now: Timestamp,
) -> Agent {
    let input = input.clone();
    Agent {
        agent_arn: AgentArn::new(&cx.region, &cx.account_id, agent_id).to_string(),
        agent_collaboration: Some(
            input
                .agent_collaboration
                .unwrap_or(AgentCollaboration::Disabled),
        ),
        agent_id: agent_id.to_owned(),
        agent_name: input.agent_name,
        // The shape demands it of every agent, though CreateAgent does not.
        agent_resource_role_arn: input.agent_resource_role_arn.unwrap_or_default(),
        agent_status: AgentStatus::NotPrepared,
        agent_version: DRAFT.to_owned(),
        client_token: input.client_token,
        created_at: now,
        custom_orchestration: input.custom_orchestration,
        customer_encryption_key_arn: input.customer_encryption_key_arn,
        description: input.description,
        failure_reasons: None,
        foundation_model: input.foundation_model,
        guardrail_configuration: input.guardrail_configuration,
        idle_session_ttl_in_seconds: input
            .idle_session_ttl_in_seconds
            .unwrap_or(IDLE_SESSION_TTL_DEFAULT_S),
        instruction: input.instruction,
        memory_configuration: input.memory_configuration.map(agent_rules::memory),
        orchestration_type: Some(
            input
                .orchestration_type
                .unwrap_or(OrchestrationType::Default),
        ),
        prepared_at: None,
        prompt_override_configuration: input.prompt_override_configuration,
        recommended_actions: None,
        updated_at: now,
    }
}

/// All that is written with a new agent.
pub(super) fn creation(
    cx: &CallContext,
    scope: &Scope,
    agent: &Agent,
    input: &CreateAgentRequest,
    now: Timestamp,
) -> Vec<Write> {
    let agent_id = agent.agent_id.as_str();
    let alias = test_alias(cx, agent_id, now);
    let document = AgentDoc {
        agent: agent.clone(),
        last_version: 0,
    };
    let name = Some(agent.agent_name.as_str());
    let mut writes = vec![
        put(agent_key(scope, agent_id), &document, Expect::Absent, name),
        put(
            agent_name_key(scope, &agent.agent_name),
            &agent_id,
            Expect::Any,
            None,
        ),
        put(region_key(cx, agent_id), &cx.region, Expect::Absent, None),
        tags::put(scope, &agent.agent_arn, input.tags.clone()),
        tags::put(scope, &alias.agent_alias_arn, None),
    ];
    // Every agent's test alias has the same name, which the runtime knows.
    writes.push(aliases::document_put(scope, &alias));
    writes
}

/// The alias that serves the prepared draft.
fn test_alias(cx: &CallContext, agent_id: &str, now: Timestamp) -> AgentAlias {
    let arn = AgentAliasArn::new(&cx.region, &cx.account_id, agent_id, TEST_ALIAS);
    AgentAlias {
        agent_alias_arn: arn.to_string(),
        agent_alias_history_events: None,
        agent_alias_id: TEST_ALIAS.to_owned(),
        agent_alias_name: TEST_ALIAS_NAME.to_owned(),
        agent_alias_status: AgentAliasStatus::Prepared,
        agent_id: agent_id.to_owned(),
        alias_invocation_state: Some(aliases::INVOCATION_STATE_DEFAULT),
        client_token: None,
        created_at: now,
        description: None,
        failure_reasons: None,
        routing_configuration: vec![aliases::route(DRAFT)],
        updated_at: now,
    }
}

/// What an agent has that goes with it.
pub(super) struct Owned {
    pub(super) aliases: Vec<Stored<AgentAlias>>,
    pub(super) versions: Vec<Stored<VersionDoc>>,
    /// Those the draft names.
    pub(super) knowledge_bases: Vec<AgentKnowledgeBase>,
    /// What takes back the notes it has left with aliases of other agents.
    pub(super) notes: Vec<Write>,
}

/// All that is removed with an agent, the agent first, and last of all the right to its id.
pub(super) fn removal(
    cx: &CallContext,
    scope: &Scope,
    agent: &Stored<AgentDoc>,
    owned: Owned,
) -> Vec<Write> {
    let agent_id = agent.body.agent.agent_id.as_str();
    let delete = |key| Write::Delete {
        key,
        expect: Expect::Any,
    };
    let children = |kind, parent: &str| Write::DeleteChildren {
        scope: scope.0.clone(),
        kind,
        parent: parent.into(),
    };
    let mut writes = vec![
        Write::Delete {
            key: agent.key.clone(),
            expect: Expect::Revision(agent.revision),
        },
        delete(agent_name_key(scope, &agent.body.agent.agent_name)),
        delete(tags_key(scope, &agent.body.agent.agent_arn)),
        delete(scope.key(kind::PREPARED, "", agent_id)),
    ];
    for alias in owned.aliases {
        writes.push(delete(tags_key(scope, &alias.body.agent_alias_arn)));
        writes.push(collaborators::forget(scope, &alias.body));
        // The test alias is the oldest and so goes with the agent, at its revision, for a supervisor
        // may be taking it on at this moment. The others are there only if nobody is to be asked.
        let expect = if &*alias.key.id == TEST_ALIAS {
            Expect::Revision(alias.revision)
        } else {
            Expect::Any
        };
        writes.push(Write::Delete {
            key: alias.key,
            expect,
        });
    }
    for base in owned.knowledge_bases {
        let id = &base.knowledge_base_id;
        writes.push(agent_knowledge_bases::release(scope, id, agent_id));
    }
    writes.extend(owned.notes);
    let numbers = owned.versions.iter().map(|version| &*version.key.id);
    for version in std::iter::once(DRAFT).chain(numbers) {
        let parent = version_parent(agent_id, version);
        writes.extend(OF_VERSION.map(|kind| children(kind, &parent)));
    }
    writes.push(children(kind::ALIAS_NAME, agent_id));
    writes.push(children(kind::VERSION, agent_id));
    writes.push(delete(region_key(cx, agent_id)));
    writes
}
