//! `outcrop kb eval`: how much of what should be found is found.
//!
//! A question file has one JSON object a line:
//!
//! ```text
//! {"question": "How long is parental leave?", "relevant": ["leave/parental.md"]}
//! {"question": "Who signs?", "relevant": [{"source": "travel.md", "text": "the line manager"}]}
//! ```
//!
//! A relevant source is a URI, an id, or the end of one at a `/`. With `text`, only a chunk that has
//! these words counts. A question may bring a `filter` of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};

use super::find::{self, text};
use super::retrieve::{self, How, Kind};
use crate::cli::{Failure, Reach};

/// A question file larger than that is a mistake.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Ranks at which recall is told.
const RANKS: [usize; 6] = [1, 3, 5, 10, 20, 50];
/// What the API gives at most.
const RESULTS_MAX: usize = 100;

/// Measure what searches find, against a file of questions
///
/// The file has one JSON object a line: {"question": "…", "relevant": ["leave/parental.md", …]}. A
/// relevant source is a URI, an id, or the end of one; {"source": "…", "text": "…"} wants a chunk with
/// these words. "filter" gives a question a filter of its own.
///
/// Prints recall at several ranks (the part of what is relevant that is among the first k results, the
/// mean over all questions), MRR (the mean of 1 over the rank of the first relevant result) and each
/// question that misses something. Exit code 1 when recall among all results is below --fail-under.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The knowledge base's id or name
    #[arg(value_name = "ID|NAME")]
    name: String,
    /// The questions, one JSON object a line
    questions: PathBuf,
    /// Results of each question, at most 100
    #[arg(long, value_name = "N", default_value_t = 10)]
    number: usize,
    /// What is compared [default: the server's choice]
    #[arg(long, value_name = "KIND", value_enum)]
    search: Option<Kind>,
    /// A filter of all questions that have none: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Fail when recall among all results is below this, 0 to 1
    #[arg(long, value_name = "RECALL")]
    fail_under: Option<f64>,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// A line of the file.
#[expect(clippy::struct_field_names, reason = "the names are those of the file")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    question: String,
    relevant: Vec<Relevant>,
    #[serde(default)]
    filter: Option<Value>,
}

/// What should be found.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Relevant {
    Source(String),
    Chunk {
        source: String,
        #[serde(default)]
        text: String,
    },
}

impl Relevant {
    fn source(&self) -> &str {
        match self {
            Self::Source(source) | Self::Chunk { source, .. } => source,
        }
    }

    fn is(&self, result: &Value) -> bool {
        let found = retrieve::source(result);
        let wanted = self.source();
        let is_source = found
            .strip_suffix(wanted)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'));
        let words = match self {
            Self::Source(_) => "",
            Self::Chunk { text, .. } => text,
        };
        is_source && plain(text(&result["content"], "text")).contains(&plain(words))
    }

    fn told(&self) -> String {
        match self {
            Self::Chunk { source, text } if !text.is_empty() => format!("{source} ({text:?})"),
            other => other.source().to_owned(),
        }
    }
}

/// Small letters, one blank between words.
fn plain(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

/// What became of a question.
struct Outcome {
    question: String,
    /// For each relevant thing its first rank, from 1.
    ranks: Vec<Option<usize>>,
    /// What was not found.
    missed: Vec<String>,
    /// What was found instead, best first.
    found: Vec<String>,
}

impl Outcome {
    fn of(question: &Question, results: &[Value]) -> Self {
        let rank = |relevant: &Relevant| {
            let place = results.iter().position(|result| relevant.is(result));
            place.map(|place| place + 1)
        };
        let ranks: Vec<Option<usize>> = question.relevant.iter().map(rank).collect();
        let missed = question.relevant.iter().zip(&ranks);
        let missed = missed.filter(|(_, rank)| rank.is_none());
        let mut found: Vec<String> = Vec::new();
        for result in results {
            let source = retrieve::source(result).to_owned();
            if !found.contains(&source) {
                found.push(source);
            }
        }
        Self {
            question: question.question.clone(),
            missed: missed.map(|(relevant, _)| relevant.told()).collect(),
            ranks,
            found,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a handful of sources")]
    fn recall(&self, at: usize) -> f64 {
        let found = self.ranks.iter().flatten().filter(|rank| **rank <= at);
        found.count() as f64 / self.ranks.len() as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "at most a hundred")]
    fn reciprocal(&self) -> f64 {
        let first = self.ranks.iter().flatten().min();
        first.map_or(0.0, |rank| 1.0 / *rank as f64)
    }
}

/// What became of all questions.
struct Report {
    number: usize,
    outcomes: Vec<Outcome>,
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "a file of questions")]
    fn mean(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        let sum: f64 = self.outcomes.iter().map(of).sum();
        sum / self.outcomes.len() as f64
    }

    fn recall(&self, at: usize) -> f64 {
        self.mean(|outcome| outcome.recall(at))
    }

    fn ranks(&self) -> Vec<usize> {
        let below = RANKS.into_iter().filter(|rank| *rank < self.number);
        below.chain([self.number]).collect()
    }

    fn json(&self) -> Value {
        let recall: serde_json::Map<String, Value> = self
            .ranks()
            .into_iter()
            .map(|rank| (rank.to_string(), json!(self.recall(rank))))
            .collect();
        let outcomes: Vec<Value> = self.outcomes.iter().map(|outcome| {
            json!({"question": outcome.question, "ranks": outcome.ranks, "missed": outcome.missed, "found": outcome.found})
        }).collect();
        json!({
            "questions": self.outcomes.len(),
            "recall": recall,
            "mrr": self.mean(Outcome::reciprocal),
            "outcomes": outcomes,
        })
    }

    fn told(&self) -> String {
        let mut out = String::new();
        for outcome in self.outcomes.iter().filter(|one| !one.missed.is_empty()) {
            let _ = writeln!(out, "missed: {}", outcome.question);
            let _ = writeln!(out, "  wanted: {}", outcome.missed.join(", "));
            let found: Vec<&str> = outcome.found.iter().take(3).map(String::as_str).collect();
            let found = match found.as_slice() {
                [] => "nothing".to_owned(),
                found => found.join(", "),
            };
            let _ = writeln!(out, "  found:  {found}");
        }
        let questions = self.outcomes.len();
        let hits = self.outcomes.iter().filter(|one| one.missed.is_empty());
        let _ = writeln!(out, "{questions} questions, {} whole", hits.count());
        for rank in self.ranks() {
            let _ = writeln!(out, "recall@{rank:<3} {:.3}", self.recall(rank));
        }
        let _ = writeln!(out, "MRR        {:.3}", self.mean(Outcome::reciprocal));
        out
    }
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if !(1..=RESULTS_MAX).contains(&args.number) {
        let text = format!("--number: expected 1 to {RESULTS_MAX}, got {}", args.number);
        return Err(Failure::Usage(anyhow!(text)));
    }
    let questions = read(&args.questions).map_err(Failure::Usage)?;
    let filter = args.filter.as_deref().map(retrieve::filter).transpose()?;
    let server = args.reach.server().await?;
    let id = find::knowledge_base(&server, &args.name).await?;
    let mut outcomes = Vec::with_capacity(questions.len());
    for question in &questions {
        let how = How {
            number: args.number,
            kind: args.search,
            filter: question.filter.clone().or_else(|| filter.clone()),
        };
        let results = retrieve::retrieve(&server, &id, &question.question, &how).await?;
        outcomes.push(Outcome::of(question, &results));
    }
    let report = Report {
        number: args.number,
        outcomes,
    };
    if args.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.told());
    }
    let is_low = |least: f64| report.recall(args.number) < least;
    if args.fail_under.is_some_and(is_low) {
        return Err(Failure::Told);
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<Question>> {
    let context = || format!("the questions {} cannot be read", path.display());
    let size = std::fs::metadata(path).with_context(context)?.len();
    if size > FILE_BYTES_MAX {
        return Err(anyhow!("it has {size} bytes, at most {FILE_BYTES_MAX}").context(context()));
    }
    let text = std::fs::read_to_string(path).with_context(context)?;
    questions(&text).with_context(context)
}

fn questions(text: &str) -> anyhow::Result<Vec<Question>> {
    let lines = (1_usize..).zip(text.lines());
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let mut questions = Vec::new();
    for (number, line) in lines {
        let question: Question =
            serde_json::from_str(line).with_context(|| format!("line {number}"))?;
        if question.relevant.is_empty() {
            return Err(anyhow!("line {number}: relevant: nothing is named"));
        }
        questions.push(question);
    }
    if questions.is_empty() {
        return Err(anyhow!("it has no questions"));
    }
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn result(uri: &str, text: &str) -> Value {
        json!({"location": {"type": "S3", "s3Location": {"uri": uri}}, "content": {"text": text}})
    }

    #[test]
    fn a_report() {
        let file = r#"
            {"question": "How long is parental leave?", "relevant": ["leave/parental.md"]}
            {"question": "Who signs?", "relevant": [{"source": "travel.md", "text": "the  LINE manager"}, "hr/who.md"]}
            {"question": "Lost?", "relevant": ["ravel.md"]}
        "#;
        let questions = questions(file).unwrap();
        let results = [
            result("s3://hr/travel.md", "Trips are signed by nobody."),
            result("s3://hr/leave/parental.md", "16 weeks"),
            result("s3://hr/travel.md", "Ask the line\nmanager."),
        ];
        let outcomes = questions.iter().map(|one| Outcome::of(one, &results));
        let report = Report {
            number: 3,
            outcomes: outcomes.collect(),
        };
        expect![[r"
            missed: Who signs?
              wanted: hr/who.md
              found:  s3://hr/travel.md, s3://hr/leave/parental.md
            missed: Lost?
              wanted: ravel.md
              found:  s3://hr/travel.md, s3://hr/leave/parental.md
            3 questions, 1 whole
            recall@1   0.000
            recall@3   0.500
            MRR        0.278
        "]]
        .assert_eq(&report.told());
        assert_eq!(report.json()["outcomes"][1]["ranks"], json!([3, null]));
    }

    #[test]
    fn files_that_make_no_sense() {
        let refused = |text: &str| format!("{:#}", questions(text).unwrap_err());
        assert_eq!(refused("\n"), "it has no questions");
        let nothing = r#"{"question": "a", "relevant": []}"#;
        assert_eq!(refused(nothing), "line 1: relevant: nothing is named");
        let unknown = r#"{"question": "a", "relevant": ["a"], "answer": "b"}"#;
        assert!(refused(unknown).starts_with("line 1: unknown field `answer`"));
    }
}
