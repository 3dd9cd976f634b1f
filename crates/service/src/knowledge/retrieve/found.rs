//! What was found, as the results and references of the API show it.

use std::collections::BTreeMap;
use std::sync::Arc;

use outcrop_engine::port::{DocumentKey, Hit};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::metadata::{CHUNK_ID, Metadata};
use outcrop_model::runtime::{
    KnowledgeBaseRetrievalResult, RetrievalResultContent, RetrievalResultContentType,
    RetrievalResultCustomDocumentLocation, RetrievalResultLocation, RetrievalResultLocationType,
    RetrievalResultS3Location, RetrievalResultWebLocation, RetrievedReference,
};
use serde_json::Value;

/// A passage that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    /// The chunk's id, or that of the parent which stands in its place.
    pub(super) id: String,
    pub(crate) text: Arc<str>,
    pub(super) document: DocumentKey,
    pub(super) metadata: Arc<Metadata>,
    /// The higher the nearer.
    pub(super) score: f64,
}

/// Hits as what they stand for: of chunks with the same parent, the best becomes the parent, the
/// others are gone. `numberOfResults` counts the chunks that are found, so that there may be fewer
/// results, as on AWS (behaviour.md 9.3).
pub(super) fn of(hits: Vec<Hit>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::with_capacity(hits.len());
    for hit in hits {
        let (id, text) = match hit.parent {
            Some(parent) => (parent.id.clone(), Arc::clone(&parent.text)),
            None => (hit.chunk_id, hit.text),
        };
        // At most a hundred are asked for, so that a walk is cheaper than a set.
        if found.iter().any(|before| before.id == id) {
            continue;
        }
        found.push(Found {
            id,
            text,
            document: hit.document,
            metadata: hit.metadata,
            score: hit.score,
        });
    }
    found
}

impl Found {
    /// By what it is known within its knowledge base.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// As `Retrieve` shows it.
    pub(super) fn result(&self) -> KnowledgeBaseRetrievalResult {
        KnowledgeBaseRetrievalResult {
            content: self.content(),
            document_id: None,
            location: Some(self.location()),
            metadata: Some(self.attributes()),
            score: Some(self.score),
        }
    }

    /// As citations and traces show it: without its score.
    pub(crate) fn reference(&self) -> RetrievedReference {
        RetrievedReference {
            content: Some(self.content()),
            location: Some(self.location()),
            metadata: Some(self.attributes()),
        }
    }

    fn content(&self) -> RetrievalResultContent {
        RetrievalResultContent {
            text: Some(self.text.to_string()),
            type_: Some(RetrievalResultContentType::Text),
            ..RetrievalResultContent::default()
        }
    }

    fn location(&self) -> RetrievalResultLocation {
        let mut location = RetrievalResultLocation {
            confluence_location: None,
            custom_document_location: None,
            google_drive_location: None,
            kendra_document_location: None,
            one_drive_location: None,
            s3_location: None,
            salesforce_location: None,
            share_point_location: None,
            sql_location: None,
            type_: RetrievalResultLocationType::S3,
            web_location: None,
        };
        match self.document.location.clone() {
            DocumentLocation::S3 { uri } => {
                location.s3_location = Some(RetrievalResultS3Location { uri: Some(uri) });
            }
            DocumentLocation::Custom { id } => {
                location.type_ = RetrievalResultLocationType::Custom;
                let custom = RetrievalResultCustomDocumentLocation { id: Some(id) };
                location.custom_document_location = Some(custom);
            }
            DocumentLocation::Web { url } => {
                location.type_ = RetrievalResultLocationType::Web;
                location.web_location = Some(RetrievalResultWebLocation { url: Some(url) });
            }
        }
        location
    }

    /// Attributes as plain JSON, numbers as doubles (behaviour.md 6.5).
    fn attributes(&self) -> BTreeMap<String, Value> {
        let mut attributes: BTreeMap<String, Value> = self
            .metadata
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), serde_json::to_value(value).ok()?)))
            .collect();
        attributes.insert(CHUNK_ID.to_owned(), Value::String(self.id.clone()));
        attributes
    }
}

#[cfg(test)]
mod tests {
    use outcrop_engine::port::ParentChunk;
    use outcrop_knowledge::metadata::{MetadataValue, PAGE_NUMBER, SOURCE_URI};
    use serde_json::json;

    use super::*;

    fn hit(id: &str, parent: Option<&str>, score: f64) -> Hit {
        let uri = "s3://b/k.pdf".to_owned();
        let metadata = [
            (SOURCE_URI, MetadataValue::String(uri.clone())),
            (PAGE_NUMBER, MetadataValue::Number(3.0)),
            ("tags", MetadataValue::StringList(vec!["a".to_owned()])),
        ];
        Hit {
            document: DocumentKey {
                data_source_id: "DS".to_owned(),
                location: DocumentLocation::S3 { uri },
            },
            chunk_id: id.to_owned(),
            text: id.into(),
            parent: parent.map(|id| {
                Arc::new(ParentChunk {
                    id: id.to_owned(),
                    text: format!("text of {id}").into(),
                })
            }),
            metadata: Arc::new(
                metadata
                    .map(|(name, value)| (name.to_owned(), value))
                    .into(),
            ),
            score,
        }
    }

    #[test]
    fn parents_stand_in_for_their_chunks_once() {
        let found = of(vec![
            hit("1", Some("p"), 0.9),
            hit("2", None, 0.8),
            hit("3", Some("p"), 0.7),
            hit("4", Some("q"), 0.6),
        ]);
        let told: Vec<(&str, &str, f64)> = found
            .iter()
            .map(|one| (one.id.as_str(), &*one.text, one.score))
            .collect();
        assert_eq!(
            told,
            [
                ("p", "text of p", 0.9),
                ("2", "2", 0.8),
                ("q", "text of q", 0.6)
            ]
        );
    }

    #[test]
    fn a_result_has_the_recorded_form() {
        let found = of(vec![hit("c", None, 0.5)]);
        let metadata = json!({"x-amz-bedrock-kb-source-uri": "s3://b/k.pdf",
            "x-amz-bedrock-kb-document-page-number": 3.0, "tags": ["a"],
            "x-amz-bedrock-kb-chunk-id": "c"});
        let mut expected = json!({"content": {"text": "c", "type": "TEXT"},
            "location": {"type": "S3", "s3Location": {"uri": "s3://b/k.pdf"}}, "metadata": metadata});
        let reference = serde_json::to_value(found[0].reference()).expect("JSON");
        assert_eq!(reference, expected);
        assert!(reference.to_string().contains("page-number\":3.0"));
        expected["score"] = json!(0.5);
        let result = serde_json::to_value(found[0].result()).expect("JSON");
        assert_eq!(result, expected);
    }
}
