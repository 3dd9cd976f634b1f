//! What the model families behind Bedrock can do, and how they take `topK`.
//!
//! From AWS's table of models and the features of Converse. An unknown family is taken to be able to do
//! what recent models can; Bedrock's own message tells when that is wrong.

use outcrop_engine::port::{Capabilities, Documents};
use outcrop_model::converse::ReasoningContentBlock;
use serde_json::{Value, json};

use crate::model::anthropic;

/// Families that Converse serves without tools.
const WITHOUT_TOOLS: [&str; 14] = [
    "ai21.j2",
    "ai21.jamba-instruct",
    "amazon.titan",
    "cohere.command-light-text",
    "cohere.command-text",
    "deepseek.r1",
    "deepseek.deepseek-r1",
    "meta.llama2",
    "meta.llama3-70b",
    "meta.llama3-8b",
    "mistral.mistral-7b",
    "mistral.mixtral-8x7b",
    "google.gemma",
    "stability.",
];

/// Families that take no images, by the table of features that Converse supports.
const TEXT_ONLY: [&str; 13] = [
    "ai21.",
    "amazon.nova-micro",
    "amazon.titan",
    "cohere.",
    "deepseek.",
    "meta.llama2",
    "meta.llama3-1",
    "meta.llama3-3",
    "meta.llama3-8b",
    "meta.llama3-70b",
    "mistral.mi",
    "openai.gpt-oss",
    "qwen.",
];

/// A model id without what stands before its family: an ARN, a geography.
fn bare(model: &str) -> &str {
    let last = model.rsplit_once('/').map_or(model, |(_, last)| last);
    match last.split_once('.') {
        Some(("us" | "eu" | "apac" | "global" | "jp" | "au" | "us-gov", rest)) => rest,
        Some(_) | None => last,
    }
}

pub(super) fn capabilities(model: &str) -> Capabilities {
    let id = bare(model);
    if id.starts_with("anthropic.") {
        return Capabilities {
            documents: Documents::All,
            prompt_cache: cache(model).is_some(),
            latency: true,
            ..anthropic::capabilities(&anthropic::native_id(id))
        };
    }
    let tools = !WITHOUT_TOOLS.iter().any(|family| id.starts_with(family));
    Capabilities {
        tools,
        parallel_tools: tools,
        prefill: false,
        top_k: top_k(model, 0).is_some(),
        stop_sequences: !id.starts_with("ai21.j2"),
        sampling: true,
        temperature_with_top_p: true,
        images: !TEXT_ONLY.iter().any(|family| id.starts_with(family)),
        documents: Documents::All,
        prompt_cache: cache(model).is_some(),
        latency: true,
    }
}

/// Whether `model` takes this reasoning back. Claude refuses what its vendor has not signed or
/// encrypted; the others, which sign nothing, know nothing to do with what is.
pub(super) fn takes_reasoning(model: &str, reasoning: &ReasoningContentBlock) -> bool {
    let is_claude = bare(model).starts_with("anthropic.");
    match reasoning {
        ReasoningContentBlock::ReasoningText(text) => text.signature.is_some() == is_claude,
        _ => is_claude,
    }
}

/// Where a family takes cache points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// After the tools, the system text and messages.
    Everywhere,
    /// After the system text and messages.
    NotInTools,
}

/// Where `model` takes cache points, by AWS's table of models with prompt caching. None for all others,
/// which refuse a request that holds one.
pub(super) fn cache(model: &str) -> Option<Cache> {
    let id = bare(model);
    if let Some(claude) = id.strip_prefix("anthropic.") {
        let without = [
            "claude-v2",
            "claude-instant",
            "claude-3-haiku",
            "claude-3-sonnet",
            "claude-3-opus",
            "claude-3-5-sonnet",
        ];
        let caches = !without.iter().any(|family| claude.starts_with(family));
        return caches.then_some(Cache::Everywhere);
    }
    let nova = id.strip_prefix("amazon.nova-")?;
    ["micro", "lite", "pro", "premier", "2-lite"]
        .iter()
        .any(|size| nova.starts_with(size))
        .then_some(Cache::NotInTools)
}

/// `topK` as the family wants it among `additionalModelRequestFields`; Converse itself has no such
/// parameter. None for a family that has none.
pub(super) fn top_k(model: &str, top_k: u32) -> Option<(&'static str, Value)> {
    let id = bare(model);
    if id.starts_with("anthropic.") {
        Some(("top_k", json!(top_k)))
    } else if id.starts_with("amazon.nova") {
        Some(("inferenceConfig", json!({ "topK": top_k })))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart() {
        let arn = "arn:aws:bedrock:us-east-1:111111111111:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0";
        assert_eq!(top_k(arn, 250), Some(("top_k", json!(250))));
        assert!(capabilities(arn).temperature_with_top_p);
        let recent = capabilities("global.anthropic.claude-opus-4-5-20251101-v1:0");
        assert!(recent.tools && !recent.temperature_with_top_p && !recent.prefill);
        let nova = "amazon.nova-lite-v1:0";
        assert_eq!(
            top_k(nova, 1),
            Some(("inferenceConfig", json!({"topK": 1})))
        );
        assert!(capabilities(nova).tools && capabilities(nova).top_k);
        assert!(!capabilities("us.meta.llama2-13b-chat-v1").tools);
        assert!(!capabilities("mistral.mistral-large-2407-v1:0").top_k);
    }

    #[test]
    fn families_that_cache() {
        for (model, expected) in [
            (
                "us.anthropic.claude-sonnet-4-20250514-v1:0",
                Some(Cache::Everywhere),
            ),
            (
                "anthropic.claude-3-7-sonnet-20250219-v1:0",
                Some(Cache::Everywhere),
            ),
            (
                "anthropic.claude-3-5-haiku-20241022-v1:0",
                Some(Cache::Everywhere),
            ),
            ("anthropic.claude-3-haiku-20240307-v1:0", None),
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", None),
            ("us.amazon.nova-pro-v1:0", Some(Cache::NotInTools)),
            ("amazon.nova-canvas-v1:0", None),
            ("meta.llama3-1-70b-instruct-v1:0", None),
        ] {
            assert_eq!(cache(model), expected, "{model}");
            assert_eq!(capabilities(model).prompt_cache, expected.is_some());
        }
    }
}
