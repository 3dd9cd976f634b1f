//! Filters over documents that AWS has written: their attributes are fields beside the text.
//!
//! OpenSearch has guessed those fields' types from the documents: texts have a `keyword` beside them,
//! numbers and truth values are what they are. It takes a list for the same as its items, rounds
//! numbers, and leaves long texts out. So what is asked here finds all that a filter may match and
//! perhaps more, and whoever asks puts [`Filter::matches`] to what was found.
//!
//! Invariant: what a filter matches is found, unless its field was mapped by hand to hold less.

use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::MetadataValue;
use serde_json::{Map, Value, json};

use super::tokens::escaped;

/// Longest text that OpenSearch puts into a `keyword` which it has made by itself.
const KEYWORD_CHARS: u64 = 256;
/// Numbers beyond this are not exact, nor in the range of each numeric field.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The fields of an index, as its mapping tells them.
pub(super) type Fields = Map<String, Value>;

/// What a field can be asked.
enum Kind {
    /// For whole texts, under this name, if they are no longer than this.
    Texts {
        name: String,
        chars_max: u64,
    },
    Numbers,
    TruthValues,
    /// Whether it is there.
    Other,
}

/// A query that finds at least what a filter matches.
pub(super) fn may_match(fields: &Fields, filter: &Filter) -> Value {
    match filter {
        Filter::All(filters) => {
            let all = filters.iter().map(|part| may_match(fields, part));
            json!({"bool": {"filter": all.collect::<Vec<_>>()}})
        }
        Filter::Any(filters) => {
            let any_of = filters.iter().map(|part| may_match(fields, part));
            any(&any_of.collect::<Vec<_>>())
        }
        Filter::Attribute { key, condition } => attribute(fields, key, condition),
    }
}

fn any(queries: &[Value]) -> Value {
    json!({"bool": {"should": queries, "minimum_should_match": 1}})
}

fn attribute(fields: &Fields, key: &str, condition: &Condition) -> Value {
    if matches!(condition, Condition::NotEquals(_) | Condition::NotIn(_)) {
        return json!({"match_all": {}});
    }
    let Some(field) = field(fields, key) else {
        return json!({"match_none": {}});
    };
    let is_there = json!({"exists": {"field": key}});
    let kind = kind(key, field);
    let equals = |value: &MetadataValue| equals(key, &kind, value).unwrap_or(is_there.clone());
    let asked = match condition {
        Condition::Equals(value) => Some(equals(value)),
        Condition::In(values) => Some(any(&values.iter().map(equals).collect::<Vec<_>>())),
        Condition::GreaterThan(limit) | Condition::GreaterThanOrEquals(limit) => {
            number(key, &kind, *limit, |limit| json!({"gte": limit.floor()}))
        }
        Condition::LessThan(limit) | Condition::LessThanOrEquals(limit) => {
            number(key, &kind, *limit, |limit| json!({"lte": limit.ceil()}))
        }
        Condition::StartsWith(start) => text(
            key,
            &kind,
            start,
            |name| json!({"prefix": {name: {"value": start}}}),
        ),
        Condition::ListContains(item) => text(
            key,
            &kind,
            item,
            |name| json!({"term": {name: {"value": item}}}),
        ),
        Condition::StringContains(part) => text(
            key,
            &kind,
            part,
            |name| json!({"wildcard": {name: {"value": format!("*{}*", escaped(part))}}}),
        ),
        Condition::NotEquals(_) | Condition::NotIn(_) => None,
    };
    asked.unwrap_or(is_there)
}

/// The mapping of a field. A point in a name leads into an object.
fn field<'a>(fields: &'a Fields, key: &str) -> Option<&'a Value> {
    if let Some(field) = fields.get(key) {
        return Some(field);
    }
    let (object, rest) = key.split_once('.')?;
    field(fields.get(object)?.get("properties")?.as_object()?, rest)
}

fn kind(key: &str, field: &Value) -> Kind {
    let chars_max = |field: &Value| field["ignore_above"].as_u64();
    match field["type"].as_str().unwrap_or_default() {
        "keyword" => Kind::Texts {
            name: key.to_owned(),
            chars_max: chars_max(field).unwrap_or(u64::MAX),
        },
        "text" => {
            let beside = field["fields"].as_object().into_iter().flatten();
            let mut keywords = beside.filter(|(_, field)| field["type"] == "keyword");
            keywords
                .next()
                .map_or(Kind::Other, |(name, field)| Kind::Texts {
                    name: format!("{key}.{name}"),
                    chars_max: chars_max(field).unwrap_or(KEYWORD_CHARS),
                })
        }
        "long" | "integer" | "short" | "byte" | "unsigned_long" | "double" | "float"
        | "half_float" | "scaled_float" => Kind::Numbers,
        "boolean" => Kind::TruthValues,
        _ => Kind::Other,
    }
}

/// A query for a value; `None` where the field cannot tell it from others.
fn equals(key: &str, kind: &Kind, value: &MetadataValue) -> Option<Value> {
    match (value, kind) {
        (MetadataValue::String(wanted), _) => text(
            key,
            kind,
            wanted,
            |name| json!({"term": {name: {"value": wanted}}}),
        ),
        (MetadataValue::Number(wanted), _) => number(
            key,
            kind,
            *wanted,
            |wanted| json!({"gte": wanted.floor(), "lte": wanted.ceil()}),
        ),
        (MetadataValue::Boolean(wanted), Kind::TruthValues) => {
            Some(json!({"term": {key: {"value": wanted}}}))
        }
        (MetadataValue::Boolean(_) | MetadataValue::StringList(_), _) => None,
    }
}

/// A query over the texts of a field, and for those that are too long to be asked for.
fn text(key: &str, kind: &Kind, wanted: &str, query: impl FnOnce(&str) -> Value) -> Option<Value> {
    let Kind::Texts { name, chars_max } = kind else {
        return None;
    };
    if wanted.chars().count() as u64 > *chars_max {
        return None;
    }
    if name == key {
        return Some(query(name));
    }
    let too_long = json!({"bool": {
        "filter": [{"exists": {"field": key}}],
        "must_not": [{"exists": {"field": name}}]
    }});
    Some(any(&[query(name), too_long]))
}

/// A range of the numbers of a field, wide enough for one that keeps whole numbers only.
fn number(key: &str, kind: &Kind, limit: f64, range: impl FnOnce(f64) -> Value) -> Option<Value> {
    let is_exact = matches!(kind, Kind::Numbers) && limit.abs() < EXACT_MAX;
    is_exact.then(|| json!({"range": {key: range(limit)}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(key: &str, condition: Condition) -> Value {
        let fields = json!({
            "team": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
            "code": {"type": "keyword"},
            "year": {"type": "long"},
            "draft": {"type": "boolean"},
            "day": {"type": "date"},
            "page": {"properties": {"number": {"type": "float"}}}
        });
        let filter = Filter::Attribute {
            key: key.to_owned(),
            condition,
        };
        may_match(fields.as_object().expect("fields"), &filter)
    }

    fn string(text: &str) -> MetadataValue {
        MetadataValue::String(text.to_owned())
    }

    #[test]
    fn each_kind_of_field_is_asked_in_its_way() {
        let is_there = |key: &str| json!({"exists": {"field": key}});
        let too_long = json!({"bool": {
            "filter": [is_there("team")], "must_not": [is_there("team.keyword")]
        }});
        let or_too_long =
            |query| json!({"bool": {"should": [query, too_long], "minimum_should_match": 1}});
        for (key, condition, expected) in [
            (
                "team",
                Condition::Equals(string("hr")),
                or_too_long(json!({"term": {"team.keyword": {"value": "hr"}}})),
            ),
            (
                "team",
                Condition::StringContains("a*".to_owned()),
                or_too_long(json!({"wildcard": {"team.keyword": {"value": "*a\\**"}}})),
            ),
            (
                "team",
                Condition::Equals(string(&"x".repeat(257))),
                is_there("team"),
            ),
            ("team", Condition::GreaterThan(1.0), is_there("team")),
            (
                "code",
                Condition::StartsWith("a".to_owned()),
                json!({"prefix": {"code": {"value": "a"}}}),
            ),
            (
                "year",
                Condition::GreaterThan(2020.5),
                json!({"range": {"year": {"gte": 2020.0}}}),
            ),
            ("year", Condition::LessThan(1e300), is_there("year")),
            (
                "year",
                Condition::In(vec![MetadataValue::Number(5.5), string("5")]),
                json!({"bool": {"should": [
                    {"range": {"year": {"gte": 5.0, "lte": 6.0}}}, is_there("year")
                ], "minimum_should_match": 1}}),
            ),
            (
                "draft",
                Condition::Equals(MetadataValue::Boolean(true)),
                json!({"term": {"draft": {"value": true}}}),
            ),
            (
                "day",
                Condition::Equals(string("2024-01-01")),
                is_there("day"),
            ),
            (
                "page.number",
                Condition::LessThanOrEquals(3.0),
                json!({"range": {"page.number": {"lte": 3.0}}}),
            ),
            (
                "absent",
                Condition::Equals(string("a")),
                json!({"match_none": {}}),
            ),
            (
                "absent",
                Condition::NotEquals(string("a")),
                json!({"match_all": {}}),
            ),
        ] {
            assert_eq!(
                asked(key, condition.clone()),
                expected,
                "{key} {condition:?}"
            );
        }
    }
}
