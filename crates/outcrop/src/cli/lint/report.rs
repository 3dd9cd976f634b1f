//! Findings with their place in a file, and how they are told.

use std::fmt::Write as _;

use outcrop_engine::lint::Severity;
use serde::Serialize;

/// A finding as it is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    /// The file, as the command line or the template names it; none for an agent on a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// From 1; 0 where there is no file, or the whole of it is meant.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) line: u32,
    /// From 1; 0 where it is not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) column: u32,
    /// What of the agent it is about.
    pub(super) place: String,
    /// The rule's name.
    pub(super) rule: &'static str,
    /// How bad it is.
    pub(super) severity: Severity,
    /// What is so.
    pub(super) problem: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) advice: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How many findings of each severity there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) notes: usize,
}

impl Counts {
    /// Counts findings.
    pub(super) fn of(findings: &[Told]) -> Self {
        let count = |severity| {
            let found = findings.iter();
            found.filter(|one| one.severity == severity).count()
        };
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
        }
    }
}

/// Findings for people: what is wrong as compilers say it, what to do about it below.
pub(super) fn text(findings: &[Told]) -> String {
    let mut out = String::new();
    for finding in findings {
        if let Some(file) = &finding.file {
            let _ = match (finding.line, finding.column) {
                (0, _) => write!(out, "{file}: "),
                (line, 0) => write!(out, "{file}:{line}: "),
                (line, column) => write!(out, "{file}:{line}:{column}: "),
            };
        }
        let _ = write!(out, "{}[{}]: ", finding.severity.as_str(), finding.rule);
        if !finding.place.is_empty() {
            let _ = write!(out, "{}: ", finding.place);
        }
        let _ = writeln!(out, "{}", finding.problem);
        if !finding.advice.is_empty() {
            let _ = writeln!(out, "  {}", finding.advice);
        }
    }
    let _ = writeln!(out, "{}", summary(Counts::of(findings)));
    out
}

fn summary(counts: Counts) -> String {
    let named = [
        (counts.errors, "error"),
        (counts.warnings, "warning"),
        (counts.notes, "note"),
    ];
    let parts: Vec<String> = named
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if parts.is_empty() {
        "nothing found".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Findings for programs.
pub(super) fn json(findings: &[Told]) -> String {
    let value = serde_json::json!({"findings": findings, "counts": Counts::of(findings)});
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn findings_read_like_a_compilers() {
        let finding = Told {
            file: Some("support.yaml".to_owned()),
            line: 12,
            column: 7,
            place: "action group Orders, find".to_owned(),
            rule: "description",
            severity: Severity::Warning,
            problem: "the function has no description".to_owned(),
            advice: "Say what it does".to_owned(),
        };
        let other = Told {
            file: None,
            severity: Severity::Error,
            advice: String::new(),
            ..finding.clone()
        };
        expect![[r"
            support.yaml:12:7: warning[description]: action group Orders, find: the function has no description
              Say what it does
            error[description]: action group Orders, find: the function has no description
            1 error, 1 warning
        "]]
        .assert_eq(&text(&[finding, other]));
        assert_eq!(text(&[]), "nothing found\n");
    }
}
