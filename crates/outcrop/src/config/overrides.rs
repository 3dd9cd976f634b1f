//! Flags and variables laid over the file, and the memory of which value came from where.
//!
//! Parses text into the type of its key, nothing more: ranges are [`super::validate`]'s.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::document::Document;
use super::low::{self, LowConfig};
use super::{Environment, Flags, Place, Problem};

/// `(table, key)`; the table is empty at the top level.
pub(super) type Name = (&'static str, &'static str);

/// The keys that did not come from the file.
pub(super) type Origins = BTreeMap<Name, Place>;

/// Variables whose name does not follow from the key.
const NAMED: [(Name, &str); 4] = [
    (("log", "filter"), "OUTCROP_LOG"),
    (("log", "format"), "OUTCROP_LOG_FORMAT"),
    (("local", "weights"), "OUTCROP_LOCAL_WEIGHTS"),
    (("local", "threads"), "OUTCROP_LOCAL_THREADS"),
];

/// Top-level keys with a variable: those that hold one value.
const TOP_LEVEL: [&str; 10] = [
    "listen",
    "data_dir",
    "database_url",
    "region",
    "account_id",
    "aws_limits",
    "durability",
    "shutdown_s",
    "register_functions",
    "stream_final_response",
];

/// Variables that are read elsewhere and are no misspelling.
const NOT_CONFIGURATION: [&str; 2] = ["OUTCROP_CONFIG", "OUTCROP_ENDPOINT"];

/// Most typing slips between a variable and the setting it is taken to mean.
const SLIPS: usize = 2;

pub(super) fn merge(
    document: Option<&Document>,
    flags: &Flags,
    environment: &Environment,
) -> Result<(LowConfig, Origins), Vec<Problem>> {
    let low = document.map_or_else(|| Ok(LowConfig::default()), Document::read)?;
    let overrides = collect(flags, environment);
    if overrides.is_empty() {
        return Ok((low, Origins::new()));
    }

    // The file has been read without fault, so that whatever fails from here on is an override's.
    let mut table = document.map_or_else(|| Ok(Table::new()), Document::table)?;
    let mut low = low;
    let mut origins = Origins::new();
    let mut problems = Vec::new();
    for (name, place, text) in overrides {
        let mut next = table.clone();
        let result = value(name, &text).and_then(|value| {
            insert(&mut next, name, value);
            LowConfig::deserialize(Value::Table(next.clone()))
                .map_err(|error| error.message().trim_end().replace('\n', "; "))
        });
        match result {
            Ok(merged) => {
                low = merged;
                table = next;
                origins.insert(name, place);
            }
            Err(text) => problems.push(Problem { place, text }),
        }
    }
    if problems.is_empty() {
        Ok((low, origins))
    } else {
        Err(problems)
    }
}

/// Every setting that has a variable, with the variable.
fn variables() -> impl Iterator<Item = (Name, String)> {
    let top = TOP_LEVEL
        .into_iter()
        .map(|key| (("", key), format!("OUTCROP_{}", key.to_uppercase())));
    let limits = low::keys("limits").unwrap_or_default().iter().map(|key| {
        (
            ("limits", *key),
            format!("OUTCROP_LIMITS_{}", key.to_uppercase()),
        )
    });
    let named = NAMED
        .into_iter()
        .map(|(name, variable)| (name, variable.to_owned()));
    top.chain(limits).chain(named)
}

fn collect(flags: &Flags, environment: &Environment) -> Vec<(Name, Place, String)> {
    let mut found: BTreeMap<Name, (Place, String)> = variables()
        .filter_map(|(name, variable)| {
            let text = environment.get(&variable)?.to_owned();
            Some((name, (Place::Variable(variable), text)))
        })
        .collect();
    let from_flags = [
        (("", "listen"), "--listen", &flags.listen),
        (("", "data_dir"), "--data-dir", &flags.data_dir),
    ];
    for (name, flag, text) in from_flags {
        if let Some(text) = text {
            found.insert(name, (Place::Flag(flag), text.clone()));
        }
    }
    found
        .into_iter()
        .map(|(name, (place, text))| (name, place, text))
        .collect()
}

fn value((table, key): Name, text: &str) -> Result<Value, String> {
    if matches!(key, "register_functions" | "stream_final_response") {
        let text = text.trim();
        return text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| format!("`{text}` is not true or false"));
    }
    let whole_number = table == "limits" || key.ends_with("_s") || key == "threads";
    if !whole_number {
        return Ok(Value::String(text.to_owned()));
    }
    text.trim()
        .parse()
        .map(Value::Integer)
        .map_err(|_| format!("`{text}` is not a whole number"))
}

fn insert(top: &mut Table, (table, key): Name, value: Value) {
    if table.is_empty() {
        top.insert(key.to_owned(), value);
        return;
    }
    let entry = top
        .entry(table)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = entry {
        inner.insert(key.to_owned(), value);
    }
}

pub(super) fn misspelt(environment: &Environment) -> Vec<(String, String)> {
    let known: Vec<String> = variables().map(|(_, variable)| variable).collect();
    let candidates: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .chain(NOT_CONFIGURATION)
        .collect();
    environment
        .names()
        .filter(|name| name.starts_with("OUTCROP_") && !candidates.contains(name))
        .filter_map(|name| {
            let near = candidates
                .iter()
                .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
                .filter(|(slips, _)| *slips <= SLIPS)
                .min()?;
            Some((name.to_owned(), near.1.to_owned()))
        })
        .collect()
}
