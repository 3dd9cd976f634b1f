//! From a definition to a guardrail that is ready to assess.

use outcrop_model::bedrock::{
    GetGuardrailResponse, GuardrailContentFilterAction, GuardrailContextualGroundingAction,
    GuardrailSensitiveInformationAction, GuardrailTopicAction, GuardrailWordAction,
};

use super::{Custom, Filter, Grounding, Guardrail, Topic, Words};
use crate::custom::{self, RegexFault};
use crate::rule::{Action, Rule};
use crate::words::{WordList, profanity};

/// Why a definition cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A custom regex is refused.
    #[error("The pattern of the regex {name} cannot be used: {fault}.")]
    Regex {
        /// Its index in the definition.
        index: usize,
        /// Its name.
        name: String,
        /// Why.
        fault: RegexFault,
    },
    /// The words do not fit into one automaton.
    #[error("The words of the guardrail are too many or too long together: {0}.")]
    Words(String),
}

impl Guardrail {
    /// Compiles a definition, draft or version.
    ///
    /// # Errors
    /// [`CompileError`] naming the member.
    pub fn compile(definition: &GetGuardrailResponse) -> Result<Self, CompileError> {
        let sensitive = definition.sensitive_information_policy.as_ref();
        let entities = sensitive
            .and_then(|policy| policy.pii_entities.as_deref())
            .unwrap_or_default();
        let entities = entities.iter().map(|entity| {
            let rule = Rule::new(
                sensitive_action(entity.action),
                (
                    entity.input_action.map(sensitive_action),
                    entity.input_enabled,
                ),
                (
                    entity.output_action.map(sensitive_action),
                    entity.output_enabled,
                ),
            );
            (entity.type_, rule)
        });
        let regexes = sensitive
            .and_then(|policy| policy.regexes.as_deref())
            .unwrap_or_default();
        let regexes = regexes.iter().enumerate().map(|(index, regex)| {
            Ok(Custom {
                regex: custom::compile(&regex.pattern).map_err(|fault| CompileError::Regex {
                    index,
                    name: regex.name.clone(),
                    fault,
                })?,
                name: regex.name.clone(),
                pattern: regex.pattern.clone(),
                rule: Rule::new(
                    sensitive_action(regex.action),
                    (
                        regex.input_action.map(sensitive_action),
                        regex.input_enabled,
                    ),
                    (
                        regex.output_action.map(sensitive_action),
                        regex.output_enabled,
                    ),
                ),
            })
        });
        Ok(Self {
            words: words(definition).map_err(|error| CompileError::Words(error.to_string()))?,
            entities: entities.collect(),
            regexes: regexes.collect::<Result<_, _>>()?,
            topics: topics(definition),
            filters: filters(definition),
            grounding: grounding(definition),
        })
    }
}

fn sensitive_action(action: GuardrailSensitiveInformationAction) -> Action {
    match action {
        GuardrailSensitiveInformationAction::Anonymize => Action::Anonymize,
        GuardrailSensitiveInformationAction::None => Action::None,
        _ => Action::Block,
    }
}

fn words(definition: &GetGuardrailResponse) -> Result<Option<Words>, aho_corasick::BuildError> {
    let Some(policy) = &definition.word_policy else {
        return Ok(None);
    };
    let action = |action: GuardrailWordAction| match action {
        GuardrailWordAction::None => Action::None,
        _ => Action::Block,
    };
    let words = policy.words.as_deref().unwrap_or_default();
    let custom_rules = words.iter().map(|word| {
        Rule::new(
            Action::Block,
            (word.input_action.map(action), word.input_enabled),
            (word.output_action.map(action), word.output_enabled),
        )
    });
    let custom = if words.is_empty() {
        None
    } else {
        Some(WordList::new(words.iter().map(|word| word.text.as_str()))?)
    };
    // There is one managed list.
    let lists = policy.managed_word_lists.as_deref().unwrap_or_default();
    let managed = match lists.first() {
        Some(list) => {
            let rule = Rule::new(
                Action::Block,
                (list.input_action.map(action), list.input_enabled),
                (list.output_action.map(action), list.output_enabled),
            );
            Some((WordList::new(profanity())?, rule))
        }
        None => None,
    };
    Ok(Some(Words {
        custom,
        custom_rules: custom_rules.collect(),
        managed,
    }))
}

fn topics(definition: &GetGuardrailResponse) -> Vec<Topic> {
    let action = |action: GuardrailTopicAction| match action {
        GuardrailTopicAction::None => Action::None,
        _ => Action::Block,
    };
    let policy = definition.topic_policy.as_ref();
    let topics = policy.into_iter().flat_map(|policy| &policy.topics);
    topics
        .map(|topic| Topic {
            name: topic.name.clone(),
            definition: topic.definition.clone(),
            examples: topic.examples.clone().unwrap_or_default(),
            rule: Rule::new(
                Action::Block,
                (topic.input_action.map(action), topic.input_enabled),
                (topic.output_action.map(action), topic.output_enabled),
            ),
        })
        .collect()
}

fn filters(definition: &GetGuardrailResponse) -> Vec<Filter> {
    let action = |action: GuardrailContentFilterAction| match action {
        GuardrailContentFilterAction::None => Action::None,
        _ => Action::Block,
    };
    let policy = definition.content_policy.as_ref();
    let filters = policy.and_then(|policy| policy.filters.as_deref());
    let filters = filters.unwrap_or_default().iter().map(|filter| Filter {
        kind: filter
            .type_
            .as_str()
            .parse()
            .expect("both services name the same filters"),
        input: filter.input_strength,
        output: filter.output_strength,
        rule: Rule::new(
            Action::Block,
            (filter.input_action.map(action), filter.input_enabled),
            (filter.output_action.map(action), filter.output_enabled),
        ),
    });
    filters.collect()
}

fn grounding(definition: &GetGuardrailResponse) -> Vec<Grounding> {
    let policy = definition.contextual_grounding_policy.as_ref();
    let filters = policy.into_iter().flat_map(|policy| &policy.filters);
    let enabled = filters.filter(|filter| filter.enabled != Some(false));
    enabled
        .map(|filter| Grounding {
            kind: filter
                .type_
                .as_str()
                .parse()
                .expect("both services name the same filters"),
            threshold: filter.threshold,
            action: match filter.action {
                Some(GuardrailContextualGroundingAction::None) => Action::None,
                _ => Action::Block,
            },
        })
        .collect()
}
