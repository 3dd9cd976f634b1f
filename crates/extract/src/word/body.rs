//! The body of a document, and its notes, which are made alike.
//!
//! Invariant: a table inside a cell is text of that cell; a text box is read where it is anchored.

use outcrop_knowledge::document::BlockKind;

use super::styles::{Role, Styles, outline};
use crate::blocks::Blocks;
use crate::error::Error;
use crate::limits::Limits;
use crate::table::{RowRole, Table};
use crate::xml::{Element, Piece};

/// Columns that a cell may reach over; more is a mistake or malice.
const SPAN_MAX: usize = 100;

/// Cells of a row; as many as Excel has columns.
const ROW_MAX: usize = 16_384;

/// Longest text of a cell that is copied to each row or column that the cell reaches over, bytes.
const COPIED_BYTES: usize = 200;

/// Reads a part piece by piece.
pub(super) struct Body<'a> {
    styles: &'a Styles,
    blocks: &'a mut Blocks,
    /// Paragraphs that are open: those in a text box stand inside another.
    paragraphs: Vec<Paragraph>,
    /// Whether text is being read, and not something else that has text.
    text: bool,
    /// Elements inside the outermost of those whose content does not count.
    skipping: u32,
    /// Tables that are open, inside each other.
    tables: u32,
    table: Table,
    row: Row,
    /// Of the row before, for cells that reach down from it.
    above: Vec<String>,
}

#[derive(Debug, Default)]
struct Paragraph {
    text: String,
    role: Option<Role>,
}

/// The row that is open, of the outermost table.
#[derive(Debug, Default)]
struct Row {
    cells: Vec<String>,
    header: bool,
    cell: Option<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    text: String,
    span: usize,
    /// Whether it continues the cell above it.
    continues: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(styles: &'a Styles, limits: &Limits, blocks: &'a mut Blocks) -> Self {
        Self {
            styles,
            blocks,
            paragraphs: Vec::new(),
            text: false,
            skipping: 0,
            tables: 0,
            table: Table::new(limits),
            row: Row::default(),
            above: Vec::new(),
        }
    }

    /// The next piece of the part.
    pub(super) fn piece(&mut self, piece: &Piece<'_>) -> Result<(), Error> {
        match piece {
            Piece::Start(_) if self.skipping > 0 => {
                self.skipping += 1;
                Ok(())
            }
            Piece::End(_) if self.skipping > 0 => {
                self.skipping -= 1;
                Ok(())
            }
            Piece::Start(element) => {
                self.start(element);
                Ok(())
            }
            Piece::End(name) => self.end(name),
            Piece::Text(text) => {
                if self.text && self.skipping == 0 {
                    self.add(text);
                }
                Ok(())
            }
        }
    }

    fn start(&mut self, element: &Element<'_>) {
        match element.name() {
            // Deleted text, and what older programs are shown in the place of a drawing.
            "del" | "moveFrom" | "Fallback" | "instrText" | "delText" => self.skipping = 1,
            // Lines that Word draws above notes.
            "footnote" | "endnote" if element.attribute("type").is_some() => self.skipping = 1,
            "p" => self.paragraphs.push(Paragraph::default()),
            "t" => self.text = true,
            "tab" | "ptab" => self.add("\t"),
            "br" | "cr" => self.add("\n"),
            "noBreakHyphen" => self.add("-"),
            "tbl" => {
                self.tables += 1;
                if self.tables == 1 {
                    self.table.begin();
                    self.above.clear();
                }
            }
            "tr" if self.tables == 1 => self.row = Row::default(),
            "tc" if self.tables == 1 => {
                self.row.cell = Some(Cell {
                    span: 1,
                    ..Cell::default()
                });
            }
            "tblHeader" if self.tables == 1 => self.row.header = is_on(element),
            "gridSpan" | "vMerge" if self.tables == 1 => self.merge(element),
            "pStyle" | "numPr" | "numId" | "outlineLvl" => self.role(element),
            _ => {}
        }
    }

    fn merge(&mut self, element: &Element<'_>) {
        let Some(cell) = &mut self.row.cell else {
            return;
        };
        let value = element.attribute("val");
        if element.name() == "vMerge" {
            cell.continues = value.as_deref() != Some("restart");
        } else {
            let span = value.and_then(|value| value.parse().ok()).unwrap_or(1);
            cell.span = usize::clamp(span, 1, SPAN_MAX);
        }
    }

    fn role(&mut self, element: &Element<'_>) {
        let Some(paragraph) = self.paragraphs.last_mut() else {
            return;
        };
        let value = element.attribute("val");
        if element.name() == "numId" {
            // The number that takes away what the style gives.
            if value.as_deref() == Some("0") && paragraph.role == Some(Role::Item) {
                paragraph.role = None;
            }
            return;
        }
        let found = match (element.name(), value) {
            ("pStyle", Some(id)) => self.styles.role(&id),
            ("outlineLvl", Some(level)) => outline(&level),
            ("numPr", _) => Some(Role::Item),
            _ => None,
        };
        // A numbered heading is a heading.
        match (paragraph.role, found) {
            (Some(Role::Heading(_) | Role::Title), Some(Role::Item)) | (_, None) => {}
            (_, Some(role)) => paragraph.role = Some(role),
        }
    }

    fn end(&mut self, name: &str) -> Result<(), Error> {
        match name {
            "t" => self.text = false,
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    self.paragraph(&paragraph)?;
                }
            }
            "tc" if self.tables == 1 => self.end_cell(),
            "tr" if self.tables == 1 => self.end_row()?,
            "tbl" => {
                if self.tables == 1 {
                    self.table.end(self.blocks)?;
                }
                self.tables = self.tables.saturating_sub(1);
            }
            _ => {}
        }
        Ok(())
    }

    fn paragraph(&mut self, paragraph: &Paragraph) -> Result<(), Error> {
        if let Some(cell) = &mut self.row.cell {
            if !cell.text.is_empty() {
                cell.text.push('\n');
            }
            cell.text.push_str(&paragraph.text);
            return Ok(());
        }
        let kind = match paragraph.role {
            Some(Role::Title) => {
                self.blocks.title(&paragraph.text);
                BlockKind::Heading { level: 1 }
            }
            Some(Role::Heading(level)) => BlockKind::Heading { level },
            Some(Role::Item) => BlockKind::ListItem,
            None => BlockKind::Paragraph,
        };
        self.blocks.push(kind, &paragraph.text)
    }

    fn end_cell(&mut self) {
        let Some(cell) = self.row.cell.take() else {
            return;
        };
        if self.row.cells.len() >= ROW_MAX {
            return;
        }
        let above = self.above.get(self.row.cells.len());
        let text = match above {
            Some(above) if cell.continues => above.clone(),
            _ => cell.text,
        };
        let copy = if text.len() <= COPIED_BYTES {
            text.clone()
        } else {
            String::new()
        };
        self.row.cells.push(text);
        let further = cell.span.saturating_sub(1);
        self.row.cells.extend(std::iter::repeat_n(copy, further));
    }

    fn end_row(&mut self) -> Result<(), Error> {
        let row = std::mem::take(&mut self.row);
        let role = if row.header {
            RowRole::Header
        } else {
            RowRole::Body
        };
        self.table.row(role, &row.cells, self.blocks)?;
        self.above = row.cells;
        for cell in &mut self.above {
            if cell.len() > COPIED_BYTES {
                cell.clear();
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str) {
        if let Some(paragraph) = self.paragraphs.last_mut() {
            paragraph.text.push_str(text);
        }
    }

    /// The part has ended.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.paragraphs.clear();
        self.text = false;
        self.skipping = 0;
        self.tables = 0;
        self.row = Row::default();
        self.table.end(self.blocks)
    }
}

/// Whether an on-off property is on: it is unless it says otherwise.
fn is_on(element: &Element<'_>) -> bool {
    !matches!(
        element.attribute("val").as_deref(),
        Some("0" | "false" | "off")
    )
}
