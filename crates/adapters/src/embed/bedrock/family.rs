//! The request and the answer of each family of Bedrock's embedding models.
//!
//! Pure. From the documentation of the models' bodies; vectors of floats only, since binary ones have
//! no cosine.

use outcrop_engine::port::{EmbeddingPurpose, ModelError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::embed::provider::{Asked, Batch};
use crate::model::registry::names;

/// A family of models with the same bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `amazon.titan-embed-text-v1` and the older `amazon.titan-embed-g1-text-02`.
    TitanG1,
    /// `amazon.titan-embed-text-v2`.
    TitanV2,
    /// `amazon.titan-embed-image-v1`, for its texts.
    TitanMultimodal,
    /// `amazon.nova-2-multimodal-embeddings-v1`, for its texts.
    Nova,
    /// `cohere.embed-english-v3` and `cohere.embed-multilingual-v3`.
    CohereV3,
    /// `cohere.embed-v4`.
    CohereV4,
}

/// What ids begin with.
const PREFIXES: [(&str, Family); 7] = [
    ("amazon.titan-embed-text-v1", Family::TitanG1),
    ("amazon.titan-embed-g1-text", Family::TitanG1),
    ("amazon.titan-embed-text-v2", Family::TitanV2),
    ("amazon.titan-embed-image-v1", Family::TitanMultimodal),
    ("amazon.nova-2-multimodal-embeddings", Family::Nova),
    ("cohere.embed-v4", Family::CohereV4),
    ("cohere.embed-", Family::CohereV3),
];

/// A model's id without ARN and geography.
pub(super) fn bare(model: &str) -> &str {
    let [_, _, bare] = names(model);
    bare
}

impl Family {
    /// The family of a model.
    ///
    /// # Errors
    /// [`ModelError::Rejected`]: its bodies are not known here.
    pub(super) fn of(model: &str) -> Result<Self, ModelError> {
        let bare = bare(model);
        PREFIXES
            .iter()
            .find(|(prefix, _)| bare.starts_with(prefix))
            .map(|(_, family)| *family)
            .ok_or_else(|| {
                let known: Vec<&str> = PREFIXES.iter().map(|(prefix, _)| *prefix).collect();
                ModelError::Rejected {
                    detail: format!(
                        "{model} is no embedding model of Amazon Bedrock that is known here; known are {}…",
                        known.join("…, ")
                    ),
                }
            })
    }

    /// Lengths that its vectors can have, the usual one first.
    fn lengths(self) -> &'static [u32] {
        match self {
            Self::TitanG1 => &[1_536],
            Self::TitanV2 => &[1_024, 512, 256],
            Self::TitanMultimodal => &[1_024, 384, 256],
            Self::Nova => &[3_072, 1_024, 384, 256],
            Self::CohereV3 => &[1_024],
            Self::CohereV4 => &[1_536, 1_024, 512, 256],
        }
    }

    /// How long vectors will be.
    ///
    /// # Errors
    /// [`ModelError::Rejected`]: it has no vectors of the length asked for.
    pub(super) fn dimensions(self, asked: &Asked) -> Result<u32, ModelError> {
        let lengths = self.lengths();
        let usual = lengths.first().copied().unwrap_or_default();
        match asked.dimensions {
            None => Ok(usual),
            Some(length) if lengths.contains(&length) => Ok(length),
            Some(length) => Err(ModelError::Rejected {
                detail: format!(
                    "{} has vectors of {lengths:?} dimensions, not of {length}",
                    asked.model
                ),
            }),
        }
    }

    /// Tokens of the longest text.
    pub(super) fn tokens_max(self) -> usize {
        match self {
            Self::TitanG1 | Self::TitanV2 | Self::Nova => 8_192,
            Self::TitanMultimodal => 256,
            Self::CohereV3 => 512,
            Self::CohereV4 => 128_000,
        }
    }

    /// Characters of the longest text, where they are limited besides tokens.
    fn characters_max(self) -> usize {
        match self {
            Self::TitanG1 | Self::TitanV2 => 50_000,
            Self::CohereV3 => 2_048,
            Self::TitanMultimodal | Self::Nova | Self::CohereV4 => usize::MAX,
        }
    }

    /// Texts of one request.
    pub(super) fn texts_max(self) -> usize {
        match self {
            Self::TitanG1 | Self::TitanV2 | Self::TitanMultimodal | Self::Nova => 1,
            Self::CohereV3 | Self::CohereV4 => 96,
        }
    }

    /// Whether questions get other vectors than documents.
    pub(super) fn tells_purposes(self) -> bool {
        match self {
            Self::TitanG1 | Self::TitanV2 | Self::TitanMultimodal => false,
            Self::Nova | Self::CohereV3 | Self::CohereV4 => true,
        }
    }

    /// The body of a request.
    ///
    /// # Errors
    /// [`ModelError::Rejected`]: more texts than a request takes, which is a fault of the caller.
    pub(super) fn body(self, batch: &Batch, dimensions: u32) -> Result<Vec<u8>, ModelError> {
        let texts: Vec<&str> = batch
            .texts
            .iter()
            .map(|text| beginning(text, self.characters_max()))
            .collect();
        let body = match (self, texts.as_slice()) {
            (Self::TitanG1, [text]) => json!({ "inputText": text }),
            (Self::TitanV2, [text]) => json!({
                "inputText": text,
                "dimensions": dimensions,
                "normalize": true,
            }),
            (Self::TitanMultimodal, [text]) => json!({
                "inputText": text,
                "embeddingConfig": { "outputEmbeddingLength": dimensions },
            }),
            (Self::Nova, [text]) => json!({
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": nova_purpose(batch.purpose),
                    "embeddingDimension": dimensions,
                    "text": { "truncationMode": "END", "value": text },
                },
            }),
            (Self::CohereV3 | Self::CohereV4, texts) => {
                cohere(self, texts, batch.purpose, dimensions)
            }
            (Self::TitanG1 | Self::TitanV2 | Self::TitanMultimodal | Self::Nova, texts) => {
                return Err(ModelError::Rejected {
                    detail: format!("{} texts in one request, expected 1", texts.len()),
                });
            }
        };
        Ok(body.to_string().into_bytes())
    }

    /// The vectors of an answer.
    ///
    /// # Errors
    /// It is no answer of this family.
    pub(super) fn read(self, answer: &[u8]) -> Result<Vec<Vec<f32>>, serde_json::Error> {
        Ok(match self {
            Self::TitanG1 | Self::TitanV2 | Self::TitanMultimodal => {
                let titan: Titan = serde_json::from_slice(answer)?;
                vec![titan.embedding]
            }
            Self::Nova => {
                let nova: Nova = serde_json::from_slice(answer)?;
                nova.embeddings
                    .into_iter()
                    .map(|titan| titan.embedding)
                    .collect()
            }
            Self::CohereV3 | Self::CohereV4 => {
                let cohere: Cohere = serde_json::from_slice(answer)?;
                match cohere.embeddings {
                    CohereEmbeddings::Plain(vectors)
                    | CohereEmbeddings::ByType { float: vectors } => vectors,
                }
            }
        })
    }
}

/// The first characters of a text.
fn beginning(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn cohere(family: Family, texts: &[&str], purpose: EmbeddingPurpose, dimensions: u32) -> Value {
    let mut body = json!({
        "texts": texts,
        "input_type": match purpose {
            EmbeddingPurpose::Document => "search_document",
            EmbeddingPurpose::Query => "search_query",
        },
        "truncate": match family {
            Family::CohereV4 => "RIGHT",
            _ => "END",
        },
    });
    if family == Family::CohereV4 {
        body["output_dimension"] = json!(dimensions);
        body["embedding_types"] = json!(["float"]);
    }
    body
}

fn nova_purpose(purpose: EmbeddingPurpose) -> &'static str {
    match purpose {
        EmbeddingPurpose::Document => "GENERIC_INDEX",
        EmbeddingPurpose::Query => "TEXT_RETRIEVAL",
    }
}

#[derive(Deserialize)]
struct Titan {
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Nova {
    embeddings: Vec<Titan>,
}

#[derive(Deserialize)]
struct Cohere {
    embeddings: CohereEmbeddings,
}

/// A list, or with `embedding_types` a list for each of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum CohereEmbeddings {
    Plain(Vec<Vec<f32>>),
    ByType { float: Vec<Vec<f32>> },
}

#[cfg(test)]
mod tests;
