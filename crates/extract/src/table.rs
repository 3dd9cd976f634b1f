//! Rows of tables as text that can be understood alone: each value with the name of its column.
//!
//! Invariant: a row's text never depends on the rows after it, but for the first, which may turn out
//! to be names.

use outcrop_knowledge::document::BlockKind;

use crate::blocks::{Blocks, one_line};
use crate::error::Error;
use crate::limits::{Budget, Limits, amount};

/// Longest name of a column, characters. What is longer is text, not a name.
const NAME_CHARS: usize = 80;

/// Between the values of a row.
const BETWEEN: &str = "; ";

/// A table that is read row by row.
#[derive(Debug)]
pub(crate) struct Table {
    names: Names,
    cells: Budget,
}

/// What is known of the names of columns.
#[derive(Debug)]
enum Names {
    /// The first row has not come.
    Unknown,
    /// The first row looks like names, and no other row has come yet.
    Only(Vec<String>),
    /// These.
    Known(Vec<String>),
    /// There are none.
    None,
}

/// What the format itself says of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowRole {
    /// It holds names.
    Header,
    /// It says nothing, or that it holds values.
    Body,
}

impl Table {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            names: Names::Unknown,
            cells: Budget::new("tables of a file", "cells", limits.cells),
        }
    }

    /// The next table of the same file: other names, the same budget.
    pub(crate) fn begin(&mut self) {
        self.names = Names::Unknown;
    }

    /// The next row.
    pub(crate) fn row(
        &mut self,
        role: RowRole,
        cells: &[String],
        blocks: &mut Blocks,
    ) -> Result<(), Error> {
        self.cells.spend(amount(cells.len()))?;
        let cells: Vec<String> = cells.iter().map(|cell| one_line(cell)).collect();
        if cells.iter().all(String::is_empty) {
            return Ok(());
        }
        match std::mem::replace(&mut self.names, Names::None) {
            Names::Unknown => {
                if cells.len() > 1 && (role == RowRole::Header || are_names(&cells)) {
                    self.names = Names::Only(cells);
                    return Ok(());
                }
                // A title above the table is no row of it.
                if cells.iter().filter(|cell| !cell.is_empty()).count() == 1 {
                    self.names = Names::Unknown;
                }
                push(&[], &cells, blocks)
            }
            Names::Only(names) | Names::Known(names) => {
                let pushed = push(&names, &cells, blocks);
                self.names = Names::Known(names);
                pushed
            }
            Names::None => push(&[], &cells, blocks),
        }
    }

    /// The table has no more rows.
    pub(crate) fn end(&mut self, blocks: &mut Blocks) -> Result<(), Error> {
        match std::mem::replace(&mut self.names, Names::Unknown) {
            // Names of nothing are a row like any other.
            Names::Only(names) => push(&[], &names, blocks),
            Names::Unknown | Names::Known(_) | Names::None => Ok(()),
        }
    }
}

fn push(names: &[String], cells: &[String], blocks: &mut Blocks) -> Result<(), Error> {
    let mut text = String::new();
    for (at, cell) in cells
        .iter()
        .enumerate()
        .filter(|(_, cell)| !cell.is_empty())
    {
        if !text.is_empty() {
            text.push_str(BETWEEN);
        }
        if let Some(name) = names.get(at).filter(|name| !name.is_empty()) {
            text.push_str(name);
            text.push_str(": ");
        }
        text.push_str(cell);
    }
    blocks.push(BlockKind::Row, &text)
}

/// Whether a first row reads like names: all there but for some, short, different, none a number.
fn are_names(cells: &[String]) -> bool {
    let mut filled: Vec<&str> = cells
        .iter()
        .map(String::as_str)
        .filter(|cell| !cell.is_empty())
        .collect();
    // A column of row titles often has no name.
    let enough = filled.len() >= 2 && filled.len() * 4 >= cells.len() * 3;
    let like_names = filled.iter().all(|cell| {
        cell.chars().nth(NAME_CHARS).is_none()
            && cell.chars().any(char::is_alphabetic)
            && !cell.ends_with(['.', '!', '?'])
    });
    let count = filled.len();
    filled.sort_unstable();
    filled.dedup();
    enough && like_names && filled.len() == count
}
