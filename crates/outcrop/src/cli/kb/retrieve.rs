//! One search of a knowledge base through the API, and what came of it.

use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum;
use outcrop_deploy::api::{Api as _, OwnRequest, segment};
use serde_json::{Value, json};

use super::find::text;
use crate::cli::Failure;
use crate::cli::remote::Remote;

/// The page that a chunk begins on.
const PAGE: &str = "x-amz-bedrock-kb-document-page-number";
/// A filter larger than that is a mistake.
const FILTER_BYTES_MAX: u64 = 1024 * 1024;

/// What is compared with the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Vectors
    Semantic,
    /// Vectors and words, the two orders made one
    Hybrid,
    /// Words alone, which only this command can ask for
    Text,
}

/// How to search.
#[derive(Clone, Debug)]
pub(super) struct How {
    /// Most results.
    pub(super) number: usize,
    /// `None`: what the server takes by itself.
    pub(super) kind: Option<Kind>,
    /// `RetrievalFilter`.
    pub(super) filter: Option<Value>,
}

/// Searches, and gives `retrievalResults`.
pub(super) async fn retrieve(
    server: &Remote,
    id: &str,
    question: &str,
    how: &How,
) -> Result<Vec<Value>, Failure> {
    let mut search = json!({"numberOfResults": how.number});
    if let Some(filter) = &how.filter {
        search["filter"] = filter.clone();
    }
    let mut answer = match how.kind {
        Some(Kind::Text) => {
            search["text"] = json!(question);
            let path = format!("knowledge-bases/{}/search", segment(id));
            let request = OwnRequest::new("POST", path).with_body(search);
            server.own(request).await?
        }
        kind => {
            match kind {
                Some(Kind::Hybrid) => search["overrideSearchType"] = json!("HYBRID"),
                Some(_) => search["overrideSearchType"] = json!("SEMANTIC"),
                None => {}
            }
            let input = json!({
                "knowledgeBaseId": id,
                "retrievalQuery": {"text": question},
                "retrievalConfiguration": {"vectorSearchConfiguration": search},
            });
            server.call("runtime:Retrieve", input).await?
        }
    };
    Ok(match answer["retrievalResults"].take() {
        Value::Array(results) => results,
        _ => Vec::new(),
    })
}

/// Where a result comes from.
pub(super) fn source(result: &Value) -> &str {
    let location = &result["location"];
    let places = [
        ("s3Location", "uri"),
        ("customDocumentLocation", "id"),
        ("webLocation", "url"),
    ];
    let places = places.map(|(place, member)| text(&location[place], member));
    let found = places.into_iter().find(|place| !place.is_empty());
    found.unwrap_or_else(|| text(&result["metadata"], "x-amz-bedrock-kb-source-uri"))
}

/// The page it begins on, where it has one.
pub(super) fn page(result: &Value) -> Option<f64> {
    result["metadata"][PAGE].as_f64()
}

/// A filter as it is given: JSON, or `@` and a file of it.
pub(super) fn filter(given: &str) -> Result<Value, Failure> {
    let read = || -> anyhow::Result<Value> {
        let text = match given.strip_prefix('@') {
            None => given.to_owned(),
            Some(path) => {
                let size = std::fs::metadata(Path::new(path)).context(path.to_owned())?;
                anyhow::ensure!(size.len() <= FILTER_BYTES_MAX, "{path} is too large");
                std::fs::read_to_string(path).context(path.to_owned())?
            }
        };
        Ok(serde_json::from_str(&text)?)
    };
    read()
        .context("the filter cannot be read")
        .map_err(Failure::Usage)
}
