//! Batches: writes as data, evaluated by the backend all or nothing.

use std::sync::Arc;

use bytes::Bytes;

use crate::document::Key;
use crate::error::StoreError;
use crate::job::NewJob;

/// What a write demands of the document as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It exists with this revision.
    Revision(u64),
    /// Nothing.
    Any,
}

impl Expect {
    /// Whether a document of this revision (`None`: absent or expired) meets the demand.
    pub(crate) fn holds(self, revision: Option<u64>) -> bool {
        match self {
            Self::Absent => revision.is_none(),
            Self::Revision(expected) => revision == Some(expected),
            Self::Any => true,
        }
    }
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces a document. `name`, when given, is unique among the documents of the same
    /// (scope, kind, parent); `None` frees the name it had. From `expires_at_ms` on a document counts
    /// as absent for every read, expectation and name (compared with the `now_ms` of the batch or the
    /// read).
    Put {
        /// Where.
        key: Key,
        /// JSON text.
        body: Arc<str>,
        /// Precondition; checked before the name.
        expect: Expect,
        /// Unique name.
        name: Option<Arc<str>>,
        /// Milliseconds since the epoch.
        expires_at_ms: Option<i64>,
    },
    /// Removes a document; absent is fine under [`Expect::Any`].
    Delete {
        /// Where.
        key: Key,
        /// Precondition.
        expect: Expect,
    },
    /// Removes every document of this kind and parent, whatever their number.
    DeleteChildren {
        /// Tenant.
        scope: Arc<str>,
        /// Kind.
        kind: &'static str,
        /// Parent.
        parent: Arc<str>,
    },
    /// Appends entries to a journal whose last sequence number is `expected_seq` (0: empty). They get
    /// the numbers after it. A different last number fails the batch: the fence against a second
    /// writer. More than [`crate::JOURNAL_ENTRIES_MAX`] in all is out of bounds.
    Append {
        /// Journal id, opaque.
        journal: Arc<str>,
        /// Last sequence number the writer knows of.
        expected_seq: u64,
        /// In order.
        entries: Vec<Bytes>,
    },
    /// Adds a job to a queue.
    Enqueue(NewJob),
    /// Removes a claimed job, if it is still held under this lease; otherwise does nothing, for then
    /// another holds it or has finished it.
    Finish {
        /// The job.
        id: Arc<str>,
        /// `Job::lease` of the claim.
        lease: u64,
    },
}

impl Write {
    /// Bytes the write carries, its keys left out.
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Put { body, .. } => body.len(),
            Self::Append { entries, .. } => entries.iter().map(Bytes::len).sum(),
            Self::Enqueue(job) => job.payload.len(),
            Self::Delete { .. } | Self::DeleteChildren { .. } | Self::Finish { .. } => 0,
        }
    }
}

/// A batch: all of it happens, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// The writer's clock, milliseconds since the epoch; the store has no clock of its own.
    pub now_ms: i64,
    /// Evaluated in order, each seeing the ones before it. At most [`BATCH_WRITES_MAX`].
    pub writes: Vec<Write>,
}

impl Batch {
    /// Refuses a batch above the bounds, before it costs the backend anything.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.writes.len() > BATCH_WRITES_MAX {
            return Err(StoreError::OutOfBounds(
                "a batch holds at most BATCH_WRITES_MAX writes",
            ));
        }
        if self.payload_bytes() > BATCH_BYTES_MAX {
            return Err(StoreError::OutOfBounds(
                "a batch carries at most BATCH_BYTES_MAX bytes",
            ));
        }
        Ok(())
    }

    /// Bytes of bodies, entries and payloads.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.writes.iter().map(Write::payload_bytes).sum()
    }
}

/// The most writes one batch may hold: the largest is the deletion of an agent's children by kind,
/// which is a handful, with room for a version's snapshot of every sub-resource.
pub const BATCH_WRITES_MAX: usize = 1_000;

/// The most bytes of bodies, entries and payloads one batch may carry: everyone else's commits wait
/// while it is written. Request bodies are bounded far below it.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// The result of a batch: the revision each Put produced (0 for other writes), in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Committed {
    /// One per write.
    pub revisions: Vec<u64>,
}
