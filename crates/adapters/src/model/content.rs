//! What the vendors' request bodies have in common: reading Converse content, refusing what cannot be
//! carried, and the fields passed through.

use std::borrow::Cow;

use outcrop_engine::port::{ModelError, ModelRequest};
use outcrop_model::converse::{
    ContentBlock, DocumentBlock, DocumentContentBlock, DocumentFormat, DocumentSource,
    GuardrailConverseContentBlock, ImageBlock, ImageSource, JsonSchemaDefinition, Message,
    OutputConfig, OutputFormatStructure, SystemContentBlock, ToolInputSchema, ToolResultBlock,
    ToolResultContentBlock, ToolUseBlock,
};
use serde::Serialize;
use serde_json::{Map, Value};

/// The JSON schema that `outputConfig` wants the answer to follow, and its name.
pub(super) fn output_schema(
    config: &OutputConfig,
) -> Result<Option<(&JsonSchemaDefinition, Value)>, ModelError> {
    let Some(format) = &config.text_format else {
        return Ok(None);
    };
    let OutputFormatStructure::JsonSchema(definition) = &format.structure else {
        return Err(rejected(
            "outputConfig.textFormat has a structure other than jsonSchema".to_owned(),
        ));
    };
    let schema = serde_json::from_str(&definition.schema).map_err(|error| {
        rejected(format!(
            "outputConfig.textFormat.structure.jsonSchema.schema is no JSON: {error}"
        ))
    })?;
    Ok(Some((definition, schema)))
}

/// How a document travels to vendors that know text and PDF only.
pub(super) enum DocumentForm<'a> {
    Text(Cow<'a, str>),
    Pdf(&'a [u8]),
}

/// Serialises a request body.
pub(super) fn to_json(body: &impl Serialize) -> Result<Vec<u8>, ModelError> {
    serde_json::to_vec(body)
        .map_err(|error| rejected(format!("the request cannot be written: {error}")))
}

/// The fields to pass through, which have to be members of one object.
pub(super) fn additional_fields(
    request: &ModelRequest,
) -> Result<Option<&Map<String, Value>>, ModelError> {
    match &request.additional_fields {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(_) => Err(rejected(
            "additionalModelRequestFields must be a JSON object".to_owned(),
        )),
    }
}

/// Refuses a passed-through field that the request already sets: one of the two would be lost.
pub(super) fn refuse_conflict(
    additional: Option<&Map<String, Value>>,
    is_set: impl Fn(&str) -> bool,
) -> Result<(), ModelError> {
    let conflict = additional.and_then(|fields| fields.keys().find(|key| is_set(key)));
    match conflict {
        None => Ok(()),
        Some(key) => Err(rejected(format!(
            "additionalModelRequestFields sets {key}, which the request sets already"
        ))),
    }
}

/// A tool's input schema.
pub(super) fn schema(schema: &ToolInputSchema) -> Result<&Value, ModelError> {
    match schema {
        ToolInputSchema::Json(schema) => Ok(schema),
        other => Err(no_form(other, "a tool's input schema")),
    }
}

/// The system text of a request as one text, its blocks a line each.
pub(super) fn system(request: &ModelRequest) -> Result<Cow<'_, str>, ModelError> {
    let mut all = Cow::Borrowed(&*request.system);
    for (index, block) in request.system_blocks.iter().enumerate() {
        let text = match block {
            SystemContentBlock::Text(text) => text,
            SystemContentBlock::GuardContent(guarded) => guarded_text(guarded)?,
            SystemContentBlock::CachePoint(_) => continue,
            other => return Err(no_form(other, "the system text")),
        };
        if index == 0 {
            all = Cow::Borrowed(text);
        } else {
            let all = all.to_mut();
            all.push('\n');
            all.push_str(text);
        }
    }
    Ok(all)
}

/// The text of a system message that stands inside the conversation.
pub(super) fn system_text(message: &Message) -> Result<String, ModelError> {
    let mut all = String::new();
    for block in &message.content {
        match block {
            ContentBlock::Text(text) => {
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(text);
            }
            ContentBlock::CachePoint(_) => {}
            other => return Err(no_form(other, "a system message")),
        }
    }
    Ok(all)
}

/// An earlier call, told as text: for a vendor that refuses calls where no tools are given.
pub(super) fn told_call(call: &ToolUseBlock) -> String {
    format!("[called {} with {}]", call.name, call.input)
}

/// An earlier call's result, told as text.
pub(super) fn told_result(result: &ToolResultBlock) -> String {
    let mut text = String::from("[result:");
    for block in &result.content {
        text.push(' ');
        match block {
            ToolResultContentBlock::Text(part) => text.push_str(part),
            ToolResultContentBlock::Json(value) => text.push_str(&value.to_string()),
            _ => text.push_str("(not text)"),
        }
    }
    text.push(']');
    text
}

/// The text marked for a guardrail, which is meant for the model as well.
pub(super) fn guarded_text(content: &GuardrailConverseContentBlock) -> Result<&str, ModelError> {
    match content {
        GuardrailConverseContentBlock::Text(text) => Ok(&text.text),
        GuardrailConverseContentBlock::Image(_) => Err(rejected(
            "images marked as guardContent are sent to Bedrock only".to_owned(),
        )),
        other => Err(no_form(other, "guardContent")),
    }
}

/// Media type and bytes of an image.
pub(super) fn image(image: &ImageBlock) -> Result<(String, &[u8]), ModelError> {
    match &image.source {
        ImageSource::Bytes(bytes) => Ok((format!("image/{}", image.format), bytes.as_bytes())),
        ImageSource::S3Location(_) => Err(rejected(
            "an image given as an S3 location is sent to Bedrock only".to_owned(),
        )),
        other => Err(no_form(other, "an image")),
    }
}

/// A document as text where it is text, as PDF where it is that.
pub(super) fn document(document: &DocumentBlock) -> Result<DocumentForm<'_>, ModelError> {
    match &document.source {
        DocumentSource::Text(text) => Ok(DocumentForm::Text(Cow::Borrowed(text))),
        DocumentSource::Content(blocks) => {
            let mut all = String::new();
            for block in blocks {
                match block {
                    DocumentContentBlock::Text(text) => {
                        all.push_str(text);
                        all.push('\n');
                    }
                    other => return Err(no_form(other, "a document")),
                }
            }
            Ok(DocumentForm::Text(Cow::Owned(all)))
        }
        DocumentSource::Bytes(bytes) => {
            let format = document.format.unwrap_or(DocumentFormat::Txt);
            match format {
                DocumentFormat::Pdf => Ok(DocumentForm::Pdf(bytes.as_bytes())),
                DocumentFormat::Txt
                | DocumentFormat::Md
                | DocumentFormat::Csv
                | DocumentFormat::Html => Ok(DocumentForm::Text(String::from_utf8_lossy(
                    bytes.as_bytes(),
                ))),
                other => Err(rejected(format!(
                    "a document in {other} format is sent to Bedrock only"
                ))),
            }
        }
        DocumentSource::S3Location(_) => Err(rejected(
            "a document given as an S3 location is sent to Bedrock only".to_owned(),
        )),
        other => Err(no_form(other, "a document")),
    }
}

/// Content that a vendor's protocol has no form for: `union` names it, `place` says where it stands.
pub(super) fn no_form(union: &impl Serialize, place: &str) -> ModelError {
    rejected(format!(
        "this provider's protocol has no form for {} in {place}",
        tag(union)
    ))
}

/// The member name of a union, which is how AWS calls it.
fn tag(union: &impl Serialize) -> String {
    match serde_json::to_value(union) {
        Ok(Value::Object(members)) => members.keys().next().cloned().unwrap_or_default(),
        Ok(_) | Err(_) => "content".to_owned(),
    }
}

fn rejected(detail: String) -> ModelError {
    ModelError::Rejected { detail }
}
