//! Frozen definitions, compiled once and kept ready.

use std::sync::Arc;

use outcrop_engine::definition::AgentDefinition;
use outcrop_engine::plan::AgentPlan;
use outcrop_model::exception::Exception;

use outcrop_store::{Expect, Write};

use super::Shared;
use crate::control::{check_size, compile};
use crate::error;
use crate::records::{Scope, json, kind};

impl Shared {
    /// The plan of a definition that came with a request. It is stored before anything can name it, so
    /// that whoever goes on with the turn finds it; one that this process knows to be stored is not
    /// written again.
    pub(super) async fn adopt(
        &self,
        scope: &Scope,
        definition: AgentDefinition,
    ) -> Result<Arc<AgentPlan>, Exception> {
        let hash = definition.content_hash();
        let key = scope.key(kind::PLAN, "", &hash);
        let known = self.plans.get(&hash);
        if let Some(plan) = &known
            && self.stored_plans.get(&key).is_some()
        {
            return Ok(Arc::clone(plan));
        }
        let text = json(&definition);
        check_size(text.len())?;
        let plan = match known {
            Some(plan) => plan,
            None => Arc::new(compile(definition, self.settings.strictness)?),
        };
        let write = Write::Put {
            key: key.clone(),
            body: text.into(),
            expect: Expect::Any,
            name: None,
            expires_at_ms: None,
        };
        self.commit(vec![write]).await.map_err(error::store)?;
        self.stored_plans.insert(key, ());
        self.plans.insert(hash, Arc::clone(&plan));
        Ok(plan)
    }

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
