//! Why a filter does not let a document through, for people.

use std::fmt;

use super::{Condition, Filter};
use crate::metadata::{Metadata, MetadataValue};

/// A condition that kept a document out. Prints as a sentence without its full stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion<'a> {
    /// Where the condition stands in the filter, as `andAll[1]`; empty for the filter itself.
    pub path: String,
    /// The attribute it asks about.
    pub key: &'a str,
    /// What it asks.
    pub condition: &'a Condition,
    /// What the document has.
    pub found: Option<&'a MetadataValue>,
}

impl Filter {
    /// The conditions that keep a document with these attributes out; none where
    /// [`Filter::matches`]. Of a group of which one must match, every member is told.
    pub fn explain<'a>(&'a self, metadata: &'a Metadata) -> Vec<Exclusion<'a>> {
        let mut exclusions = Vec::new();
        self.collect(metadata, "", &mut exclusions);
        exclusions
    }

    fn collect<'a>(&'a self, metadata: &'a Metadata, path: &str, into: &mut Vec<Exclusion<'a>>) {
        match self {
            Self::All(filters) => {
                for (index, filter) in filters.iter().enumerate() {
                    filter.collect(metadata, &member(path, "andAll", index), into);
                }
            }
            Self::Any(filters) => {
                let before = into.len();
                for (index, filter) in filters.iter().enumerate() {
                    let already = into.len();
                    filter.collect(metadata, &member(path, "orAll", index), into);
                    if into.len() == already {
                        into.truncate(before);
                        return;
                    }
                }
            }
            Self::Attribute { key, condition } => {
                let found = metadata.get(key);
                if !condition.matches(found) {
                    into.push(Exclusion {
                        path: path.to_owned(),
                        key,
                        condition,
                        found,
                    });
                }
            }
        }
    }
}

fn member(path: &str, group: &str, index: usize) -> String {
    if path.is_empty() {
        format!("{group}[{index}]")
    } else {
        format!("{path}.{group}[{index}]")
    }
}

impl Condition {
    /// The operator's name in the API.
    pub fn operator(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::NotEquals(_) => "notEquals",
            Self::GreaterThan(_) => "greaterThan",
            Self::GreaterThanOrEquals(_) => "greaterThanOrEquals",
            Self::LessThan(_) => "lessThan",
            Self::LessThanOrEquals(_) => "lessThanOrEquals",
            Self::In(_) => "in",
            Self::NotIn(_) => "notIn",
            Self::StartsWith(_) => "startsWith",
            Self::ListContains(_) => "listContains",
            Self::StringContains(_) => "stringContains",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.operator())?;
        match self {
            Self::Equals(value) | Self::NotEquals(value) => write!(f, "{value}"),
            Self::GreaterThan(limit)
            | Self::GreaterThanOrEquals(limit)
            | Self::LessThan(limit)
            | Self::LessThanOrEquals(limit) => write!(f, "{limit}"),
            Self::In(values) | Self::NotIn(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
            Self::StartsWith(text) | Self::ListContains(text) | Self::StringContains(text) => {
                write!(f, "{text:?}")
            }
        }
    }
}

impl fmt::Display for Exclusion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} {}", self.key, self.condition)?;
        match self.found {
            Some(value) => write!(f, ", but the document has {value}"),
            None => f.write_str(", but the document has no such attribute"),
        }
    }
}
