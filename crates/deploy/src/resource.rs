//! Resource types: what each is made of, and how it is made, changed and removed.
//!
//! A handler never relies on how far an earlier run came. Making is idempotent by a token; changing
//! is *converging*: it looks at what is there and brings it to the definition; removing what is gone
//! already is fine. So any step may be repeated.

mod agent;
mod alias;
mod bucket;
mod function;
mod guardrail;
mod paper;
mod plain;
mod tags;
mod version;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{Api, ApiError};
use crate::files::Files;
use crate::intrinsics::Pseudo;
use crate::mapping::{self, Form};
use crate::node::{Node, Problem};

pub use alias::CONTENT as ALIAS_CONTENT;
pub(crate) use alias::put_back as put_alias_back;

/// The tag that fixes a resource's id at its creation.
pub const ID_TAG: &str = "outcrop:id";

/// A resource type that can be deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `AWS::Bedrock::Agent`.
    Agent,
    /// `AWS::Bedrock::AgentAlias`.
    AgentAlias,
    /// `Outcrop::Bedrock::AgentVersion`.
    AgentVersion,
    /// `AWS::Bedrock::KnowledgeBase`.
    KnowledgeBase,
    /// `AWS::Bedrock::DataSource`.
    DataSource,
    /// `AWS::Bedrock::Prompt`.
    Prompt,
    /// `AWS::Bedrock::PromptVersion`.
    PromptVersion,
    /// `AWS::Bedrock::Guardrail`.
    Guardrail,
    /// `AWS::Bedrock::GuardrailVersion`.
    GuardrailVersion,
    /// `AWS::Lambda::Function`, `AWS::Serverless::Function`.
    Function,
    /// `AWS::S3::Bucket`.
    Bucket,
    /// A type that has no meaning on a server of one's own: accepted, listed, not made.
    Paper,
}

/// A resource that exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// What `Ref` gives.
    pub physical: String,
    /// What `Fn::GetAtt` gives.
    pub attributes: BTreeMap<String, Value>,
    /// The version an alias routes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Made {
    /// An attribute's text; empty where there is none.
    pub(crate) fn text(&self, attribute: &str) -> &str {
        let value = self.attributes.get(attribute);
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

/// A resource just made, and the definition that stands until it has been converged.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    pub(crate) made: Made,
    pub(crate) stands: Value,
}

/// A resource of a stack: who it is.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Its type, `AWS::IAM::Role`.
    pub type_name: &'a str,
    /// Its logical id.
    pub logical: &'a str,
    /// Account, region and stack.
    pub pseudo: &'a Pseudo,
}

impl Identity<'_> {
    /// A name for a resource whose template gives it none: the same in every run.
    pub(crate) fn generated_name(&self, most_characters: usize) -> String {
        let seed = format!(
            "{}/{}/{}/{}",
            self.pseudo.account_id, self.pseudo.region, self.pseudo.stack_name, self.logical
        );
        let mut suffix = crate::files::digest(&seed);
        suffix.truncate(8);
        let mut name = format!("{}-{}", self.pseudo.stack_name, self.logical);
        name.truncate(most_characters.saturating_sub(suffix.len() + 1));
        format!("{name}-{suffix}")
    }
}

impl Kind {
    /// The kind of a resource type, if it is supported.
    pub fn of(type_name: &str) -> Option<Self> {
        Some(match type_name {
            "AWS::Bedrock::Agent" => Self::Agent,
            "AWS::Bedrock::AgentAlias" => Self::AgentAlias,
            mapping::AGENT_VERSION_TYPE => Self::AgentVersion,
            "AWS::Bedrock::KnowledgeBase" => Self::KnowledgeBase,
            "AWS::Bedrock::DataSource" => Self::DataSource,
            "AWS::Bedrock::Prompt" => Self::Prompt,
            "AWS::Bedrock::PromptVersion" => Self::PromptVersion,
            "AWS::Bedrock::Guardrail" => Self::Guardrail,
            "AWS::Bedrock::GuardrailVersion" => Self::GuardrailVersion,
            "AWS::Lambda::Function" | "AWS::Serverless::Function" => Self::Function,
            "AWS::S3::Bucket" => Self::Bucket,
            other if paper::is_paper(other) => Self::Paper,
            _ => return None,
        })
    }

    /// The form of a resource type that the service model describes.
    pub fn form(self) -> Option<&'static Form> {
        Some(match self {
            Self::Agent => &mapping::AGENT,
            Self::AgentAlias => &mapping::AGENT_ALIAS,
            Self::AgentVersion => &mapping::AGENT_VERSION,
            Self::KnowledgeBase => &mapping::KNOWLEDGE_BASE,
            Self::DataSource => &mapping::DATA_SOURCE,
            Self::Prompt => &mapping::PROMPT,
            Self::PromptVersion => &mapping::PROMPT_VERSION,
            Self::Guardrail => &mapping::GUARDRAIL,
            Self::GuardrailVersion => &mapping::GUARDRAIL_VERSION,
            Self::Function | Self::Bucket | Self::Paper => return None,
        })
    }

    /// The definition that evaluated properties give.
    pub(crate) fn definition(
        self,
        identity: Identity<'_>,
        properties: &Node,
        metadata: Option<&Node>,
        files: &dyn Files,
        problems: &mut Vec<Problem>,
    ) -> Value {
        match self {
            Self::Function => function::definition(identity, properties, metadata, files, problems),
            Self::Bucket => bucket::definition(identity, properties, problems),
            Self::Paper => paper::definition(properties),
            _ => self.form().map_or(Value::Null, |form| {
                mapping::to_definition(form, properties, problems)
            }),
        }
    }

    /// What of a definition cannot be changed: pointers into it.
    pub(crate) fn create_only(self) -> &'static [&'static str] {
        match self {
            Self::Agent => &["/tags/outcrop:id"],
            Self::AgentAlias => &["/agentId", "/tags/outcrop:id"],
            Self::AgentVersion => &["/agentId", "/version"],
            Self::KnowledgeBase => &[
                "/storageConfiguration",
                "/knowledgeBaseConfiguration/type",
                "/knowledgeBaseConfiguration/vectorKnowledgeBaseConfiguration",
                "/knowledgeBaseConfiguration/kendraKnowledgeBaseConfiguration",
                "/knowledgeBaseConfiguration/managedKnowledgeBaseConfiguration",
                "/knowledgeBaseConfiguration/sqlKnowledgeBaseConfiguration/type",
                "/knowledgeBaseConfiguration/sqlKnowledgeBaseConfiguration/redshiftConfiguration/storageConfigurations",
                "/knowledgeBaseConfiguration/sqlKnowledgeBaseConfiguration/redshiftConfiguration/queryEngineConfiguration",
                "/tags/outcrop:id",
            ],
            Self::DataSource => &[
                "/knowledgeBaseId",
                "/vectorIngestionConfiguration/chunkingConfiguration",
                "/vectorIngestionConfiguration/parsingConfiguration",
                "/dataSourceConfiguration/type",
            ],
            Self::Prompt | Self::Paper => &[],
            Self::Guardrail => &["/kmsKeyId"],
            Self::GuardrailVersion => &["/guardrailIdentifier", "/description"],
            Self::PromptVersion => &["/promptArn", "/description", "/tags"],
            Self::Function => &["/functionName"],
            Self::Bucket => &["/bucketName"],
        }
    }

    /// The member whose value only one of its kind may have (below the same parent), and the parent.
    pub(crate) fn unique_name(self) -> Option<(&'static str, Option<&'static str>)> {
        match self {
            Self::Agent => Some(("agentName", None)),
            Self::AgentAlias => Some(("agentAliasName", Some("agentId"))),
            Self::KnowledgeBase | Self::Prompt | Self::Guardrail => Some(("name", None)),
            Self::DataSource => Some(("name", Some("knowledgeBaseId"))),
            Self::AgentVersion
            | Self::PromptVersion
            | Self::GuardrailVersion
            | Self::Function
            | Self::Bucket
            | Self::Paper => None,
        }
    }

    /// The attributes that `Fn::GetAtt` may ask for; `None`: any.
    pub fn attributes(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Agent => Some(&agent::ATTRIBUTES),
            Self::AgentAlias => Some(&alias::ATTRIBUTES),
            Self::AgentVersion => Some(&version::ATTRIBUTES),
            Self::KnowledgeBase => Some(plain::KNOWLEDGE_BASE.attributes),
            Self::DataSource => Some(plain::DATA_SOURCE.attributes),
            Self::Prompt => Some(plain::PROMPT.attributes),
            Self::PromptVersion => Some(plain::PROMPT_VERSION.attributes),
            Self::Guardrail => Some(guardrail::GUARDRAIL.attributes),
            Self::GuardrailVersion => Some(guardrail::VERSION.attributes),
            Self::Function => Some(&function::ATTRIBUTES),
            Self::Bucket => Some(&bucket::ATTRIBUTES),
            Self::Paper => None,
        }
    }

    /// What the resource will be, where the definition alone tells.
    pub(crate) fn predict(self, identity: Identity<'_>, definition: &Value) -> Option<Made> {
        match self {
            Self::Function => function::made(identity, definition),
            Self::Bucket => bucket::made(identity, definition),
            Self::Paper => Some(paper::made(identity, definition)),
            _ => None,
        }
    }

    /// Makes the resource, or finds what the same token made before.
    pub(crate) async fn create(
        self,
        api: &dyn Api,
        identity: Identity<'_>,
        definition: &Value,
        token: &str,
    ) -> Result<Created, ApiError> {
        match self {
            Self::Agent => agent::create(api, definition, token).await,
            Self::AgentAlias => alias::create(api, definition, token).await,
            Self::AgentVersion => version::put(api, definition).await,
            Self::KnowledgeBase => plain::KNOWLEDGE_BASE.create(api, definition, token).await,
            Self::DataSource => plain::DATA_SOURCE.create(api, definition, token).await,
            Self::Prompt => plain::PROMPT.create(api, definition, token).await,
            Self::PromptVersion => plain::PROMPT_VERSION.create(api, definition, token).await,
            Self::Guardrail => guardrail::create(api, definition, token).await,
            Self::GuardrailVersion => guardrail::VERSION.create(api, definition, token).await,
            Self::Function => function::put(api, identity, definition).await,
            Self::Bucket => bucket::put(api, identity, definition).await,
            Self::Paper => Ok(Created {
                made: paper::made(identity, definition),
                stands: definition.clone(),
            }),
        }
    }

    /// Brings the resource to its definition. `before`: the definitions of which it may be in any
    /// mixture now.
    pub(crate) async fn converge(
        self,
        api: &dyn Api,
        identity: Identity<'_>,
        change: &Change<'_>,
    ) -> Result<Made, ApiError> {
        match self {
            Self::Agent => agent::converge(api, change).await,
            Self::AgentAlias => alias::converge(api, change).await,
            Self::AgentVersion | Self::Function if change.is_settled() => Ok(change.made.clone()),
            Self::AgentVersion => Ok(version::put(api, change.target).await?.made),
            Self::KnowledgeBase => plain::KNOWLEDGE_BASE.converge(api, change).await,
            Self::DataSource => plain::DATA_SOURCE.converge(api, change).await,
            Self::Prompt => plain::PROMPT.converge(api, change).await,
            Self::Function => Ok(function::put(api, identity, change.target).await?.made),
            Self::Guardrail => guardrail::converge(api, change).await,
            Self::PromptVersion | Self::GuardrailVersion | Self::Bucket => Ok(change.made.clone()),
            Self::Paper => Ok(paper::made(identity, change.target)),
        }
    }

    /// Removes the resource; one that is gone is fine.
    pub(crate) async fn delete(
        self,
        api: &dyn Api,
        made: &Made,
        definition: &Value,
    ) -> Result<(), ApiError> {
        let outcome = match self {
            Self::Agent => agent::delete(api, made, definition).await,
            Self::AgentAlias => alias::delete(api, made, definition).await,
            Self::AgentVersion => version::delete(api, made).await,
            Self::KnowledgeBase => plain::KNOWLEDGE_BASE.delete(api, made).await,
            Self::DataSource => plain::DATA_SOURCE.delete(api, made).await,
            Self::Prompt => plain::PROMPT.delete(api, made).await,
            Self::PromptVersion => plain::PROMPT_VERSION.delete(api, made).await,
            Self::Guardrail => guardrail::GUARDRAIL.delete(api, made).await,
            Self::GuardrailVersion => guardrail::VERSION.delete(api, made).await,
            Self::Function => function::delete(api, made).await,
            Self::Bucket => bucket::delete(api, made).await,
            Self::Paper => Ok(()),
        };
        match outcome {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}

/// A change to a resource that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// What exists.
    pub(crate) made: &'a Made,
    /// What it may be made of now: more than one definition where an earlier run was cut short.
    pub(crate) before: &'a [Value],
    /// What it is to be made of.
    pub(crate) target: &'a Value,
    /// The version an alias routed to before the first attempt at this very change.
    pub(crate) version_before: Option<&'a str>,
}

impl Change<'_> {
    /// Whether the part under `member` is known to be as wanted.
    pub(crate) fn is_same(&self, member: &str) -> bool {
        let wanted = self.target.get(member);
        self.before
            .iter()
            .all(|before| before.get(member) == wanted)
    }

    /// Whether all of it is known to be as wanted.
    pub(crate) fn is_settled(&self) -> bool {
        self.before.iter().all(|before| before == self.target)
    }

    /// The elements that lists under `member` may have had.
    pub(crate) fn elements_before(&self, member: &'static str) -> impl Iterator<Item = &Value> {
        self.before
            .iter()
            .flat_map(move |before| list(before, member))
    }
}

/// The elements of a list member; none where it is absent.
pub(crate) fn list<'a>(definition: &'a Value, member: &str) -> &'a [Value] {
    let value = definition.get(member).and_then(Value::as_array);
    value.map_or(&[], Vec::as_slice)
}

/// Only the members that a shape of the service has.
pub(crate) fn fit(shape: &str, definition: &Value) -> Map<String, Value> {
    let members = definition.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| mapping::has_member(shape, name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// `input` with the token that makes the call idempotent.
pub(crate) fn with_token(mut input: Map<String, Value>, token: &str) -> Value {
    input.insert("clientToken".to_owned(), json!(token));
    Value::Object(input)
}

/// The attributes of `names` that an object of the API shows.
pub(crate) fn attributes_of(object: &Value, names: &[&str]) -> BTreeMap<String, Value> {
    names
        .iter()
        .filter_map(|name| {
            let mut characters = name.chars();
            let first = characters.next()?.to_ascii_lowercase();
            let member: String = std::iter::once(first).chain(characters).collect();
            Some(((*name).to_owned(), object.get(&member)?.clone()))
        })
        .collect()
}

/// All elements of a paged list.
pub(crate) async fn list_all(
    api: &dyn Api,
    operation: &'static str,
    input: &Value,
    member: &str,
) -> Result<Vec<Value>, ApiError> {
    let mut found = Vec::new();
    let mut input = input.clone();
    for _ in 0..PAGES_MAX {
        let mut page = api.call(operation, input.clone()).await?;
        if let Some(Value::Array(items)) = page.get_mut(member).map(Value::take) {
            found.extend(items);
        }
        match page.get("nextToken") {
            Some(token @ Value::String(_)) => input["nextToken"] = token.clone(),
            _ => return Ok(found),
        }
    }
    Err(ApiError::Lost(format!(
        "{operation} goes on after {PAGES_MAX} pages"
    )))
}

/// An agent's parts fit one page; a server that never ends its list is broken.
const PAGES_MAX: usize = 100;
