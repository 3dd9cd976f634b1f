//! Attributes of documents, as filters see them and as results show them (behaviour.md 9.4).
//!
//! What a client says of a document comes as a `.metadata.json` file ([`MetadataFile`]) or inline
//! ([`Attributes::inline`]). Both are checked here, once; a fault names the attribute.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use outcrop_model::control::{MetadataAttribute, MetadataAttributeValue, MetadataValueType};
use serde::{Deserialize, Serialize};

pub use self::file::{FILE_BYTES_MAX, FILE_SUFFIX, MetadataFile};

/// Keys that begin so are the service's own.
pub const RESERVED_PREFIX: &str = "x-amz-bedrock";
/// Where the document is: its URI.
pub const SOURCE_URI: &str = "x-amz-bedrock-kb-source-uri";
/// The data source it came through.
pub const DATA_SOURCE_ID: &str = "x-amz-bedrock-kb-data-source-id";
/// The chunk.
pub const CHUNK_ID: &str = "x-amz-bedrock-kb-chunk-id";
/// The page that the chunk begins on, from 1, a number.
pub const PAGE_NUMBER: &str = "x-amz-bedrock-kb-document-page-number";

/// Longest name of an attribute, in characters (`Key` of `MetadataAttribute`).
const NAME_CHARS_MAX: usize = 200;

/// The attributes of a document, by name.
pub type Metadata = BTreeMap<String, MetadataValue>;

/// The value of an attribute. In JSON it is the plain value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetadataValue {
    /// `BOOLEAN`.
    Boolean(bool),
    /// `NUMBER`. Never NaN or infinite: JSON has neither.
    Number(f64),
    /// `STRING`.
    String(String),
    /// `STRING_LIST`.
    StringList(Vec<String>),
}

/// As JSON.
impl fmt::Display for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::StringList(texts) => write!(f, "{texts:?}"),
        }
    }
}

/// What a client says of a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attributes {
    /// The attributes.
    pub metadata: Metadata,
    /// Those that are embedded along with the text (`includeForEmbedding`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub embedded: BTreeSet<String>,
}

/// Why metadata cannot be used. The texts are told to clients, as the reason why a document failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The file is larger than one may be.
    #[error("the metadata file has {bytes} bytes, more than the {FILE_BYTES_MAX} that are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The file is not JSON of the form that is asked for.
    #[error("the metadata file is not valid: {0}")]
    Malformed(String),
    /// An attribute is not one.
    #[error("the metadata attribute \"{name}\" is not valid: {problem}")]
    Attribute {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `documentStructureConfiguration` does not say which columns are what.
    #[error("the metadata file's documentStructureConfiguration is not valid: {0}")]
    Structure(String),
}

impl Attributes {
    /// The attributes that the documents API is given inline (`inlineAttributes`).
    ///
    /// # Errors
    /// See [`MetadataError`]; the same name twice is an error.
    pub fn inline(attributes: &[MetadataAttribute]) -> Result<Self, MetadataError> {
        let mut all = Self::default();
        for MetadataAttribute { key, value } in attributes {
            let value = typed(value).map_err(|problem| attribute_error(key, problem))?;
            if all.metadata.contains_key(key) {
                return Err(attribute_error(key, "it is given twice".to_owned()));
            }
            all.insert(key, value)?;
        }
        Ok(all)
    }

    /// `text` as it is to be embedded: the attributes that are to be embedded come first, a line
    /// each, then an empty line.
    pub fn text_to_embed(&self, text: &Arc<str>) -> Arc<str> {
        let mut lines = String::new();
        for name in &self.embedded {
            if let Some(value) = self.metadata.get(name) {
                lines.push_str(name);
                lines.push_str(": ");
                push_plain(&mut lines, value);
                lines.push('\n');
            }
        }
        if lines.is_empty() {
            return Arc::clone(text);
        }
        lines.push('\n');
        lines.push_str(text);
        lines.into()
    }

    fn insert(&mut self, name: &str, value: MetadataValue) -> Result<(), MetadataError> {
        let chars = name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX {
            return Err(attribute_error(
                name,
                format!("a name has 1 to {NAME_CHARS_MAX} characters, not {chars}"),
            ));
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Err(attribute_error(
                name,
                format!("names that begin with {RESERVED_PREFIX} are the service's own"),
            ));
        }
        self.metadata.insert(name.to_owned(), value);
        Ok(())
    }
}

fn attribute_error(name: &str, problem: String) -> MetadataError {
    MetadataError::Attribute {
        name: name.to_owned(),
        problem,
    }
}

/// The value that belongs to the type that is said.
fn typed(value: &MetadataAttributeValue) -> Result<MetadataValue, String> {
    let (member, found) = match value.type_ {
        MetadataValueType::Boolean => (
            "booleanValue",
            value.boolean_value.map(MetadataValue::Boolean),
        ),
        MetadataValueType::Number => ("numberValue", value.number_value.map(MetadataValue::Number)),
        MetadataValueType::String => (
            "stringValue",
            value.string_value.clone().map(MetadataValue::String),
        ),
        MetadataValueType::StringList => (
            "stringListValue",
            value
                .string_list_value
                .clone()
                .map(MetadataValue::StringList),
        ),
        other => return Err(format!("the type {other} is not known here")),
    };
    match found {
        Some(MetadataValue::Number(number)) if !number.is_finite() => {
            Err("numberValue must be finite".to_owned())
        }
        Some(found) => Ok(found),
        None => Err(format!("type is {} but {member} is missing", value.type_)),
    }
}

/// A value as it reads in a text.
fn push_plain(text: &mut String, value: &MetadataValue) {
    match value {
        MetadataValue::Boolean(flag) => text.push_str(if *flag { "true" } else { "false" }),
        MetadataValue::Number(number) => text.push_str(&number.to_string()),
        MetadataValue::String(value) => text.push_str(value),
        MetadataValue::StringList(values) => text.push_str(&values.join(", ")),
    }
}

#[cfg(test)]
mod tests;
