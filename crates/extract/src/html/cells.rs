//! Tables of a page while they are open.
//!
//! A table inside another one's cell shows that the outer one only lays out the page: what its cells
//! hold is then text like any other. Invariant: only the innermost open table collects cells.

use outcrop_knowledge::document::BlockKind;

use crate::blocks::Blocks;
use crate::error::Error;
use crate::limits::Limits;
use crate::table::{RowRole, Table};

/// Columns that a cell may reach over; more is a mistake or malice.
const SPAN_MAX: usize = 100;

/// Cells of a row; as many as Excel has columns.
const ROW_MAX: usize = 16_384;

/// Longest text of a cell that is copied to each column the cell reaches over, bytes.
const COPIED_BYTES: usize = 200;

/// The tables that are open.
#[derive(Debug)]
pub(super) struct Tables {
    open: bool,
    table: Table,
    row: Vec<String>,
    headers: usize,
    /// Whether a cell is open, which is the last of the row.
    cell: bool,
    /// Columns that the open cell takes.
    span: usize,
}

impl Tables {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            open: false,
            table: Table::new(limits),
            row: Vec::new(),
            headers: 0,
            cell: false,
            span: 1,
        }
    }

    /// `<table>`.
    pub(super) fn begin(&mut self, blocks: &mut Blocks) -> Result<(), Error> {
        if self.open {
            for cell in std::mem::take(&mut self.row) {
                blocks.push(BlockKind::Paragraph, &cell)?;
            }
            self.table.end(blocks)?;
        }
        self.open = true;
        self.cell = false;
        self.headers = 0;
        self.row.clear();
        self.table.begin();
        Ok(())
    }

    /// `<tr>` or its end: what came before is a row.
    pub(super) fn row(&mut self, blocks: &mut Blocks) -> Result<(), Error> {
        self.close_cell();
        if !self.open || self.row.is_empty() {
            return Ok(());
        }
        let role = if self.headers == self.row.len() {
            RowRole::Header
        } else {
            RowRole::Body
        };
        self.headers = 0;
        let row = std::mem::take(&mut self.row);
        self.table.row(role, &row, blocks)
    }

    /// `<td>` or `<th>`.
    pub(super) fn cell(&mut self, header: bool, span: Option<usize>) {
        self.close_cell();
        if !self.open || self.row.len() >= ROW_MAX {
            return;
        }
        self.row.push(String::new());
        self.span = span.unwrap_or(1).clamp(1, SPAN_MAX);
        self.headers += if header { self.span } else { 0 };
        self.cell = true;
    }

    /// A cell over several columns fills each of them, if it is no long text.
    fn close_cell(&mut self) {
        if std::mem::take(&mut self.cell)
            && let Some(text) = self.row.last()
        {
            let copy = if text.len() <= COPIED_BYTES {
                text.clone()
            } else {
                String::new()
            };
            self.row.extend(std::iter::repeat_n(copy, self.span - 1));
        }
    }

    /// Puts `text` into the open cell, if there is one.
    pub(super) fn take(&mut self, text: &str) -> bool {
        if !self.cell {
            return false;
        }
        let Some(cell) = self.row.last_mut() else {
            return false;
        };
        if !cell.is_empty() {
            cell.push('\n');
        }
        cell.push_str(text);
        true
    }

    /// `</table>`.
    pub(super) fn end(&mut self, blocks: &mut Blocks) -> Result<(), Error> {
        self.row(blocks)?;
        if self.open {
            self.table.end(blocks)?;
        }
        // What follows in the outer table is text.
        self.open = false;
        Ok(())
    }

    /// The page ends.
    pub(super) fn finish(&mut self, blocks: &mut Blocks) -> Result<(), Error> {
        if self.open { self.end(blocks) } else { Ok(()) }
    }
}
