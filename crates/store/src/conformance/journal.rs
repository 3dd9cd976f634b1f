//! Journals: numbering, fencing, reading.

use bytes::Bytes;

use super::*;
use crate::{Entry, JOURNAL_READ_MAX};

fn append(journal: &str, expected_seq: u64, entries: &[&'static str]) -> Write {
    Write::Append {
        journal: journal.into(),
        expected_seq,
        entries: entries.iter().map(|entry| Bytes::from(*entry)).collect(),
    }
}

async fn read(store: &dyn Store, journal: &str, after: u64, limit: u32) -> Vec<Entry> {
    store
        .read_journal(journal, after, limit)
        .await
        .expect("the store answers")
}

fn entry(seq: u64, bytes: &'static str) -> Entry {
    Entry {
        seq,
        bytes: bytes.into(),
    }
}

/// On from the last one, within a batch too; empty entries and empty appends are fine.
pub async fn entries_are_numbered_from_one(store: &dyn Store) {
    assert_eq!(read(store, "j", 0, 9).await, []);
    done(store, [append("j", 0, &[])]).await;
    done(store, [append("j", 0, &["a", "b"]), append("j", 2, &[""])]).await;
    done(store, [append("j", 3, &[]), append("j", 3, &["d"])]).await;
    let all = [entry(1, "a"), entry(2, "b"), entry(3, ""), entry(4, "d")];
    assert_eq!(read(store, "j", 0, 9).await, all);
}

/// Behind, ahead, or where there is no journal at all; the error gives the true number.
pub async fn a_stale_writer_is_fenced(store: &dyn Store) {
    let refused = commit(store, [append("j", 1, &["a"])]).await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Fenced {
                index: 0,
                actual: 0
            })
        ),
        "{refused:?}"
    );
    done(store, [append("j", 0, &["a", "b"])]).await;
    for expected_seq in [0, 1, 3, u64::MAX] {
        let refused = commit(store, [append("j", expected_seq, &["c"])]).await;
        assert!(
            matches!(
                refused,
                Err(StoreError::Fenced {
                    index: 0,
                    actual: 2
                })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(read(store, "j", 0, 9).await, [entry(1, "a"), entry(2, "b")]);
}

/// Neither to a journal it would have made nor to one there was, and the numbers go on as if nothing
/// had been.
pub async fn a_failed_batch_appends_nothing(store: &dyn Store) {
    done(store, [append("old", 0, &["a"])]).await;
    let refused = commit(
        store,
        [
            append("old", 1, &["b"]),
            append("new", 0, &["c"]),
            append("old", 1, &["d"]),
        ],
    )
    .await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Fenced {
                index: 2,
                actual: 2
            })
        ),
        "{refused:?}"
    );
    assert_eq!(read(store, "new", 0, 9).await, []);
    done(store, [append("new", 0, &["e"]), append("old", 1, &["f"])]).await;
    assert_eq!(
        read(store, "old", 0, 9).await,
        [entry(1, "a"), entry(2, "f")]
    );
    assert_eq!(read(store, "new", 0, 9).await, [entry(1, "e")]);
}

/// After any number, up to any limit.
pub async fn a_journal_is_read_in_parts(store: &dyn Store) {
    done(store, [append("j", 0, &["a", "b", "c"])]).await;
    assert_eq!(read(store, "j", 0, 2).await, [entry(1, "a"), entry(2, "b")]);
    assert_eq!(read(store, "j", 2, 2).await, [entry(3, "c")]);
    for after in [3, 4, 1 << 24, i64::MAX as u64, u64::MAX] {
        assert_eq!(read(store, "j", after, 2).await, [], "{after}");
    }
}

/// Whatever the order in which they were begun and written.
pub async fn journals_do_not_mix(store: &dyn Store) {
    for round in 0..3 {
        for journal in ["a", "b", "c"] {
            done(store, [append(journal, round, &["x"])]).await;
        }
    }
    done(store, [append("a", 3, &["last"])]).await;
    let three = [entry(1, "x"), entry(2, "x"), entry(3, "x")];
    assert_eq!(read(store, "b", 0, 9).await, three);
    assert_eq!(
        read(store, "a", 2, 9).await,
        [entry(3, "x"), entry(4, "last")]
    );
}

/// A read of nothing and a read of too much are refused.
pub async fn journal_reads_are_bounded(store: &dyn Store) {
    for limit in [0, JOURNAL_READ_MAX + 1, u32::MAX] {
        let refused = store.read_journal("j", 0, limit).await;
        assert!(
            matches!(refused, Err(StoreError::OutOfBounds(_))),
            "{refused:?}"
        );
    }
    assert_eq!(read(store, "j", 0, JOURNAL_READ_MAX).await, []);
}
