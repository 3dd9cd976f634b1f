//! Findings about prompt overrides: templates that cannot be read, placeholders that are none or belong
//! to another prompt.

use outcrop_engine::lint::Severity;
use outcrop_engine::prompt::template::{
    Template, TemplateError, misplaced_placeholders, placeholder, placeholders,
    unknown_placeholders,
};
use outcrop_model::control::PromptType;
use serde_json::Value;

use super::subject::text;

/// A name this near to a placeholder is probably meant for it.
const NEAR: f64 = 0.85;

/// Something about one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PromptFinding {
    /// `promptType`.
    pub(super) prompt: String,
    /// Of the template's text, from 1.
    pub(super) line: usize,
    pub(super) severity: Severity,
    pub(super) problem: String,
    pub(super) advice: String,
}

/// What there is to say of an agent's prompts.
pub(super) fn check(agent: &Value) -> Vec<PromptFinding> {
    let prompts = agent["promptOverrideConfiguration"]["promptConfigurations"].as_array();
    let mut findings = Vec::new();
    for prompt in prompts.into_iter().flatten() {
        if prompt["promptCreationMode"] == "OVERRIDDEN" {
            let template = text(prompt, "basePromptTemplate");
            one(text(prompt, "promptType"), template, &mut findings);
        }
    }
    findings
}

fn one(prompt: &str, template: &str, findings: &mut Vec<PromptFinding>) {
    let mut add = |severity, line, problem: String, advice: String| {
        findings.push(PromptFinding {
            prompt: prompt.to_owned(),
            line,
            severity,
            problem,
            advice,
        });
    };
    if let Err(error) = Template::parse(template) {
        let line = match &error {
            TemplateError::Json { line, .. } => *line,
            TemplateError::Shape(_) => 1,
        };
        add(
            Severity::Error,
            line,
            format!("the template cannot be read: {error}"),
            "Write a JSON object with system and messages, or plain text".to_owned(),
        );
    }
    for unknown in unknown_placeholders(template) {
        let nearest = placeholders()
            .iter()
            .map(|known| (strsim::jaro_winkler(known, &unknown.name), known))
            .filter(|(likeness, _)| *likeness > NEAR)
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        let advice = match nearest {
            Some((_, known)) => format!("Write ${known}$, if that is meant"),
            None => "Take it out, or write one of the placeholders that there are".to_owned(),
        };
        add(
            Severity::Warning,
            unknown.line,
            format!(
                "${}$ is no placeholder, so that the model reads it as it is",
                unknown.name
            ),
            advice,
        );
    }
    let Ok(prompt_type) = prompt.parse::<PromptType>() else {
        return;
    };
    for misplaced in misplaced_placeholders(template, prompt_type) {
        let belongs = placeholder(&misplaced.name).map_or(&[][..], |known| known.prompts);
        let belongs: Vec<&str> = belongs.iter().map(|one| one.as_str()).collect();
        add(
            Severity::Warning,
            misplaced.line,
            format!(
                "${}$ belongs to {}, and has nothing to stand for in {prompt}",
                misplaced.name,
                belongs.join(" and ")
            ),
            "Take it out".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_misspelt_placeholder_is_told_with_the_right_one() {
        let agent = json!({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
             "basePromptTemplate": "$instruction$\n$questoin$ $today$"},
            {"promptType": "PRE_PROCESSING", "promptCreationMode": "DEFAULT", "basePromptTemplate": "$x$"}
        ]}});
        let findings = check(&agent);
        let told: Vec<(usize, &str)> = findings
            .iter()
            .map(|one| (one.line, one.advice.as_str()))
            .collect();
        assert_eq!(told[0], (2, "Write $question$, if that is meant"));
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn a_placeholder_of_another_prompt_is_told() {
        let agent = json!({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "POST_PROCESSING", "promptCreationMode": "OVERRIDDEN",
             "basePromptTemplate": "$question$\n$search_results$"}
        ]}});
        let findings = check(&agent);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
        assert_eq!(
            findings[0].problem,
            "$search_results$ belongs to KNOWLEDGE_BASE_RESPONSE_GENERATION, and has nothing to stand for in POST_PROCESSING"
        );
    }

    #[test]
    fn a_template_that_is_no_json_is_an_error() {
        let agent = json!({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
             "basePromptTemplate": "{\"system\": \"$instruction$\",\n\"messages\": oops}"}
        ]}});
        let findings = check(&agent);
        assert_eq!(
            (findings[0].severity, findings[0].line),
            (Severity::Error, 2)
        );
    }
}
