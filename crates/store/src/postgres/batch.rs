//! A batch as the parameters of `commit_v1`, and its answer read.
//!
//! One element of each array a write; `migrations/0002_commit.sql` says what stands in which.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outcrop_postgres::{escape, unescape};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::batch::{Batch, Committed, Expect, Write};
use crate::document::Key;
use crate::error::StoreError;
use crate::journal::JOURNAL_ENTRIES_MAX;

const HOUR_MS: i64 = 3_600_000;

const PUT: i16 = 0;
const DELETE: i16 = 1;
const DELETE_CHILDREN: i16 = 2;
const APPEND: i16 = 3;
const ENQUEUE: i16 = 4;
const FINISH: i16 = 5;

const ANY: i64 = -1;
const ABSENT: i64 = 0;
/// No revision, sequence number or lease ever gets here.
const NEVER: i64 = i64::MAX;

/// The arrays.
#[derive(Default)]
pub(super) struct Parameters<'a> {
    now_ms: i64,
    /// Families to lock, and whether exclusively.
    families: BTreeMap<i64, bool>,
    operations: Vec<i16>,
    scopes: Vec<Cow<'a, str>>,
    kinds: Vec<&'a str>,
    parents: Vec<Cow<'a, str>>,
    ids: Vec<Cow<'a, str>>,
    texts: Vec<Option<&'a str>>,
    numbers: Vec<i64>,
    names: Vec<Option<Cow<'a, str>>>,
    expiries: Vec<Option<i64>>,
    hours: Vec<Option<i64>>,
    entries: Vec<&'a [u8]>,
}

/// One write's elements.
#[derive(Default)]
struct Element<'a> {
    operation: i16,
    scope: &'a str,
    kind: &'a str,
    parent: &'a str,
    id: &'a str,
    text: Option<&'a str>,
    number: i64,
    name: Option<&'a str>,
    expires_at_ms: Option<i64>,
    hour: Option<i64>,
}

impl<'a> Element<'a> {
    fn of_key(operation: i16, key: &'a Key, expect: Expect) -> Self {
        Self {
            operation,
            scope: &key.scope,
            kind: key.kind,
            parent: &key.parent,
            id: &key.id,
            number: match expect {
                Expect::Any => ANY,
                Expect::Absent => ABSENT,
                Expect::Revision(0) => NEVER,
                Expect::Revision(revision) => number(revision),
            },
            ..Self::default()
        }
    }
}

impl<'a> Parameters<'a> {
    /// The parameters of a batch. `schema` tells the families of one installation from another's.
    pub(super) fn new(batch: &'a Batch, schema: &str) -> Self {
        let mut parameters = Self {
            now_ms: batch.now_ms,
            ..Self::default()
        };
        for write in &batch.writes {
            parameters.lock_family(schema, write);
            parameters.push(&element(write));
            if let Write::Append { entries, .. } = write {
                parameters
                    .entries
                    .extend(entries.iter().map(|entry| &entry[..]));
            }
        }
        parameters
    }

    /// The parameters in the order of the statement.
    pub(super) fn list(self) -> Vec<Box<dyn ToSql + Sync + Send + 'a>> {
        let exclusively: Vec<bool> = self.families.values().copied().collect();
        let families: Vec<i64> = self.families.into_keys().collect();
        let documents = self.operations.iter().filter(|code| **code <= DELETE);
        let locks_documents = documents.count() > 1;
        vec![
            Box::new(self.now_ms),
            Box::new(families),
            Box::new(exclusively),
            Box::new(locks_documents),
            Box::new(self.operations),
            Box::new(self.scopes),
            Box::new(self.kinds),
            Box::new(self.parents),
            Box::new(self.ids),
            Box::new(self.texts),
            Box::new(self.numbers),
            Box::new(self.names),
            Box::new(self.expiries),
            Box::new(self.hours),
            Box::new(self.entries),
            Box::new(JOURNAL_ENTRIES_MAX.cast_signed()),
        ]
    }

    fn lock_family(&mut self, schema: &str, write: &Write) {
        let (scope, kind, parent, exclusively) = match write {
            // One that exists already is locked itself.
            Write::Put {
                expect: Expect::Revision(_),
                ..
            }
            | Write::Delete { .. }
            | Write::Append { .. }
            | Write::Enqueue(_)
            | Write::Finish { .. } => return,
            Write::Put { key, .. } => (&key.scope, key.kind, &key.parent, false),
            Write::DeleteChildren {
                scope,
                kind,
                parent,
            } => (scope, *kind, parent, true),
        };
        let family = family(&[schema, scope, kind, parent]);
        *self.families.entry(family).or_default() |= exclusively;
    }

    fn push(&mut self, element: &Element<'a>) {
        self.operations.push(element.operation);
        self.scopes.push(escape(element.scope));
        self.kinds.push(element.kind);
        self.parents.push(escape(element.parent));
        self.ids.push(escape(element.id));
        self.texts.push(element.text);
        self.numbers.push(element.number);
        self.names.push(element.name.map(escape));
        self.expiries.push(element.expires_at_ms);
        self.hours.push(element.hour);
    }
}

fn element(write: &Write) -> Element<'_> {
    match write {
        Write::Put {
            key,
            body,
            expect,
            name,
            expires_at_ms,
        } => Element {
            text: Some(body),
            name: name.as_deref(),
            expires_at_ms: *expires_at_ms,
            hour: expires_at_ms.map(sweep_hour),
            ..Element::of_key(PUT, key, *expect)
        },
        Write::Delete { key, expect } => Element::of_key(DELETE, key, *expect),
        Write::DeleteChildren {
            scope,
            kind,
            parent,
        } => Element {
            operation: DELETE_CHILDREN,
            scope,
            kind,
            parent,
            ..Element::default()
        },
        Write::Append {
            journal,
            expected_seq,
            entries,
        } => Element {
            operation: APPEND,
            scope: journal,
            number: number(*expected_seq),
            expires_at_ms: Some(number(entries.len() as u64)),
            ..Element::default()
        },
        Write::Enqueue(job) => Element {
            operation: ENQUEUE,
            scope: &job.id,
            kind: job.queue,
            text: Some(&job.payload),
            number: job.due_at_ms,
            ..Element::default()
        },
        Write::Finish { id, lease } => Element {
            operation: FINISH,
            scope: id,
            number: number(*lease),
            ..Element::default()
        },
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(NEVER)
}

/// FNV-1a over the parts. Two families of one number only wait for each other needlessly; that all
/// servers of a database compute the same is what matters.
pub(super) fn family(parts: &[&str]) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        // No text holds this byte, so parts do not run together.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash.cast_signed()
}

/// The last whole hour that has passed; documents with a `sweep_hour` up to it have expired.
pub(super) fn passed_hour(now_ms: i64) -> i64 {
    now_ms.div_euclid(HOUR_MS)
}

/// The first whole hour at which a document that expires then has expired.
fn sweep_hour(expires_at_ms: i64) -> i64 {
    let whole = i64::from(expires_at_ms.rem_euclid(HOUR_MS) != 0);
    expires_at_ms.div_euclid(HOUR_MS) + whole
}

/// The answer of `commit_v1`.
pub(super) fn answer(row: &Row) -> Result<Result<Committed, StoreError>, Error> {
    let failure: i16 = row.try_get(0)?;
    if failure != 0 {
        let place: i32 = row.try_get(1)?;
        let actual: Option<i64> = row.try_get(2)?;
        let holder: Option<&str> = row.try_get(3)?;
        let holder = holder.unwrap_or_default();
        return Ok(Err(refusal(
            failure,
            usize::try_from(place).unwrap_or_default(),
            actual.unwrap_or_default(),
            holder,
        )));
    }
    let revisions: Vec<i64> = row.try_get(4)?;
    Ok(Ok(Committed {
        revisions: revisions.into_iter().map(i64::cast_unsigned).collect(),
    }))
}

/// A refusal that was raised: its numbers, then the holder.
pub(super) fn refusal_of_detail(detail: &str) -> StoreError {
    let mut parts = detail.splitn(4, ' ');
    let mut next = || parts.next().unwrap_or_default();
    let (failure, place, actual) = (next(), next(), next());
    match (failure.parse(), place.parse(), actual.parse()) {
        (Ok(failure), Ok(place), Ok(actual)) => refusal(failure, place, actual, next()),
        _ => unknown(),
    }
}

fn refusal(failure: i16, index: usize, actual: i64, holder: &str) -> StoreError {
    match failure {
        1 => StoreError::Stale { index },
        2 => StoreError::NameTaken {
            index,
            holder: unescape(holder).into(),
        },
        3 => StoreError::Fenced {
            index,
            actual: actual.cast_unsigned(),
        },
        4 => StoreError::OutOfBounds("a journal holds at most JOURNAL_ENTRIES_MAX entries"),
        _ => unknown(),
    }
}

fn unknown() -> StoreError {
    StoreError::Unavailable("the database refused a batch for a reason unknown here".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_swept_only_after_it_expired() {
        for (expires_at_ms, hour) in [(0, 0), (1, 1), (HOUR_MS, 1), (HOUR_MS + 1, 2), (-1, 0)] {
            assert_eq!(sweep_hour(expires_at_ms), hour, "{expires_at_ms}");
            assert!(passed_hour(hour * HOUR_MS - 1) < hour);
        }
    }

    #[test]
    fn parts_of_a_family_do_not_run_together() {
        assert_ne!(family(&["a", "bc"]), family(&["ab", "c"]));
        assert_ne!(family(&["a", ""]), family(&["a"]));
    }

    #[test]
    fn a_raised_refusal_is_read() {
        let read = |detail| format!("{:?}", refusal_of_detail(detail));
        assert_eq!(read("1 2 0 "), "Stale { index: 2 }");
        assert_eq!(
            read("2 3 0 a b\u{1}\u{1}"),
            r#"NameTaken { index: 3, holder: "a b\0" }"#
        );
        assert_eq!(read("3 0 17 "), "Fenced { index: 0, actual: 17 }");
        assert!(read("").starts_with("Unavailable"));
    }
}
