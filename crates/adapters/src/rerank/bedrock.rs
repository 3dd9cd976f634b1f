//! Reranker models of Amazon Bedrock, through `InvokeModel`.

use aws_smithy_types::Blob;
use outcrop_engine::port::{ModelError, Ranked, RerankCall};
use serde_json::{Value, json};

use super::protocol::{lay_over, read};
use super::text_of;
use crate::http::Deadline;
use crate::model::bedrock::{Bedrock, Settings};

/// The version of Cohere's protocol that its models on Bedrock speak.
const COHERE_API_VERSION: u32 = 2;

/// Amazon Bedrock.
pub(super) struct BedrockRerankers {
    bedrock: Bedrock,
}

impl BedrockRerankers {
    /// A provider that connects when it is first called.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            bedrock: Bedrock::new(settings),
        }
    }

    pub(super) async fn rerank(&self, call: RerankCall) -> Result<Vec<Ranked>, ModelError> {
        let body = body(&call)?.to_string().into_bytes();
        let deadline = Deadline::start(self.bedrock.timeouts());
        let invoked = self.bedrock.invoke(&call.model, Blob::new(body), deadline);
        read(invoked.await?.as_ref(), &call.model)
    }
}

/// A request. Both families take the same but for Cohere's version.
pub(super) fn body(call: &RerankCall) -> Result<Value, ModelError> {
    let texts: Vec<String> = call.documents.iter().map(text_of).collect();
    let mut body = json!({"query": call.query, "documents": texts});
    if let Some(limit) = call.limit {
        body["top_n"] = json!(limit);
    }
    if call.model.contains("cohere.") {
        body["api_version"] = json!(COHERE_API_VERSION);
    }
    lay_over(&mut body, call)?;
    Ok(body)
}
