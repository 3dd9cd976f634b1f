//! Parts of a model request that say how it is to be served, not what is asked.
//!
//! Invariant: none of them changes what the model reads.

use std::collections::BTreeMap;

use outcrop_model::converse::{OutputConfig, ServiceTier};
use serde::{Deserialize, Serialize};

/// What of a prompt the vendor is asked to cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromptCache {
    /// Up to the cache points that stand in the request, if any.
    #[default]
    AsGiven,
    /// What the next step and the next turn begin with again, byte by byte: the tools, the system text,
    /// and the conversation up to the user's last message.
    StablePrefix,
}

/// `performanceConfig.latency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latency {
    /// As every call.
    Standard,
    /// Faster, where the model has it so.
    Optimized,
}

/// Members of a Converse request that only Bedrock itself has a use for. Any other provider is asked
/// without them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConverseFields {
    /// `requestMetadata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_metadata: BTreeMap<String, String>,
    /// `additionalModelResponseFieldPaths`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_field_paths: Vec<String>,
    /// `serviceTier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
    /// `outputConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_config: Option<OutputConfig>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::port::{ModelError, ModelRequest};

    /// Journals hold failures: an older server must be able to read what this one writes.
    #[test]
    fn newer_failures_stand_in_journals_by_older_names() {
        let detail = || "why".to_owned();
        for (error, written, read) in [
            (
                ModelError::Queued { detail: detail() },
                "Throttled",
                ModelError::Throttled {
                    detail: detail(),
                    retry_after_ms: None,
                },
            ),
            (
                ModelError::NotServed { detail: detail() },
                "Rejected",
                ModelError::Rejected { detail: detail() },
            ),
        ] {
            let value = serde_json::to_value(&error).expect("JSON");
            assert_eq!(value, json!({ written: {"detail": "why"} }));
            assert_eq!(serde_json::from_value::<ModelError>(value).ok(), Some(read));
        }
    }

    /// Nothing is written of what was not asked for.
    #[test]
    fn a_plain_request_has_no_newer_members() {
        let value = serde_json::to_value(ModelRequest::default()).expect("JSON");
        for member in ["system_blocks", "latency", "fields", "caller"] {
            assert_eq!(value.get(member), None::<&Value>, "{member}");
        }
        assert_eq!(
            serde_json::from_value::<ModelRequest>(value).ok(),
            Some(ModelRequest::default())
        );
    }
}
