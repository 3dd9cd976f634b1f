//! What `PrepareAgent` freezes: everything a run needs to know about an agent, as plain data.
//!
//! A definition is immutable and named by the hash of its content, so that a return of control or a
//! replay survives a later re-prepare. It says nothing of alias, version or account: the same
//! content may be served by several.

use std::fmt::Write as _;

use outcrop_model::control::{Function, InferenceConfiguration};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A frozen agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentDefinition {
    /// The agent's instruction.
    pub instruction: String,
    /// The `foundationModel` as given.
    pub foundation_model: String,
    /// `idleSessionTTLInSeconds`.
    pub idle_session_ttl_s: u32,
    /// The ORCHESTRATION prompt.
    pub orchestration: PromptDefinition,
    /// The enabled action groups, in order of creation.
    pub action_groups: Vec<ActionGroupDefinition>,
}

impl AgentDefinition {
    /// Lower-case hexadecimal SHA-256 of the canonical JSON text of this definition.
    pub fn content_hash(&self) -> String {
        let json = serde_json::to_vec(self).expect("a definition holds only string-keyed data");
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(&json) {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// One prompt step, with defaults resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptDefinition {
    /// Whether the step runs; a disabled ORCHESTRATION passes the input straight to the model.
    pub enabled: bool,
    /// Whether template and parameters are the user's own.
    pub overridden: bool,
    /// The template text.
    pub template: String,
    /// Sampling parameters.
    pub inference: InferenceConfiguration,
    /// A model for this step alone.
    pub foundation_model: Option<String>,
    /// `additionalModelRequestFields`.
    pub additional_fields: Option<Value>,
}

/// One enabled action group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionGroupDefinition {
    /// `actionGroupName`.
    pub name: String,
    /// `description`, if any.
    pub description: Option<String>,
    /// What it offers and who runs it.
    pub kind: ActionGroupKind,
}

/// What an action group offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ActionGroupKind {
    /// `functionSchema`.
    Functions {
        /// The functions.
        functions: Vec<Function>,
        /// Who runs them.
        executor: Executor,
    },
    /// `apiSchema`, its text read and inlined.
    Api {
        /// `OpenAPI` 3 document, JSON or YAML.
        schema: String,
        /// Who runs its operations.
        executor: Executor,
    },
    /// `AMAZON.UserInput`.
    UserInput,
}

/// Who runs an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executor {
    /// A Lambda function, by ARN or name.
    Lambda(String),
    /// The caller (`RETURN_CONTROL`).
    ReturnControl,
}
