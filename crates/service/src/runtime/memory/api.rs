//! `GetAgentMemory` and `DeleteAgentMemory` (behaviour.md 8.3).
//!
//! An agent without a memory, or a memory nobody has used, is an empty list and no error: clients ask
//! before the first summary is there, and go on asking until it is.

use outcrop_model::exception::Exception;
use outcrop_model::handle::{CallContext, Handle};
use outcrop_model::operation::Operation;
use outcrop_model::runtime::ops::{DeleteAgentMemory, GetAgentMemory};
use outcrop_model::runtime::{
    DeleteAgentMemoryRequest, DeleteAgentMemoryResponse, GetAgentMemoryRequest,
    GetAgentMemoryResponse, Memory, MemorySessionSummary,
};
use outcrop_store::{Order, PAGE_MAX};

use super::{Owner, SummaryDoc};
use crate::control::List;
use crate::records::kind;
use crate::{Service, error, scope};

/// Summaries of one page where the client does not say: as many as any page may hold, for many
/// clients never ask for a second one.
const ITEMS_DEFAULT: u32 = PAGE_MAX;

impl Handle<GetAgentMemory> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: GetAgentMemoryRequest,
    ) -> Result<GetAgentMemoryResponse, Exception> {
        let scope = scope(cx);
        let parent = self
            .memory_parent(cx, &input.agent_id, &input.agent_alias_id)
            .await?;
        let owner = Owner {
            scope: &scope,
            parent: &parent,
            memory_id: &input.memory_id,
        };
        // A token is good for one memory only.
        let bound_to = format!("{parent}/{}", input.memory_id);
        let tokens = List {
            operation: GetAgentMemory::SPEC.name,
            scope: &scope,
            kind: kind::SESSION_SUMMARY,
            parent: &bound_to,
            order: Order::Id,
        };
        let page = tokens.page(input.max_items, input.next_token.as_deref())?;
        let limit = input.max_items.map_or(ITEMS_DEFAULT, |_| page.limit);
        let (found, next) = self
            .runtime
            .shared()
            .summaries(&owner, page.after, limit)
            .await?;
        Ok(GetAgentMemoryResponse {
            memory_contents: Some(
                found
                    .into_iter()
                    .map(|summary| shown(summary.body))
                    .collect(),
            ),
            next_token: next.map(|cursor| tokens.token(&cursor)),
        })
    }
}

impl Handle<DeleteAgentMemory> for Service {
    async fn handle(
        &self,
        cx: &CallContext,
        input: DeleteAgentMemoryRequest,
    ) -> Result<DeleteAgentMemoryResponse, Exception> {
        let scope = scope(cx);
        let parent = self
            .memory_parent(cx, &input.agent_id, &input.agent_alias_id)
            .await?;
        let shared = self.runtime.shared();
        match (&input.memory_id, &input.session_id) {
            (None, None) => {
                let forgotten = shared.forget_all(&scope, &parent).await;
                forgotten.map_err(error::store)?;
            }
            (Some(memory_id), session_id) => {
                let owner = Owner {
                    scope: &scope,
                    parent: &parent,
                    memory_id,
                };
                shared.forget(&owner, session_id.as_deref()).await?;
            }
            (None, Some(_)) => {
                let message = "memoryId is required with sessionId. Give the memory that the session belongs to, and retry the request.";
                return Err(Exception::validation(message).with_field("memoryId", message));
            }
        }
        Ok(DeleteAgentMemoryResponse {})
    }
}

impl Service {
    /// `agentId/aliasId` of what a request names by ids or names; it must exist.
    async fn memory_parent(
        &self,
        cx: &CallContext,
        agent: &str,
        alias: &str,
    ) -> Result<String, Exception> {
        let (agent_id, alias) = self.find_alias(cx, agent, alias).await?;
        Ok(format!("{agent_id}/{}", alias.agent_alias_id))
    }
}

fn shown(summary: SummaryDoc) -> Memory {
    Memory::SessionSummary(MemorySessionSummary {
        memory_id: Some(summary.memory_id),
        session_expiry_time: Some(summary.expires_at),
        session_id: Some(summary.session_id),
        session_start_time: Some(summary.started_at),
        summary_text: Some(summary.text),
    })
}
