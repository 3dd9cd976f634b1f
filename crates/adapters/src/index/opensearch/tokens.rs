//! Attributes and filters as terms of one keyword field, to the letter of [`Filter::matches`].
//!
//! OpenSearch gives each field one type for all documents, guesses it from the first, and takes a list
//! for the same as its items. Filters know types and tell lists from texts. So each attribute becomes
//! terms that carry its name, its type and its value, in one field that is mapped beforehand; every
//! operator is then an exact question about terms, and no two documents can disagree on a type.
//!
//! Invariant: the form of a term is a contract with what is already stored.

use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::{Metadata, MetadataValue};
use serde_json::{Value, json};

/// Between the parts of a term.
const BETWEEN: char = '\u{1f}';
/// What a separator in a name becomes, so that no name can look like another with a type behind it.
const BETWEEN_IN_NAME: &str = "\u{1f}\u{1f}";

/// What kind of value a term stands for.
#[derive(Clone, Copy)]
enum Kind {
    Boolean,
    Number,
    Text,
    /// A whole list.
    List,
    /// One of a list's texts.
    Item,
}

impl Kind {
    const fn letter(self) -> char {
        match self {
            Self::Boolean => 'b',
            Self::Number => 'n',
            Self::Text => 's',
            Self::List => 'l',
            Self::Item => 'i',
        }
    }
}

/// The beginning of all terms of a kind of an attribute.
fn head(key: &str, kind: Kind) -> String {
    let key = key.replace(BETWEEN, BETWEEN_IN_NAME);
    format!("{key}{BETWEEN}{}{BETWEEN}", kind.letter())
}

/// A number so that terms sort as numbers do: sixteen digits of the ordered bits.
fn sortable(number: f64) -> String {
    // Minus zero is zero.
    let bits = (number + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    };
    format!("{ordered:016x}")
}

/// The term that stands for a value.
fn term(key: &str, value: &MetadataValue) -> String {
    match value {
        MetadataValue::Boolean(value) => format!("{}{value}", head(key, Kind::Boolean)),
        MetadataValue::Number(value) => format!("{}{}", head(key, Kind::Number), sortable(*value)),
        MetadataValue::String(text) => format!("{}{text}", head(key, Kind::Text)),
        MetadataValue::StringList(texts) => {
            let list = serde_json::to_string(texts).expect("texts are JSON");
            format!("{}{list}", head(key, Kind::List))
        }
    }
}

/// All terms of a document's attributes.
pub(super) fn of(metadata: &Metadata) -> Vec<String> {
    let mut terms = Vec::with_capacity(metadata.len());
    for (key, value) in metadata {
        terms.push(term(key, value));
        if let MetadataValue::StringList(texts) = value {
            let head = head(key, Kind::Item);
            terms.extend(texts.iter().map(|text| format!("{head}{text}")));
        }
    }
    terms
}

/// A filter as a query over `field`.
pub(super) fn query(field: &str, filter: &Filter) -> Value {
    match filter {
        Filter::All(filters) => {
            let all: Vec<Value> = filters.iter().map(|part| query(field, part)).collect();
            json!({"bool": {"filter": all}})
        }
        Filter::Any(filters) => {
            let any: Vec<Value> = filters.iter().map(|part| query(field, part)).collect();
            json!({"bool": {"should": any, "minimum_should_match": 1}})
        }
        Filter::Attribute { key, condition } => attribute(field, key, condition),
    }
}

fn attribute(field: &str, key: &str, condition: &Condition) -> Value {
    let equals = |value: &MetadataValue| json!({"term": {field: {"value": term(key, value)}}});
    let one_of = |values: &[MetadataValue]| {
        let terms: Vec<String> = values.iter().map(|value| term(key, value)).collect();
        json!({"terms": {field: terms}})
    };
    let not = |query: Value| json!({"bool": {"must_not": [query]}});
    let number = |bound: &str, limit: f64| {
        let head = head(key, Kind::Number);
        // Within the numbers of this attribute: a digit is below `g`.
        let mut range = json!({"gte": head, "lt": format!("{head}g")});
        let open = if bound.starts_with("gt") { "gte" } else { "lt" };
        if let Some(range) = range.as_object_mut() {
            range.remove(open);
            range.insert(
                bound.to_owned(),
                json!(format!("{head}{}", sortable(limit))),
            );
        }
        json!({"range": {field: range}})
    };
    let part = |kind: Kind, part: &str| {
        let head = escaped(&head(key, kind));
        json!({"wildcard": {field: {"value": format!("{head}*{}*", escaped(part))}}})
    };
    match condition {
        Condition::Equals(value) => equals(value),
        Condition::NotEquals(value) => not(equals(value)),
        Condition::In(values) => one_of(values),
        Condition::NotIn(values) => not(one_of(values)),
        Condition::GreaterThan(limit) => number("gt", *limit),
        Condition::GreaterThanOrEquals(limit) => number("gte", *limit),
        Condition::LessThan(limit) => number("lt", *limit),
        Condition::LessThanOrEquals(limit) => number("lte", *limit),
        Condition::StartsWith(start) => {
            let start = format!("{}{start}", head(key, Kind::Text));
            json!({"prefix": {field: {"value": start}}})
        }
        Condition::ListContains(text) => {
            let item = format!("{}{text}", head(key, Kind::Item));
            json!({"term": {field: {"value": item}}})
        }
        Condition::StringContains(text) => json!({"bool": {
            "should": [part(Kind::Text, text), part(Kind::Item, text)],
            "minimum_should_match": 1
        }}),
    }
}

/// A text of which a wildcard query takes each character for itself.
pub(super) fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '*' | '?' | '\\') {
            plain.push('\\');
        }
        plain.push(char);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_numbers_sort_as_the_numbers() {
        let numbers = [
            f64::MIN,
            -2.5,
            -1.0,
            -1e-300,
            0.0,
            1e-300,
            0.1,
            1.0,
            5.0,
            2024.0,
            f64::MAX,
        ];
        for pair in numbers.windows(2) {
            assert!(sortable(pair[0]) < sortable(pair[1]), "{pair:?}");
        }
        assert_eq!(sortable(-0.0), sortable(0.0));
        assert!(sortable(f64::MAX).as_str() < "g");
    }

    #[test]
    fn names_with_separators_stay_apart() {
        let odd = term("a\u{1f}s\u{1f}b", &MetadataValue::String("c".to_owned()));
        let plain = term("a", &MetadataValue::String("b\u{1f}s\u{1f}c".to_owned()));
        assert_ne!(odd, plain);
        assert!(!odd.starts_with(&head("a", Kind::Text)));
    }

    #[test]
    fn wildcards_of_a_text_are_taken_for_themselves() {
        assert_eq!(escaped(r"50% * of? \n"), r"50% \* of\? \\n");
    }
}
