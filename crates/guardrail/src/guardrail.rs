//! A guardrail compiled from its definition, and what it says of texts.
//!
//! The assessment is kept in the form of `ApplyGuardrail` with everything that was looked for, found or
//! not; `report` derives the smaller forms. What only a model can tell comes in as a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use outcrop_model::bedrock::{
    GetGuardrailResponse, GuardrailContentFilterAction, GuardrailFilterStrength,
    GuardrailPiiEntityType as Kind, GuardrailSensitiveInformationAction, GuardrailTopicAction,
    GuardrailWordAction,
};
use outcrop_model::converse::{
    GuardrailAssessment, GuardrailContentFilter, GuardrailContentFilterConfidence as Confidence,
    GuardrailContentFilterStrength, GuardrailContentPolicyAction, GuardrailContentPolicyAssessment,
    GuardrailContentSource as Source, GuardrailContextualGroundingFilter,
    GuardrailContextualGroundingPolicyAction, GuardrailContextualGroundingPolicyAssessment,
    GuardrailCustomWord, GuardrailManagedWord, GuardrailManagedWordType, GuardrailPiiEntityFilter,
    GuardrailRegexFilter, GuardrailSensitiveInformationPolicyAction,
    GuardrailSensitiveInformationPolicyAssessment, GuardrailTopic, GuardrailTopicPolicyAction,
    GuardrailTopicPolicyAssessment, GuardrailTopicType, GuardrailWordPolicyAction,
    GuardrailWordPolicyAssessment,
};
use regex::Regex;

use crate::custom::{self, RegexFault};
use crate::judge::{Question, Verdict};
use crate::pii::{self, Decided, decided_by};
use crate::rule::{Action, Rule};
use crate::spans::{self, Span};
use crate::words::{Folded, WordList, profanity};

/// Most distinct values that are looked for again in the whole of a text: each costs a search, and a
/// text in which more are introduced by words is a list of them.
const SPREAD_MAX: usize = 64;

/// Bytes from which on a value is masked even within a longer word: shorter ones are parts of others by
/// chance.
const SPREAD_WITHIN: usize = 8;

/// One text of what is assessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage<'t> {
    /// The text.
    pub text: &'t str,
    /// What an answer must be grounded in.
    pub is_source: bool,
    /// What an answer must be relevant to.
    pub is_query: bool,
    /// Whether the policies apply to it; grounding sources and queries are spared unless they are
    /// marked as content as well.
    pub is_guarded: bool,
}

/// Which policies a guardrail applies to a source, for metering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Denied topics.
    pub topics: bool,
    /// Content filters.
    pub content: bool,
    /// Custom and managed words.
    pub words: bool,
    /// Entities that are charged for.
    pub entities: bool,
    /// Regexes, which are free.
    pub regexes: bool,
    /// Contextual grounding.
    pub grounding: bool,
}

/// What a guardrail says of some passages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// Whether the whole is to be replaced by the guardrail's message.
    pub blocked: bool,
    /// Whether something was masked.
    pub masked: bool,
    /// The guarded passages in order, masked where need be.
    pub texts: Vec<String>,
    /// Everything that was looked for, with what was found.
    pub full: GuardrailAssessment,
    /// What was evaluated.
    pub scope: Scope,
}

/// A guardrail ready to assess.
#[derive(Debug)]
pub struct Guardrail {
    words: Option<Words>,
    entities: Vec<(Kind, Rule)>,
    regexes: Vec<Custom>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) grounding: Vec<Grounding>,
}

#[derive(Debug)]
struct Words {
    custom: Option<WordList>,
    /// By word.
    custom_rules: Vec<Rule>,
    managed: Option<(WordList, Rule)>,
}

#[derive(Debug)]
struct Custom {
    name: String,
    pattern: String,
    regex: Regex,
    rule: Rule,
}

/// A denied topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) definition: String,
    pub(crate) examples: Vec<String>,
    pub(crate) rule: Rule,
}

/// A content filter; a strength of `NONE` is no rule.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) kind: outcrop_model::converse::GuardrailContentFilterType,
    pub(crate) input: GuardrailFilterStrength,
    pub(crate) output: GuardrailFilterStrength,
    pub(crate) rule: Rule,
}

/// A threshold of contextual grounding.
#[derive(Debug)]
pub(crate) struct Grounding {
    pub(crate) kind: outcrop_model::converse::GuardrailContextualGroundingFilterType,
    pub(crate) threshold: f64,
    pub(crate) action: Action,
}

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

    /// What applies to a source.
    pub fn scope(&self, source: Source, passages: &[Passage<'_>]) -> Scope {
        let words = self.words.as_ref().is_some_and(|words| {
            let managed = words.managed.as_ref().and_then(|(_, rule)| rule.on(source));
            managed.is_some()
                || words
                    .custom_rules
                    .iter()
                    .any(|rule| rule.on(source).is_some())
        });
        Scope {
            topics: self
                .topics
                .iter()
                .any(|topic| topic.rule.on(source).is_some()),
            content: self
                .filters
                .iter()
                .any(|filter| filter.on(source).is_some()),
            words,
            entities: self
                .entities
                .iter()
                .any(|(_, rule)| rule.on(source).is_some()),
            regexes: self
                .regexes
                .iter()
                .any(|regex| regex.rule.on(source).is_some()),
            grounding: self.judges_grounding(source, passages),
        }
    }

    /// Grounding is of answers, and needs something to be grounded in.
    pub(crate) fn judges_grounding(&self, source: Source, passages: &[Passage<'_>]) -> bool {
        source == Source::Output
            && !self.grounding.is_empty()
            && passages.iter().any(|passage| passage.is_source)
            && passages.iter().any(|passage| passage.is_query)
    }

    /// The kinds of entities a model must find for a source.
    pub(crate) fn judged_entities(&self, source: Source) -> Vec<Kind> {
        let judged = self.entities.iter().filter(|(kind, rule)| {
            decided_by(*kind) == Decided::Model && rule.on(source).is_some()
        });
        judged.map(|(kind, _)| *kind).collect()
    }

    /// Assesses passages. `verdict` is the answer to [`Question::of`], where that asked anything.
    pub fn assess(
        &self,
        source: Source,
        passages: &[Passage<'_>],
        verdict: Option<&Verdict>,
    ) -> Assessment {
        let mut assessment = Assessment {
            scope: self.scope(source, passages),
            ..Assessment::default()
        };
        let guarded: Vec<&str> = passages
            .iter()
            .filter(|passage| passage.is_guarded)
            .map(|passage| passage.text)
            .collect();
        let mut tally = Tally::default();
        assessment.full.topic_policy = self.judge_topics(source, verdict, &mut tally);
        assessment.full.content_policy = self.judge_content(source, verdict, &mut tally);
        assessment.full.word_policy = self.find_words(source, &guarded, &mut tally);
        let (sensitive, texts) = self.find_sensitive(source, &guarded, verdict, &mut tally);
        assessment.full.sensitive_information_policy = sensitive;
        if assessment.scope.grounding {
            assessment.full.contextual_grounding_policy = self.judge_grounding(verdict, &mut tally);
        }
        assessment.blocked = tally.blocked;
        assessment.masked = tally.masked;
        assessment.texts = texts;
        assessment
    }

    fn judge_topics(
        &self,
        source: Source,
        verdict: Option<&Verdict>,
        tally: &mut Tally,
    ) -> Option<GuardrailTopicPolicyAssessment> {
        let topics = self.topics.iter().filter_map(|topic| {
            let action = topic.rule.on(source)?;
            let detected = verdict.is_some_and(|verdict| verdict.topics.contains(&topic.name));
            Some(GuardrailTopic {
                action: if tally.count(detected, action) == Action::Block {
                    GuardrailTopicPolicyAction::Blocked
                } else {
                    GuardrailTopicPolicyAction::None
                },
                detected: Some(detected),
                name: topic.name.clone(),
                type_: GuardrailTopicType::Deny,
            })
        });
        let topics: Vec<_> = topics.collect();
        (!topics.is_empty()).then_some(GuardrailTopicPolicyAssessment { topics })
    }

    fn judge_content(
        &self,
        source: Source,
        verdict: Option<&Verdict>,
        tally: &mut Tally,
    ) -> Option<GuardrailContentPolicyAssessment> {
        let filters = self.filters.iter().filter_map(|filter| {
            let (strength, action) = filter.on(source)?;
            let confidence = verdict
                .and_then(|verdict| verdict.content.get(&filter.kind))
                .copied()
                .unwrap_or(Confidence::None);
            let detected = caught(strength, confidence);
            Some(GuardrailContentFilter {
                action: if tally.count(detected, action) == Action::Block {
                    GuardrailContentPolicyAction::Blocked
                } else {
                    GuardrailContentPolicyAction::None
                },
                confidence,
                detected: Some(detected),
                filter_strength: strength_shown(strength),
                type_: filter.kind,
            })
        });
        let filters: Vec<_> = filters.collect();
        (!filters.is_empty()).then_some(GuardrailContentPolicyAssessment { filters })
    }

    fn judge_grounding(
        &self,
        verdict: Option<&Verdict>,
        tally: &mut Tally,
    ) -> Option<GuardrailContextualGroundingPolicyAssessment> {
        let verdict = verdict?;
        let filters = self.grounding.iter().filter_map(|grounding| {
            let score = *verdict.scores.get(&grounding.kind)?;
            let detected = score < grounding.threshold;
            Some(GuardrailContextualGroundingFilter {
                action: if tally.count(detected, grounding.action) == Action::Block {
                    GuardrailContextualGroundingPolicyAction::Blocked
                } else {
                    GuardrailContextualGroundingPolicyAction::None
                },
                detected: Some(detected),
                score,
                threshold: grounding.threshold,
                type_: grounding.kind,
            })
        });
        let filters = Some(filters.collect());
        Some(GuardrailContextualGroundingPolicyAssessment { filters })
    }

    fn find_words(
        &self,
        source: Source,
        texts: &[&str],
        tally: &mut Tally,
    ) -> Option<GuardrailWordPolicyAssessment> {
        let words = self.words.as_ref()?;
        let mut found = GuardrailWordPolicyAssessment {
            custom_words: Vec::new(),
            managed_word_lists: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        for text in texts {
            let folded = Folded::new(text);
            for (index, range) in words.custom.iter().flat_map(|list| list.find(&folded)) {
                let word = text[range].to_owned();
                if let Some(action) = words.custom_rules[index].on(source)
                    && seen.insert((true, word.clone()))
                {
                    found.custom_words.push(GuardrailCustomWord {
                        action: word_action(tally.count(true, action)),
                        detected: Some(true),
                        match_: word,
                    });
                }
            }
            let managed = words.managed.as_ref();
            let rule = managed.and_then(|(list, rule)| Some((list, rule.on(source)?)));
            if let Some((list, action)) = rule {
                for (_, range) in list.find(&folded) {
                    let word = text[range].to_owned();
                    if seen.insert((false, word.clone())) {
                        found.managed_word_lists.push(GuardrailManagedWord {
                            action: word_action(tally.count(true, action)),
                            detected: Some(true),
                            match_: word,
                            type_: GuardrailManagedWordType::Profanity,
                        });
                    }
                }
            }
        }
        let any = !found.custom_words.is_empty() || !found.managed_word_lists.is_empty();
        any.then_some(found)
    }

    fn find_sensitive(
        &self,
        source: Source,
        texts: &[&str],
        verdict: Option<&Verdict>,
        tally: &mut Tally,
    ) -> (
        Option<GuardrailSensitiveInformationPolicyAssessment>,
        Vec<String>,
    ) {
        let mut masked = Vec::with_capacity(texts.len());
        // Entities come before regexes: the index tells which of them a span is of.
        let mut matches: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.detectors()];
        let mut ordered: Vec<(usize, &str)> = Vec::new();
        let mut found: Vec<Vec<Span<'_>>> = texts
            .iter()
            .map(|text| self.spans(source, text, verdict))
            .collect();
        self.spread(texts, &mut found);
        for (text, found) in texts.iter().zip(found) {
            let found = spans::resolve(found);
            for span in &found {
                let value = &text[span.range.clone()];
                if matches[span.detector].insert(value) {
                    ordered.push((span.detector, value));
                }
                tally.count(true, span.action);
            }
            masked.push(spans::mask(text, &found).unwrap_or_else(|| (*text).to_owned()));
        }
        (self.sensitive_report(source, &ordered), masked)
    }

    fn detectors(&self) -> usize {
        self.entities.len() + self.regexes.len()
    }

    fn spans<'g>(&'g self, source: Source, text: &str, verdict: Option<&Verdict>) -> Vec<Span<'g>> {
        let span = |detector: usize, range: Range<usize>, action: Action, label: &'g str| Span {
            range,
            action,
            label,
            rank: detector,
            detector,
        };
        let by_kind = |kind: Kind| {
            let entities = self.entities.iter().enumerate();
            let mut of_kind = entities.filter(|(_, (other, _))| *other == kind);
            of_kind.find_map(|(index, (_, rule))| Some((index, rule.on(source)?)))
        };
        let mut spans = Vec::new();
        let found = if self.entities.is_empty() {
            Vec::new()
        } else {
            pii::find(text, |kind| by_kind(kind).is_some())
        };
        let judged = verdict.into_iter().flat_map(|verdict| verdict.places(text));
        for (kind, range) in found.into_iter().chain(judged) {
            if let Some((index, action)) = by_kind(kind) {
                spans.push(span(index, range, action, kind.as_str()));
            }
        }
        for (index, custom) in self.regexes.iter().enumerate() {
            if let Some(action) = custom.rule.on(source) {
                let found = custom
                    .regex
                    .find_iter(text)
                    .filter(|found| !found.is_empty());
                let detector = self.entities.len() + index;
                spans
                    .extend(found.map(|found| span(detector, found.range(), action, &custom.name)));
            }
        }
        spans
    }

    /// A value that is masked is masked wherever else it stands, for words around it may have told it.
    /// Ages are numbers like any other.
    fn spread<'g>(&'g self, texts: &[&str], found: &mut [Vec<Span<'g>>]) {
        let mut values: BTreeMap<&str, Span<'g>> = BTreeMap::new();
        for (text, spans) in texts.iter().zip(found.iter()) {
            for span in spans {
                let kind = self.entities.get(span.detector).map(|(kind, _)| *kind);
                let spreads = kind.is_some_and(|kind| kind != Kind::Age);
                if spreads && span.action == Action::Anonymize && values.len() < SPREAD_MAX {
                    values
                        .entry(&text[span.range.clone()])
                        .or_insert_with(|| span.clone());
                }
            }
        }
        for (text, spans) in texts.iter().zip(found) {
            for (value, span) in &values {
                for (start, _) in text.match_indices(value) {
                    let range = start..start + value.len();
                    let word = |c: char| c.is_alphanumeric();
                    let joined = text[..start].chars().next_back().is_some_and(word)
                        || text[range.end..].chars().next().is_some_and(word);
                    if !joined || value.len() >= SPREAD_WITHIN {
                        spans.push(Span {
                            range,
                            ..span.clone()
                        });
                    }
                }
            }
        }
    }

    /// What was found by each detector, and for those that found nothing that they did not.
    fn sensitive_report(
        &self,
        source: Source,
        found: &[(usize, &str)],
    ) -> Option<GuardrailSensitiveInformationPolicyAssessment> {
        let values = |detector: usize| {
            let of_it = found.iter().filter(move |(index, _)| *index == detector);
            of_it.map(|(_, value)| *value)
        };
        let mut entities = Vec::new();
        for (index, (kind, rule)) in self.entities.iter().enumerate() {
            let Some(action) = rule.on(source) else {
                continue;
            };
            let kind = kind
                .as_str()
                .parse()
                .expect("both services name the same kinds");
            let entry = |action, detected: bool, value: &str| GuardrailPiiEntityFilter {
                action: sensitive_shown(action),
                detected: Some(detected),
                match_: value.to_owned(),
                type_: kind,
            };
            let before = entities.len();
            entities.extend(values(index).map(|value| entry(action, true, value)));
            if entities.len() == before {
                entities.push(entry(Action::None, false, ""));
            }
        }
        let mut regexes = Vec::new();
        for (index, custom) in self.regexes.iter().enumerate() {
            let Some(action) = custom.rule.on(source) else {
                continue;
            };
            let entry = |action, value: Option<&str>| GuardrailRegexFilter {
                action: sensitive_shown(action),
                detected: Some(value.is_some()),
                match_: value.map(str::to_owned),
                name: Some(custom.name.clone()),
                regex: Some(custom.pattern.clone()),
            };
            let before = regexes.len();
            let found = values(self.entities.len() + index);
            regexes.extend(found.map(|value| entry(action, Some(value))));
            if regexes.len() == before {
                regexes.push(entry(Action::None, None));
            }
        }
        let any = !entities.is_empty() || !regexes.is_empty();
        any.then_some(GuardrailSensitiveInformationPolicyAssessment {
            pii_entities: entities,
            regexes,
        })
    }

    /// What a model must be asked of these passages, if anything.
    pub fn question(&self, source: Source, passages: &[Passage<'_>]) -> Option<Question> {
        Question::of(self, source, passages)
    }
}

impl Filter {
    /// Strength and action for a source, where it is evaluated.
    pub(crate) fn on(&self, source: Source) -> Option<(GuardrailFilterStrength, Action)> {
        let strength = match source {
            Source::Input => self.input,
            _ => self.output,
        };
        let action = self.rule.on(source)?;
        (strength != GuardrailFilterStrength::None).then_some((strength, action))
    }
}

/// What all findings together come to.
#[derive(Default)]
struct Tally {
    blocked: bool,
    masked: bool,
}

impl Tally {
    /// Counts a finding and gives the action that is shown for it.
    fn count(&mut self, detected: bool, action: Action) -> Action {
        let shown = if detected { action } else { Action::None };
        self.blocked |= shown == Action::Block;
        self.masked |= shown == Action::Anonymize;
        shown
    }
}

/// A strong filter blocks what is at all likely, a weak one only what is certain.
fn caught(strength: GuardrailFilterStrength, confidence: Confidence) -> bool {
    match strength {
        GuardrailFilterStrength::Low => confidence == Confidence::High,
        GuardrailFilterStrength::Medium => {
            matches!(confidence, Confidence::Medium | Confidence::High)
        }
        GuardrailFilterStrength::High => confidence != Confidence::None,
        _ => false,
    }
}

fn strength_shown(strength: GuardrailFilterStrength) -> Option<GuardrailContentFilterStrength> {
    strength.as_str().parse().ok()
}

fn sensitive_shown(action: Action) -> GuardrailSensitiveInformationPolicyAction {
    match action {
        Action::None => GuardrailSensitiveInformationPolicyAction::None,
        Action::Anonymize => GuardrailSensitiveInformationPolicyAction::Anonymized,
        Action::Block => GuardrailSensitiveInformationPolicyAction::Blocked,
    }
}

fn word_action(action: Action) -> GuardrailWordPolicyAction {
    match action {
        Action::Block => GuardrailWordPolicyAction::Blocked,
        Action::None | Action::Anonymize => GuardrailWordPolicyAction::None,
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
                Some(outcrop_model::bedrock::GuardrailContextualGroundingAction::None) => {
                    Action::None
                }
                _ => Action::Block,
            },
        })
        .collect()
}
