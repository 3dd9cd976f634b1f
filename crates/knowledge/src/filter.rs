//! Which documents a search may find: `RetrievalFilter`, checked (behaviour.md 9.7).
//!
//! [`Filter::matches`] is the definition of every operator. An index that evaluates filters its own
//! way is tested against it. [`Filter::parse`] is the only way in for a client's filter;
//! [`Filter::explain`] tells a person which condition kept a document out.

mod explain;
mod parse;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use self::explain::Exclusion;
pub use self::parse::{FilterError, Limits};
use crate::metadata::{Metadata, MetadataValue};

/// A checked filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Filter {
    /// Every one matches. Not empty.
    All(Vec<Filter>),
    /// At least one matches. Not empty.
    Any(Vec<Filter>),
    /// A condition on one attribute.
    Attribute {
        /// The attribute's name.
        key: String,
        /// What is asked of its value.
        condition: Condition,
    },
}

/// What is asked of an attribute. A value of another type than the condition's does not match, and
/// neither does an attribute that the document lacks; `NotEquals` and `NotIn` are the opposite of
/// `Equals` and `In` and match then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// The same value, of the same type.
    Equals(MetadataValue),
    /// Not [`Condition::Equals`].
    NotEquals(MetadataValue),
    /// A number above this.
    GreaterThan(f64),
    /// A number not below this.
    GreaterThanOrEquals(f64),
    /// A number below this.
    LessThan(f64),
    /// A number not above this.
    LessThanOrEquals(f64),
    /// Equal to one of these.
    In(Vec<MetadataValue>),
    /// Not [`Condition::In`].
    NotIn(Vec<MetadataValue>),
    /// A string that begins so, letters compared as they are.
    StartsWith(String),
    /// A list of strings with this one among them.
    ListContains(String),
    /// A string with this one in it, or a list with such a string.
    StringContains(String),
}

impl Filter {
    /// Whether a document with these attributes may be found.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(metadata)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(metadata)),
            Self::Attribute { key, condition } => condition.matches(metadata.get(key)),
        }
    }

    /// The filter that holds where each of these does; `None` where there are none.
    pub fn all_of(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut filters: Vec<Self> = filters.into_iter().collect();
        if filters.len() > 1 {
            Some(Self::All(filters))
        } else {
            filters.pop()
        }
    }

    /// The attributes it asks about.
    pub fn keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        self.collect_keys(&mut keys);
        keys
    }

    fn collect_keys<'a>(&'a self, keys: &mut BTreeSet<&'a str>) {
        match self {
            Self::All(filters) | Self::Any(filters) => {
                for filter in filters {
                    filter.collect_keys(keys);
                }
            }
            Self::Attribute { key, .. } => {
                keys.insert(key);
            }
        }
    }
}

impl Condition {
    /// Whether an attribute with this value, `None` where the document lacks it, is as asked.
    pub fn matches(&self, value: Option<&MetadataValue>) -> bool {
        use MetadataValue as V;
        #[expect(
            clippy::match_same_arms,
            reason = "what a document lacks stands apart from what is of another type"
        )]
        match (self, value) {
            (Self::NotEquals(wanted), value) => value != Some(wanted),
            (Self::NotIn(wanted), value) => !value.is_some_and(|value| wanted.contains(value)),
            (_, None) => false,
            (Self::Equals(wanted), Some(value)) => value == wanted,
            (Self::In(wanted), Some(value)) => wanted.contains(value),
            (Self::GreaterThan(limit), Some(V::Number(value))) => value > limit,
            (Self::GreaterThanOrEquals(limit), Some(V::Number(value))) => value >= limit,
            (Self::LessThan(limit), Some(V::Number(value))) => value < limit,
            (Self::LessThanOrEquals(limit), Some(V::Number(value))) => value <= limit,
            (Self::StartsWith(start), Some(V::String(value))) => value.starts_with(start),
            (Self::StringContains(part), Some(V::String(value))) => value.contains(part),
            (Self::StringContains(part), Some(V::StringList(values))) => {
                values.iter().any(|value| value.contains(part))
            }
            (Self::ListContains(wanted), Some(V::StringList(values))) => values.contains(wanted),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
