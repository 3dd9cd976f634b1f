//! Sensitive information: what is found where, how it is masked, and how it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use outcrop_model::bedrock::GuardrailPiiEntityType as Kind;
use outcrop_model::converse::{
    GuardrailContentSource as Source, GuardrailPiiEntityFilter, GuardrailRegexFilter,
    GuardrailSensitiveInformationPolicyAction, GuardrailSensitiveInformationPolicyAssessment,
};

use super::{Guardrail, Tally};
use crate::judge::Verdict;
use crate::pii;
use crate::rule::Action;
use crate::spans::{self, Span};

/// Most distinct values that are looked for again in the whole of a text: each costs a search, and a
/// text in which more are introduced by words is a list of them.
const SPREAD_MAX: usize = 64;

/// Bytes from which on a value is masked even within a longer word: shorter ones are parts of others by
/// chance.
const SPREAD_WITHIN: usize = 8;

impl Guardrail {
    pub(super) fn find_sensitive(
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
}

fn sensitive_shown(action: Action) -> GuardrailSensitiveInformationPolicyAction {
    match action {
        Action::None => GuardrailSensitiveInformationPolicyAction::None,
        Action::Anonymize => GuardrailSensitiveInformationPolicyAction::Anonymized,
        Action::Block => GuardrailSensitiveInformationPolicyAction::Blocked,
    }
}
