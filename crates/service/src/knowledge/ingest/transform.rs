//! A function of the user's own between cutting and embedding (`customTransformationConfiguration`).
//!
//! The chunks are written to the bucket that the data source names, the function is called with the
//! keys, and gives back the keys of what it has written (AWS's contract: `inputFiles` and
//! `outputFiles` with `contentBatches`, each a JSON object with `fileContents`). Metadata of a chunk
//! goes over that of its file.

use std::collections::BTreeMap;

use bytes::Bytes;
use outcrop_engine::port::{ActionCall, SourceError};
use outcrop_knowledge::chunk::CHUNKS_MAX;
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::{Metadata, MetadataValue, RESERVED_PREFIX};
use outcrop_model::control::CustomTransformationConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::DocumentError;
use super::content::About;
use super::kitchen::{Kitchen, Piece};
use super::s3_uri;
use super::stored::{document_id, hash};

/// Chunks in one file: a few hundred kilobytes of text.
const CHUNKS_A_FILE: usize = 500;
/// Most files that a function may give back for one document.
const FILES_MAX: usize = 1_000;
/// Largest of them.
const FILE_BYTES_MAX: u64 = 50 * 1024 * 1024;

/// A file of chunks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contents {
    file_contents: Vec<Content>,
}

#[expect(clippy::struct_field_names, reason = "the names are those of the JSON")]
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    content_body: String,
    #[serde(default = "text")]
    content_type: String,
    #[serde(default)]
    content_metadata: Option<BTreeMap<String, Value>>,
}

fn text() -> String {
    "TEXT".to_owned()
}

/// What the function gives back.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    output_files: Vec<OutputFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputFile {
    #[serde(default)]
    file_metadata: Option<BTreeMap<String, Value>>,
    content_batches: Vec<Batch>,
}

#[derive(Debug, Deserialize)]
struct Batch {
    key: String,
}

/// Has the chunks of a document transformed by each function in turn.
pub(super) async fn apply(
    kitchen: &Kitchen,
    configuration: &CustomTransformationConfiguration,
    location: &DocumentLocation,
    about: &About,
    pieces: Vec<Piece>,
) -> Result<Vec<Piece>, DocumentError> {
    let uri = &configuration.intermediate_storage.s3_location.uri;
    let Some((bucket, prefix)) = storage(uri) else {
        return Err(DocumentError::Hopeless(format!(
            "the intermediate storage {uri} is not of the form s3://bucket/prefix"
        )));
    };
    let place = Place {
        kitchen,
        bucket,
        prefix: &prefix,
    };
    let mut pieces = pieces;
    for step in &configuration.transformations {
        let function = &step.transformation_function;
        let function = &function.transformation_lambda_configuration.lambda_arn;
        let written = place.write(location, &pieces).await;
        let made = match &written {
            Ok(keys) => place.call(function, location, about, keys).await,
            Err(cause) => Err(cause.clone()),
        };
        for key in written.iter().flatten() {
            // What stays behind harms nobody; the bucket is the user's.
            let removed = kitchen.shared.ports.documents.remove(bucket, key).await;
            if let Err(cause) = removed {
                tracing::debug!(%cause, "an intermediate file stays");
            }
        }
        pieces = made?;
    }
    Ok(pieces)
}

/// Bucket and prefix, which may be empty.
fn storage(uri: &str) -> Option<(&str, String)> {
    if let Some((bucket, key)) = s3_uri(uri) {
        let slash = if key.ends_with('/') { "" } else { "/" };
        return Some((bucket, format!("{key}{slash}")));
    }
    let bucket = uri.strip_prefix("s3://")?.trim_end_matches('/');
    (!bucket.is_empty() && !bucket.contains('/')).then(|| (bucket, String::new()))
}

struct Place<'a> {
    kitchen: &'a Kitchen,
    bucket: &'a str,
    prefix: &'a str,
}

impl Place<'_> {
    /// Writes the chunks and gives the keys.
    async fn write(
        &self,
        location: &DocumentLocation,
        pieces: &[Piece],
    ) -> Result<Vec<String>, DocumentError> {
        let source = &self.kitchen.source;
        let document = hash(document_id(location).as_bytes());
        let folder = format!(
            "{}aws/bedrock/knowledge_bases/{}/{}/{document}",
            self.prefix, source.knowledge_base_id, source.data_source_id
        );
        let mut keys = Vec::new();
        for (number, pieces) in pieces.chunks(CHUNKS_A_FILE).enumerate() {
            let contents = Contents {
                file_contents: pieces
                    .iter()
                    .map(|piece| Content {
                        content_body: piece.text.to_string(),
                        content_type: text(),
                        content_metadata: Some(BTreeMap::new()),
                    })
                    .collect(),
            };
            let key = format!("{folder}/{number}.json");
            let content = Bytes::from(crate::records::json(&contents));
            let documents = &self.kitchen.shared.ports.documents;
            let written = documents.write(self.bucket, &key, content).await;
            written.map_err(|cause| {
                DocumentError::Unlucky(format!(
                    "the chunks could not be written to the intermediate storage: {cause}"
                ))
            })?;
            keys.push(key);
        }
        Ok(keys)
    }

    /// Calls the function and reads what it has made.
    async fn call(
        &self,
        function: &str,
        location: &DocumentLocation,
        about: &About,
        keys: &[String],
    ) -> Result<Vec<Piece>, DocumentError> {
        let kitchen = self.kitchen;
        let batches: Vec<Value> = keys.iter().map(|key| json!({"key": key})).collect();
        let event = json!({
            "version": "1.0",
            "knowledgeBaseId": kitchen.source.knowledge_base_id,
            "dataSourceId": kitchen.source.data_source_id,
            "ingestionJobId": kitchen.job_id,
            "bucketName": self.bucket,
            "priorTask": "CHUNKING",
            "inputFiles": [{
                "originalFileLocation": original(location),
                "fileMetadata": about.attributes.metadata,
                "contentBatches": batches,
            }],
        });
        let ids = &kitchen.shared.ports.ids;
        let call = ActionCall {
            function: function.to_owned(),
            event: Bytes::from(event.to_string()),
            idempotency_key: format!("{}/{}", kitchen.job_id, document_id(location)),
            client_context: None,
            request_id: ids.uuid(),
            action: None,
        };
        let unlucky = |cause: String| {
            DocumentError::Unlucky(format!("the transformation function {function} {cause}"))
        };
        let reply = kitchen.shared.ports.actions.invoke(call).await;
        let reply = reply.map_err(|cause| unlucky(format!("could not be invoked: {cause}")))?;
        if let Some(error) = reply.function_error {
            let said = String::from_utf8_lossy(&reply.payload);
            let said: String = said.chars().take(400).collect();
            return Err(unlucky(format!("failed ({error}): {said}")));
        }
        let reply: Reply = serde_json::from_slice(&reply.payload)
            .map_err(|cause| unlucky(format!("gave an answer without outputFiles: {cause}")))?;
        self.read(function, location, about, reply).await
    }

    async fn read(
        &self,
        function: &str,
        location: &DocumentLocation,
        about: &About,
        reply: Reply,
    ) -> Result<Vec<Piece>, DocumentError> {
        let files = reply.output_files.iter();
        let files: usize = files.map(|file| file.content_batches.len()).sum();
        if files > FILES_MAX {
            return Err(DocumentError::Unfit(format!(
                "the transformation function {function} gave {files} files, more than {FILES_MAX}"
            )));
        }
        let mut pieces = Vec::new();
        for file in reply.output_files {
            let of_file = attributes(function, file.file_metadata.unwrap_or_default())?;
            for batch in file.content_batches {
                for content in self.contents(function, &batch.key).await?.file_contents {
                    if pieces.len() == CHUNKS_MAX {
                        return Err(DocumentError::Unfit(format!(
                            "the transformation function {function} gave more than {CHUNKS_MAX} chunks"
                        )));
                    }
                    if content.content_body.trim().is_empty() {
                        continue;
                    }
                    let mut own = of_file.clone();
                    own.extend(attributes(
                        function,
                        content.content_metadata.unwrap_or_default(),
                    )?);
                    let text = content.content_body.into();
                    pieces.push(self.kitchen.made_elsewhere(location, about, text, own));
                }
            }
        }
        Ok(pieces)
    }

    async fn contents(&self, function: &str, key: &str) -> Result<Contents, DocumentError> {
        let documents = &self.kitchen.shared.ports.documents;
        let read = documents.read(self.bucket, key, FILE_BYTES_MAX).await;
        let bytes = read.map_err(|cause| {
            let text =
                format!("what the transformation function {function} gave cannot be read: {cause}");
            match cause {
                SourceError::Unreadable { .. } => DocumentError::Unlucky(text),
                SourceError::NotFound { .. }
                | SourceError::BadKey { .. }
                | SourceError::TooLarge { .. } => DocumentError::Unfit(text),
            }
        })?;
        serde_json::from_slice(&bytes).map_err(|cause| {
            DocumentError::Unfit(format!(
                "the file {key} of the transformation function {function} has no fileContents: {cause}"
            ))
        })
    }
}

fn original(location: &DocumentLocation) -> Value {
    match location {
        DocumentLocation::S3 { uri } => json!({"type": "S3", "s3_location": {"uri": uri}}),
        DocumentLocation::Custom { id } => json!({"type": "CUSTOM", "custom_location": {"id": id}}),
        DocumentLocation::Web { url } => json!({"type": "WEB", "web_location": {"url": url}}),
    }
}

/// Attributes as a function gives them: plain values.
fn attributes(function: &str, given: BTreeMap<String, Value>) -> Result<Metadata, DocumentError> {
    let mut metadata = Metadata::new();
    for (name, value) in given {
        // The service's own, handed through.
        if name.starts_with(RESERVED_PREFIX) {
            continue;
        }
        let value: MetadataValue = match value {
            Value::Null => continue,
            value => serde_json::from_value(value).map_err(|_| {
                DocumentError::Unfit(format!(
                    "the transformation function {function} gave the attribute {name} a value that is no text, number, truth value or list of texts"
                ))
            })?,
        };
        metadata.insert(name, value);
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::storage;

    #[test]
    fn intermediate_storage_is_a_bucket_with_or_without_a_prefix() {
        for (uri, expected) in [
            ("s3://b", Some(("b", ""))),
            ("s3://b/", Some(("b", ""))),
            ("s3://b/p", Some(("b", "p/"))),
            ("s3://b/p/q/", Some(("b", "p/q/"))),
            ("s3://", None),
            ("b/p", None),
        ] {
            let found = storage(uri);
            let found = found
                .as_ref()
                .map(|(bucket, prefix)| (*bucket, prefix.as_str()));
            assert_eq!(found, expected, "{uri}");
        }
    }
}
