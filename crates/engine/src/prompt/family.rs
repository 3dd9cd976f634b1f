//! Families of models, as far as prompts differ by them (behaviour.md 4.3, 4.6).
//!
//! Told by the id the agent names. Which provider serves that id is the operator's business, so
//! nothing here may be needed for a model to work, only for it to work well.

/// A family of models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Anthropic's Claude.
    Claude,
    /// Amazon Nova.
    Nova,
    /// Meta's Llama.
    Llama,
    /// Any other.
    #[default]
    Other,
}

impl Family {
    /// The family of a `foundationModel`: a model's id or ARN, or an inference profile's.
    pub fn of(foundation_model: &str) -> Self {
        let id = foundation_model.to_ascii_lowercase();
        let has = |part: &str| id.contains(part);
        if has("anthropic.") || has("claude") {
            Self::Claude
        } else if has("amazon.nova") || has("nova-") {
            Self::Nova
        } else if has("llama") {
            Self::Llama
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_told_by_the_id() {
        for (model, family) in [
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Family::Claude),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
                Family::Claude,
            ),
            ("us.amazon.nova-pro-v1:0", Family::Nova),
            ("us.meta.llama3-2-3b-instruct-v1:0", Family::Llama),
            ("openai.gpt-oss-20b-1:0", Family::Other),
            ("amazon.titan-text-premier-v1:0", Family::Other),
            ("", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
