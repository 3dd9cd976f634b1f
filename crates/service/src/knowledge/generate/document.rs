//! A document that comes with a question (`EXTERNAL_SOURCES`): read, cut, and shown to the model whole.

use std::sync::Arc;

use bytes::Bytes;
use outcrop_engine::action::Strictness;
use outcrop_engine::port::{ExtractCall, ExtractError, Extraction};
use outcrop_knowledge::chunk::{self, Cut, Strategy, TokenCounter};
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::runtime::{
    ExternalSource, ExternalSourceType, RetrievalResultContent,
    RetrievalResultCustomDocumentLocation, RetrievalResultLocation, RetrievalResultLocationType,
    RetrievalResultS3Location, RetrievedReference,
};

use crate::ports::Ports;

/// Largest document, bytes: that of `byteContent` in the API's model.
const BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Most tokens of a document on AWS (errors.md, `RetrieveAndGenerate`), kept to under strict limits.
const TOKENS_MAX_STRICT: usize = 20_000;
/// Most tokens of a document otherwise. All of it is put to the model, beside its instructions and the
/// answer; many models read 128,000 tokens.
const TOKENS_MAX_RELAXED: usize = 100_000;
/// Most tokens of a passage, as in a knowledge base. None repeats the end of the one before: the model
/// reads all of them.
const CUT: Strategy = Strategy::Fixed {
    max_tokens: 300,
    overlap_tokens: 0,
};
/// Bytes a token, where no tokenizer is at hand: what English text has with most of them.
const TOKEN_BYTES: usize = 4;

/// The passages of a document, in their order.
///
/// # Errors
/// `ValidationException` for a document that cannot be had, read, or is too long.
pub(super) async fn passages(
    ports: &Ports,
    source: &ExternalSource,
    strictness: Strictness,
) -> Result<Vec<RetrievedReference>, Exception> {
    let (call, location) = fetch(ports, source).await?;
    let extraction = ports.knowledge.extractor.extract(call).await;
    let extracted = match extraction.map_err(refused)? {
        Extraction::Document(extracted) => extracted,
        Extraction::Records(_) => {
            return Err(Exception::internal("a document was read as records"));
        }
    };
    let extracted = Arc::new(extracted);
    let cut = tokio::task::spawn_blocking(move || chunk::cut(extracted, CUT, &Estimate));
    let cut = cut
        .await
        .map_err(|cause| Exception::internal(format!("a document could not be cut: {cause}")))?;
    let cut = cut.map_err(|error| Exception::validation(error.to_string()).with_source(error))?;
    let Cut::Chunks(chunks) = cut else {
        return Err(Exception::internal("a document was cut by its meaning"));
    };
    let tokens: usize = chunks.iter().map(|chunk| chunk.tokens).sum();
    let limit = match strictness {
        Strictness::Strict => TOKENS_MAX_STRICT,
        Strictness::Relaxed => TOKENS_MAX_RELAXED,
    };
    if tokens > limit {
        return Err(Exception::validation(format!(
            "Token limit exceeded: input contains {tokens} tokens and exceeds limit of {limit}"
        )));
    }
    let reference = |text: Arc<str>| RetrievedReference {
        content: Some(RetrievalResultContent {
            text: Some(text.to_string()),
            ..RetrievalResultContent::default()
        }),
        location: Some(location.clone()),
        metadata: None,
    };
    Ok(chunks
        .into_iter()
        .map(|chunk| reference(chunk.text))
        .collect())
}

/// The document's bytes, and where citations say it is.
async fn fetch(
    ports: &Ports,
    source: &ExternalSource,
) -> Result<(ExtractCall, RetrievalResultLocation), Exception> {
    if source.source_type == ExternalSourceType::S3 {
        let uri = source.s3_location.as_ref().map(|place| place.uri.as_str());
        let uri = uri.ok_or_else(|| missing(source.source_type, "s3Location"))?;
        let place = uri
            .strip_prefix("s3://")
            .and_then(|place| place.split_once('/'));
        let (bucket, key) = place.ok_or_else(|| {
            let message = format!("s3Location.uri must be s3://BUCKET/KEY, not {uri}.");
            Exception::validation(message)
        })?;
        let content = ports.documents.read(bucket, key, BYTES_MAX).await;
        let content =
            content.map_err(|error| Exception::validation(error.to_string()).with_source(error))?;
        let name = key.rsplit('/').next().unwrap_or(key);
        return Ok((call(name, None, content), at_uri(uri)));
    }
    let given = source.byte_content.as_ref();
    let given = given.ok_or_else(|| missing(source.source_type, "byteContent"))?;
    let call = call(
        &given.identifier,
        Some(given.content_type.clone()),
        given.data.0.clone(),
    );
    Ok((call, by_name(&given.identifier)))
}

fn call(name: &str, mime_type: Option<String>, content: Bytes) -> ExtractCall {
    ExtractCall {
        name: name.to_owned(),
        mime_type,
        content,
        records: None,
    }
}

fn missing(type_: ExternalSourceType, member: &str) -> Exception {
    Exception::validation(format!("A source of type {type_} needs {member}."))
}

fn refused(error: ExtractError) -> Exception {
    let kind = match &error {
        ExtractError::Failed(_) => ExceptionKind::DependencyFailed,
        ExtractError::Unsupported(_) | ExtractError::Malformed(_) | ExtractError::TooLarge(_) => {
            ExceptionKind::Validation
        }
    };
    Exception::new(kind, format!("The document cannot be read: {error}")).with_source(error)
}

fn at_uri(uri: &str) -> RetrievalResultLocation {
    RetrievalResultLocation {
        s3_location: Some(RetrievalResultS3Location {
            uri: Some(uri.to_owned()),
        }),
        ..nowhere(RetrievalResultLocationType::S3)
    }
}

fn by_name(name: &str) -> RetrievalResultLocation {
    RetrievalResultLocation {
        custom_document_location: Some(RetrievalResultCustomDocumentLocation {
            id: Some(name.to_owned()),
        }),
        ..nowhere(RetrievalResultLocationType::Custom)
    }
}

fn nowhere(type_: RetrievalResultLocationType) -> RetrievalResultLocation {
    RetrievalResultLocation {
        confluence_location: None,
        custom_document_location: None,
        google_drive_location: None,
        kendra_document_location: None,
        one_drive_location: None,
        s3_location: None,
        salesforce_location: None,
        share_point_location: None,
        sql_location: None,
        type_,
        web_location: None,
    }
}

/// Tokens by the length of the text.
struct Estimate;

impl TokenCounter for Estimate {
    fn token_ends(&self, text: &str) -> Vec<usize> {
        let mut ends = Vec::with_capacity(text.len() / TOKEN_BYTES + 1);
        let mut begun = 0;
        for (at, character) in text.char_indices() {
            let end = at + character.len_utf8();
            if end - begun >= TOKEN_BYTES {
                ends.push(end);
                begun = end;
            }
        }
        if begun < text.len() {
            ends.push(text.len());
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_estimated_between_characters() {
        assert_eq!(Estimate.token_ends("abcdefghi"), [4, 8, 9]);
        assert_eq!(Estimate.token_ends("\u{e9}\u{e9}\u{1f600}x"), [4, 8, 9]);
        assert_eq!(Estimate.count(""), 0);
    }
}
