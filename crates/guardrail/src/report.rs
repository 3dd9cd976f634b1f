//! The forms in which an assessment is told: whole, interventions only, and as agents trace it.

use outcrop_model::converse::{
    self, AppliedGuardrailDetails, GuardrailAssessment, GuardrailCoverage,
    GuardrailInvocationMetrics, GuardrailOrigin, GuardrailOwnership,
    GuardrailSensitiveInformationPolicyAction as SensitiveAction, GuardrailTextCharactersCoverage,
    GuardrailUsage,
};
use outcrop_model::runtime;

use crate::guardrail::{Passage, Scope};

/// Characters of a text unit (behaviour.md 10.3).
const UNIT_CHARACTERS: usize = 1000;

/// What is counted of one assessment.
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    /// Characters that were assessed.
    pub guarded: usize,
    /// Characters that were given.
    pub total: usize,
    /// What was evaluated.
    pub scope: Scope,
}

impl Metrics {
    /// Counts passages.
    pub fn of(passages: &[Passage<'_>], scope: Scope) -> Self {
        let count = |passage: &Passage<'_>| passage.text.chars().count();
        let guarded = passages.iter().filter(|passage| passage.is_guarded);
        Self {
            guarded: guarded.map(count).sum(),
            total: passages.iter().map(count).sum(),
            scope,
        }
    }

    /// Text units by policy; those of grounding are of everything that was given.
    pub fn usage(self) -> GuardrailUsage {
        let units = |evaluated: bool, characters: usize| {
            let units = if evaluated {
                characters.div_ceil(UNIT_CHARACTERS)
            } else {
                0
            };
            i32::try_from(units).unwrap_or(i32::MAX)
        };
        GuardrailUsage {
            automated_reasoning_policies: Some(0),
            automated_reasoning_policy_units: Some(0),
            content_policy_image_units: Some(0),
            content_policy_units: units(self.scope.content, self.guarded),
            contextual_grounding_policy_units: units(self.scope.grounding, self.total),
            sensitive_information_policy_free_units: units(self.scope.regexes, self.guarded),
            sensitive_information_policy_units: units(self.scope.entities, self.guarded),
            topic_policy_units: units(self.scope.topics, self.guarded),
            word_policy_units: units(self.scope.words, self.guarded),
        }
    }

    /// How much of the texts was assessed.
    pub fn coverage(self) -> GuardrailCoverage {
        let count = |characters| Some(i32::try_from(characters).unwrap_or(i32::MAX));
        GuardrailCoverage {
            images: None,
            text_characters: Some(GuardrailTextCharactersCoverage {
                guarded: count(self.guarded),
                total: count(self.total),
            }),
        }
    }

    /// As an assessment shows it; `latency_ms` is the time it took.
    pub fn shown(self, latency_ms: i64) -> GuardrailInvocationMetrics {
        GuardrailInvocationMetrics {
            guardrail_coverage: Some(self.coverage()),
            guardrail_processing_latency: Some(latency_ms),
            usage: Some(self.usage()),
        }
    }

    /// Which guardrail an assessment is of.
    pub fn applied(arn: &str, id: &str, version: &str) -> AppliedGuardrailDetails {
        AppliedGuardrailDetails {
            guardrail_arn: Some(arn.to_owned()),
            guardrail_id: Some(id.to_owned()),
            guardrail_origin: Some(vec![GuardrailOrigin::Request]),
            guardrail_ownership: Some(GuardrailOwnership::Self_),
            guardrail_version: Some(version.to_owned()),
        }
    }
}

/// Without what was looked for in vain.
pub fn interventions(full: &GuardrailAssessment) -> GuardrailAssessment {
    let mut told = full.clone();
    let detected = |detected: Option<bool>| detected == Some(true);
    if let Some(policy) = &mut told.topic_policy {
        policy.topics.retain(|topic| detected(topic.detected));
    }
    told.topic_policy = told.topic_policy.filter(|policy| !policy.topics.is_empty());
    if let Some(policy) = &mut told.content_policy {
        policy.filters.retain(|filter| detected(filter.detected));
    }
    told.content_policy = told
        .content_policy
        .filter(|policy| !policy.filters.is_empty());
    if let Some(policy) = &mut told.sensitive_information_policy {
        policy
            .pii_entities
            .retain(|entity| detected(entity.detected));
        policy.regexes.retain(|regex| detected(regex.detected));
    }
    told.sensitive_information_policy = told
        .sensitive_information_policy
        .filter(|policy| !policy.pii_entities.is_empty() || !policy.regexes.is_empty());
    told
}

/// As a trace of an agent tells it: what was blocked or masked (behaviour.md 10.2).
pub fn traced(full: &GuardrailAssessment) -> runtime::GuardrailAssessment {
    runtime::GuardrailAssessment {
        content_policy: content(full),
        sensitive_information_policy: sensitive(full),
        topic_policy: topics(full),
        word_policy: words(full),
    }
}

fn content(full: &GuardrailAssessment) -> Option<runtime::GuardrailContentPolicyAssessment> {
    let filters = &full.content_policy.as_ref()?.filters;
    let filters = filters
        .iter()
        .filter(|&filter| filter.action == converse::GuardrailContentPolicyAction::Blocked)
        .map(|filter| runtime::GuardrailContentFilter {
            action: Some(runtime::GuardrailContentPolicyAction::Blocked),
            confidence: filter.confidence.as_str().parse().ok(),
            type_: filter.type_.as_str().parse().ok(),
        });
    let filters: Vec<_> = filters.collect();
    (!filters.is_empty()).then_some(runtime::GuardrailContentPolicyAssessment {
        filters: Some(filters),
    })
}

fn topics(full: &GuardrailAssessment) -> Option<runtime::GuardrailTopicPolicyAssessment> {
    let topics = &full.topic_policy.as_ref()?.topics;
    let topics = topics
        .iter()
        .filter(|&topic| topic.action == converse::GuardrailTopicPolicyAction::Blocked)
        .map(|topic| runtime::GuardrailTopic {
            action: Some(runtime::GuardrailTopicPolicyAction::Blocked),
            name: Some(topic.name.clone()),
            type_: Some(runtime::GuardrailTopicType::Deny),
        });
    let topics: Vec<_> = topics.collect();
    (!topics.is_empty()).then_some(runtime::GuardrailTopicPolicyAssessment {
        topics: Some(topics),
    })
}

fn words(full: &GuardrailAssessment) -> Option<runtime::GuardrailWordPolicyAssessment> {
    use converse::GuardrailWordPolicyAction::Blocked;

    let policy = full.word_policy.as_ref()?;
    let action = Some(runtime::GuardrailWordPolicyAction::Blocked);
    let custom = policy.custom_words.iter();
    let custom = custom.filter(|word| word.action == Blocked);
    let custom: Vec<_> = custom
        .map(|word| runtime::GuardrailCustomWord {
            action,
            match_: Some(word.match_.clone()),
        })
        .collect();
    let managed = policy.managed_word_lists.iter();
    let managed = managed.filter(|word| word.action == Blocked);
    let managed: Vec<_> = managed
        .map(|word| runtime::GuardrailManagedWord {
            action,
            match_: Some(word.match_.clone()),
            type_: Some(runtime::GuardrailManagedWordType::Profanity),
        })
        .collect();
    let any = !custom.is_empty() || !managed.is_empty();
    any.then_some(runtime::GuardrailWordPolicyAssessment {
        custom_words: (!custom.is_empty()).then_some(custom),
        managed_word_lists: (!managed.is_empty()).then_some(managed),
    })
}

fn sensitive(
    full: &GuardrailAssessment,
) -> Option<runtime::GuardrailSensitiveInformationPolicyAssessment> {
    let policy = full.sensitive_information_policy.as_ref()?;
    let action = |action: SensitiveAction| match action {
        SensitiveAction::Blocked => {
            Some(runtime::GuardrailSensitiveInformationPolicyAction::Blocked)
        }
        SensitiveAction::Anonymized => {
            Some(runtime::GuardrailSensitiveInformationPolicyAction::Anonymized)
        }
        _ => None,
    };
    let entities: Vec<_> = policy
        .pii_entities
        .iter()
        .filter_map(|entity| {
            Some(runtime::GuardrailPiiEntityFilter {
                action: Some(action(entity.action)?),
                match_: Some(entity.match_.clone()),
                type_: entity.type_.as_str().parse().ok(),
            })
        })
        .collect();
    let regexes: Vec<_> = policy
        .regexes
        .iter()
        .filter_map(|regex| {
            Some(runtime::GuardrailRegexFilter {
                action: Some(action(regex.action)?),
                match_: regex.match_.clone(),
                name: regex.name.clone(),
                regex: regex.regex.clone(),
            })
        })
        .collect();
    let any = !entities.is_empty() || !regexes.is_empty();
    any.then_some(runtime::GuardrailSensitiveInformationPolicyAssessment {
        pii_entities: (!entities.is_empty()).then_some(entities),
        regexes: (!regexes.is_empty()).then_some(regexes),
    })
}
