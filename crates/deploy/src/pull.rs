//! `outcrop pull`: an agent that lives elsewhere as a folder that `outcrop deploy` applies.
//!
//! [`read`] fetches the agent with everything it refers to into a [`Source`], [`folder`] turns that
//! into files. Both sides are AWS's API, so the source may be AWS or a server of ours. Nothing is
//! changed at the source, and no secret is read: secrets, keys and roles are named by ARN only.
//!
//! Invariant: the same source gives the same bytes; what is not carried over is named in the report.

mod clean;
mod folder;
mod layout;
mod names;
mod read;
mod report;
mod scan;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use crate::api::ApiError;

pub use folder::{Folder, FolderError, PushedStack, folder, stacks};
pub use read::read;

/// The alias of the working draft, which every agent has.
pub const TEST_ALIAS: &str = "TSTALIASID";
/// The version that is edited.
pub const DRAFT: &str = "DRAFT";

/// What to read.
#[derive(Clone, Debug)]
pub struct Request {
    /// The agent's id, else its name.
    pub agent: String,
    /// An alias's id, else its name: the agent is read as this alias serves it, with this alias
    /// alone. Without one the draft, all versions and all aliases are read.
    pub alias: Option<String>,
}

/// Where API schemas lie that action groups name by bucket and key.
pub trait Objects: Send + Sync {
    /// The text of an object, or why it cannot be had.
    fn text<'a>(&'a self, bucket: &'a str, key: &'a str) -> BoxFuture<'a, Result<String, String>>;
}

/// Hears what is being read.
pub type Tell<'a> = dyn Fn(&str) + Send + Sync + 'a;

/// Why an agent could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The service refused something without which nothing can be read, or is out of reach.
    #[error("{what} cannot be read: {source}")]
    Call {
        /// What was asked for.
        what: String,
        /// The answer.
        source: ApiError,
    },
    /// No such name.
    #[error("there is no {what} with the id or name {name}")]
    NoSuchName {
        /// `agent` or `alias`.
        what: &'static str,
        /// As given.
        name: String,
    },
    /// The alias serves no version.
    #[error("the alias {0} routes to no version")]
    Unrouted(String),
    /// More than is ever meant.
    #[error("{what}: more than {limit}, which is the limit of one pull")]
    TooMany {
        /// Of what.
        what: String,
        /// The limit.
        limit: usize,
    },
}

/// An agent and everything it refers to, as definitions in the API's form.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The agent that was asked for.
    pub root: String,
    /// By id.
    pub agents: BTreeMap<String, SourceAgent>,
    /// By id.
    pub knowledge_bases: BTreeMap<String, SourceBase>,
    /// By id.
    pub prompts: BTreeMap<String, SourcePrompt>,
    /// Schemas read from S3, by bucket and key.
    pub schemas: BTreeMap<(String, String), String>,
    /// What is not as at the source.
    pub notes: Notes,
}

/// What a version, or the draft, is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The members of the agent itself.
    pub own: Map<String, Value>,
    /// In the order in which the model is shown them.
    pub action_groups: Vec<Value>,
    /// In order of their making.
    pub knowledge_bases: Vec<Value>,
    /// In order of their making.
    pub collaborators: Vec<Value>,
}

/// One agent.
#[derive(Clone, Debug, Default)]
pub struct SourceAgent {
    /// Its name.
    pub name: String,
    /// Whether what the draft holds is prepared.
    pub is_prepared: bool,
    /// The draft, or what the alias serves.
    pub draft: Snapshot,
    /// By number.
    pub versions: BTreeMap<u32, Snapshot>,
    /// By id.
    pub aliases: BTreeMap<String, SourceAlias>,
    /// Without those of AWS's own.
    pub tags: Map<String, Value>,
    /// Of the alias that serves the draft.
    pub test_alias_tags: Map<String, Value>,
}

/// One alias.
#[derive(Clone, Debug, Default)]
pub struct SourceAlias {
    /// Its members, the routing left out where it serves the agent as it was read.
    pub definition: Map<String, Value>,
    /// The version it serves; `None` where it serves the agent as it was read.
    pub version: Option<u32>,
    /// Without those of AWS's own.
    pub tags: Map<String, Value>,
}

/// One knowledge base.
#[derive(Clone, Debug, Default)]
pub struct SourceBase {
    /// Its members.
    pub definition: Map<String, Value>,
    /// By name.
    pub data_sources: BTreeMap<String, Map<String, Value>>,
    /// Without those of AWS's own.
    pub tags: Map<String, Value>,
}

/// One prompt of Prompt management.
#[derive(Clone, Debug, Default)]
pub struct SourcePrompt {
    /// Its members.
    pub definition: Map<String, Value>,
    /// Versions that are referred to.
    pub versions: BTreeMap<u32, SourcePromptVersion>,
    /// Without those of AWS's own.
    pub tags: Map<String, Value>,
}

/// A version of a prompt.
#[derive(Clone, Debug, Default)]
pub struct SourcePromptVersion {
    /// What it was cut from.
    pub definition: Map<String, Value>,
    /// Without those of AWS's own.
    pub tags: Map<String, Value>,
}

/// What the report tells besides what is exact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Carried over, but not as at the source.
    pub differs: BTreeSet<String>,
    /// Not carried over.
    pub missing: BTreeSet<String>,
}

impl Notes {
    pub(crate) fn differs(&mut self, text: impl Into<String>) {
        self.differs.insert(text.into());
    }

    pub(crate) fn missing(&mut self, text: impl Into<String>) {
        self.missing.insert(text.into());
    }
}

impl Source {
    /// A folder for the agent that was asked for, after its name.
    pub fn folder_name(&self) -> String {
        let root = self.agents.get(&self.root);
        names::file_name(root.map_or("", |agent| agent.name.as_str()))
    }
}
