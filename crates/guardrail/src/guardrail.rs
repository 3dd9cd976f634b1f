//! A guardrail compiled from its definition, and what it says of texts.
//!
//! The assessment is kept in the form of `ApplyGuardrail` with everything that was looked for, found or
//! not; `report` derives the smaller forms. What only a model can tell comes in as a verdict.

use std::collections::BTreeSet;

mod compile;
mod sensitive;

use outcrop_model::bedrock::{GuardrailFilterStrength, GuardrailPiiEntityType as Kind};
use outcrop_model::converse::{
    GuardrailAssessment, GuardrailContentFilter, GuardrailContentFilterConfidence as Confidence,
    GuardrailContentFilterStrength, GuardrailContentPolicyAction, GuardrailContentPolicyAssessment,
    GuardrailContentSource as Source, GuardrailContextualGroundingFilter,
    GuardrailContextualGroundingPolicyAction, GuardrailContextualGroundingPolicyAssessment,
    GuardrailCustomWord, GuardrailManagedWord, GuardrailManagedWordType, GuardrailTopic,
    GuardrailTopicPolicyAction, GuardrailTopicPolicyAssessment, GuardrailTopicType,
    GuardrailWordPolicyAction, GuardrailWordPolicyAssessment,
};
use regex::Regex;

pub use compile::CompileError;

use crate::judge::{Question, Verdict};
use crate::pii::{Decided, decided_by};
use crate::rule::{Action, Rule};
use crate::words::{Folded, WordList};

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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one policy, none a state"
)]
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

impl Guardrail {
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

fn word_action(action: Action) -> GuardrailWordPolicyAction {
    match action {
        Action::Block => GuardrailWordPolicyAction::Blocked,
        Action::None | Action::Anonymize => GuardrailWordPolicyAction::None,
    }
}
