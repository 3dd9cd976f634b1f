//! What every backend must do: examples by subject, and seeded random batches compared with the oracle.
//!
//! A backend takes it all with one line, `store_conformance!(sqlite, make())`, where the expression
//! gives anything that dereferences to a fresh, empty [`Store`](crate::Store). It needs a multi-thread
//! tokio runtime and panics where the backend is wrong; it is for tests only.

#![expect(
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    reason = "tests panic to fail, and draw small numbers"
)]
#![cfg_attr(
    not(test),
    expect(clippy::wildcard_imports, reason = "tests share one vocabulary")
)]

use std::sync::Arc;

use crate::{
    Batch, Committed, Expect, Job, Key, Lease, Listing, NewJob, Order, Page, Record, Scan, Store,
    StoreError, Write,
};

pub mod documents;
pub mod jobs;
pub mod journal;
pub mod listing;
pub mod random;

/// Makes a test module of the whole suite for one backend.
#[macro_export]
macro_rules! store_conformance {
    ($module:ident, $make:expr) => {
        mod $module {
            use super::*;

            $crate::store_conformance! { @examples $make,
                documents [
                    an_absent_document_is_none
                    a_put_creates_then_replaces
                    expectations_guard_puts
                    expectations_guard_deletes
                    a_failed_batch_changes_nothing
                    a_batch_sees_its_own_writes
                    keys_differ_in_every_part
                    a_name_is_unique_among_siblings
                    a_name_is_freed
                    an_expired_document_is_absent
                    an_expiry_moves_with_each_put
                    a_deleted_document_starts_anew
                    children_go_together
                    many_children_go_together
                    one_of_two_racing_writers_wins
                    large_bodies_are_kept
                    batches_are_bounded
                    the_backend_names_itself
                ]
                listing [
                    a_listing_is_ordered
                    pages_join_without_gap_or_overlap
                    a_listing_leaves_out_what_expired
                    a_page_holds_within_bounds
                    odd_ids_are_listed
                ]
                journal [
                    entries_are_numbered_from_one
                    a_stale_writer_is_fenced
                    a_failed_batch_appends_nothing
                    a_journal_is_read_in_parts
                    journals_do_not_mix
                    journal_reads_are_bounded
                ]
                jobs [
                    a_job_waits_until_it_is_due
                    the_longest_claimable_job_comes_first
                    a_lease_keeps_others_off_until_it_ends
                    only_the_holder_finishes
                    an_old_lease_serves_until_another_claims
                    a_renewed_lease_keeps_others_off_for_longer
                    enqueueing_again_replaces
                    a_failed_batch_enqueues_nothing
                    racing_claimers_get_different_jobs
                ]
            }

            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn random_batches_match_the_oracle() {
                for seed in $crate::conformance::random::seeds() {
                    let subject = $make;
                    $crate::conformance::random::run(&*subject, seed).await;
                }
            }
        }
    };
    (@examples $make:expr, $($subject:ident [ $($example:ident)* ])*) => {
        $($(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $example() {
                let subject = $make;
                $crate::conformance::$subject::$example(&*subject).await;
            }
        )*)*
    };
}

/// The clock of examples that do not care.
const NOW: i64 = 1_700_000_000_000;

fn key(id: &str) -> Key {
    Key {
        scope: "111111111111/us-west-2".into(),
        kind: "agent",
        parent: "".into(),
        id: id.into(),
    }
}

fn put(key: &Key, body: &str, expect: Expect) -> Write {
    Write::Put {
        key: key.clone(),
        body: body.into(),
        expect,
        name: None,
        expires_at_ms: None,
    }
}

fn put_named(key: &Key, name: &str) -> Write {
    Write::Put {
        key: key.clone(),
        body: "{}".into(),
        expect: Expect::Any,
        name: Some(name.into()),
        expires_at_ms: None,
    }
}

fn put_expiring(key: &Key, expires_at_ms: i64) -> Write {
    Write::Put {
        key: key.clone(),
        body: "{}".into(),
        expect: Expect::Any,
        name: None,
        expires_at_ms: Some(expires_at_ms),
    }
}

fn delete(key: &Key, expect: Expect) -> Write {
    Write::Delete {
        key: key.clone(),
        expect,
    }
}

async fn commit_at(
    store: &dyn Store,
    now_ms: i64,
    writes: impl Into<Vec<Write>>,
) -> Result<Committed, StoreError> {
    let writes = writes.into();
    store.commit(Batch { now_ms, writes }).await
}

async fn commit(store: &dyn Store, writes: impl Into<Vec<Write>>) -> Result<Committed, StoreError> {
    commit_at(store, NOW, writes).await
}

async fn done(store: &dyn Store, writes: impl Into<Vec<Write>>) -> Vec<u64> {
    commit(store, writes)
        .await
        .expect("the batch holds")
        .revisions
}

async fn get(store: &dyn Store, key: &Key) -> Option<Record> {
    store.get(key, NOW).await.expect("the store answers")
}

async fn body(store: &dyn Store, key: &Key) -> Option<Arc<str>> {
    get(store, key).await.map(|record| record.body)
}
