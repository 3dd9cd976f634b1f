//! From the API's `RetrievalFilter` to a checked [`Filter`].
//!
//! The wire layer has checked what the model of the API can say (a group has at least two members, a
//! key at most 100 characters), but filters also come from models and from functions, so all of it is
//! checked here. What is wrong is told with the path of the member, as the client wrote it.

use outcrop_model::runtime::{FilterAttribute, RetrievalFilter};
use serde_json::Value;

use super::{Condition, Filter};
use crate::metadata::MetadataValue;

/// Longest name of an attribute in a filter, in characters (`FilterKey`).
const KEY_CHARS_MAX: usize = 100;
/// Fewest members of a group (`RetrievalFilterList`).
const GROUP_MIN: usize = 2;

/// How large a filter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most members of a group.
    pub group: usize,
    /// Most groups within one another, the outermost included.
    pub depth: usize,
    /// Most conditions in all.
    pub conditions: usize,
    /// Most values of a list.
    pub values: usize,
}

impl Limits {
    /// What AWS allows: five filters a group, and groups of groups of conditions (behaviour.md 9.7).
    pub const AWS: Self = Self {
        group: 5,
        depth: 2,
        ..Self::RELAXED
    };

    /// What still is evaluated quickly: each condition may be asked of each document.
    pub const RELAXED: Self = Self {
        group: 1000,
        depth: 10,
        conditions: 1000,
        values: 1000,
    };
}

/// Why a filter cannot be used. Its text is a sentence for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The filter is not valid: {path} {problem}.")]
pub struct FilterError {
    /// The member at fault, from the filter's root, as `andAll[1].greaterThan.value`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads the value of an operator.
type Read = fn(Place<'_>) -> Result<Condition, FilterError>;

impl Filter {
    /// Checks a filter.
    ///
    /// # Errors
    /// The first fault, in the order in which the filter is written.
    pub fn parse(filter: &RetrievalFilter, limits: Limits) -> Result<Self, FilterError> {
        Parser {
            limits,
            conditions: 0,
        }
        .filter(filter, "", 0)
    }
}

struct Parser {
    limits: Limits,
    conditions: usize,
}

impl Parser {
    fn filter(
        &mut self,
        filter: &RetrievalFilter,
        path: &str,
        depth: usize,
    ) -> Result<Filter, FilterError> {
        use RetrievalFilter as R;
        let (name, attribute, read): (_, _, Read) = match filter {
            R::AndAll(filters) => {
                let path = join(path, "andAll");
                return Ok(Filter::All(self.group(filters, &path, depth)?));
            }
            R::OrAll(filters) => {
                let path = join(path, "orAll");
                return Ok(Filter::Any(self.group(filters, &path, depth)?));
            }
            R::Equals(attribute) => ("equals", attribute, |place| {
                place.any().map(Condition::Equals)
            }),
            R::NotEquals(attribute) => ("notEquals", attribute, |place| {
                place.any().map(Condition::NotEquals)
            }),
            R::GreaterThan(attribute) => ("greaterThan", attribute, |place| {
                place.number().map(Condition::GreaterThan)
            }),
            R::GreaterThanOrEquals(attribute) => ("greaterThanOrEquals", attribute, |place| {
                place.number().map(Condition::GreaterThanOrEquals)
            }),
            R::LessThan(attribute) => ("lessThan", attribute, |place| {
                place.number().map(Condition::LessThan)
            }),
            R::LessThanOrEquals(attribute) => ("lessThanOrEquals", attribute, |place| {
                place.number().map(Condition::LessThanOrEquals)
            }),
            R::In(attribute) => ("in", attribute, |place| place.list().map(Condition::In)),
            R::NotIn(attribute) => ("notIn", attribute, |place| {
                place.list().map(Condition::NotIn)
            }),
            R::StartsWith(attribute) => ("startsWith", attribute, |place| {
                place.string().map(Condition::StartsWith)
            }),
            R::ListContains(attribute) => ("listContains", attribute, |place| {
                place.string().map(Condition::ListContains)
            }),
            R::StringContains(attribute) => ("stringContains", attribute, |place| {
                place.string().map(Condition::StringContains)
            }),
            // The generated enum may grow; wire refuses what it does not know.
            _ => {
                return Err(fault(
                    path,
                    "has an operator that is not known here".to_owned(),
                ));
            }
        };
        self.condition(&join(path, name), attribute, read)
    }

    fn group(
        &mut self,
        filters: &[RetrievalFilter],
        path: &str,
        depth: usize,
    ) -> Result<Vec<Filter>, FilterError> {
        let fault = |problem| Err(fault(path, problem));
        if depth >= self.limits.depth {
            let most = self.limits.depth;
            return fault(format!(
                "is nested too deeply: at most {most} groups within one another are allowed"
            ));
        }
        if filters.len() < GROUP_MIN {
            return fault(format!("must have at least {GROUP_MIN} members"));
        }
        if filters.len() > self.limits.group {
            let (most, got) = (self.limits.group, filters.len());
            return fault(format!("must have at most {most} members, not {got}"));
        }
        filters
            .iter()
            .enumerate()
            .map(|(index, filter)| self.filter(filter, &format!("{path}[{index}]"), depth + 1))
            .collect()
    }

    fn condition(
        &mut self,
        path: &str,
        attribute: &FilterAttribute,
        read: fn(Place<'_>) -> Result<Condition, FilterError>,
    ) -> Result<Filter, FilterError> {
        self.conditions += 1;
        if self.conditions > self.limits.conditions {
            let most = self.limits.conditions;
            return Err(fault(
                path,
                format!("is one condition too many: at most {most} are allowed"),
            ));
        }
        let chars = attribute.key.chars().count();
        if chars == 0 || chars > KEY_CHARS_MAX {
            return Err(fault(
                &join(path, "key"),
                format!("must have 1 to {KEY_CHARS_MAX} characters, not {chars}"),
            ));
        }
        let condition = read(Place {
            value: &attribute.value,
            path: &join(path, "value"),
            values_max: self.limits.values,
        })?;
        Ok(Filter::Attribute {
            key: attribute.key.clone(),
            condition,
        })
    }
}

/// A condition's value and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    value: &'a Value,
    path: &'a str,
    values_max: usize,
}

impl Place<'_> {
    fn any(self) -> Result<MetadataValue, FilterError> {
        if self.value.is_array() {
            return self.strings().map(MetadataValue::StringList);
        }
        scalar(self.value)
            .ok_or_else(|| self.wrong("must be a string, a number, a boolean or a list of strings"))
    }

    fn number(self) -> Result<f64, FilterError> {
        match scalar(self.value) {
            Some(MetadataValue::Number(number)) => Ok(number),
            _ => Err(self.wrong("must be a number")),
        }
    }

    fn string(self) -> Result<String, FilterError> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.wrong("must be a string")),
        }
    }

    fn list(self) -> Result<Vec<MetadataValue>, FilterError> {
        self.items("must be a list of strings, numbers or booleans", scalar)
    }

    fn strings(self) -> Result<Vec<String>, FilterError> {
        self.items("must be a list of strings", |value| {
            value.as_str().map(str::to_owned)
        })
    }

    fn items<T>(
        self,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, FilterError> {
        let Value::Array(values) = self.value else {
            return Err(self.wrong(wanted));
        };
        if values.is_empty() || values.len() > self.values_max {
            let (most, got) = (self.values_max, values.len());
            return Err(fault(
                self.path,
                format!("must have 1 to {most} values, not {got}"),
            ));
        }
        values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let path = format!("{}[{index}]", self.path);
                read(value)
                    .ok_or_else(|| fault(&path, format!("is {}; the value {wanted}", kind(value))))
            })
            .collect()
    }

    fn wrong(self, wanted: &str) -> FilterError {
        fault(self.path, format!("{wanted}, not {}", kind(self.value)))
    }
}

fn scalar(value: &Value) -> Option<MetadataValue> {
    match value {
        Value::Bool(flag) => Some(MetadataValue::Boolean(*flag)),
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.is_finite())
            .map(MetadataValue::Number),
        Value::String(text) => Some(MetadataValue::String(text.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn fault(path: &str, problem: String) -> FilterError {
    FilterError {
        path: path.to_owned(),
        problem,
    }
}

fn join(path: &str, member: &str) -> String {
    if path.is_empty() {
        member.to_owned()
    } else {
        format!("{path}.{member}")
    }
}
