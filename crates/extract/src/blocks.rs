//! The document under construction: blocks within the budgets, white space in order.
//!
//! Invariant: no block is empty, none begins or ends with white space, and all together hold no more
//! than the limits allow.

use std::ops::Range;

use outcrop_knowledge::document::{Block, BlockKind, Extracted};

use crate::error::Error;
use crate::limits::{Budget, Limits, amount};

/// Takes blocks until a limit is met.
#[derive(Debug)]
pub(crate) struct Blocks {
    title: Option<String>,
    taken: Vec<Block>,
    page: Option<u32>,
    text: Budget,
    count: Budget,
}

impl Blocks {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            title: None,
            taken: Vec::new(),
            page: None,
            text: text_budget(limits),
            count: count_budget(limits),
        }
    }

    /// The title that the file gives itself; the first one holds.
    pub(crate) fn title(&mut self, title: &str) {
        let title = one_line(title);
        if self.title.is_none() && !title.is_empty() {
            self.title = Some(title);
        }
    }

    /// The page that the following blocks begin on.
    pub(crate) fn page(&mut self, page: u32) {
        self.page = Some(page);
    }

    /// A block whose line breaks are those of its text; runs of other white space become one space.
    pub(crate) fn push(&mut self, kind: BlockKind, text: &str) -> Result<(), Error> {
        let text = match kind {
            BlockKind::Heading { .. } => one_line(text),
            BlockKind::Code => code(text),
            BlockKind::Paragraph | BlockKind::ListItem | BlockKind::Row => lines(text),
        };
        if text.is_empty() {
            return Ok(());
        }
        self.text.spend(amount(text.len()))?;
        self.count.spend(1)?;
        let page = self.page;
        self.taken.push(Block { kind, text, page });
        Ok(())
    }

    /// How many blocks there are.
    pub(crate) fn count(&self) -> usize {
        self.taken.len()
    }

    /// Of the blocks from `first` on, keeps those in `kept` alone, if they hold enough text.
    pub(crate) fn keep(&mut self, first: usize, kept: Range<usize>, enough_bytes: usize) {
        let bytes: usize = self
            .taken
            .get(kept.clone())
            .unwrap_or_default()
            .iter()
            .map(|block| block.text.len())
            .sum();
        if bytes < enough_bytes {
            return;
        }
        let mut at = 0;
        self.taken.retain(|_| {
            let stays = at < first || kept.contains(&at);
            at += 1;
            stays
        });
    }

    /// The document.
    pub(crate) fn finish(self) -> Extracted {
        Extracted {
            title: self.title,
            blocks: self.taken,
        }
    }
}

pub(crate) fn text_budget(limits: &Limits) -> Budget {
    Budget::new("text of a file", "bytes", limits.text_bytes)
}

pub(crate) fn count_budget(limits: &Limits) -> Budget {
    Budget::new(
        "number of paragraphs and rows of a file",
        "blocks",
        limits.blocks,
    )
}

/// With every run of white space made one space.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        push_visible(&mut out, word);
    }
    out
}

/// With every run of white space inside a line made one space, and no empty lines.
fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let before = out.len();
        for word in line.split(is_space).filter(|word| !word.is_empty()) {
            if out.len() > before {
                out.push(' ');
            } else if before > 0 {
                out.push('\n');
            }
            push_visible(&mut out, word);
        }
    }
    out
}

/// Without blank lines around it and white space at the ends of its lines.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = 0_usize;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            blank += 1;
            continue;
        }
        if !out.is_empty() {
            out.extend(std::iter::repeat_n('\n', blank + 1));
        }
        blank = 0;
        out.extend(line.chars().filter(|c| *c == '\t' || !c.is_control()));
    }
    out
}

fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{200B}' | '\u{FEFF}')
}

/// Leaves out what nobody sees: control characters and soft hyphens.
fn push_visible(out: &mut String, word: &str) {
    out.extend(word.chars().filter(|c| !c.is_control() && *c != '\u{AD}'));
}
