//! `<name>.metadata.json`, the file beside a document (behaviour.md 9.4).
//!
//! It has the attributes in a simple form (the plain value) or a full one (type, value and whether it
//! is embedded), each attribute as it likes, and for a CSV file which columns are what. Members that
//! are not known are passed over: AWS adds some.

use outcrop_model::control::MetadataAttributeValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Attributes, MetadataError, MetadataValue, attribute_error, typed};
use crate::document::RecordFields;

/// Most bytes of the file (behaviour.md 9.4).
pub const FILE_BYTES_MAX: usize = 10 * 1024;
/// What the file's name has behind that of its document.
pub const FILE_SUFFIX: &str = ".metadata.json";

/// `type` of a `documentStructureConfiguration`.
const RECORD_BASED: &str = "RECORD_BASED_STRUCTURE_METADATA";

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataFile {
    /// Of the document.
    pub attributes: Attributes,
    /// Which columns of a CSV file are what.
    pub records: Option<RecordFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    metadata_attributes: Option<Map<String, Value>>,
    #[serde(default)]
    document_structure_configuration: Option<Structure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Full {
    value: MetadataAttributeValue,
    #[serde(default)]
    include_for_embedding: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Structure {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    record_based_structure_metadata: Option<RecordBased>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordBased {
    content_fields: Vec<Field>,
    #[serde(default)]
    metadata_fields_specification: Option<Specification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    field_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Specification {
    #[serde(default)]
    fields_to_include: Option<Vec<Field>>,
    #[serde(default)]
    fields_to_exclude: Option<Vec<Field>>,
}

impl MetadataFile {
    /// Reads the file.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(MetadataError::TooLarge { bytes: bytes.len() });
        }
        // Editors on Windows put a byte order mark before it.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| MetadataError::Malformed(error.to_string()))?;
        if file.metadata_attributes.is_none() && file.document_structure_configuration.is_none() {
            return Err(MetadataError::Malformed(
                "it has no metadataAttributes".to_owned(),
            ));
        }
        let mut attributes = Attributes::default();
        for (name, value) in file.metadata_attributes.unwrap_or_default() {
            let (value, embedded) =
                read(value).map_err(|problem| attribute_error(&name, problem))?;
            attributes.insert(&name, value)?;
            if embedded {
                attributes.embedded.insert(name);
            }
        }
        let records = file
            .document_structure_configuration
            .map(record_fields)
            .transpose()?;
        Ok(Self {
            attributes,
            records,
        })
    }
}

/// An attribute's value and whether it is embedded.
fn read(value: Value) -> Result<(MetadataValue, bool), String> {
    let value = match value {
        Value::Bool(flag) => MetadataValue::Boolean(flag),
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.is_finite())
            .map(MetadataValue::Number)
            .ok_or("the number is out of range")?,
        Value::String(text) => MetadataValue::String(text),
        Value::Array(values) => values
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err("a list may hold strings only".to_owned()),
            })
            .collect::<Result<_, _>>()
            .map(MetadataValue::StringList)?,
        Value::Null => return Err("it is null".to_owned()),
        object @ Value::Object(_) => {
            let full: Full = serde_json::from_value(object).map_err(|error| {
                format!("neither a plain value nor an object with type and value: {error}")
            })?;
            return Ok((typed(&full.value)?, full.include_for_embedding));
        }
    };
    Ok((value, false))
}

fn record_fields(structure: Structure) -> Result<RecordFields, MetadataError> {
    let fault = |problem: String| Err(MetadataError::Structure(problem));
    if structure.kind != RECORD_BASED {
        return fault(format!(
            "type must be {RECORD_BASED}, not {}",
            structure.kind
        ));
    }
    let Some(records) = structure.record_based_structure_metadata else {
        return fault("recordBasedStructureMetadata is missing".to_owned());
    };
    let fields = records.content_fields.len();
    let mut content = names(records.content_fields);
    let (Some(content), 1) = (content.pop(), fields) else {
        return fault(format!("contentFields must have one member, not {fields}"));
    };
    let (include, exclude) = match records.metadata_fields_specification {
        Some(specification) => (
            specification.fields_to_include.map(names),
            specification
                .fields_to_exclude
                .map(names)
                .unwrap_or_default(),
        ),
        None => (None, Vec::new()),
    };
    Ok(RecordFields {
        content,
        include,
        exclude,
    })
}

fn names(fields: Vec<Field>) -> Vec<String> {
    fields.into_iter().map(|field| field.field_name).collect()
}
