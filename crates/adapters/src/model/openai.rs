//! The chat completions protocol: that of `OpenAI`, spoken by many servers (Ollama, vLLM, llama.cpp,
//! LM Studio, gateways).
//!
//! Left out on purpose, because the protocol has no place for it: `topK` (declared in the
//! capabilities), reasoning of earlier messages, and cache points: servers of this protocol that cache
//! prompts find the common beginning themselves.

mod request;
mod stream;

use futures_core::future::BoxFuture;
use outcrop_engine::port::{
    Capabilities, Delivery, Documents, ModelError, ModelProvider, ModelRequest, ModelStream,
};
use reqwest::Url;

use super::call::Endpoint;
pub(crate) use request::Dialect;
use stream::ChatDecoder;

/// Where `OpenAI` itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// The operation, below the base URL.
pub(crate) const PATH: &str = "chat/completions";

/// A server that speaks chat completions.
#[derive(Clone, Debug)]
pub struct OpenAi {
    endpoint: Endpoint,
    dialect: Dialect,
}

impl OpenAi {
    /// A provider that posts to `endpoint`, the URL of the operation itself.
    pub fn new(endpoint: Endpoint) -> Self {
        let dialect = dialect(&endpoint.url);
        Self { endpoint, dialect }
    }
}

/// `OpenAI`'s hosts have left `max_tokens` behind; everyone else still expects it.
pub(crate) fn dialect(url: &Url) -> Dialect {
    let host = url.host_str().unwrap_or_default();
    let own = ["openai.com", "openai.azure.com", "services.ai.azure.com"];
    let is_own = own.iter().any(|domain| {
        let below = host.strip_suffix(domain);
        below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    if is_own {
        Dialect::OpenAi
    } else {
        Dialect::Compatible
    }
}

impl ModelProvider for OpenAi {
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError> {
        let reasoning = self.dialect.is_reasoning_model(model);
        Ok(Capabilities {
            tools: true,
            parallel_tools: true,
            prefill: false,
            top_k: false,
            stop_sequences: !reasoning,
            sampling: !reasoning,
            temperature_with_top_p: !reasoning,
            // Whether the model behind a server takes them, only the server knows.
            images: true,
            documents: Documents::Pdf,
            // Vendors of this protocol cache by themselves, without being shown where.
            prompt_cache: false,
            latency: false,
        })
    }

    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>> {
        Box::pin(async move {
            let body = request::body(&request, self.dialect)?;
            let streamed = request.delivery == Delivery::Streamed;
            let decoder = ChatDecoder::new(|_| format!("call_{}", uuid::Uuid::new_v4().simple()));
            self.endpoint.call(body, streamed, decoder).await
        })
    }
}
