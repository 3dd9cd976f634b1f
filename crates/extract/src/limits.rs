//! What one document may cost.
//!
//! Invariant: whatever a file says of itself, no more than this is produced from it. What parsers
//! need on the way there (an inflated stream, a table of strings) is bounded by the process they run
//! in.

use crate::error::Error;

/// Budgets of one extraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the file, bytes.
    pub file_bytes: u64,
    /// Text that comes out, bytes of UTF-8.
    pub text_bytes: u64,
    /// Blocks or records that come out.
    pub blocks: u64,
    /// Files inside an Office file.
    pub entries: u64,
    /// What these hold together once unpacked, bytes.
    pub unpacked_bytes: u64,
    /// Elements inside each other, in XML.
    pub depth: u64,
    /// Cells of tables, empty ones included.
    pub cells: u64,
    /// Pages of a PDF.
    pub pages: u64,
    /// Runs of glyphs, paths, clips, groups and images that a PDF draws.
    pub drawings: u64,
}

impl Limits {
    /// 50 MiB, which is AWS's limit for a file (behaviour.md 9.4); as much text as a file of that size
    /// may hold, and half as much again for names of columns that are repeated in each row; a workbook
    /// of that size rarely unpacks to more than half a gibibyte; the rest lies far above what
    /// documents have, and low enough that a file made to be slow ends within seconds.
    pub const DEFAULT: Self = Self {
        file_bytes: 50 * 1024 * 1024,
        text_bytes: 75 * 1024 * 1024,
        blocks: 1_000_000,
        entries: 10_000,
        unpacked_bytes: 512 * 1024 * 1024,
        depth: 256,
        cells: 10_000_000,
        pages: 20_000,
        drawings: 20_000_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A limit, what was counted against it so far, and what it is a limit of.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    what: &'static str,
    unit: &'static str,
    limit: u64,
    used: u64,
}

impl Budget {
    pub(crate) fn new(what: &'static str, unit: &'static str, limit: u64) -> Self {
        Self {
            what,
            unit,
            limit,
            used: 0,
        }
    }

    /// Counts `amount` more.
    pub(crate) fn spend(&mut self, amount: u64) -> Result<(), Error> {
        self.used = self.used.saturating_add(amount);
        if self.used > self.limit {
            return Err(self.exceeded());
        }
        Ok(())
    }

    /// The error of this limit.
    pub(crate) fn exceeded(&self) -> Error {
        Error::TooLarge {
            what: self.what,
            unit: self.unit,
            limit: self.limit,
            came: (self.used > self.limit).then_some(self.used),
        }
    }
}

/// A length as it is counted.
pub(crate) fn amount(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
