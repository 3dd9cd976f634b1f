//! Documents: their keys, their revisions, and how a listing walks them.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::StoreError;

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
    /// 1 when created, then one more with each Put. A document created again after it was deleted
    /// or expired starts at 1 again.
    pub revision: u64,
    /// JSON text.
    pub body: Arc<str>,
    /// `Batch::now_ms` of the Put that created it.
    pub created_at_ms: i64,
    /// `Batch::now_ms` of the last Put.
    pub updated_at_ms: i64,
}

/// Whether a document with this expiry counts as absent.
pub(crate) fn expired(expires_at_ms: Option<i64>, now_ms: i64) -> bool {
    expires_at_ms.is_some_and(|at| at <= now_ms)
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

/// Listing order. Each is stable under paging for documents that do not change meanwhile. Ids compare
/// by their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By id.
    Id,
    /// Oldest first.
    Created,
    /// Most recently updated first.
    UpdatedDescending,
}

impl Order {
    /// The position of a record in this order.
    pub(crate) fn cursor(self, record: &Record) -> Cursor {
        let sort = match self {
            Self::Id => 0,
            Self::Created => record.created_at_ms,
            Self::UpdatedDescending => record.updated_at_ms,
        };
        Cursor {
            sort,
            id: Arc::clone(&record.key.id),
        }
    }
}

/// Which part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most this many, 1 to [`PAGE_MAX`].
    pub limit: u32,
    /// `Listing::next` of the page before.
    pub after: Option<Cursor>,
}

impl Page {
    /// Refuses a limit of zero or above [`PAGE_MAX`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if (1..=PAGE_MAX).contains(&self.limit) {
            Ok(())
        } else {
            Err(StoreError::OutOfBounds(
                "a page holds 1 to PAGE_MAX documents",
            ))
        }
    }
}

/// The most documents one page may hold (AWS's own bound on `maxResults` is 1,000).
pub const PAGE_MAX: u32 = 1_000;

/// One page.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// In the scan's order.
    pub records: Vec<Record>,
    /// Set exactly when more documents followed.
    pub next: Option<Cursor>,
}

impl Listing {
    /// A page of `limit` from records of which one more than that was sought.
    pub(crate) fn from_sought(mut records: Vec<Record>, limit: u32, order: Order) -> Self {
        let limit = limit as usize;
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records
            .last()
            .filter(|_| more)
            .map(|last| order.cursor(last));
        Self { records, next }
    }
}

/// A position in a listing: the sort value and id of the last document seen. Opaque text for clients
/// through `Display` and `FromStr`: hexadecimal digits, so it passes AWS's `\S*` for a `nextToken`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sort value (0 for [`Order::Id`]).
    pub sort: i64,
    /// Id.
    pub id: Arc<str>,
}

/// Hexadecimal digits of the sort value at the head of a cursor's text.
const SORT_DIGITS: usize = 16;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.sort)?;
        for byte in self.id.bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_char('.')
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this store")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        // The closing period tells a cut-off text from a whole one.
        let digits = text.strip_suffix('.').ok_or(CursorError)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(CursorError);
        }
        let (sort, id) = digits.split_at_checked(SORT_DIGITS).ok_or(CursorError)?;
        let sort = u64::from_str_radix(sort, 16).map_err(|_| CursorError)?;
        let id = id
            .as_bytes()
            .chunks(2)
            .map(|pair| {
                let pair = str::from_utf8(pair).map_err(|_| CursorError)?;
                if pair.len() == 2 {
                    u8::from_str_radix(pair, 16).map_err(|_| CursorError)
                } else {
                    Err(CursorError)
                }
            })
            .collect::<Result<Vec<u8>, _>>()?;
        let id = String::from_utf8(id).map_err(|_| CursorError)?;
        Ok(Self {
            sort: sort.cast_signed(),
            id: id.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        for (sort, id) in [
            (0, ""),
            (-1, "a"),
            (i64::MIN, "Ä\u{0}\n"),
            (i64::MAX, "AGENT12345"),
        ] {
            let cursor = Cursor {
                sort,
                id: id.into(),
            };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn other_text_is_no_cursor() {
        let whole = Cursor {
            sort: 7,
            id: "é".into(),
        }
        .to_string();
        for end in 0..whole.len() {
            assert_eq!(whole[..end].parse::<Cursor>(), Err(CursorError), "{end}");
        }
        for text in [
            "0000000000000000+1.",
            "000000000000000é.",
            "0000000000000000ff.",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
