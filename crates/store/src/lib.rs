//! Documents, journals and jobs behind one narrow trait.
//!
//! Knows nothing of AWS: bodies are opaque JSON text. A [`Batch`] is data, evaluated in the backend
//! all or nothing; no caller ever holds a transaction or a connection across an await of its own.
//! Every backend is checked against [`memory`], the oracle, by one conformance suite (ADR 0004).

use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;

/// Where a document lives. All parts are opaque to the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Account and region, joined by the caller, e.g. `111111111111/us-west-2`: the tenant.
    pub scope: Arc<str>,
    /// Kind of document, e.g. `agent`.
    pub kind: &'static str,
    /// The owning document's id, or the empty string.
    pub parent: Arc<str>,
    /// Unique within (scope, kind, parent).
    pub id: Arc<str>,
}

/// A stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// 1 when created, then one more with each Put.
    pub revision: u64,
    /// JSON text.
    pub body: Arc<str>,
    /// `Batch::now_ms` of the Put that created it.
    pub created_at_ms: i64,
    /// `Batch::now_ms` of the last Put.
    pub updated_at_ms: i64,
}

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

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces a document. `name`, when given, is unique among the documents of the same
    /// (scope, kind, parent); `None` frees the name it had. A document past `expires_at_ms` counts as
    /// absent for every read and expectation (compared with the `now_ms` of the batch or the scan).
    Put {
        /// Where.
        key: Key,
        /// JSON text.
        body: Arc<str>,
        /// Precondition.
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
    /// the numbers after it. A different last number fails the batch: the fence against a second writer.
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
    /// Removes a claimed job, if it is still held under this lease.
    Finish {
        /// The job.
        id: Arc<str>,
        /// `Job::lease` of the claim.
        lease: u64,
    },
}

/// A batch: all of it happens, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// The writer's clock, milliseconds since the epoch; the store has no clock of its own.
    pub now_ms: i64,
    /// Evaluated in order, each seeing the ones before it. At most [`BATCH_WRITES_MAX`].
    pub writes: Vec<Write>,
}

/// The most writes one batch may hold: the largest is the deletion of an agent's children by kind,
/// which is a handful, with room for a version's snapshot of every sub-resource.
pub const BATCH_WRITES_MAX: usize = 1_000;

/// The result of a batch: the revision each Put produced (0 for other writes), in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Committed {
    /// One per write.
    pub revisions: Vec<u64>,
}

/// What to list: the documents of one (scope, kind, parent), ordered by `order` then id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Tenant.
    pub scope: Arc<str>,
    /// Kind.
    pub kind: &'static str,
    /// Parent.
    pub parent: Arc<str>,
    /// Order.
    pub order: Order,
    /// The reader's clock, for expiry.
    pub now_ms: i64,
}

/// Listing order. Each is stable under paging for documents that do not change meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By id.
    Id,
    /// Oldest first.
    Created,
    /// Most recently updated first.
    UpdatedDescending,
}

/// Which part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most this many, 1 to [`PAGE_MAX`].
    pub limit: u32,
    /// `Listing::next` of the page before.
    pub after: Option<Cursor>,
}

/// The most documents one page may hold (AWS's own bound on `maxResults` is 1,000).
pub const PAGE_MAX: u32 = 1_000;

/// A position in a listing: the sort value and id of the last document seen. Opaque text for clients
/// through `Display` and `FromStr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sort value (0 for [`Order::Id`]).
    pub sort: i64,
    /// Id.
    pub id: Arc<str>,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// In the scan's order.
    pub records: Vec<Record>,
    /// Set when there may be more.
    pub next: Option<Cursor>,
}

/// A journal entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    /// As appended.
    pub bytes: Bytes,
}

/// A job to be done in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Unique; enqueueing an id that exists replaces payload and due time, so that one subject has one job.
    pub id: Arc<str>,
    /// Queue name.
    pub queue: &'static str,
    /// JSON text.
    pub payload: Arc<str>,
    /// Not claimable before this time.
    pub due_at_ms: i64,
}

/// A claimed job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: Arc<str>,
    /// JSON text.
    pub payload: Arc<str>,
    /// How often it has been claimed, this time included.
    pub attempts: u32,
    /// Names this claim; see [`Write::Finish`].
    pub lease: u64,
}

/// How a claim is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The claimer's clock.
    pub now_ms: i64,
    /// After this time another may claim it.
    pub until_ms: i64,
}

/// Whether the store works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Backend and version, e.g. `sqlite 3.50.2`.
    pub backend: String,
}

/// Why a store call failed. A failed batch changed nothing, but for [`StoreError::Unavailable`],
/// after which the caller must read to know.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An expectation did not hold: the document changed, exists, or is gone.
    #[error("write {index} of the batch found the document changed")]
    Stale {
        /// Which write.
        index: usize,
    },
    /// The name is taken by another document of the same kind and parent.
    #[error("write {index} of the batch found the name taken by {holder}")]
    NameTaken {
        /// Which write.
        index: usize,
        /// The id of the document that has it.
        holder: Arc<str>,
    },
    /// The journal's last sequence number is not the expected one.
    #[error("write {index} of the batch found the journal at {actual}")]
    Fenced {
        /// Which write.
        index: usize,
        /// The last number.
        actual: u64,
    },
    /// The call breaks a bound of this interface.
    #[error("the store call is out of bounds: {0}")]
    OutOfBounds(&'static str),
    /// Too many calls are waiting; retry later.
    #[error("the store is busy")]
    Busy,
    /// The backend failed.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The storage port: six verbs. Object safe; implementations are shared by all requests.
pub trait Store: Send + Sync {
    /// One document, unless it is absent or expired at `now_ms`.
    fn get<'a>(
        &'a self,
        key: &'a Key,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// One page of documents.
    fn list(&self, scan: Scan, page: Page) -> BoxFuture<'_, Result<Listing, StoreError>>;

    /// All of the batch, durably, or nothing.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Entries with a number above `after`, at most `limit`, oldest first.
    fn read_journal<'a>(
        &'a self,
        journal: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>>;

    /// The oldest due job of the queue, if any, held under a new lease.
    fn claim_job<'a>(
        &'a self,
        queue: &'static str,
        lease: Lease,
    ) -> BoxFuture<'a, Result<Option<Job>, StoreError>>;

    /// Whether the backend answers.
    fn check(&self) -> BoxFuture<'_, Result<Health, StoreError>>;
}
