//! Where each journal in use ends, so that an append costs no search, and the numbers of new ones.
//!
//! Only the writer has it. A batch that is undone must have its journals forgotten.

use std::sync::Arc;

use quick_cache::unsync::Cache;

use crate::batch::{Batch, Write};

/// Journals remembered: more than turns run at once.
const JOURNALS_REMEMBERED: usize = 4_096;

/// The end of a journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    /// The journal's number in the database.
    pub(super) number: i64,
    /// The sequence number of its last entry, 0 if it has none.
    pub(super) last_seq: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct JournalTails {
    known: Cache<Arc<str>, Tail>,
    /// The highest number given to a journal. A number whose batch was undone is not given again.
    last_number: i64,
}

impl JournalTails {
    /// Knows only the highest number of a journal so far.
    pub(super) fn new(last_number: i64) -> Self {
        Self {
            known: Cache::new(JOURNALS_REMEMBERED),
            last_number,
        }
    }

    /// A number for a new journal.
    pub(super) fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    /// The journal's end, if it is remembered.
    pub(super) fn get(&self, journal: &Arc<str>) -> Option<Tail> {
        self.known.get(journal).copied()
    }

    /// Remembers the journal's end.
    pub(super) fn set(&mut self, journal: &Arc<str>, tail: Tail) {
        self.known.insert(Arc::clone(journal), tail);
    }

    /// Forgets the journals a batch appends to.
    pub(super) fn forget(&mut self, batch: &Batch) {
        for write in &batch.writes {
            if let Write::Append { journal, .. } = write {
                self.known.remove(journal);
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}
