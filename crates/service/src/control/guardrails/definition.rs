//! What a guardrail must be like, and the DRAFT that a request defines.
//!
//! Rules that AWS has, and what cannot be evaluated here: automated reasoning and images are refused by
//! name, and so are patterns that cannot run, with the place.

use std::collections::BTreeSet;
use std::fmt::Display;

use outcrop_engine::action::Strictness;
use outcrop_guardrail::{CompileError, Guardrail};
use outcrop_model::bedrock::{
    CreateGuardrailRequest, GetGuardrailResponse, GuardrailContentFilterType,
    GuardrailContentPolicy, GuardrailContextualGroundingPolicy, GuardrailCrossRegionDetails,
    GuardrailFilterStrength, GuardrailModality, GuardrailSensitiveInformationPolicy,
    GuardrailStatus, GuardrailTopicPolicy, GuardrailWordPolicy, UpdateGuardrailRequest,
};
use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::timestamp::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::DRAFT;

/// Highest threshold of contextual grounding; at 1 everything would be blocked.
const THRESHOLD_MAX: f64 = 0.99;

/// `UpdateGuardrail` replaces the whole definition, so it is read as a creation.
pub(super) fn of_update(input: UpdateGuardrailRequest) -> CreateGuardrailRequest {
    CreateGuardrailRequest {
        automated_reasoning_policy_config: input.automated_reasoning_policy_config,
        blocked_input_messaging: input.blocked_input_messaging,
        blocked_outputs_messaging: input.blocked_outputs_messaging,
        client_request_token: None,
        content_policy_config: input.content_policy_config,
        contextual_grounding_policy_config: input.contextual_grounding_policy_config,
        cross_region_config: input.cross_region_config,
        description: input.description,
        kms_key_id: input.kms_key_id,
        name: input.name,
        sensitive_information_policy_config: input.sensitive_information_policy_config,
        tags: None,
        topic_policy_config: input.topic_policy_config,
        word_policy_config: input.word_policy_config,
    }
}

/// Refuses a definition that breaks a rule or cannot be evaluated.
pub(super) fn check(
    cx: &CallContext,
    input: &CreateGuardrailRequest,
    strictness: Strictness,
) -> Result<(), Exception> {
    if input.automated_reasoning_policy_config.is_some() {
        return Err(refuse(
            "automatedReasoningPolicyConfig",
            "Automated reasoning is not supported by Outcrop.".to_owned(),
        ));
    }
    check_content(input)?;
    check_topics(input)?;
    check_sensitive(input)?;
    check_grounding(input)?;
    let any = input.content_policy_config.is_some()
        || input.topic_policy_config.is_some()
        || input.word_policy_config.is_some()
        || input.sensitive_information_policy_config.is_some()
        || input.contextual_grounding_policy_config.is_some();
    if !any && strictness == Strictness::Strict {
        return Err(Exception::validation(
            "A guardrail needs at least one policy.",
        ));
    }
    let compiled = Guardrail::compile(&draft(cx, "", input, Timestamp::from_millis(0)));
    compiled.map(|_| ()).map_err(|error| {
        let member = match &error {
            CompileError::Regex { index, .. } => format!(
                "sensitiveInformationPolicyConfig.regexesConfig.{}.pattern",
                index + 1
            ),
            CompileError::Words(_) => "wordPolicyConfig.wordsConfig".to_owned(),
        };
        refuse(&member, error.to_string())
    })
}

fn check_content(input: &CreateGuardrailRequest) -> Result<(), Exception> {
    let member = "contentPolicyConfig.filtersConfig";
    let policy = input.content_policy_config.as_ref();
    let filters = policy.into_iter().flat_map(|policy| &policy.filters_config);
    let mut seen = BTreeSet::new();
    for filter in filters {
        once(&mut seen, filter.type_, member, "content filter")?;
        let modalities = filter
            .input_modalities
            .iter()
            .chain(&filter.output_modalities);
        if modalities
            .flatten()
            .any(|modality| *modality == GuardrailModality::Image)
        {
            return Err(refuse(
                member,
                format!(
                    "The modality IMAGE of the content filter {} is not supported by Outcrop. Use TEXT.",
                    filter.type_
                ),
            ));
        }
        let attack = filter.type_ == GuardrailContentFilterType::PromptAttack;
        if attack && filter.output_strength != GuardrailFilterStrength::None {
            return Err(refuse(
                member,
                "The output strength of the content filter PROMPT_ATTACK must be NONE, for it applies to inputs only.".to_owned(),
            ));
        }
    }
    Ok(())
}

fn check_topics(input: &CreateGuardrailRequest) -> Result<(), Exception> {
    let policy = input.topic_policy_config.as_ref();
    let topics = policy.into_iter().flat_map(|policy| &policy.topics_config);
    let mut seen = BTreeSet::new();
    for topic in topics {
        once(
            &mut seen,
            &topic.name,
            "topicPolicyConfig.topicsConfig",
            "topic",
        )?;
    }
    Ok(())
}

fn check_sensitive(input: &CreateGuardrailRequest) -> Result<(), Exception> {
    let Some(policy) = &input.sensitive_information_policy_config else {
        return Ok(());
    };
    let member = "sensitiveInformationPolicyConfig.piiEntitiesConfig";
    let mut seen = BTreeSet::new();
    for entity in policy.pii_entities_config.iter().flatten() {
        once(&mut seen, entity.type_, member, "entity type")?;
    }
    let member = "sensitiveInformationPolicyConfig.regexesConfig";
    let mut seen = BTreeSet::new();
    for regex in policy.regexes_config.iter().flatten() {
        once(&mut seen, &regex.name, member, "regex")?;
    }
    Ok(())
}

fn check_grounding(input: &CreateGuardrailRequest) -> Result<(), Exception> {
    let member = "contextualGroundingPolicyConfig.filtersConfig";
    let policy = input.contextual_grounding_policy_config.as_ref();
    let filters = policy.into_iter().flat_map(|policy| &policy.filters_config);
    let mut seen = BTreeSet::new();
    for filter in filters {
        once(&mut seen, filter.type_, member, "grounding filter")?;
        if filter.threshold > THRESHOLD_MAX {
            return Err(refuse(
                member,
                format!(
                    "The threshold of the grounding filter {} must be at most {THRESHOLD_MAX}, but is {}.",
                    filter.type_, filter.threshold
                ),
            ));
        }
    }
    Ok(())
}

fn once<T: Ord + Display>(
    seen: &mut BTreeSet<T>,
    name: T,
    member: &str,
    what: &str,
) -> Result<(), Exception> {
    if seen.contains(&name) {
        return Err(refuse(
            member,
            format!("The {what} {name} is given more than once."),
        ));
    }
    seen.insert(name);
    Ok(())
}

fn refuse(member: &str, message: String) -> Exception {
    Exception::validation(message.clone()).with_field(member, message)
}

/// The DRAFT a request defines.
pub(super) fn draft(
    cx: &CallContext,
    id: &str,
    input: &CreateGuardrailRequest,
    now: Timestamp,
) -> GetGuardrailResponse {
    let CallContext {
        region, account_id, ..
    } = cx;
    let arn = |service: &str, resource: &str| {
        format!("arn:aws:{service}:{region}:{account_id}:{resource}")
    };
    GetGuardrailResponse {
        automated_reasoning_policy: None,
        blocked_input_messaging: input.blocked_input_messaging.clone(),
        blocked_outputs_messaging: input.blocked_outputs_messaging.clone(),
        content_policy: input
            .content_policy_config
            .as_ref()
            .map(|policy| GuardrailContentPolicy {
                filters: Some(policy.filters_config.iter().map(shown).collect()),
                tier: policy.tier_config.as_ref().map(shown),
            }),
        contextual_grounding_policy: input.contextual_grounding_policy_config.as_ref().map(
            |policy| GuardrailContextualGroundingPolicy {
                filters: policy.filters_config.iter().map(shown).collect(),
                tier: policy.tier_config.as_ref().map(shown),
            },
        ),
        created_at: now,
        cross_region_details: input.cross_region_config.as_ref().map(|config| {
            let given = config.guardrail_profile_identifier.as_str();
            let id = given.rsplit('/').next().unwrap_or(given);
            GuardrailCrossRegionDetails {
                guardrail_profile_arn: Some(arn("bedrock", &format!("guardrail-profile/{id}"))),
                guardrail_profile_id: Some(id.to_owned()),
            }
        }),
        description: input.description.clone(),
        failure_recommendations: None,
        guardrail_arn: arn("bedrock", &format!("guardrail/{id}")),
        guardrail_id: id.to_owned(),
        kms_key_arn: input.kms_key_id.as_ref().map(|key| {
            if key.starts_with("arn:") {
                key.clone()
            } else {
                arn("kms", &format!("key/{key}"))
            }
        }),
        name: input.name.clone(),
        sensitive_information_policy: input.sensitive_information_policy_config.as_ref().map(
            |policy| GuardrailSensitiveInformationPolicy {
                pii_entities: list(policy.pii_entities_config.as_deref()),
                regexes: list(policy.regexes_config.as_deref()),
            },
        ),
        status: GuardrailStatus::Ready,
        status_reasons: None,
        topic_policy: input
            .topic_policy_config
            .as_ref()
            .map(|policy| GuardrailTopicPolicy {
                tier: policy.tier_config.as_ref().map(shown),
                topics: policy.topics_config.iter().map(shown).collect(),
            }),
        updated_at: now,
        version: DRAFT.to_owned(),
        word_policy: input
            .word_policy_config
            .as_ref()
            .map(|policy| GuardrailWordPolicy {
                managed_word_lists: list(policy.managed_word_lists_config.as_deref()),
                words: list(policy.words_config.as_deref()),
            }),
    }
}

fn list<T: Serialize, U: DeserializeOwned>(given: Option<&[T]>) -> Option<Vec<U>> {
    given.map(|given| given.iter().map(shown).collect())
}

/// A part of a request as an answer shows it: AWS gives the two shapes the same members.
fn shown<T: Serialize, U: DeserializeOwned>(given: &T) -> U {
    let json = serde_json::to_value(given).expect("shapes hold only string-keyed data");
    serde_json::from_value(json).expect("what is shown has the members of what was given")
}
