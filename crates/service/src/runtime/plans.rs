//! Frozen definitions, compiled once and kept ready.

use std::sync::Arc;

use outcrop_engine::definition::AgentDefinition;
use outcrop_engine::plan::AgentPlan;
use outcrop_model::exception::Exception;

use super::Shared;
use crate::error;
use crate::records::{Scope, kind};

impl Shared {
    /// The plan with this content hash.
    pub(super) async fn plan(
        &self,
        scope: &Scope,
        hash: &str,
    ) -> Result<Arc<AgentPlan>, Exception> {
        if let Some(plan) = self.plans.get(hash) {
            return Ok(plan);
        }
        let key = scope.key(kind::PLAN, "", hash);
        let now_ms = self.ports.clock.now().as_millis();
        let record = self
            .ports
            .store
            .get(&key, now_ms)
            .await
            .map_err(error::store)?;
        let record =
            record.ok_or_else(|| Exception::internal(format!("plan {hash} is missing")))?;
        let definition: AgentDefinition = serde_json::from_str(&record.body)
            .map_err(|cause| error::damaged(kind::PLAN, &cause))?;
        let plan = AgentPlan::compile(definition, self.settings.strictness)
            .map_err(|cause| error::plan(&cause))?;
        let plan = Arc::new(plan);
        self.plans.insert(hash.to_owned(), Arc::clone(&plan));
        Ok(plan)
    }
}
