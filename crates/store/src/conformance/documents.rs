//! Documents: revisions, expectations, names, expiry, deletion.

use super::*;
use crate::{BATCH_BYTES_MAX, BATCH_WRITES_MAX};

/// Also when asked twice, as a backend may remember the first answer.
pub async fn an_absent_document_is_none(store: &dyn Store) {
    let a = key("a");
    assert_eq!(get(store, &a).await, None);
    assert_eq!(get(store, &a).await, None);
    assert_eq!(done(store, [put(&a, "1", Expect::Absent)]).await, [1]);
    assert_eq!(body(store, &a).await.as_deref(), Some("1"));
}

/// Revision and update time move, the creation time stays.
pub async fn a_put_creates_then_replaces(store: &dyn Store) {
    let a = key("a");
    let first = commit_at(store, 10, [put(&a, "1", Expect::Any)]).await;
    assert_eq!(first.expect("the batch holds").revisions, [1]);
    let second = commit_at(store, 20, [put(&a, "2", Expect::Any)]).await;
    assert_eq!(second.expect("the batch holds").revisions, [2]);
    let record = Record {
        key: a.clone(),
        revision: 2,
        body: "2".into(),
        created_at_ms: 10,
        updated_at_ms: 20,
    };
    assert_eq!(get(store, &a).await, Some(record));
}

/// Each expectation of a put, met and missed.
pub async fn expectations_guard_puts(store: &dyn Store) {
    let a = key("a");
    for expect in [
        Expect::Revision(0),
        Expect::Revision(1),
        Expect::Revision(u64::MAX),
    ] {
        let refused = commit(store, [put(&a, "0", expect)]).await;
        assert!(
            matches!(refused, Err(StoreError::Stale { index: 0 })),
            "{refused:?}"
        );
    }
    done(store, [put(&a, "1", Expect::Absent)]).await;
    for expect in [Expect::Absent, Expect::Revision(0), Expect::Revision(2)] {
        let refused = commit(store, [put(&a, "0", expect)]).await;
        assert!(
            matches!(refused, Err(StoreError::Stale { index: 0 })),
            "{refused:?}"
        );
    }
    assert_eq!(done(store, [put(&a, "2", Expect::Revision(1))]).await, [2]);
    assert_eq!(body(store, &a).await.as_deref(), Some("2"));
}

/// Each expectation of a delete, met and missed.
pub async fn expectations_guard_deletes(store: &dyn Store) {
    let a = key("a");
    assert_eq!(done(store, [delete(&a, Expect::Any)]).await, [0]);
    assert_eq!(done(store, [delete(&a, Expect::Absent)]).await, [0]);
    let refused = commit(store, [delete(&a, Expect::Revision(1))]).await;
    assert!(
        matches!(refused, Err(StoreError::Stale { index: 0 })),
        "{refused:?}"
    );
    done(store, [put(&a, "1", Expect::Any)]).await;
    for expect in [Expect::Absent, Expect::Revision(2)] {
        let refused = commit(store, [delete(&a, expect)]).await;
        assert!(
            matches!(refused, Err(StoreError::Stale { index: 0 })),
            "{refused:?}"
        );
    }
    done(store, [delete(&a, Expect::Revision(1))]).await;
    assert_eq!(get(store, &a).await, None);
}

/// The error names the write, and what stood before it is undone.
pub async fn a_failed_batch_changes_nothing(store: &dyn Store) {
    let (a, b, c) = (key("a"), key("b"), key("c"));
    done(
        store,
        [put(&a, "1", Expect::Any), put(&b, "1", Expect::Any)],
    )
    .await;
    let refused = commit(
        store,
        [
            put(&a, "2", Expect::Revision(1)),
            delete(&b, Expect::Any),
            put(&c, "1", Expect::Absent),
            put(&a, "3", Expect::Revision(1)),
        ],
    )
    .await;
    assert!(
        matches!(refused, Err(StoreError::Stale { index: 3 })),
        "{refused:?}"
    );
    assert_eq!(get(store, &a).await.map(|record| record.revision), Some(1));
    assert_eq!(body(store, &b).await.as_deref(), Some("1"));
    assert_eq!(get(store, &c).await, None);
}

/// Writes are evaluated in order.
pub async fn a_batch_sees_its_own_writes(store: &dyn Store) {
    let a = key("a");
    let writes = [
        put(&a, "1", Expect::Absent),
        put(&a, "2", Expect::Revision(1)),
        delete(&a, Expect::Revision(2)),
        put(&a, "3", Expect::Absent),
    ];
    assert_eq!(done(store, writes).await, [1, 2, 0, 1]);
    assert_eq!(body(store, &a).await.as_deref(), Some("3"));
}

/// No part of a key is left out of account, nor do parts run together.
pub async fn keys_differ_in_every_part(store: &dyn Store) {
    let parts = [
        ("s", "k", "p", "i"),
        ("s2", "k", "p", "i"),
        ("s", "k2", "p", "i"),
        ("s", "k", "p2", "i"),
        ("s", "k", "p", "i2"),
        ("s", "k", "", "pi"),
        ("s", "k", "pi", ""),
        ("s", "k", "p", "I"),
    ];
    let keys = parts.map(|(scope, kind, parent, id)| Key {
        scope: scope.into(),
        kind,
        parent: parent.into(),
        id: id.into(),
    });
    for (number, key) in keys.iter().enumerate() {
        done(store, [put(key, &number.to_string(), Expect::Absent)]).await;
    }
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(
            body(store, key).await.as_deref(),
            Some(&*number.to_string())
        );
    }
}

/// The holder is named; other kinds, parents and tenants do not count, nor does the document itself.
pub async fn a_name_is_unique_among_siblings(store: &dyn Store) {
    let (a, b) = (key("a"), key("b"));
    done(store, [put_named(&a, "n")]).await;
    done(store, [put_named(&a, "n")]).await;
    let refused = commit(store, [put_named(&key("c"), "m"), put_named(&b, "n")]).await;
    match refused {
        Err(StoreError::NameTaken { index: 1, holder }) => assert_eq!(&*holder, "a"),
        other => panic!("{other:?}"),
    }
    for elsewhere in [
        Key {
            scope: "other".into(),
            ..b.clone()
        },
        Key {
            kind: "flow",
            ..b.clone()
        },
        Key {
            parent: "other".into(),
            ..b.clone()
        },
    ] {
        done(store, [put_named(&elsewhere, "n")]).await;
    }
    // An expectation missed outweighs a name taken.
    let mut both = put_named(&b, "n");
    if let Write::Put { expect, .. } = &mut both {
        *expect = Expect::Revision(7);
    }
    let refused = commit(store, [both]).await;
    assert!(
        matches!(refused, Err(StoreError::Stale { index: 0 })),
        "{refused:?}"
    );
}

/// By a new name, by none, by deletion, by expiry; also within one batch.
pub async fn a_name_is_freed(store: &dyn Store) {
    let (a, b) = (key("a"), key("b"));
    done(store, [put_named(&a, "n")]).await;
    done(store, [put_named(&a, "m"), put_named(&b, "n")]).await;
    done(store, [put(&b, "{}", Expect::Any), put_named(&a, "n")]).await;
    done(store, [delete(&a, Expect::Any), put_named(&b, "n")]).await;
    done(
        store,
        [
            delete(&b, Expect::Any),
            Write::Put {
                key: a.clone(),
                body: "{}".into(),
                expect: Expect::Absent,
                name: Some("n".into()),
                expires_at_ms: Some(NOW + 5),
            },
        ],
    )
    .await;
    let refused = commit_at(store, NOW + 4, [put_named(&b, "n")]).await;
    assert!(
        matches!(refused, Err(StoreError::NameTaken { .. })),
        "{refused:?}"
    );
    let taken = commit_at(store, NOW + 5, [put_named(&b, "n")]).await;
    assert!(taken.is_ok(), "{taken:?}");
    assert_eq!(store.get(&a, NOW + 5).await.expect("answers"), None);
}

/// From the moment of its expiry on, for reads and expectations; it comes back as a new document.
pub async fn an_expired_document_is_absent(store: &dyn Store) {
    let a = key("a");
    done(
        store,
        [put_expiring(&a, NOW + 10), put_expiring(&a, NOW + 10)],
    )
    .await;
    let before = store.get(&a, NOW + 9).await.expect("answers");
    assert_eq!(before.map(|record| record.revision), Some(2));
    assert_eq!(store.get(&a, NOW + 10).await.expect("answers"), None);
    let refused = commit_at(store, NOW + 10, [put(&a, "2", Expect::Revision(2))]).await;
    assert!(
        matches!(refused, Err(StoreError::Stale { index: 0 })),
        "{refused:?}"
    );
    let refused = commit_at(store, NOW + 10, [delete(&a, Expect::Revision(2))]).await;
    assert!(
        matches!(refused, Err(StoreError::Stale { index: 0 })),
        "{refused:?}"
    );
    let created = commit_at(store, NOW + 10, [put(&a, "2", Expect::Absent)]).await;
    assert_eq!(created.expect("the batch holds").revisions, [1]);
    let record = store.get(&a, NOW + 10).await.expect("answers");
    let times = record.map(|record| (record.created_at_ms, record.updated_at_ms));
    assert_eq!(times, Some((NOW + 10, NOW + 10)));
    // One put with its expiry already past was never there.
    let b = key("b");
    let born_dead = [put_expiring(&b, NOW), put(&b, "1", Expect::Absent)];
    assert_eq!(done(store, born_dead).await, [1, 1]);
}

/// Later, earlier, and never again.
pub async fn an_expiry_moves_with_each_put(store: &dyn Store) {
    const DAY: i64 = 86_400_000;
    let a = key("a");
    let alive = async |now_ms: i64| store.get(&a, now_ms).await.expect("answers").is_some();
    done(store, [put_expiring(&a, NOW + 1)]).await;
    done(store, [put_expiring(&a, NOW + 3 * DAY)]).await;
    assert!(alive(NOW + 2 * DAY).await);
    done(store, [put_expiring(&a, NOW + DAY)]).await;
    assert!(!alive(NOW + DAY).await);
    done(store, [put(&a, "{}", Expect::Revision(3))]).await;
    assert!(alive(NOW + 9 * DAY).await);
    // Other commits, whose time runs past the old expiries, do not take it away.
    for day in 1..4 {
        let other = commit_at(store, NOW + day * DAY, [put(&key("b"), "{}", Expect::Any)]).await;
        assert!(other.is_ok(), "{other:?}");
    }
    assert!(alive(NOW + 9 * DAY).await);
}

/// At revision 1, with a new creation time.
pub async fn a_deleted_document_starts_anew(store: &dyn Store) {
    let a = key("a");
    done(
        store,
        [put(&a, "1", Expect::Any), put(&a, "2", Expect::Any)],
    )
    .await;
    done(store, [delete(&a, Expect::Revision(2))]).await;
    let created = commit_at(store, NOW + 1, [put(&a, "3", Expect::Absent)]).await;
    assert_eq!(created.expect("the batch holds").revisions, [1]);
    assert_eq!(
        get(store, &a).await.map(|record| record.created_at_ms),
        Some(NOW + 1)
    );
}

/// All of one kind and parent, and nothing else; names are free again.
pub async fn children_go_together(store: &dyn Store) {
    let child = |kind, parent: &str, id: &str| Key {
        kind,
        parent: parent.into(),
        ..key(id)
    };
    let (a, b) = (child("alias", "p", "a"), child("alias", "p", "b"));
    let others = [
        child("alias", "q", "a"),
        child("version", "p", "a"),
        key("p"),
    ];
    let mut writes = vec![put_named(&a, "n"), put(&b, "{}", Expect::Any)];
    writes.extend(others.iter().map(|other| put(other, "{}", Expect::Any)));
    done(store, writes).await;
    assert!(get(store, &a).await.is_some());
    let children = Write::DeleteChildren {
        scope: Arc::clone(&a.scope),
        kind: "alias",
        parent: "p".into(),
    };
    assert_eq!(done(store, [children.clone()]).await, [0]);
    assert_eq!(get(store, &a).await, None);
    assert_eq!(get(store, &b).await, None);
    for other in &others {
        assert!(get(store, other).await.is_some(), "{other:?}");
    }
    let again = [
        put_named(&a, "m"),
        children,
        put_named(&b, "m"),
        put_named(&a, "n"),
    ];
    assert_eq!(done(store, again).await, [1, 0, 1, 1]);
}

/// More than a page or a batch could name.
pub async fn many_children_go_together(store: &dyn Store) {
    let child = |number: usize| Key {
        parent: "p".into(),
        ..key(&format!("{number:05}"))
    };
    for start in [0, BATCH_WRITES_MAX] {
        let writes: Vec<Write> = (start..start + BATCH_WRITES_MAX)
            .map(|number| put(&child(number), "{}", Expect::Absent))
            .collect();
        done(store, writes).await;
    }
    assert!(get(store, &child(1_500)).await.is_some());
    let Key {
        scope,
        kind,
        parent,
        ..
    } = child(0);
    done(
        store,
        [Write::DeleteChildren {
            scope,
            kind,
            parent,
        }],
    )
    .await;
    assert_eq!(get(store, &child(1_500)).await, None);
    assert_eq!(get(store, &child(1_999)).await, None);
}

/// Exactly one, every time.
pub async fn one_of_two_racing_writers_wins(store: &dyn Store) {
    let a = key("a");
    done(store, [put(&a, "0", Expect::Absent)]).await;
    for revision in 1..50 {
        let expect = Expect::Revision(revision);
        let (left, right) = tokio::join!(
            commit(store, [put(&a, "left", expect)]),
            commit(store, [put(&a, "right", expect)]),
        );
        let winner = match (&left, &right) {
            (Ok(_), Err(StoreError::Stale { index: 0 })) => "left",
            (Err(StoreError::Stale { index: 0 }), Ok(_)) => "right",
            other => panic!("{other:?}"),
        };
        assert_eq!(body(store, &a).await.as_deref(), Some(winner));
    }
}

/// A megabyte comes back as it went in, and a small body after it too.
pub async fn large_bodies_are_kept(store: &dyn Store) {
    let a = key("a");
    let large = "é".repeat(1 << 19);
    done(store, [put(&a, "small", Expect::Any)]).await;
    done(store, [put(&a, &large, Expect::Any)]).await;
    assert_eq!(body(store, &a).await.as_deref(), Some(&*large));
    done(store, [put(&a, "small", Expect::Any)]).await;
    assert_eq!(body(store, &a).await.as_deref(), Some("small"));
}

/// The empty batch is fine; too many writes or bytes are not, and change nothing.
pub async fn batches_are_bounded(store: &dyn Store) {
    let a = key("a");
    assert_eq!(done(store, []).await, [0_u64; 0]);
    let refused = commit(store, vec![put(&a, "1", Expect::Any); BATCH_WRITES_MAX + 1]).await;
    assert!(
        matches!(refused, Err(StoreError::OutOfBounds(_))),
        "{refused:?}"
    );
    let half = "x".repeat(BATCH_BYTES_MAX / 2 + 1);
    let refused = commit(store, vec![put(&a, &half, Expect::Any); 2]).await;
    assert!(
        matches!(refused, Err(StoreError::OutOfBounds(_))),
        "{refused:?}"
    );
    assert_eq!(get(store, &a).await, None);
    let all = vec![put(&a, "1", Expect::Any); BATCH_WRITES_MAX];
    assert_eq!(
        done(store, all).await.last(),
        Some(&(BATCH_WRITES_MAX as u64))
    );
}

/// Some backend answers.
pub async fn the_backend_names_itself(store: &dyn Store) {
    let health = store.check().await.expect("the store answers");
    assert!(!health.backend.is_empty());
}
