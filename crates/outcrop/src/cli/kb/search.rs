//! `outcrop kb search`: what a question finds, and what a filter kept from being found.

use std::fmt::Write as _;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::find::{self, text};
use super::removed::{self, Removed};
use super::retrieve::{self, How, Kind};
use crate::cli::invoke::line::clean;
use crate::cli::invoke::terminal::Terminal;
use crate::cli::{Failure, Reach};

/// What the API gives at most.
const RESULTS_MAX: usize = 100;
/// Lines of a chunk that are shown.
const TEXT_LINES: usize = 4;

/// Search a knowledge base
///
/// Prints the score, the source and the page of each result, best first. With --filter, it searches
/// once more without the filter, and tells for each better result that is now missing which condition
/// its document does not meet.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The knowledge base's id or name
    #[arg(value_name = "ID|NAME")]
    name: String,
    /// What to look for
    question: String,
    /// Most results, at most 100
    #[arg(long, value_name = "N", default_value_t = 5)]
    number: usize,
    /// Compare vectors and words
    #[arg(long, conflicts_with_all = ["semantic", "text"])]
    hybrid: bool,
    /// Compare vectors alone
    #[arg(long, conflicts_with = "text")]
    semantic: bool,
    /// Compare words alone, which AWS cannot be asked for
    #[arg(long)]
    text: bool,
    #[expect(clippy::doc_markdown, reason = "this is the help text")]
    /// A RetrievalFilter: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if !(1..=RESULTS_MAX).contains(&args.number) {
        let text = format!("--number: expected 1 to {RESULTS_MAX}, got {}", args.number);
        return Err(Failure::Usage(anyhow!(text)));
    }
    let kind = match (args.hybrid, args.semantic, args.text) {
        (true, ..) => Some(Kind::Hybrid),
        (_, true, _) => Some(Kind::Semantic),
        (.., true) => Some(Kind::Text),
        _ => None,
    };
    let mut how = How {
        number: args.number,
        kind,
        filter: args.filter.as_deref().map(retrieve::filter).transpose()?,
    };
    let server = args.reach.server().await?;
    let id = find::knowledge_base(&server, &args.name).await?;
    let results = retrieve::retrieve(&server, &id, &args.question, &how).await?;
    let removed = match how.filter.take() {
        None => Vec::new(),
        Some(filter) => {
            let all = retrieve::retrieve(&server, &id, &args.question, &how).await?;
            removed::by(&filter, &all)?
        }
    };
    if args.json {
        let removed: Vec<Value> = removed.iter().map(Removed::json).collect();
        println!(
            "{:#}",
            json!({"retrievalResults": results, "removedByFilter": removed})
        );
    } else {
        print!("{}", told(&results, &removed, Terminal::width()));
    }
    Ok(())
}

fn told(results: &[Value], removed: &[Removed], width: usize) -> String {
    let mut out = String::new();
    if results.is_empty() {
        out.push_str("nothing was found\n");
    }
    for (rank, result) in (1_usize..).zip(results) {
        let _ = writeln!(out, "{rank:>3}  {}", head(result));
        let content = clean(text(&result["content"], "text"));
        let words: Vec<&str> = content.split_whitespace().collect();
        for line in wrapped(&words, width.saturating_sub(6).max(20)) {
            let _ = writeln!(out, "     {line}");
        }
    }
    if !removed.is_empty() {
        out.push_str("the filter removed\n");
    }
    for one in removed {
        let _ = writeln!(out, "  -  {}", head(&one.result));
        for reason in &one.reasons {
            let _ = writeln!(out, "     {}", clean(reason));
        }
    }
    out
}

/// Score, source, page.
fn head(result: &Value) -> String {
    let score = result["score"].as_f64().unwrap_or_default();
    let page = match retrieve::page(result) {
        Some(page) => format!("  page {page}"),
        None => String::new(),
    };
    format!("{score:.4}  {}{page}", clean(retrieve::source(result)))
}

/// Words in lines of at most `width` characters. Where there are more than [`TEXT_LINES`], the last one
/// ends so.
fn wrapped(words: &[&str], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let is_full = lines.len() == TEXT_LINES;
        let Some(line) = lines.last_mut() else {
            lines.push((*word).to_owned());
            continue;
        };
        if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else if is_full {
            line.push_str(" …");
            break;
        } else {
            lines.push((*word).to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn result(uri: &str, score: f64, text: &str) -> Value {
        json!({
            "score": score, "content": {"text": text}, "location": {"s3Location": {"uri": uri}},
            "metadata": {"x-amz-bedrock-kb-document-page-number": 3.0},
        })
    }

    #[test]
    fn what_is_shown() {
        let results = [result(
            "s3://hr/leave.pdf",
            0.73125,
            "Parents of a new child may stay\nat home for sixteen weeks.",
        )];
        let removed = [Removed {
            result: result("s3://hr/travel.md", 0.9, ""),
            reasons: vec!["department is \"travel\", not \"hr\"".to_owned()],
        }];
        expect![[r#"
              1  0.7312  s3://hr/leave.pdf  page 3
                 Parents of a new child may stay at
                 home for sixteen weeks.
            the filter removed
              -  0.9000  s3://hr/travel.md  page 3
                 department is "travel", not "hr"
        "#]]
        .assert_eq(&told(&results, &removed, 40));
        assert_eq!(told(&[], &[], 40), "nothing was found\n");
    }

    #[test]
    fn long_chunks_are_cut() {
        let words = ["word"; 100];
        let lines = wrapped(&words, 10);
        assert_eq!(
            lines,
            ["word word", "word word", "word word", "word word …"]
        );
    }
}
