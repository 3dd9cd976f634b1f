//! Precision and recall by kind on the labelled lines, with floors.
//!
//! All kinds are looked for in every line at once. A find counts where it has a label's kind and
//! overlaps it; everything else that is found is wrong. `docs/guardrails.md` holds the table that this
//! prints; with `UPDATE_EXPECT=1` it is written there.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use outcrop_guardrail::{Decided, Guardrail, Passage, decided_by};
use outcrop_model::bedrock::GuardrailPiiEntityType as Kind;
use outcrop_model::converse::GuardrailContentSource as Source;
use support::{Sensitive, definition};

const LINES: &str = include_str!("labelled.txt");

/// Least precision and recall of any kind, in percent.
const FLOOR: usize = 75;
/// Least precision and recall over all kinds, in percent.
const FLOOR_OVER_ALL: usize = 95;

#[derive(Clone, Copy, Debug, Default)]
struct Score {
    labels: usize,
    found: usize,
    right: usize,
}

/// The text of a line, and its labels.
fn unlabelled(line: &str) -> (String, Vec<(String, String)>) {
    let mut text = String::new();
    let mut labels = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("[[") {
        let (label, after) = after.split_once("]]").unwrap();
        let (kind, value) = label.split_once('|').unwrap();
        text.push_str(before);
        text.push_str(value);
        labels.push((kind.to_owned(), value.to_owned()));
        rest = after;
    }
    text.push_str(rest);
    (text, labels)
}

fn found(guardrail: &Guardrail, text: &str) -> Vec<(String, String)> {
    let passage = Passage {
        text,
        is_guarded: true,
        ..Passage::default()
    };
    let assessment = guardrail.assess(Source::Input, &[passage], None);
    let policy = assessment.full.sensitive_information_policy.unwrap();
    let entities = policy.pii_entities.into_iter();
    let entities = entities.filter(|entity| entity.detected == Some(true));
    entities
        .map(|entity| (entity.type_.to_string(), entity.match_))
        .collect()
}

fn percent(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(100)
}

#[test]
fn precision_and_recall_by_kind() {
    let kinds = Kind::VALUES
        .iter()
        .filter(|kind| decided_by(**kind) != Decided::Model);
    let entities: Vec<_> = kinds.map(|kind| (kind.as_str(), "BLOCK")).collect();
    let definition = definition(&Sensitive {
        entities: &entities,
        ..Sensitive::default()
    });
    let guardrail = Guardrail::compile(&definition).unwrap();
    let lines: Vec<&str> = LINES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(lines.len() >= 300, "{}", lines.len());
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut wrong = String::new();
    for line in &lines {
        let (text, labels) = unlabelled(line);
        let mut open = labels.clone();
        for (kind, _) in &labels {
            scores.entry(kind.clone()).or_default().labels += 1;
        }
        for (kind, value) in found(&guardrail, &text) {
            let score = scores.entry(kind.clone()).or_default();
            score.found += 1;
            let hit = open.iter().position(|(label, expected)| {
                *label == kind && (expected.contains(&value) || value.contains(expected))
            });
            if let Some(index) = hit {
                open.swap_remove(index);
                score.right += 1;
            } else {
                writeln!(wrong, "{kind} {value:?} in {text:?}").unwrap();
            }
        }
        for (kind, value) in open {
            writeln!(wrong, "no {kind} {value:?} in {text:?}").unwrap();
        }
    }
    println!("{wrong}");
    let table = table(lines.len(), &scores);
    println!("{table}");
    let mut total = Score::default();
    for (kind, score) in &scores {
        total.labels += score.labels;
        total.found += score.found;
        total.right += score.right;
        let precision = percent(score.right, score.found);
        let recall = percent(score.right, score.labels);
        assert!(
            precision >= FLOOR && recall >= FLOOR,
            "{kind} {precision} {recall}\n{wrong}"
        );
    }
    assert!(
        percent(total.right, total.found) >= FLOOR_OVER_ALL,
        "{wrong}"
    );
    assert!(
        percent(total.right, total.labels) >= FLOOR_OVER_ALL,
        "{wrong}"
    );
    documented(&table);
}

fn table(lines: usize, scores: &BTreeMap<String, Score>) -> String {
    let mut table = format!(
        "On {lines} labelled lines, all kinds looked for at once:\n\n\
         | kind | labels | precision % | recall % |\n|---|---|---|---|\n"
    );
    for (kind, score) in scores {
        let precision = percent(score.right, score.found);
        let recall = percent(score.right, score.labels);
        let labels = score.labels;
        writeln!(table, "| {kind} | {labels} | {precision} | {recall} |").unwrap();
    }
    table
}

/// The table in the documentation is this one.
fn documented(table: &str) {
    const BEGIN: &str = "<!-- measured -->\n";
    const END: &str = "<!-- /measured -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guardrails.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (now, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(now, table, "run with UPDATE_EXPECT=1");
    }
}
