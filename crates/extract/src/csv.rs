//! CSV: rows as blocks with the names of their columns, or as records of their own (behaviour.md 9.4).
//!
//! The separator is whichever of comma, semicolon, tab and bar the first lines agree on. Invariant:
//! records are those of the file, in order, none merged and none dropped but for those without text.

use csv::{ReaderBuilder, StringRecord};
use outcrop_knowledge::document::{Record, RecordFields};
use outcrop_knowledge::metadata::{Metadata, MetadataValue};

use crate::blocks::{Blocks, count_budget, text_budget};
use crate::error::Error;
use crate::format::Format;
use crate::limits::{Budget, Limits, amount};
use crate::table::{RowRole, Table};

/// What separates values, in the order of likelihood.
const SEPARATORS: [u8; 4] = *b",;\t|";

/// How many lines the separator is found by.
const PROBE_LINES: usize = 20;

/// How many names an error lists.
const NAMES_TOLD: usize = 20;

/// The rows of `text` as blocks.
pub(crate) fn read(text: &str, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    let mut table = Table::new(limits);
    let mut reader = reader(text);
    let mut row = StringRecord::new();
    while reader
        .read_record(&mut row)
        .map_err(Error::malformed(Format::Csv))?
    {
        let cells: Vec<String> = row.iter().map(str::to_owned).collect();
        table.row(RowRole::Body, &cells, blocks)?;
    }
    table.end(blocks)
}

/// The rows of `text` as records; the first row holds the names of the columns.
pub(crate) fn records(
    text: &str,
    fields: &RecordFields,
    limits: &Limits,
) -> Result<Vec<Record>, Error> {
    let mut reader = reader(text);
    let mut row = StringRecord::new();
    let mut next = |row: &mut StringRecord| {
        reader
            .read_record(row)
            .map_err(Error::malformed(Format::Csv))
    };
    if !next(&mut row)? {
        return Ok(Vec::new());
    }
    let columns = Columns::new(&row, fields)?;
    let mut budgets = Budgets {
        text: text_budget(limits),
        count: count_budget(limits),
        cells: Budget::new("tables of a file", "cells", limits.cells),
    };
    let mut records = Vec::new();
    while next(&mut row)? {
        budgets.cells.spend(amount(row.len()))?;
        let Some(record) = columns.record(&row) else {
            continue;
        };
        budgets.count.spend(1)?;
        budgets.text.spend(amount(row.as_slice().len()))?;
        records.push(record);
    }
    Ok(records)
}

/// What the records of one file may cost.
struct Budgets {
    text: Budget,
    count: Budget,
    cells: Budget,
}

/// Which column is what.
struct Columns {
    content: usize,
    /// The others that are wanted, with their names.
    attributes: Vec<(usize, String)>,
}

impl Columns {
    fn new(names: &StringRecord, fields: &RecordFields) -> Result<Self, Error> {
        let names: Vec<&str> = names.iter().map(str::trim).collect();
        let find = |wanted: &str| {
            names
                .iter()
                .position(|name| *name == wanted)
                .ok_or_else(|| Error::NoColumn {
                    column: wanted.to_owned(),
                    has: told(&names),
                })
        };
        let content = find(&fields.content)?;
        for named in fields.include.iter().flatten() {
            find(named)?;
        }
        let wanted = |name: &str| {
            let included = match &fields.include {
                Some(include) => include.iter().any(|named| named == name),
                None => true,
            };
            included && !fields.exclude.iter().any(|named| named == name)
        };
        let attributes = names
            .iter()
            .enumerate()
            .filter(|(at, name)| *at != content && !name.is_empty() && wanted(name))
            .map(|(at, name)| (at, (*name).to_owned()))
            .collect();
        Ok(Self {
            content,
            attributes,
        })
    }

    /// None for a row without text.
    fn record(&self, row: &StringRecord) -> Option<Record> {
        let content = row.get(self.content)?.trim();
        if content.is_empty() {
            return None;
        }
        let metadata: Metadata = self
            .attributes
            .iter()
            .filter_map(|(at, name)| Some((name.clone(), value(row.get(*at)?.trim())?)))
            .collect();
        Some(Record {
            content: content.to_owned(),
            metadata,
        })
    }
}

/// A value as filters compare it: a number where it is written as one, `true` and `false`, else a
/// string. None for an empty one: the attribute is not there.
fn value(text: &str) -> Option<MetadataValue> {
    Some(match text {
        "" => return None,
        "true" | "True" | "TRUE" => MetadataValue::Boolean(true),
        "false" | "False" | "FALSE" => MetadataValue::Boolean(false),
        text => match number(text) {
            Some(number) => MetadataValue::Number(number),
            None => MetadataValue::String(text.to_owned()),
        },
    })
}

/// Only what JSON would read as a number: `007` and `1e999` are names of something.
fn number(text: &str) -> Option<f64> {
    let number: f64 = serde_json::from_str(text).ok()?;
    number.is_finite().then_some(number)
}

fn told(names: &[&str]) -> String {
    let mut told: Vec<String> = names
        .iter()
        .take(NAMES_TOLD)
        .map(|name| format!("\"{name}\""))
        .collect();
    if names.len() > NAMES_TOLD {
        told.push(format!("and {} more", names.len() - NAMES_TOLD));
    }
    told.join(", ")
}

fn reader(text: &str) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator(text))
        .from_reader(text.as_bytes())
}

/// The separator that splits the first lines into the most columns, all into equally many; a comma
/// where none does.
fn separator(text: &str) -> u8 {
    let score = |separator: u8| {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .from_reader(text.as_bytes());
        let widths: Vec<usize> = reader
            .records()
            .take(PROBE_LINES)
            .map_while(Result::ok)
            .map(|row| row.len())
            .collect();
        let first = widths.first().copied().unwrap_or(0);
        let even = widths.iter().filter(|width| **width == first).count();
        // Evenness before width; one column is no table.
        (first > 1).then(|| (even * 100 / widths.len().max(1), first))
    };
    SEPARATORS
        .into_iter()
        .filter_map(|separator| Some((score(separator)?, separator)))
        .rev()
        .max_by_key(|(score, _)| *score)
        .map_or(b',', |(_, separator)| separator)
}
