//! What `PrepareAgent` freezes: everything a run needs to know about an agent, as plain data.
//!
//! A definition is immutable and named by the hash of its content, so that a return of control or a
//! replay survives a later re-prepare. It says nothing of alias, version or account: the same
//! content may be served by several.
//!
//! Members that only some agents have are left out of the text where they are empty, so that the
//! hashes of all other agents stay as they are when a member is added.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use outcrop_model::control::{
    ActionGroupSignature, AgentCollaboration, Function, GuardrailConfiguration,
    InferenceConfiguration, MemoryConfiguration, PromptType,
};
use outcrop_model::runtime::KnowledgeBaseVectorSearchConfiguration;
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
    /// The enabled prompt steps besides ORCHESTRATION that this agent can come to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepDefinition>,
    /// The function that parses model output (`overrideLambda`), for the steps that say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parser_lambda: Option<String>,
    /// The guardrail, its version with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<GuardrailConfiguration>,
    /// What is remembered between sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryConfiguration>,
    /// The function that plans in place of the agent (`CUSTOM_ORCHESTRATION`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orchestrator_lambda: Option<String>,
    /// Who works for this agent; absent for one that works alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collaboration: Option<CollaborationDefinition>,
    /// The enabled knowledge bases, in order of association.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knowledge_bases: Vec<KnowledgeBaseDefinition>,
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
    /// Whether the agent's parser function reads what the model says in this step (`parserMode`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parser_overridden: bool,
}

/// A prompt step besides ORCHESTRATION.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepDefinition {
    /// Which step.
    pub prompt_type: PromptType,
    /// Its prompt.
    pub prompt: PromptDefinition,
}

/// How a supervisor works with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollaborationDefinition {
    /// SUPERVISOR or `SUPERVISOR_ROUTER`.
    pub mode: AgentCollaboration,
    /// The collaborators, in order of association.
    pub collaborators: Vec<CollaboratorDefinition>,
}

/// An agent that works for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollaboratorDefinition {
    /// `collaboratorName`, the name the supervisor knows it by.
    pub name: String,
    /// ARN of the alias that serves it; for a collaborator that is defined inline, the one that its
    /// traces show.
    pub alias_arn: String,
    /// Content hash of the definition of a collaborator that is defined inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// `collaborationInstruction`: what the supervisor is told of it.
    pub instruction: String,
    /// Whether it is shown the supervisor's conversation (`relayConversationHistory`).
    pub relays_history: bool,
}

/// A knowledge base the agent may query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnowledgeBaseDefinition {
    /// `knowledgeBaseId`.
    pub id: String,
    /// What the agent is told to use it for.
    pub description: String,
    /// How it is searched, for a knowledge base that an inline agent names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<KnowledgeBaseVectorSearchConfiguration>,
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
    /// Whether its Lambda function is given arguments as JSON values rather than AWS's strings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub typed_arguments: bool,
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
    /// No schema of its own: what whoever serves the group offered when the agent was prepared.
    Tools {
        /// The tools.
        tools: Vec<ToolDefinition>,
        /// Who runs them.
        executor: Executor,
    },
    /// `AMAZON.UserInput`.
    UserInput,
    /// Any other built-in group.
    BuiltIn {
        /// Which.
        signature: ActionGroupSignature,
        /// `parentActionGroupSignatureParams`.
        params: BTreeMap<String, String>,
    },
}

/// A function with a JSON schema of its arguments, which says more than a function schema can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// The function's name.
    pub name: String,
    /// What the model reads about it.
    pub description: Option<String>,
    /// JSON schema of its arguments, an object.
    pub input_schema: Value,
}

/// Who runs an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executor {
    /// A Lambda function, by ARN or name.
    Lambda(String),
    /// The caller (`RETURN_CONTROL`).
    ReturnControl,
    /// The code interpreter. Belongs to its built-in group alone, so that no definition names it.
    CodeInterpreter,
}
