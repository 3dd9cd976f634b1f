//! Listings: orders, pages, bounds.

use super::*;
use crate::{Cursor, PAGE_MAX};

fn scan(order: Order) -> Scan {
    let Key {
        scope,
        kind,
        parent,
        ..
    } = key("");
    Scan {
        scope,
        kind,
        parent,
        order,
        now_ms: NOW,
    }
}

async fn page(store: &dyn Store, scan: Scan, limit: u32, after: Option<Cursor>) -> Listing {
    store
        .list(scan, Page { limit, after })
        .await
        .expect("the store answers")
}

fn ids(listing: &Listing) -> Vec<&str> {
    let records = listing.records.iter();
    records.map(|record| &*record.key.id).collect()
}

/// Documents a, b, c, d: created in the order c, a, b+d, updated last in the order b, a+c, d.
async fn four(store: &dyn Store) {
    for (now_ms, id) in [
        (1, "c"),
        (2, "a"),
        (3, "d"),
        (3, "b"),
        (4, "b"),
        (5, "a"),
        (5, "c"),
        (6, "d"),
    ] {
        let written = commit_at(store, now_ms, [put(&key(id), "{}", Expect::Any)]).await;
        assert!(written.is_ok(), "{written:?}");
    }
    let elsewhere = Key {
        parent: "p".into(),
        ..key("e")
    };
    done(store, [put(&elsewhere, "{}", Expect::Any)]).await;
}

/// Ties fall to the id, ascending in every order.
pub async fn a_listing_is_ordered(store: &dyn Store) {
    four(store).await;
    for (order, expected) in [
        (Order::Id, ["a", "b", "c", "d"]),
        (Order::Created, ["c", "a", "b", "d"]),
        (Order::UpdatedDescending, ["d", "a", "c", "b"]),
    ] {
        let listing = page(store, scan(order), 4, None).await;
        assert_eq!(ids(&listing), expected, "{order:?}");
        assert_eq!(listing.next, None);
        for record in &listing.records {
            assert_eq!(get(store, &record.key).await.as_ref(), Some(record));
        }
    }
}

/// Through every page size, with the cursor sent through its text.
pub async fn pages_join_without_gap_or_overlap(store: &dyn Store) {
    four(store).await;
    for order in [Order::Id, Order::Created, Order::UpdatedDescending] {
        let whole = page(store, scan(order), 4, None).await;
        for limit in 1..=4 {
            let mut records = Vec::new();
            let mut after = None;
            loop {
                let part = page(store, scan(order), limit, after).await;
                assert!(part.next.is_none() || part.records.len() == limit as usize);
                records.extend(part.records);
                let Some(next) = part.next else { break };
                after = Some(
                    next.to_string()
                        .parse()
                        .expect("a cursor survives its text"),
                );
            }
            assert_eq!(records, whole.records, "{order:?} by {limit}");
        }
    }
}

/// By the clock of the scan.
pub async fn a_listing_leaves_out_what_expired(store: &dyn Store) {
    done(
        store,
        [
            put_expiring(&key("a"), NOW + 1),
            put(&key("b"), "{}", Expect::Any),
        ],
    )
    .await;
    for (now_ms, expected) in [(NOW, &["a", "b"][..]), (NOW + 1, &["b"])] {
        for order in [Order::Id, Order::Created, Order::UpdatedDescending] {
            let scan = Scan {
                now_ms,
                ..scan(order)
            };
            assert_eq!(ids(&page(store, scan, 9, None).await), expected);
        }
    }
    let scan = Scan {
        now_ms: NOW + 1,
        ..scan(Order::Id)
    };
    assert_eq!(page(store, scan, 1, None).await.next, None);
}

/// A page of nothing and a page of too much are refused.
pub async fn a_page_holds_within_bounds(store: &dyn Store) {
    for limit in [0, PAGE_MAX + 1, u32::MAX] {
        let refused = store
            .list(scan(Order::Id), Page { limit, after: None })
            .await;
        assert!(
            matches!(refused, Err(StoreError::OutOfBounds(_))),
            "{refused:?}"
        );
    }
    assert_eq!(
        page(store, scan(Order::Id), PAGE_MAX, None).await,
        Listing::default()
    );
}

/// The empty id, and ids with zero bytes, which sort by bytes like any other.
pub async fn odd_ids_are_listed(store: &dyn Store) {
    let odd = [
        "",
        "\0",
        "\0\0",
        "a",
        "a\0",
        "a\0b",
        "aa",
        "é",
        "\u{10ffff}",
    ];
    for id in odd {
        done(store, [put(&key(id), "{}", Expect::Absent)]).await;
    }
    let all = page(store, scan(Order::Id), 20, None).await;
    assert_eq!(ids(&all), odd);
    for order in [Order::Id, Order::Created, Order::UpdatedDescending] {
        let mut after = None;
        for id in odd {
            let one = page(store, scan(order), 1, after).await;
            assert_eq!(ids(&one), [id]);
            after = one.next;
        }
        assert_eq!(after, None);
    }
}
