//! How many of a thing an agent or account may have.
//!
//! AWS's quotas (behaviour.md 13.1) hold when `aws_limits` is strict. Relaxed, only the bounds hold
//! that keep one agent inside one store batch.

use outcrop_engine::action::Strictness;
use outcrop_engine::lint::quota;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::CallContext;
use outcrop_store::{Order, Page, Scan};

use crate::{Service, error, scope};

/// A quota: what is counted, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    what: &'static str,
    strict: usize,
    relaxed: usize,
}

/// Agents of one account in one region.
pub(super) const AGENTS: Quota = Quota::of("agents per account", 200, usize::MAX);
/// Aliases of one agent, its test alias not counted.
pub(super) const ALIASES: Quota = Quota::of("aliases per agent", 10, 1_000);
/// Action groups of one agent. Each new one is compared with all, and a version copies them in one
/// batch.
pub(super) const ACTION_GROUPS: Quota =
    Quota::of("action groups per agent", quota::ACTION_GROUPS, 50);
/// Enabled ones among them.
pub(super) const ENABLED_ACTION_GROUPS: Quota = Quota::of(
    "enabled action groups per agent",
    quota::ENABLED_ACTION_GROUPS,
    50,
);
/// Collaborators of one supervisor; a version copies them in one batch.
pub(super) const COLLABORATORS: Quota = Quota::of("collaborators per agent", 10, 50);
/// Knowledge bases of one agent; a version copies them in one batch.
pub(super) const KNOWLEDGE_BASES_OF_AGENT: Quota = Quota::of("knowledge bases per agent", 2, 50);
/// Functions and API operations of all action groups of one agent.
pub(super) const ACTIONS: Quota = Quota::of("APIs per agent", quota::ACTIONS, usize::MAX);
/// Parameters of one function.
pub(super) const PARAMETERS: Quota =
    Quota::of("parameters per function", quota::PARAMETERS, usize::MAX);
/// Versions ever made of one agent: AWS's version numbers have five digits.
pub(super) const VERSIONS: Quota = Quota::of("versions per agent", 99_999, 99_999);
/// Prompts of one account in one region.
pub(super) const PROMPTS: Quota = Quota::of("prompts per account", 500, usize::MAX);
/// Versions one prompt has at a time.
pub(super) const PROMPT_VERSIONS: Quota = Quota::of("versions per prompt", 10, usize::MAX);
/// Versions ever made of one prompt: AWS's version numbers have five digits.
pub(super) const PROMPT_NUMBERS: Quota = Quota::of("versions per prompt", 99_999, 99_999);
/// Guardrails of one account in one region.
pub(super) const GUARDRAILS: Quota = Quota::of("guardrails per account", 100, usize::MAX);
/// Versions one guardrail has at a time.
pub(super) const GUARDRAIL_VERSIONS: Quota = Quota::of("versions per guardrail", 20, usize::MAX);
/// Knowledge bases of one account in one region.
pub(super) const KNOWLEDGE_BASES: Quota = Quota::of("knowledge bases per account", 100, usize::MAX);
/// Data sources of one knowledge base.
pub(super) const DATA_SOURCES: Quota = Quota::of("data sources per knowledge base", 5, 1_000);
/// Ingestion jobs of one account that are at work at a time.
pub(super) const INGESTION_JOBS: Quota =
    Quota::of("concurrent ingestion jobs per account", 5, usize::MAX);
/// Tags of one resource.
pub(super) const TAGS: Quota = Quota::of("tags per resource", 50, 200);

impl Quota {
    const fn of(what: &'static str, strict: usize, relaxed: usize) -> Self {
        Self {
            what,
            strict,
            relaxed,
        }
    }

    /// How many there may be.
    pub(super) fn limit(self, strictness: Strictness) -> usize {
        match strictness {
            Strictness::Strict => self.strict,
            Strictness::Relaxed => self.relaxed,
        }
    }

    /// Refuses a `count` above the limit with `ServiceQuotaExceededException`.
    pub(super) fn check(self, count: usize, strictness: Strictness) -> Result<(), Exception> {
        let limit = self.limit(strictness);
        if count <= limit {
            return Ok(());
        }
        Err(Exception::new(
            ExceptionKind::ServiceQuotaExceeded,
            format!(
                "The number of {} exceeds the limit. Limit: {limit}.",
                self.what
            ),
        ))
    }
}

impl Service {
    /// Refuses one more document of a kind and parent where the quota is used up. Reads no more
    /// than the quota allows, and nothing where it has no bound.
    pub(super) async fn check_room(
        &self,
        cx: &CallContext,
        quota: Quota,
        kind: &'static str,
        parent: &str,
    ) -> Result<(), Exception> {
        let strictness = self.settings.strictness;
        let Ok(limit) = u32::try_from(quota.limit(strictness)) else {
            return Ok(());
        };
        let scan = Scan {
            scope: scope(cx).0,
            kind,
            parent: parent.into(),
            order: Order::Id,
            now_ms: self.now().as_millis(),
        };
        let page = Page { limit, after: None };
        let listing = self.ports.store.list(scan, page).await;
        let count = listing.map_err(error::store)?.records.len();
        quota.check(count.saturating_add(1), strictness)
    }
}
