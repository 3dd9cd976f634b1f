//! The text of the configuration file: syntax, unknown keys, and where each key stands.
//!
//! Reads no values; it only tells lines and finds keys that nothing would read.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Place, Problem, low};

/// Below this similarity a known key is no help as a suggestion.
const NEAR_ENOUGH: f64 = 0.7;

/// A parsed file.
pub(super) struct Document {
    path: PathBuf,
    text: String,
}

/// One step towards a key: a name, or the position within an array of tables.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Document {
    pub(super) fn new(path: &Path, text: String) -> Self {
        Self {
            path: path.to_owned(),
            text,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file into `LowConfig`, or says everything that is wrong with its form: all unknown
    /// keys at once, else the first type error.
    pub(super) fn read(&self) -> Result<low::LowConfig, Vec<Problem>> {
        let table = DeTable::parse(&self.text).map_err(|error| vec![self.toml_problem(&error)])?;
        let mut unknown = self.unknown_keys(table.get_ref());
        unknown.sort_by_key(|problem| problem.place.line());
        if !unknown.is_empty() {
            return Err(unknown);
        }
        toml::from_str(&self.text).map_err(|error| vec![self.toml_problem(&error)])
    }

    /// The file's values, untyped.
    pub(super) fn table(&self) -> Result<toml::Table, Vec<Problem>> {
        toml::from_str(&self.text).map_err(|error| vec![self.toml_problem(&error)])
    }

    /// Where the key at `steps` stands, or where the deepest part of it that is written stands.
    pub(super) fn place(&self, steps: &[Step<'_>]) -> Place {
        let line = DeTable::parse(&self.text)
            .ok()
            .and_then(|table| deepest_span(table.get_ref(), steps))
            .map(|span| self.line(span.start));
        Place::File {
            path: self.path.clone(),
            line,
        }
    }

    fn unknown_keys(&self, top: &DeTable<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_keys("", top, &mut problems);
        for (name, value) in top {
            let name: &str = name.get_ref();
            match value.get_ref() {
                DeValue::Table(table) => self.check_keys(name, table, &mut problems),
                DeValue::Array(entries) => {
                    for entry in entries {
                        if let DeValue::Table(table) = entry.get_ref() {
                            self.check_keys(name, table, &mut problems);
                        }
                    }
                }
                _ => {}
            }
        }
        problems
    }

    fn check_keys(&self, table_name: &str, table: &DeTable<'_>, problems: &mut Vec<Problem>) {
        let Some(known) = low::keys(table_name) else {
            return;
        };
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                problems.push(Problem {
                    place: Place::File {
                        path: self.path.clone(),
                        line: Some(self.line(key.span().start)),
                    },
                    text: unknown_key_text(name, table_name, known),
                });
            }
        }
    }

    fn toml_problem(&self, error: &toml::de::Error) -> Problem {
        Problem {
            place: Place::File {
                path: self.path.clone(),
                line: error.span().map(|span| self.line(span.start)),
            },
            text: error.message().trim_end().replace('\n', "; "),
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        1 + before.bytes().filter(|byte| *byte == b'\n').count()
    }
}

fn unknown_key_text(name: &str, table: &str, known: &[&str]) -> String {
    let table_words = match table {
        "" => "at the top level".to_owned(),
        table => format!("in [{table}]"),
    };
    if let Some(near) = nearest(name, known) {
        return format!("unknown key `{name}` {table_words}; did you mean `{near}`?");
    }
    // A key put under the wrong table is the other common slip.
    let elsewhere = low::TABLES
        .iter()
        .find(|table| (table.keys)().contains(&name));
    match elsewhere {
        Some(low::Table { name: "", .. }) => {
            format!(
                "unknown key `{name}` {table_words}; it belongs at the top level, before any [table]"
            )
        }
        Some(owner) => format!(
            "unknown key `{name}` {table_words}; it belongs in [{}]",
            owner.name
        ),
        None => format!(
            "unknown key `{name}` {table_words}; known: {}",
            known.join(", ")
        ),
    }
}

/// The known word most like `name`, if any is like it at all.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity >= NEAR_ENOUGH)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// Follows `steps` as far as the file goes: the span of the last step found.
fn deepest_span(top: &DeTable<'_>, steps: &[Step<'_>]) -> Option<Range<usize>> {
    let mut table = Some(top);
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    let mut span = None;
    for step in steps {
        let next = match step {
            Step::Key(name) => table.and_then(|table| {
                let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
                Some((key.span(), value))
            }),
            Step::Index(index) => value
                .and_then(|value| value.get_ref().as_array())
                .and_then(|array| array.get(*index))
                .map(|entry| (entry.span(), entry)),
        };
        let Some((next_span, next_value)) = next else {
            break;
        };
        span = Some(next_span);
        value = Some(next_value);
        table = next_value.get_ref().as_table();
    }
    span
}
