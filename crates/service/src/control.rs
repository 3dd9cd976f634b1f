//! The control plane: agents, knowledge bases and what belongs to them, one file per resource.
//!
//! Transitions are instantaneous: the store holds the state that a transition ends in, and only the
//! answer to the call that made it shows the passing one (CREATING, PREPARING, …), so that clients
//! which wait for the end find it at their first look. Ids only: names are a convenience of the
//! runtime. Everything AWS takes is kept and shown; what no turn can run yet is refused when it is
//! invoked.
//!
//! Invariant: a write to anything below an agent carries the agent's own document at the revision
//! that was read. Writers of one agent are therefore serialised, what `PrepareAgent` freezes is a
//! state the draft really had, and nothing is made below an agent that is being deleted.

mod action_group_rules;
mod action_groups;
mod agent_knowledge_bases;
mod agent_rules;
mod agents;
mod aliases;
mod choices;
mod collaborators;
mod data_sources;
mod definition;
mod fixed_ids;
pub(crate) mod guardrails;
mod ingestion_jobs;
mod inline;
mod knowledge_base_documents;
mod knowledge_bases;
mod paging;
mod prepare;
mod prompt_library;
mod prompts;
mod quotas;
mod tags;
mod tokens;
mod typed_arguments;
mod versions;
mod writers;

use std::sync::Arc;

use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_store::{Batch, Committed, Key, Order, PAGE_MAX, Page, Scan, StoreError, Write};
use serde::de::DeserializeOwned;

use crate::records::{self, AgentDoc, Scope, Stored, VersionDoc, kind};
use crate::{Service, error, scope};
pub(crate) use definition::{check_size, compile};
pub(crate) use inline::{Given, INLINE_AGENT};
pub(crate) use paging::List;
pub use versions::{NUMBER_MAX, Restored};
use writers::attempts;
pub(crate) use writers::{Lines, Refused};

/// The version that can be edited.
const DRAFT: &str = "DRAFT";

/// The alias every agent has, which serves its prepared draft.
pub(crate) const TEST_ALIAS: &str = "TSTALIASID";

/// Its name, the same for every agent, so that no document need say which alias has it.
pub(crate) const TEST_ALIAS_NAME: &str = "AgentTestAlias";

/// What belongs to one version of an agent, DRAFT or numbered.
const OF_VERSION: [&str; 3] = [
    kind::ACTION_GROUP,
    kind::COLLABORATOR,
    kind::AGENT_KNOWLEDGE_BASE,
];

/// Most pages read of one parent's children: version numbers have at most five digits.
const CHILD_PAGES_MAX: u32 = 100;

/// Tells a name that is taken from the other reasons a batch can fail for (behaviour.md 7.1).
fn name_conflict(cause: StoreError, verb: &str, name: &str) -> Refused {
    if let StoreError::NameTaken { holder, .. } = &cause {
        let message = format!(
            "Could not perform {verb} operation, since the {name} (id: {holder}) with the same name {name} already exists"
        );
        return Exception::conflict(message).with_source(cause).into();
    }
    cause.into()
}

/// The parent of what belongs to one version of an agent.
fn version_parent(agent_id: &str, version: &str) -> String {
    format!("{agent_id}:{version}")
}

/// Writes the agent as it is (or as the caller changed it) if nobody else has written it meanwhile.
fn guard(agent: &Stored<AgentDoc>) -> Write {
    agent.put(Some(&agent.body.agent.agent_name))
}

/// What AWS says of most things that are not there.
fn gone() -> Exception {
    Exception::not_found(GONE)
}

const GONE: &str = "Failed to retrieve resource because it doesn't exist. Retry the request with a different resource identifier.";

impl Service {
    /// The agent, or the 404 of operations on agents, aliases and versions.
    async fn agent(&self, cx: &CallContext, agent_id: &str) -> Result<Stored<AgentDoc>, Exception> {
        match self.load(agent_key(&scope(cx), agent_id)).await? {
            Some(agent) => Ok(agent),
            None => Err(self.missing(cx, agent_id, GONE.to_owned()).await),
        }
    }

    /// The agent, or the 404 of operations on what belongs to one version of it.
    async fn agent_of_version(
        &self,
        cx: &CallContext,
        agent_id: &str,
        version: &str,
    ) -> Result<Stored<AgentDoc>, Exception> {
        match self.load(agent_key(&scope(cx), agent_id)).await? {
            Some(agent) => Ok(agent),
            None => Err(self
                .missing(cx, agent_id, version_gone(agent_id, version))
                .await),
        }
    }

    /// The 404 of a version that is not there, DRAFT being there as long as its agent.
    async fn check_agent_version(
        &self,
        cx: &CallContext,
        agent_id: &str,
        version: &str,
    ) -> Result<(), Exception> {
        self.agent_of_version(cx, agent_id, version).await?;
        if version == DRAFT {
            return Ok(());
        }
        let key = versions::key(&scope(cx), agent_id, version);
        match self.load::<VersionDoc>(key).await? {
            Some(_) => Ok(()),
            None => Err(Exception::not_found(version_gone(agent_id, version))),
        }
    }

    async fn missing(&self, cx: &CallContext, agent_id: &str, message: String) -> Exception {
        self.elsewhere(cx, region_key(cx, agent_id), "Agent", agent_id, message)
            .await
    }

    /// A 404 that also names the region in which the resource does exist, the most common cause.
    async fn elsewhere(
        &self,
        cx: &CallContext,
        region: Key,
        what: &str,
        id: &str,
        message: String,
    ) -> Exception {
        match self.load::<String>(region).await {
            Ok(Some(region)) if region.body != cx.region => Exception::not_found(format!(
                "{message} ({what} {id} exists in region {}; this request is for region {}.)",
                region.body, cx.region
            )),
            Ok(_) => Exception::not_found(message),
            Err(exception) => exception,
        }
    }

    /// All documents of one kind below a parent.
    pub(crate) async fn children<T: DeserializeOwned>(
        &self,
        scope: &Scope,
        kind: &'static str,
        parent: &str,
    ) -> Result<Vec<Stored<T>>, Exception> {
        let mut found = Vec::new();
        let mut after = None;
        for _ in 0..CHILD_PAGES_MAX {
            let scan = Scan {
                scope: Arc::clone(&scope.0),
                kind,
                parent: parent.into(),
                order: Order::Created,
                now_ms: self.now().as_millis(),
            };
            let page = Page {
                limit: PAGE_MAX,
                after,
            };
            let listing = self.ports.store.list(scan, page).await;
            let listing = listing.map_err(error::store)?;
            for record in listing.records {
                found.push(records::read(record)?);
            }
            if listing.next.is_none() {
                return Ok(found);
            }
            after = listing.next;
        }
        Err(Exception::internal(format!(
            "more than {CHILD_PAGES_MAX} pages of {kind} below {parent}"
        )))
    }

    pub(crate) async fn write(&self, writes: Vec<Write>) -> Result<Committed, StoreError> {
        let now_ms = self.now().as_millis();
        self.ports.store.commit(Batch { now_ms, writes }).await
    }
}

/// The 404 text of operations on what belongs to a version that is not there.
fn version_gone(agent_id: &str, version: &str) -> String {
    format!(
        "Failed to retrieve Agent with ID: {agent_id} and Version: {version} because it doesn't exist. Retry the request with a different resource identifier."
    )
}

fn agent_key(scope: &Scope, agent_id: &str) -> Key {
    scope.key(kind::AGENT, "", agent_id)
}

fn agent_name_key(scope: &Scope, name: &str) -> Key {
    scope.key(kind::AGENT_NAME, "", name)
}

fn region_key(cx: &CallContext, agent_id: &str) -> Key {
    account_key(cx, kind::AGENT_REGION, agent_id)
}

/// The key of what an account has only once in all its regions.
fn account_key(cx: &CallContext, kind: &'static str, id: &str) -> Key {
    Key {
        scope: cx.account_id.as_str().into(),
        kind,
        parent: "".into(),
        id: id.into(),
    }
}

fn tags_key(scope: &Scope, arn: &str) -> Key {
    scope.key(kind::TAGS, "", arn)
}
