//! Reads the classifier's answer: all that was asked for, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use outcrop_model::bedrock::GuardrailPiiEntityType as Kind;
use outcrop_model::converse::{
    GuardrailContentFilterConfidence as Confidence, GuardrailContentFilterType as Filter,
    GuardrailContextualGroundingFilterType as Grounding,
};
use serde_json::{Map, Value};

use super::question::{Question, SCORES};

/// Most entities of one answer: a text of the largest size with a name in each line.
const ENTITIES_MAX: usize = 2_000;

/// What the classifier found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    pub(crate) topics: BTreeSet<String>,
    pub(crate) content: BTreeMap<Filter, Confidence>,
    pub(crate) scores: BTreeMap<Grounding, f64>,
    entities: BTreeSet<(Kind, String)>,
}

/// Why an answer is not a verdict. Holds nothing of the texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON object.
    #[error("the classifier's answer is not a JSON object")]
    NoObject,
    /// A member is absent or not what was asked for.
    #[error("the classifier's answer has no usable `{member}`: expected {expected}")]
    Member {
        /// The member, with a dot before its own.
        member: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An entity is not in the text.
    #[error("the classifier named an entity that is not in the text")]
    Elsewhere,
}

impl Verdict {
    /// Where the entities stand in a text: every place of each.
    pub(crate) fn places<'v>(
        &'v self,
        text: &'v str,
    ) -> impl Iterator<Item = (Kind, Range<usize>)> + 'v {
        self.entities.iter().flat_map(move |(kind, value)| {
            let places = text.match_indices(value.as_str());
            places.map(|(start, found)| (*kind, start..start + found.len()))
        })
    }
}

pub(super) fn read(question: &Question, answer: &str) -> Result<Verdict, Unreadable> {
    let object: Map<String, Value> =
        serde_json::from_str(bare(answer)).map_err(|_| Unreadable::NoObject)?;
    let mut verdict = Verdict::default();
    for topic in &question.topics {
        let said = object.get("topics").and_then(|topics| topics.get(topic));
        let said = said.and_then(Value::as_bool);
        if said.ok_or_else(|| missing("topics", topic, "true or false"))? {
            verdict.topics.insert(topic.clone());
        }
    }
    for filter in &question.filters {
        let said = object
            .get("content")
            .and_then(|content| content.get(filter.as_str()));
        let confidence = said
            .and_then(Value::as_str)
            .and_then(|said| said.parse().ok());
        let expected = "NONE, LOW, MEDIUM or HIGH";
        let confidence = confidence.ok_or_else(|| missing("content", filter.as_str(), expected))?;
        verdict.content.insert(*filter, confidence);
    }
    for (grounding, key, _) in SCORES {
        if question.scores.contains(&grounding) {
            let score = object.get(key).and_then(Value::as_f64);
            let score = score.filter(|score| (0.0..=1.0).contains(score));
            let score = score.ok_or(Unreadable::Member {
                member: key.to_owned(),
                expected: "a number from 0 to 1",
            })?;
            verdict.scores.insert(grounding, score);
        }
    }
    if !question.entities.is_empty() {
        verdict.entities = entities(question, object.get("entities"))?;
    }
    Ok(verdict)
}

/// Models put fences around JSON whatever they are told.
fn bare(answer: &str) -> &str {
    let answer = answer.trim();
    let inner = answer
        .strip_prefix("```json")
        .or_else(|| answer.strip_prefix("```"))
        .and_then(|rest| rest.strip_suffix("```"));
    inner.unwrap_or(answer).trim()
}

fn missing(member: &str, part: &str, expected: &'static str) -> Unreadable {
    Unreadable::Member {
        member: format!("{member}.{part}"),
        expected,
    }
}

fn entities(
    question: &Question,
    given: Option<&Value>,
) -> Result<BTreeSet<(Kind, String)>, Unreadable> {
    let unusable = || Unreadable::Member {
        member: "entities".to_owned(),
        expected: "a list of objects with `type` and `text`",
    };
    let given = given.and_then(Value::as_array).ok_or_else(unusable)?;
    if given.len() > ENTITIES_MAX {
        return Err(unusable());
    }
    let parts: Value = serde_json::from_str(&question.user).unwrap_or_default();
    let text = parts
        .get("text")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut entities = BTreeSet::new();
    for entity in given {
        let member = |name: &str| entity.get(name).and_then(Value::as_str);
        let kind: Kind = member("type")
            .and_then(|kind| kind.parse().ok())
            .ok_or_else(unusable)?;
        let value = member("text").map(str::trim).ok_or_else(unusable)?;
        if value.is_empty() || !question.entities.contains(&kind) {
            continue;
        }
        // Something it saw but does not quote could not be masked.
        if !text.contains(value) {
            return Err(Unreadable::Elsewhere);
        }
        entities.insert((kind, value.to_owned()));
    }
    Ok(entities)
}
