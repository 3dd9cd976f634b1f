//! Where aliases lead: to a version that exists, or to one cut for them.

use outcrop_model::control::{
    AgentAlias, AgentAliasHistoryEvent, AgentAliasRoutingConfigurationListItem, AgentStatus,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::Write;

use crate::control::{DRAFT, versions};
use crate::records::{AgentDoc, PreparedDoc, Scope, Stored, kind};
use crate::{Service, scope};

/// Most history events an alias shows; the shape holds no more.
const HISTORY_EVENTS_MAX: usize = 10;

/// Where an alias is to lead.
pub(super) struct Routing {
    pub(super) item: AgentAliasRoutingConfigurationListItem,
    /// The version made for it, if any, with what else must be written.
    pub(super) cut: bool,
    pub(super) writes: Vec<Write>,
}

impl Service {
    /// Finds the version that is asked for, or cuts one.
    pub(super) async fn route(
        &self,
        cx: &CallContext,
        agent: &mut Stored<AgentDoc>,
        asked: Option<&[AgentAliasRoutingConfigurationListItem]>,
    ) -> Result<Routing, Exception> {
        let scope = scope(cx);
        let mut item = asked
            .and_then(|items| items.first())
            .cloned()
            .unwrap_or_default();
        if let Some(number) = item.agent_version.as_deref() {
            self.check_version(&scope, &agent.body.agent.agent_id, number)
                .await?;
            return Ok(Routing {
                item,
                cut: false,
                writes: Vec::new(),
            });
        }
        let (prepared, mut writes) = self.prepared(cx, agent).await?;
        let (number, cut) = self.cut_version(&scope, agent, prepared)?;
        writes.extend(cut);
        item.agent_version = Some(number);
        Ok(Routing {
            item,
            cut: true,
            writes,
        })
    }

    /// What is prepared; where the draft is not, it is prepared now, with the writes that takes.
    async fn prepared(
        &self,
        cx: &CallContext,
        agent: &mut Stored<AgentDoc>,
    ) -> Result<(PreparedDoc, Vec<Write>), Exception> {
        let scope = scope(cx);
        if agent.body.agent.agent_status != AgentStatus::Prepared {
            let frozen = self.freeze(cx, agent).await?;
            let writes = frozen.writes(&scope, agent);
            return Ok((frozen.prepared, writes));
        }
        let key = scope.key(kind::PREPARED, "", &agent.body.agent.agent_id);
        let prepared = self.load::<PreparedDoc>(key).await?;
        let prepared = prepared.ok_or_else(|| {
            Exception::internal("an agent is PREPARED and nothing prepared is stored for it")
        })?;
        Ok((prepared.body, Vec::new()))
    }

    async fn check_version(
        &self,
        scope: &Scope,
        agent_id: &str,
        number: &str,
    ) -> Result<(), Exception> {
        if number == DRAFT {
            let message = "An alias cannot route to the agent version DRAFT. Use the number of a version, or leave routingConfiguration out to create one.";
            return Err(Exception::validation(message)
                .with_field("routingConfiguration.agentVersion", message));
        }
        let key = versions::key(scope, agent_id, number);
        let version = self.load::<serde_json::Value>(key).await?;
        version.map(|_| ()).ok_or_else(|| {
            Exception::not_found(format!(
                "Failed to retrieve parent resource Agent Version {agent_id}/{number} because it doesn't exist. Retry the request with a different resource identifier."
            ))
        })
    }
}

/// Whether requests to the alias go to this version.
pub(in crate::control) fn routes_to(alias: &AgentAlias, number: &str) -> bool {
    alias
        .routing_configuration
        .iter()
        .any(|item| item.agent_version.as_deref() == Some(number))
}

/// The route to a version.
pub(in crate::control) fn route(number: &str) -> AgentAliasRoutingConfigurationListItem {
    AgentAliasRoutingConfigurationListItem {
        agent_version: Some(number.to_owned()),
        provisioned_throughput: None,
    }
}

/// Moves an alias; its history gets an event if it really moves.
pub(super) fn reroute(
    alias: &mut AgentAlias,
    item: AgentAliasRoutingConfigurationListItem,
    now: Timestamp,
) {
    if alias.routing_configuration.first() == Some(&item) {
        return;
    }
    let events = alias.agent_alias_history_events.get_or_insert_default();
    if let Some(current) = events.last_mut() {
        current.end_date = Some(now);
    }
    events.push(event(item.clone(), now));
    let excess = events.len().saturating_sub(HISTORY_EVENTS_MAX);
    events.drain(..excess);
    alias.routing_configuration = vec![item];
}

pub(super) fn event(
    item: AgentAliasRoutingConfigurationListItem,
    now: Timestamp,
) -> AgentAliasHistoryEvent {
    AgentAliasHistoryEvent {
        end_date: None,
        routing_configuration: Some(vec![item]),
        start_date: Some(now),
    }
}

/// As the answer to its creation or update shows it: a version that is only being made has neither
/// number nor history yet (behaviour.md 7.2).
pub(super) fn in_passing(mut alias: AgentAlias, cut: bool) -> AgentAlias {
    if cut {
        for item in &mut alias.routing_configuration {
            item.agent_version = None;
        }
        alias.agent_alias_history_events = None;
    }
    alias
}
