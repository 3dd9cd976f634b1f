//! What a filter keeps from being found, and why: the definition of every operator, asked of the
//! attributes that a search without the filter shows.

use anyhow::Context as _;
use outcrop_knowledge::filter::{Filter, Limits};
use outcrop_knowledge::metadata::Metadata;
use outcrop_model::runtime::RetrievalFilter;
use serde_json::{Value, json};

use crate::cli::Failure;

/// A result that a filter removed.
pub(super) struct Removed {
    /// The result, of a search without the filter.
    pub(super) result: Value,
    /// The conditions that its document does not meet.
    pub(super) reasons: Vec<String>,
}

impl Removed {
    /// As one JSON object.
    pub(super) fn json(&self) -> Value {
        json!({"result": self.result, "reasons": self.reasons})
    }
}

/// Those of `results` that the filter removes.
pub(super) fn by(filter: &Value, results: &[Value]) -> Result<Vec<Removed>, Failure> {
    let shape: RetrievalFilter = serde_json::from_value(filter.clone())
        .context("the filter is not of AWS's form")
        .map_err(Failure::Usage)?;
    let filter = Filter::parse(&shape, Limits::RELAXED)?;
    let mut removed = Vec::new();
    for result in results {
        let attributes = result["metadata"].as_object().cloned();
        // What no filter can ask about, such as nested values, cannot be a reason.
        let metadata: Metadata = attributes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, serde_json::from_value(value).ok()?)))
            .collect();
        let reasons: Vec<String> = filter
            .explain(&metadata)
            .iter()
            .map(ToString::to_string)
            .collect();
        if !reasons.is_empty() {
            let result = result.clone();
            removed.push(Removed { result, reasons });
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_removed_result_has_its_reasons() {
        let filter = json!({"andAll": [
            {"equals": {"key": "department", "value": "hr"}},
            {"greaterThan": {"key": "year", "value": 2020}},
        ]});
        let results = [
            json!({"metadata": {"department": "hr", "year": 2024}}),
            json!({"metadata": {"department": "it", "year": 2024}}),
            json!({"metadata": {}}),
        ];
        let removed = by(&filter, &results).unwrap();
        let reasons: Vec<usize> = removed.iter().map(|one| one.reasons.len()).collect();
        assert_eq!(reasons, [1, 2]);
        let first = removed.first().unwrap();
        assert!(first.reasons[0].contains("department"));
        assert!(first.reasons[0].contains("\"it\""), "{:?}", first.reasons);
        assert!(by(&json!({"is": 1}), &results).is_err());
    }
}
