//! What guardrails and knowledge bases tell the engine.

use futures_core::future::BoxFuture;
use outcrop_model::runtime::{
    GuardrailAssessment, KnowledgeBaseVectorSearchConfiguration, RetrievedReference,
};
use serde::{Deserialize, Serialize};

/// What a guardrail judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuardrailSource {
    /// What the user said.
    Input,
    /// What the agent answers.
    Output,
}

/// A guardrail's judgement on one text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Whether it stepped in (`INTERVENED`).
    pub intervened: bool,
    /// Whether the text must not pass, rather than pass masked.
    pub blocked: bool,
    /// What stands in place of the text: the guardrail's message where it is blocked, else the text
    /// with its sensitive parts masked. `None`: the text itself.
    pub text: Option<String>,
    /// What it found, as the trace shows it; one empty assessment where it found nothing.
    pub assessments: Vec<GuardrailAssessment>,
}

/// Why a guardrail could not judge. Nothing passes then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum GuardrailError {
    /// No such guardrail or version.
    #[error("guardrail {guardrail} does not exist: {detail}")]
    NotFound {
        /// Identifier and version as given.
        guardrail: String,
        /// What was looked for.
        detail: String,
    },
    /// One of its policies cannot be judged here.
    #[error("guardrail {guardrail} cannot be evaluated: {detail}")]
    Unsupported {
        /// Identifier and version as given.
        guardrail: String,
        /// Which policy, and the setting that would let it be judged.
        detail: String,
    },
    /// The model that judges failed.
    #[error("guardrail {guardrail} could not be evaluated: {detail}")]
    Failed {
        /// Identifier and version as given.
        guardrail: String,
        /// Cause.
        detail: String,
    },
}

/// One search in a knowledge base.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrieveCall {
    /// Account of the knowledge base.
    pub account_id: String,
    /// Its region.
    pub region: String,
    /// Its id.
    pub knowledge_base_id: String,
    /// What is looked for.
    pub query: String,
    /// How; `None`: as the knowledge base does it.
    pub configuration: Option<KnowledgeBaseVectorSearchConfiguration>,
}

/// Why a knowledge base could not be searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RetrieveError {
    /// No such knowledge base.
    #[error("knowledge base {knowledge_base_id} does not exist")]
    NotFound {
        /// Its id.
        knowledge_base_id: String,
    },
    /// The search failed.
    #[error("knowledge base {knowledge_base_id} could not be searched: {detail}")]
    Failed {
        /// Its id.
        knowledge_base_id: String,
        /// Cause.
        detail: String,
    },
}

/// Searches knowledge bases.
pub trait Retriever: Send + Sync {
    /// Searches once. Dropping the future cancels the search.
    fn retrieve(
        &self,
        call: RetrieveCall,
    ) -> BoxFuture<'_, Result<Vec<RetrievedReference>, RetrieveError>>;
}
