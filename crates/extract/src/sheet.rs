//! Excel workbooks: each visible sheet is a heading and rows.
//!
//! Values come out as Excel last computed them; formulas, notes and hidden sheets do not. Invariant:
//! a row is read and written before the next, so a workbook costs its strings and one row.

mod value;

use std::io::Cursor;

use bytes::Bytes;
use calamine::{Reader, SheetVisible, Xls, Xlsx};
use outcrop_knowledge::document::BlockKind;

use crate::blocks::Blocks;
use crate::error::Error;
use crate::format::Format;
use crate::limits::Limits;
use crate::package::Package;
use crate::table::{RowRole, Table};

/// Columns of a sheet, as Excel has them; a reference beyond is a mistake or malice.
const COLUMNS_MAX: usize = 16_384;

/// The blocks of a workbook of Excel 2007 or later.
pub(crate) fn read(content: Bytes, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    // Dropped again: this is only to know that it is within the limits.
    Package::open(content.clone(), Format::Xlsx, limits)?;
    let failed = Error::malformed(Format::Xlsx);
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(content)).map_err(&failed)?;
    let mut table = Table::new(limits);
    for sheet in visible(&workbook) {
        let mut rows = Rows::new(&sheet, &mut table, blocks);
        let mut cells = match workbook.worksheet_cells_reader(&sheet) {
            Ok(cells) => cells,
            // A sheet that is only a chart has no cells.
            Err(calamine::XlsxError::NotAWorksheet(_)) => continue,
            Err(error) => return Err(failed(error)),
        };
        while let Some(cell) = cells.next_cell().map_err(Error::malformed(Format::Xlsx))? {
            rows.cell(cell.get_position(), value::of_ref(cell.get_value()))?;
        }
        rows.finish()?;
    }
    Ok(())
}

/// The blocks of a workbook of Excel 97 to 2003.
pub(crate) fn read_old(content: Bytes, limits: &Limits, blocks: &mut Blocks) -> Result<(), Error> {
    let failed = Error::malformed(Format::Xls);
    let mut workbook: Xls<_> = Xls::new(Cursor::new(content)).map_err(&failed)?;
    let mut table = Table::new(limits);
    for sheet in visible(&workbook) {
        let range = workbook.worksheet_range(&sheet).map_err(&failed)?;
        let mut rows = Rows::new(&sheet, &mut table, blocks);
        let (top, left) = range.start().unwrap_or_default();
        for (row, column, cell) in range.used_cells() {
            let at = |base: u32, offset: usize| {
                base.saturating_add(offset.try_into().unwrap_or(u32::MAX))
            };
            rows.cell((at(top, row), at(left, column)), value::of(cell))?;
        }
        rows.finish()?;
    }
    Ok(())
}

fn visible<R: Reader<Cursor<Bytes>>>(workbook: &R) -> Vec<String> {
    workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.visible == SheetVisible::Visible)
        .map(|sheet| sheet.name.clone())
        .collect()
}

/// Makes rows of cells that come one by one.
struct Rows<'a> {
    table: &'a mut Table,
    blocks: &'a mut Blocks,
    /// The sheet's name, until its first row has come: an empty sheet is not told of.
    name: Option<&'a str>,
    at: Option<u32>,
    row: Vec<String>,
}

impl<'a> Rows<'a> {
    fn new(name: &'a str, table: &'a mut Table, blocks: &'a mut Blocks) -> Self {
        table.begin();
        Self {
            table,
            blocks,
            name: Some(name),
            at: None,
            row: Vec::new(),
        }
    }

    fn cell(&mut self, (row, column): (u32, u32), text: String) -> Result<(), Error> {
        if self.at != Some(row) {
            self.end_row()?;
            self.at = Some(row);
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if text.is_empty() || column >= COLUMNS_MAX {
            return Ok(());
        }
        if self.row.len() <= column {
            self.row.resize(column + 1, String::new());
        }
        if let Some(cell) = self.row.get_mut(column) {
            *cell = text;
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), Error> {
        let row = std::mem::take(&mut self.row);
        if let Some(name) = self.name.take_if(|_| !row.is_empty()) {
            self.blocks.push(BlockKind::Heading { level: 1 }, name)?;
        }
        self.table.row(RowRole::Body, &row, self.blocks)
    }

    fn finish(mut self) -> Result<(), Error> {
        self.end_row()?;
        self.table.end(self.blocks)
    }
}
