//! Who needs an alias as a collaborator.
//!
//! Each association leaves a note below the alias: this supervisor may need it. Notes are never taken
//! back while both live, so the question is answered by looking at what the supervisors named there
//! hold now: their draft, what they serve prepared, and the versions their aliases route to. That is
//! why a collaborator that was removed is released by preparing its supervisor (behaviour.md 7.3).

use std::collections::BTreeSet;

use outcrop_model::arn::AgentAliasArn;
use outcrop_model::control::{Agent, AgentAlias, AgentCollaborator};
use outcrop_model::exception::Exception;
use outcrop_store::{Expect, Write};

use crate::Service;
use crate::control::{DRAFT, agent_key, version_parent};
use crate::records::{AgentDoc, PreparedDoc, Scope, Stored, kind, put};

/// What is written with an association: the note, and the alias as it was read, so that it cannot be
/// deleted at the same moment.
pub(in crate::control) fn remember(
    scope: &Scope,
    supervisor_id: &str,
    alias: &Stored<AgentAlias>,
) -> [Write; 2] {
    let parent = parent(&alias.body.agent_id, &alias.body.agent_alias_id);
    let note = scope.key(kind::ALIAS_USE, &parent, supervisor_id);
    [
        alias.put(Some(&alias.body.agent_alias_name)),
        put(note, &(), Expect::Any, None),
    ]
}

/// What is removed with an alias.
pub(in crate::control) fn forget(scope: &Scope, alias: &AgentAlias) -> Write {
    Write::DeleteChildren {
        scope: scope.0.clone(),
        kind: kind::ALIAS_USE,
        parent: parent(&alias.agent_id, &alias.agent_alias_id).into(),
    }
}

/// The words for an alias that cannot be deleted.
pub(in crate::control) fn in_use(alias: &AgentAlias, supervisor: &Agent) -> String {
    format!(
        "Could not perform Delete operation, since the agent alias {} (id: {}) is in use as a collaborator by the agent {} (id: {})",
        alias.agent_alias_name, alias.agent_alias_id, supervisor.agent_name, supervisor.agent_id
    )
}

impl Service {
    /// An agent that needs this alias, if there is one.
    pub(in crate::control) async fn supervisor_of(
        &self,
        scope: &Scope,
        alias: &AgentAlias,
    ) -> Result<Option<Agent>, Exception> {
        let parent = parent(&alias.agent_id, &alias.agent_alias_id);
        let notes = self.children::<()>(scope, kind::ALIAS_USE, &parent).await?;
        for note in notes {
            let supervisor = agent_key(scope, &note.key.id);
            let Some(supervisor) = self.load::<AgentDoc>(supervisor).await? else {
                continue;
            };
            if self
                .needs(scope, &note.key.id, &alias.agent_alias_arn)
                .await?
            {
                return Ok(Some(supervisor.body.agent));
            }
        }
        Ok(None)
    }

    async fn needs(
        &self,
        scope: &Scope,
        supervisor_id: &str,
        arn: &str,
    ) -> Result<bool, Exception> {
        let prepared = scope.key(kind::PREPARED, "", supervisor_id);
        let prepared = self.load::<PreparedDoc>(prepared).await?;
        if prepared.is_some_and(|prepared| names(&prepared.body.collaborators, arn)) {
            return Ok(true);
        }
        let aliases = self
            .children::<AgentAlias>(scope, kind::ALIAS, supervisor_id)
            .await?;
        let routed = aliases
            .iter()
            .flat_map(|alias| &alias.body.routing_configuration)
            .filter_map(|route| route.agent_version.as_deref());
        // The test alias routes to DRAFT, so that the draft is always among them.
        let versions: BTreeSet<&str> = routed.chain([DRAFT]).collect();
        for version in versions {
            let parent = version_parent(supervisor_id, version);
            let collaborators = self.children(scope, kind::COLLABORATOR, &parent).await?;
            let collaborators: Vec<_> = collaborators.into_iter().map(|c| c.body).collect();
            if names(&collaborators, arn) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a supervisor that is deleted takes back. Notes of older versions stay behind; they go
    /// with their alias, and name nobody until then.
    pub(in crate::control) async fn notes_of(
        &self,
        scope: &Scope,
        supervisor_id: &str,
    ) -> Result<Vec<Write>, Exception> {
        let prepared = scope.key(kind::PREPARED, "", supervisor_id);
        let prepared = self.load::<PreparedDoc>(prepared).await?;
        let mut collaborators = self.draft_collaborators(scope, supervisor_id).await?;
        collaborators.extend(prepared.into_iter().flat_map(|p| p.body.collaborators));
        let arns = collaborators
            .iter()
            .filter_map(|collaborator| collaborator.agent_descriptor.alias_arn.as_deref())
            .filter_map(|arn| arn.parse::<AgentAliasArn>().ok());
        Ok(arns
            .map(|arn| {
                let parent = parent(&arn.agent_id, &arn.alias_id);
                Write::Delete {
                    key: scope.key(kind::ALIAS_USE, &parent, supervisor_id),
                    expect: Expect::Any,
                }
            })
            .collect())
    }
}

fn names(collaborators: &[AgentCollaborator], arn: &str) -> bool {
    collaborators
        .iter()
        .any(|collaborator| collaborator.agent_descriptor.alias_arn.as_deref() == Some(arn))
}

fn parent(agent_id: &str, alias_id: &str) -> String {
    format!("{agent_id}/{alias_id}")
}
