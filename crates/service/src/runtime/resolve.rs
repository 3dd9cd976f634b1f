//! Agent and alias, by id or by name, to the plan they serve.

use outcrop_engine::action::Strictness;
use outcrop_engine::orchestration::AgentIdentity;
use outcrop_model::control::{AgentAlias, AliasInvocationState};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::control::{TEST_ALIAS, TEST_ALIAS_NAME};
use crate::records::{Scope, kind};
use crate::{Service, scope};

/// Text of behaviour.md 7.2.
const NOT_FOUND: &str = "Failed to retrieve resource because it doesn't exist. Retry the request with a different resource identifier.";
/// Longest agent and alias id (behaviour.md 0.4).
const ID_CHARS_MAX: usize = 10;
/// The version that TSTALIASID routes to.
const DRAFT: &str = "DRAFT";

/// What an invocation runs on.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Under which names the agent runs.
    pub(crate) identity: AgentIdentity,
    /// Content hash of the definition.
    pub(crate) plan: String,
}

/// The parts of documents that an invocation needs: every turn reads them, and the rest, schemas and
/// prompts among it, is far larger.
#[derive(Deserialize)]
struct AgentPart {
    agent: AgentNames,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentNames {
    agent_id: String,
    agent_name: String,
}

#[derive(Deserialize)]
struct PreparedPart {
    agent: AgentNames,
    plan: String,
}

#[derive(Deserialize)]
struct VersionPart {
    version: AgentNames,
    plan: String,
}

impl Service {
    /// Finds what `agent` and `alias` name; an id wins over a name.
    ///
    /// # Errors
    /// `ResourceNotFound`, or a `ValidationException` where the alias cannot be invoked.
    pub(crate) async fn resolve(
        &self,
        cx: &CallContext,
        agent: &str,
        alias: &str,
    ) -> Result<Target, Exception> {
        let scope = scope(cx);
        let (agent_id, alias) = self.find_alias(cx, agent, alias).await?;
        if alias.alias_invocation_state == Some(AliasInvocationState::RejectInvocations) {
            return Err(Exception::validation(format!(
                "Agent alias {} rejects invocations. Set its aliasInvocationState to ACCEPT_INVOCATIONS and retry the request.",
                alias.agent_alias_id
            )));
        }
        let version = alias
            .routing_configuration
            .first()
            .and_then(|route| route.agent_version.clone());
        let Some(version) = version else {
            return Err(Exception::validation(format!(
                "Agent alias {} routes to no version. Update its routingConfiguration and retry the request.",
                alias.agent_alias_id
            )));
        };
        let (plan, agent_name) = self
            .plan_of(&scope, &agent_id, &version)
            .await?
            .ok_or_else(|| not_prepared(&agent_id, &version))?;
        Ok(Target {
            identity: AgentIdentity {
                agent_id,
                agent_name,
                alias_id: alias.agent_alias_id,
                version,
            },
            plan,
        })
    }

    /// The agent's id and the alias that `agent` and `alias` name; an id wins over a name.
    ///
    /// # Errors
    /// `ResourceNotFound` where one of them is not there.
    pub(crate) async fn find_alias(
        &self,
        cx: &CallContext,
        agent: &str,
        alias: &str,
    ) -> Result<(String, AgentAlias), Exception> {
        if self.settings.strictness == Strictness::Strict {
            check_id("agentId", agent)?;
            check_id("agentAliasId", alias)?;
        }
        let scope = scope(cx);
        let Some(found) = self.named::<AgentPart>(&scope, agent, AGENT).await? else {
            return Err(self.agent_elsewhere(cx, agent).await);
        };
        let agent_id = found.agent.agent_id;
        let by_agent = Names {
            parent: &agent_id,
            ..ALIAS
        };
        let relaxed = self.settings.strictness == Strictness::Relaxed;
        let alias = match alias {
            TEST_ALIAS_NAME if relaxed => TEST_ALIAS,
            _ => alias,
        };
        let Some(alias) = self.named::<AgentAlias>(&scope, alias, by_agent).await? else {
            return Err(Exception::not_found(NOT_FOUND)
                .with_internal(format!("agent {agent_id} has no alias {alias}")));
        };
        Ok((agent_id, alias))
    }

    /// Plan and agent name of a version.
    async fn plan_of(
        &self,
        scope: &Scope,
        agent_id: &str,
        version: &str,
    ) -> Result<Option<(String, String)>, Exception> {
        if version == DRAFT {
            let key = scope.key(kind::PREPARED, "", agent_id);
            let prepared = self.load::<PreparedPart>(key).await?;
            return Ok(prepared.map(|found| (found.body.plan, found.body.agent.agent_name)));
        }
        let key = scope.key(kind::VERSION, agent_id, version);
        let found = self.load::<VersionPart>(key).await?;
        Ok(found.map(|found| (found.body.plan, found.body.version.agent_name)))
    }

    /// A document by its id, else, unless limits are strict, by its name.
    async fn named<T: DeserializeOwned>(
        &self,
        scope: &Scope,
        id_or_name: &str,
        names: Names<'_>,
    ) -> Result<Option<T>, Exception> {
        let by_id = scope.key(names.kind, names.parent, id_or_name);
        if let Some(found) = self.load::<T>(by_id).await? {
            return Ok(Some(found.body));
        }
        if self.settings.strictness == Strictness::Strict {
            return Ok(None);
        }
        let by_name = scope.key(names.name_kind, names.parent, id_or_name);
        let Some(id) = self.load::<String>(by_name).await? else {
            return Ok(None);
        };
        let by_id = scope.key(names.kind, names.parent, &id.body);
        Ok(self.load::<T>(by_id).await?.map(|found| found.body))
    }

    /// The 404 for an agent; it names the region in which the id does exist.
    async fn agent_elsewhere(&self, cx: &CallContext, agent_id: &str) -> Exception {
        let key = Scope(cx.account_id.as_str().into()).key(kind::AGENT_REGION, "", agent_id);
        match self.load::<String>(key).await {
            Ok(Some(region)) if region.body != cx.region => Exception::not_found(format!(
                "{NOT_FOUND} The agent {agent_id} exists in region {}, the request was for {}.",
                region.body, cx.region
            )),
            Ok(_) => Exception::not_found(NOT_FOUND),
            Err(error) => error,
        }
    }
}

#[derive(Clone, Copy)]
struct Names<'a> {
    kind: &'static str,
    name_kind: &'static str,
    parent: &'a str,
}

const AGENT: Names<'static> = Names {
    kind: kind::AGENT,
    name_kind: kind::AGENT_NAME,
    parent: "",
};
const ALIAS: Names<'static> = Names {
    kind: kind::ALIAS,
    name_kind: kind::ALIAS_NAME,
    parent: "",
};

/// The constraint that the overlay of the shapes lifts for names.
fn check_id(member: &str, id: &str) -> Result<(), Exception> {
    if id.chars().count() <= ID_CHARS_MAX {
        return Ok(());
    }
    let constraint = format!("Member must have length less than or equal to {ID_CHARS_MAX}");
    Err(Exception::validation(format!(
        "1 validation error detected: Value '{id}' at '{member}' failed to satisfy constraint: {constraint}"
    )))
}

fn not_prepared(agent_id: &str, version: &str) -> Exception {
    if version == DRAFT {
        Exception::validation(format!(
            "Agent {agent_id} has not been prepared. Call PrepareAgent and retry the request."
        ))
    } else {
        Exception::not_found(NOT_FOUND)
    }
}
