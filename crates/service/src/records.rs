//! Documents in the store: their kinds, keys and bodies, and typed access to them.
//!
//! Bodies are the generated AWS shapes plus what only Outcrop needs to know. Each carries no version
//! tag of its own: members may be added with a default, never renamed or removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use outcrop_engine::action::lambda::Attributes;
use outcrop_model::bedrock::GetGuardrailResponse;
use outcrop_model::control::{
    Agent, AgentActionGroup, AgentCollaborator, AgentKnowledgeBase, AgentVersion, GetPromptResponse,
};
use outcrop_model::exception::Exception;
use outcrop_model::timestamp::Timestamp;
use outcrop_store::{Expect, Key, Order, Record, Write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Service, error};

/// Account and region: the tenant of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope(pub(crate) Arc<str>);

impl Scope {
    pub(crate) fn new(account_id: &str, region: &str) -> Self {
        Self(format!("{account_id}/{region}").into())
    }

    pub(crate) fn key(&self, kind: &'static str, parent: &str, id: &str) -> Key {
        Key {
            scope: Arc::clone(&self.0),
            kind,
            parent: parent.into(),
            id: id.into(),
        }
    }
}

/// Kinds of documents. Never change a value: it is stored.
pub(crate) mod kind {
    /// [`super::AgentDoc`], parent empty, id the agent id, unique name the agent's.
    pub(crate) const AGENT: &str = "agent";
    /// Agent id by agent name: parent empty, id the name, body a JSON string.
    pub(crate) const AGENT_NAME: &str = "agent-name";
    /// Region by agent id: scope the bare account id, parent empty, body a JSON string.
    pub(crate) const AGENT_REGION: &str = "agent-region";
    /// [`super::PreparedDoc`], parent empty, id the agent id.
    pub(crate) const PREPARED: &str = "prepared";
    /// Frozen definition, parent empty, id its content hash.
    pub(crate) const PLAN: &str = "plan";
    /// `AgentActionGroup`, parent `agentId:version`, id the action group's, unique name.
    pub(crate) const ACTION_GROUP: &str = "action-group";
    /// `AgentCollaborator`, parent `agentId:version`, id the collaborator id, unique name.
    pub(crate) const COLLABORATOR: &str = "collaborator";
    /// That a supervisor may need an alias: parent `agentId/aliasId`, id the supervisor's, body null.
    pub(crate) const ALIAS_USE: &str = "alias-use";
    /// `KnowledgeBase`, parent empty, id the knowledge base id, unique name.
    pub(crate) const KNOWLEDGE_BASE: &str = "knowledge-base";
    /// `AgentKnowledgeBase`, parent `agentId:version`, id the knowledge base id.
    pub(crate) const AGENT_KNOWLEDGE_BASE: &str = "agent-knowledge-base";
    /// That the draft of an agent names a knowledge base: parent the knowledge base id, id the
    /// agent's, body null.
    pub(crate) const KNOWLEDGE_BASE_USE: &str = "knowledge-base-use";
    /// `AgentAlias`, parent the agent id, id the alias id, unique name.
    pub(crate) const ALIAS: &str = "alias";
    /// Alias id by alias name: parent the agent id, id the name, body a JSON string.
    pub(crate) const ALIAS_NAME: &str = "alias-name";
    /// [`super::VersionDoc`], parent the agent id, id the number.
    pub(crate) const VERSION: &str = "version";
    /// [`super::PromptDoc`], parent empty, id the prompt id, unique name the prompt's.
    pub(crate) const PROMPT: &str = "prompt";
    /// `GetPromptResponse`, parent the prompt id, id the number.
    pub(crate) const PROMPT_VERSION: &str = "prompt-version";
    /// Region by knowledge base id: scope the bare account id, parent empty, body a JSON string.
    pub(crate) const KNOWLEDGE_BASE_REGION: &str = "knowledge-base-region";
    /// `DataSource`, parent the knowledge base id, id the data source's, unique name.
    pub(crate) const DATA_SOURCE: &str = "data-source";
    /// [`crate::knowledge`]'s `SessionDoc` of `RetrieveAndGenerate`, parent empty, id the session id.
    pub(crate) const RAG_SESSION: &str = "rag-session";
    /// [`crate::knowledge::ingest`]'s `JobDoc`, parent `knowledgeBaseId/dataSourceId`, id the job's.
    pub(crate) const INGESTION_JOB: &str = "ingestion-job";
    /// Id of the job at work on a data source: parent empty, id `knowledgeBaseId/dataSourceId`, body a
    /// JSON string.
    pub(crate) const INGESTION_ACTIVE: &str = "ingestion-active";
    /// [`crate::knowledge::ingest`]'s `DocumentDoc`, parent `knowledgeBaseId/dataSourceId`, id the
    /// document's location.
    pub(crate) const KB_DOCUMENT: &str = "kb-document";
    /// [`crate::knowledge::ingest`]'s `UploadDoc`, with the parent and id of its document.
    pub(crate) const KB_UPLOAD: &str = "kb-upload";
    /// That the index may hold something of a knowledge base: parent empty, id its id, body null.
    pub(crate) const KB_INDEXED: &str = "kb-indexed";
    pub(crate) const KB_RETAINED: &str = "kb-retained";
    /// [`super::GuardrailDoc`], parent empty, id the guardrail id, unique name the guardrail's.
    pub(crate) const GUARDRAIL: &str = "guardrail";
    /// `GetGuardrailResponse`, parent the guardrail id, id the number.
    pub(crate) const GUARDRAIL_VERSION: &str = "guardrail-version";
    /// [`super::TagsDoc`], parent empty, id the ARN.
    pub(crate) const TAGS: &str = "tags";
    /// [`crate::outcrop_api::functions::LocalFunction`], parent empty, id the name.
    pub(crate) const FUNCTION: &str = "function";
    /// [`crate::lambda`]'s `FunctionDoc`, parent empty, id the name.
    pub(crate) const LAMBDA_FUNCTION: &str = "lambda-function";
    /// [`crate::lambda`]'s `VersionDoc`, parent the function's name, id the number.
    pub(crate) const LAMBDA_VERSION: &str = "lambda-version";
    /// `AliasConfiguration`, parent the function's name, id the alias's.
    pub(crate) const LAMBDA_ALIAS: &str = "lambda-alias";
    /// A piece of an archive: parent `function/upload`, id its number, body Base64 in a JSON string.
    pub(crate) const LAMBDA_CODE: &str = "lambda-code";
    /// What links to archives are sealed with: scope and parent empty, id fixed, body a JSON string.
    pub(crate) const LAMBDA_LINK_KEY: &str = "lambda-link-key";
    /// [`crate::outcrop_api::stacks::StackDocument`], parent empty, id the name.
    pub(crate) const STACK: &str = "stack";
    /// [`crate::outcrop_api::stacks::Lock`], parent empty, id the stack's name.
    pub(crate) const STACK_LOCK: &str = "stack-lock";
    /// [`crate::outcrop_api::stacks::Export`], parent empty, id the export's name.
    pub(crate) const EXPORT: &str = "stack-export";
    /// Name of a stack that uses an export: parent the export's name, id the stack's.
    pub(crate) const IMPORT: &str = "stack-import";
    /// [`super::TokenDoc`], parent the operation, id the token.
    pub(crate) const CLIENT_TOKEN: &str = "client-token";
    /// [`super::SessionDoc`], parent `agentId/aliasId`, id the session id.
    pub(crate) const SESSION: &str = "session";
    /// [`crate::runtime`]'s `SummaryDoc`, parent `agentId/aliasId`, id `memoryId/time-journal`.
    pub(crate) const SESSION_SUMMARY: &str = "session-summary";
    /// [`crate::runtime`]'s `FailureDoc`, in place of a summary.
    pub(crate) const SUMMARY_FAILURE: &str = "summary-failure";
}

/// Kinds whose listings may be long, with the order they are listed in, for stores that keep an index
/// of it. What belongs to one agent is few and is sorted as it is read, its versions excepted.
pub const LISTINGS: &[(&str, Order)] = &[
    (kind::AGENT, Order::UpdatedDescending),
    (kind::VERSION, Order::Created),
    (kind::LAMBDA_VERSION, Order::Created),
    (kind::KNOWLEDGE_BASE, Order::Created),
    (kind::DATA_SOURCE, Order::Created),
    (kind::PROMPT, Order::Created),
    (kind::PROMPT_VERSION, Order::Created),
    (kind::GUARDRAIL, Order::Created),
    (kind::GUARDRAIL_VERSION, Order::Created),
];

/// An agent's DRAFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentDoc {
    /// As `GetAgent` shows it, but for `promptOverrideConfiguration`, which is as the client gave it.
    pub(crate) agent: Agent,
    /// The highest version number given so far; numbers are never reused.
    pub(crate) last_version: u32,
}

/// What TSTALIASID serves and the next version will hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreparedDoc {
    /// The agent as it was prepared.
    pub(crate) agent: Agent,
    /// Its action groups, enabled or not.
    pub(crate) action_groups: Vec<AgentActionGroup>,
    /// Its collaborators, whether it supervises or not.
    #[serde(default)]
    pub(crate) collaborators: Vec<AgentCollaborator>,
    /// Its knowledge bases, enabled or not.
    #[serde(default)]
    pub(crate) knowledge_bases: Vec<AgentKnowledgeBase>,
    /// Content hash of the definition.
    pub(crate) plan: String,
}

/// An immutable version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionDoc {
    /// As `GetAgentVersion` shows it.
    pub(crate) version: AgentVersion,
    /// Content hash of the definition.
    pub(crate) plan: String,
}

/// A prompt's DRAFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PromptDoc {
    /// As `GetPrompt` shows it.
    pub(crate) prompt: GetPromptResponse,
    /// The highest version number given so far; numbers are never reused.
    pub(crate) last_version: u32,
}

/// A guardrail's DRAFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GuardrailDoc {
    /// As `GetGuardrail` shows it.
    pub(crate) guardrail: GetGuardrailResponse,
    /// The highest version number given so far; numbers are never reused.
    pub(crate) last_version: u32,
}

/// Tags of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TagsDoc {
    pub(crate) tags: BTreeMap<String, String>,
}

/// What a `clientToken` made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenDoc {
    /// Hash of the request it came with.
    pub(crate) request: String,
    /// Id of what it made.
    pub(crate) resource: String,
}

/// A session that has not expired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionDoc {
    /// Id of its journal; fresh with each life of the session.
    pub(crate) journal: String,
    /// Turns begun.
    pub(crate) turns: u32,
    /// Attributes after the last turn.
    pub(crate) attributes: Attributes,
    /// Held while a turn runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<LeaseDoc>,
    /// What it is to be remembered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<SessionMemory>,
}

/// That a session is to be summarised when it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionMemory {
    /// `memoryId`.
    pub(crate) id: String,
    /// Content hash of the definition that says how: the last turn's.
    pub(crate) plan: String,
    /// When the session began.
    pub(crate) started_at: Timestamp,
}

/// The right to run a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeaseDoc {
    /// The process that holds it.
    pub(crate) owner: String,
    /// When it lapses unless renewed, milliseconds since the epoch.
    pub(crate) until_ms: i64,
}

/// A document read from the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored<T> {
    pub(crate) key: Key,
    pub(crate) revision: u64,
    pub(crate) body: T,
}

impl<T: Serialize> Stored<T> {
    /// Writes the body back, if nobody else has meanwhile.
    pub(crate) fn put(&self, name: Option<&str>) -> Write {
        put(
            self.key.clone(),
            &self.body,
            Expect::Revision(self.revision),
            name,
        )
    }
}

/// A Put of a JSON body.
pub(crate) fn put<T: Serialize>(key: Key, body: &T, expect: Expect, name: Option<&str>) -> Write {
    Write::Put {
        key,
        body: json(body).into(),
        expect,
        name: name.map(Into::into),
        expires_at_ms: None,
    }
}

/// A body as JSON text.
pub(crate) fn json<T: Serialize>(body: &T) -> String {
    serde_json::to_string(body).expect("documents hold only string-keyed data")
}

/// A record with its body read.
pub(crate) fn read<T: DeserializeOwned>(record: Record) -> Result<Stored<T>, Exception> {
    let body = serde_json::from_str(&record.body)
        .map_err(|cause| error::damaged(record.key.kind, &cause))?;
    Ok(Stored {
        key: record.key,
        revision: record.revision,
        body,
    })
}

impl Service {
    /// A document, if it exists.
    pub(crate) async fn load<T: DeserializeOwned>(
        &self,
        key: Key,
    ) -> Result<Option<Stored<T>>, Exception> {
        let now_ms = self.now().as_millis();
        let record = self.ports.store.get(&key, now_ms).await;
        record.map_err(error::store)?.map(read).transpose()
    }
}
