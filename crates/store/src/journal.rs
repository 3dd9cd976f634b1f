//! Journals: append-only lists of entries, numbered from 1 without gaps.

use bytes::Bytes;

use crate::StoreError;

/// The most entries one journal may hold. A turn writes some ten, so this is a session of over a
/// million turns; a backend may rely on it to pack a sequence number into 24 bits.
pub const JOURNAL_ENTRIES_MAX: u64 = (1 << 24) - 1;

/// The most entries one read may return: it bounds the memory of a replay step. Read on from the last
/// number until an answer is shorter than asked.
pub const JOURNAL_READ_MAX: u32 = 1_000;

/// A journal entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// As appended.
    pub bytes: Bytes,
}

/// Refuses a limit that is zero or above [`JOURNAL_READ_MAX`].
pub(crate) fn check_limit(limit: u32) -> Result<(), StoreError> {
    if (1..=JOURNAL_READ_MAX).contains(&limit) {
        Ok(())
    } else {
        Err(StoreError::OutOfBounds(
            "a journal read takes 1 to JOURNAL_READ_MAX entries",
        ))
    }
}
