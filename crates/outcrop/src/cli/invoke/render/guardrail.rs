//! A guardrail's assessments in words: what it found and what it did about it.
//!
//! Reads whatever policies there are, so that one which is newer than this program shows by its own name.

use serde_json::{Map, Value};

use super::super::event::{Assessment, Guardrail};
use super::super::line::Tone;

/// Findings named; a text full of them would hide everything else.
const FINDINGS: usize = 8;

/// `input blocked: customWords gold`, and how it is to look.
pub(super) fn verdict(guardrail: &Guardrail) -> (String, Tone) {
    let (side, assessments) = match (&guardrail.input_assessments, &guardrail.output_assessments) {
        (Some(input), _) => ("input", input.as_slice()),
        (None, Some(output)) => ("output", output.as_slice()),
        (None, None) => ("", [].as_slice()),
    };
    let found: Vec<Finding> = assessments.iter().flat_map(findings).collect();
    let intervenes = guardrail.action == "INTERVENED";
    let only_masks = !found.is_empty() && found.iter().all(|finding| finding.masks);
    let (verdict, tone) = match (intervenes, only_masks) {
        (true, false) => ("blocked", Tone::Failure),
        (true, true) => ("masked", Tone::Failure),
        (false, _) => ("passed", Tone::Result),
    };
    let mut text = format!("{side} {verdict}");
    for (index, finding) in found.iter().take(FINDINGS).enumerate() {
        text.push_str(if index == 0 { ": " } else { ", " });
        text.push_str(&finding.text);
    }
    if found.len() > FINDINGS {
        text.push_str(", …");
    }
    (text, tone)
}

struct Finding {
    text: String,
    masks: bool,
}

/// Everything that an assessment lists and that the guardrail acted on.
fn findings(assessment: &Assessment) -> Vec<Finding> {
    let policies = assessment.values().filter_map(Value::as_object);
    let lists = policies.flatten().filter_map(|(kind, list)| {
        let list = list.as_array()?;
        Some(
            list.iter()
                .filter_map(move |found| finding(kind, found.as_object()?)),
        )
    });
    lists.flatten().collect()
}

fn finding(kind: &str, found: &Map<String, Value>) -> Option<Finding> {
    let member = |name: &str| found.get(name).and_then(Value::as_str);
    let action = member("action").unwrap_or_default();
    if action == "NONE" {
        return None;
    }
    let mut text = kind.to_owned();
    // A topic's type says only that it is denied.
    let type_ = member("type").filter(|_| member("name").is_none());
    let told = [member("name"), type_, member("confidence"), member("match")];
    for word in told.into_iter().flatten() {
        text.push(' ');
        text.push_str(word);
    }
    Some(Finding {
        text,
        masks: action == "ANONYMIZED",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::verdict;

    fn told(guardrail: Value) -> String {
        verdict(&serde_json::from_value(guardrail).unwrap()).0
    }

    #[test]
    fn what_was_found_is_named() {
        let content = json!([{"contentPolicy": {"filters": [
            {"action": "BLOCKED", "confidence": "HIGH", "type": "INSULTS"},
            {"action": "NONE", "confidence": "LOW", "type": "HATE"}]},
            "topicPolicy": {"topics": [{"action": "BLOCKED", "name": "tax advice", "type": "DENY"}]},
            "invocationMetrics": {"guardrailProcessingLatency": 117}}]);
        assert_eq!(
            told(json!({"action": "INTERVENED", "inputAssessments": content})),
            "input blocked: filters INSULTS HIGH, topics tax advice"
        );
        let masked = json!([{"sensitiveInformationPolicy": {"piiEntities": [
            {"action": "ANONYMIZED", "match": "a@b.example", "type": "EMAIL"}]}}]);
        assert_eq!(
            told(json!({"action": "INTERVENED", "outputAssessments": masked})),
            "output masked: piiEntities EMAIL a@b.example"
        );
        assert_eq!(
            told(json!({"action": "NONE", "inputAssessments": [{}]})),
            "input passed"
        );
        let many = vec![json!({"action": "BLOCKED", "match": "x"}); 9];
        let many = told(
            json!({"action": "INTERVENED", "inputAssessments": [{"wordPolicy": {"customWords": many}}]}),
        );
        assert_eq!(many.matches("customWords x").count(), 8);
        assert!(many.ends_with(", …"));
    }
}
