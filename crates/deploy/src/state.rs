//! What the server keeps of a stack, and how it is kept: written after every step.
//!
//! Invariant: whatever the state says was tried is in it before the first call that tries it, so that
//! a run that ends anywhere leaves all that the next one needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::Made;

/// A stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Whether the last run reached its end.
    pub status: Status,
    /// Counts creations; part of every token, so that no two share one.
    pub generation: u64,
    /// Resources by logical id.
    pub resources: BTreeMap<String, Resource>,
    /// What replaced or dropped resources left, to be removed.
    pub leftovers: Vec<Leftover>,
    /// How to undo what has been done since the stack was last complete, in the order done.
    pub undo: Vec<Undo>,
    /// Outputs of the last complete run.
    pub outputs: BTreeMap<String, Value>,
}

/// Where a stack stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nothing has been done.
    #[default]
    New,
    /// A run is at work, or was cut short.
    InProgress,
    /// The last run did all it meant to.
    Complete,
    /// The last run failed and undid what it did.
    RolledBack,
    /// The last run failed and left things as they were then.
    Failed,
}

impl Status {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::InProgress => "in progress",
            Self::Complete => "complete",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
        }
    }
}

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// `AWS::Bedrock::Agent`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The token it is, or was, made with.
    pub token: String,
    /// What exists; `None` while making it has been tried and no answer seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// The definition it has, or is being made with.
    pub definition: Value,
    /// Definitions tried since: it may be in any mixture of them and [`Self::definition`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Value>,
    /// What it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// `DeletionPolicy: Retain`.
    #[serde(default)]
    pub is_retained: bool,
}

impl Resource {
    /// Whether what exists is exactly the definition.
    pub fn is_settled(&self) -> bool {
        self.made.is_some() && self.tried.is_empty()
    }
}

/// A resource the stack has no more, but the server may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// The logical id it had.
    pub logical: String,
    /// As it was.
    pub resource: Resource,
}

/// One thing done, and what was there before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undo {
    /// The resource.
    pub logical: String,
    /// As it was; `None`: it was not.
    pub before: Option<Resource>,
    /// The old one stepped aside under another name, to make room for its replacement.
    #[serde(default)]
    pub is_replaced: bool,
}
