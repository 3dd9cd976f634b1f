//! Why documents of a job failed, in few words whatever their number.
//!
//! Failures of one kind are one reason with the names of the first files, in the form that clients
//! already take apart: `Encountered error: … [Files: a, b].`

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Most kinds of failure that are told apart; further ones are counted together.
const REASONS_MAX: usize = 50;
/// Most files named for one.
const FILES_MAX: usize = 20;
/// Longest reason (the service model's bound is 2,048).
const REASON_CHARS_MAX: usize = 2_048;
/// Longest part of it that tells the cause.
const CAUSE_CHARS_MAX: usize = 600;
/// What the rest is counted under.
const OTHERS: &str = "Other documents could not be ingested either";

/// The failures of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Why the job itself failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<String>,
    /// In the order in which they came up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    cause: String,
    count: u64,
    files: Vec<String>,
}

impl Report {
    /// That the job failed.
    pub(crate) fn fail(&mut self, cause: &str) {
        self.whole = Some(cut(cause, REASON_CHARS_MAX));
    }

    /// That one document failed.
    pub(crate) fn add(&mut self, file: &str, cause: &str) {
        let cause = cut(cause.trim_end_matches('.'), CAUSE_CHARS_MAX);
        let found = self.groups.iter().position(|group| group.cause == cause);
        let (index, cause) = match found {
            Some(index) => (index, cause),
            None if self.groups.len() < REASONS_MAX => (self.groups.len(), cause),
            None => {
                let others = self.groups.iter().position(|group| group.cause == OTHERS);
                (others.unwrap_or(self.groups.len()), OTHERS.to_owned())
            }
        };
        if index == self.groups.len() {
            self.groups.push(Group {
                cause,
                count: 0,
                files: Vec::new(),
            });
        }
        if let Some(group) = self.groups.get_mut(index) {
            group.count += 1;
            if group.files.len() < FILES_MAX {
                group.files.push(file.to_owned());
            }
        }
    }

    /// `failureReasons`.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let groups = self.groups.iter().map(Group::text);
        self.whole.iter().cloned().chain(groups).collect()
    }
}

impl Group {
    fn text(&self) -> String {
        let mut text = format!("Encountered error: {}. [Files: ", self.cause);
        let room = REASON_CHARS_MAX.saturating_sub(40);
        let mut chars = text.chars().count();
        let mut named = 0_u64;
        for file in &self.files {
            let more = file.chars().count() + 2;
            if chars + more > room {
                break;
            }
            if named > 0 {
                text.push_str(", ");
            }
            text.push_str(file);
            chars += more;
            named += 1;
        }
        text.push(']');
        match self.count.saturating_sub(named) {
            0 => text.push('.'),
            rest => {
                let _ = write!(text, " and {rest} more.");
            }
        }
        text
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_are_one_reason() {
        let mut report = Report::default();
        report.add("s3://docs/a.zip", "the file format is not supported");
        report.add("s3://docs/b.pdf", "the file is damaged.");
        report.add("s3://docs/c.zip", "the file format is not supported");
        assert_eq!(
            report.reasons(),
            [
                "Encountered error: the file format is not supported. [Files: s3://docs/a.zip, s3://docs/c.zip].",
                "Encountered error: the file is damaged. [Files: s3://docs/b.pdf].",
            ]
        );
    }

    #[test]
    fn the_report_is_bounded() {
        let mut report = Report::default();
        report.fail("the bucket is missing");
        for index in 0..1_000 {
            report.add(&format!("s3://docs/{index}/{}", "x".repeat(500)), "same");
        }
        for index in 0..1_000 {
            report.add("file", &format!("{index} {}", "é".repeat(5_000)));
        }
        let reasons = report.reasons();
        assert_eq!(reasons.len(), REASONS_MAX + 2);
        assert!(
            reasons
                .iter()
                .all(|reason| reason.chars().count() <= REASON_CHARS_MAX)
        );
        assert!(reasons[1].ends_with(" and 997 more."), "{}", reasons[1]);
        assert!(reasons[REASONS_MAX + 1].contains("and 931 more"));
    }
}
