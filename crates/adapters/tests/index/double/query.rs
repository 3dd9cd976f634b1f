//! How the double's queries decide: each as OpenSearch's reference says it of the kinds that are asked.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use super::Index;
use crate::oracle::words;

impl Index {
    /// The score of a document; `None` where the query does not find it.
    pub(super) fn score(
        &self,
        corpus: &Corpus,
        query: &Value,
        id: &str,
        document: &Value,
    ) -> Option<f64> {
        let (kind, rest) = query
            .as_object()
            .and_then(|query| query.iter().next())
            .expect("a query");
        match kind.as_str() {
            "match_all" => return Some(1.0),
            "match_none" => return None,
            "bool" => return self.score_of_bool(corpus, rest, id, document),
            _ => {}
        }
        let (field, value) = rest
            .as_object()
            .and_then(|rest| rest.iter().next())
            .expect("a field");
        let texts = || -> Vec<String> {
            let text = |value: &Value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match value_at(document, field) {
                Value::Null => Vec::new(),
                Value::Array(items) => items.iter().map(text).collect(),
                other => vec![text(other)],
            }
        };
        let plain = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let value_of = |value: &Value| plain(value.get("value").unwrap_or(value));
        let some = |found: bool| found.then_some(1.0);
        match kind.as_str() {
            "term" => some(texts().contains(&value_of(value))),
            "terms" => {
                let wanted: Vec<String> =
                    value.as_array().expect("terms").iter().map(plain).collect();
                some(texts().iter().any(|text| wanted.contains(text)))
            }
            "prefix" => some(
                texts()
                    .iter()
                    .any(|text| text.starts_with(&value_of(value))),
            ),
            "wildcard" => some(texts().iter().any(|text| fits(&value_of(value), text))),
            "range" => some(texts().iter().any(|text| {
                value
                    .as_object()
                    .expect("bounds")
                    .iter()
                    .all(|(bound, limit)| {
                        let order = order(text, limit);
                        match bound.as_str() {
                            "gt" => order.is_some_and(Ordering::is_gt),
                            "gte" => order.is_some_and(Ordering::is_ge),
                            "lt" => order.is_some_and(Ordering::is_lt),
                            "lte" => order.is_some_and(Ordering::is_le),
                            other => panic!("a bound {other}"),
                        }
                    })
            })),
            "exists" => some(!value_at(document, value.as_str().expect("a field")).is_null()),
            "ids" => some(
                value
                    .as_array()
                    .expect("ids")
                    .iter()
                    .any(|wanted| wanted == id),
            ),
            "match" => corpus.bm25(&document[field]),
            "knn" => {
                self.score(corpus, &value["filter"], id, document)?;
                assert_eq!(self.properties[field]["type"], "knn_vector");
                let square: f64 = value["vector"]
                    .as_array()
                    .expect("a vector")
                    .iter()
                    .zip(document[field].as_array()?)
                    .map(|(one, other)| {
                        (one.as_f64().unwrap_or_default() - other.as_f64().unwrap_or_default())
                            .powi(2)
                    })
                    .sum();
                Some(1.0 / (1.0 + square))
            }
            other => panic!("a query {other}"),
        }
    }

    fn score_of_bool(
        &self,
        corpus: &Corpus,
        parts: &Value,
        id: &str,
        document: &Value,
    ) -> Option<f64> {
        let all = |name: &str| parts[name].as_array().cloned().unwrap_or_default();
        let mut score = 0.0;
        for query in all("must") {
            score += self.score(corpus, &query, id, document)?;
        }
        for query in all("filter") {
            self.score(corpus, &query, id, document)?;
        }
        if all("must_not")
            .iter()
            .any(|query| self.score(corpus, query, id, document).is_some())
        {
            return None;
        }
        let should = all("should");
        let found = should
            .iter()
            .filter_map(|query| self.score(corpus, query, id, document))
            .count();
        let least = parts["minimum_should_match"].as_u64().unwrap_or_default();
        (found as u64 >= least).then_some(score)
    }
}

/// What a document has in a field; in the `keyword` beside a text what is not too long for it.
fn value_at<'a>(document: &'a Value, field: &str) -> &'a Value {
    let Some(beside) = field.strip_suffix(".keyword") else {
        return &document[field];
    };
    match &document[beside] {
        Value::String(text) if text.chars().count() > 256 => &Value::Null,
        value => value,
    }
}

/// How a field's value stands to a bound, as numbers or as texts.
fn order(value: &str, bound: &Value) -> Option<Ordering> {
    match bound {
        Value::String(bound) => Some(value.cmp(bound)),
        bound => value.parse::<f64>().ok()?.partial_cmp(&bound.as_f64()?),
    }
}

/// What BM25 needs to know of all documents, for the words of one question.
#[derive(Default)]
pub(super) struct Corpus {
    documents: f64,
    average: f64,
    /// How many documents have each word.
    words: BTreeMap<String, f64>,
}

fn tokens(text: &Value) -> Vec<String> {
    let text = text.as_str().unwrap_or_default().to_lowercase();
    let split = text.split(|char: char| !char.is_alphanumeric());
    split
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn count(value: usize) -> f64 {
    f64::from(u32::try_from(value).expect("a few"))
}

impl Corpus {
    pub(super) fn of<'a>(query: &Value, documents: impl Iterator<Item = &'a Value>) -> Self {
        let asked = query
            .pointer("/bool/must/0/match")
            .and_then(Value::as_object);
        let Some((field, question)) = asked.and_then(|asked| asked.iter().next()) else {
            return Self::default();
        };
        let all: Vec<Vec<String>> = documents.map(|document| tokens(&document[field])).collect();
        let having = |word: String| {
            let having = all.iter().filter(|tokens| tokens.contains(&word)).count();
            (word, count(having))
        };
        let question = question["query"].as_str().expect("words");
        Self {
            documents: count(all.len()),
            average: count(all.iter().map(Vec::len).sum()) / count(all.len().max(1)),
            words: words(question).into_iter().map(having).collect(),
        }
    }

    fn bm25(&self, text: &Value) -> Option<f64> {
        let own = tokens(text);
        let mut score = 0.0;
        for (word, having) in &self.words {
            let times = count(own.iter().filter(|token| *token == word).count());
            let weight = (1.0 + (self.documents - having + 0.5) / (having + 0.5)).ln();
            let length = 0.25 + 0.75 * count(own.len()) / self.average;
            score += weight * times * 2.2 / (times + 1.2 * length);
        }
        (score > 0.0).then_some(score)
    }
}

/// Whether a text is as a pattern of `wildcard` says.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = rest.as_str();
            let mut places = text
                .char_indices()
                .map(|(place, _)| place)
                .chain([text.len()]);
            places.any(|place| fits(rest, &text[place..]))
        }
        Some('?') => {
            let mut text = text.chars();
            text.next().is_some() && fits(rest.as_str(), text.as_str())
        }
        Some(char) => {
            let wanted = if char == '\\' {
                rest.next()
            } else {
                Some(char)
            };
            let mut text = text.chars();
            text.next() == wanted && fits(rest.as_str(), text.as_str())
        }
    }
}
