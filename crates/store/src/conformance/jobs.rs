//! Jobs: due times, leases, finishing.

use super::*;

const QUEUE: &str = "ingest";

fn job(id: &str, due_at_ms: i64) -> NewJob {
    NewJob {
        id: id.into(),
        queue: QUEUE,
        payload: format!("\"{id}\"").into(),
        due_at_ms,
    }
}

async fn claim(store: &dyn Store, now_ms: i64, until_ms: i64) -> Option<Job> {
    store
        .claim_job(QUEUE, Lease { now_ms, until_ms })
        .await
        .expect("the store answers")
}

async fn claimed_id(store: &dyn Store, now_ms: i64) -> Option<Arc<str>> {
    claim(store, now_ms, now_ms + 1_000_000)
        .await
        .map(|job| job.id)
}

fn finish(job: &Job) -> Write {
    Write::Finish {
        id: Arc::clone(&job.id),
        lease: job.lease,
    }
}

/// And belongs to its queue.
pub async fn a_job_waits_until_it_is_due(store: &dyn Store) {
    assert_eq!(claim(store, 0, 10).await, None);
    done(store, [Write::Enqueue(job("a", 10))]).await;
    assert_eq!(claim(store, 9, 20).await, None);
    let lease = Lease {
        now_ms: 99,
        until_ms: 100,
    };
    assert_eq!(
        store.claim_job("other", lease).await.expect("answers"),
        None
    );
    let claimed = claim(store, 10, 20).await.expect("the job is due");
    assert_eq!(
        (&*claimed.id, &*claimed.payload, claimed.attempts),
        ("a", "\"a\"", 1)
    );
}

/// By due time, then by id.
pub async fn the_longest_claimable_job_comes_first(store: &dyn Store) {
    let jobs = [("c", 5), ("b", 7), ("a", 7), ("d", 6)];
    done(store, jobs.map(|(id, due)| Write::Enqueue(job(id, due)))).await;
    for expected in ["c", "d", "a", "b"] {
        assert_eq!(claimed_id(store, 10).await.as_deref(), Some(expected));
    }
    assert_eq!(claimed_id(store, 10).await, None);
}

/// Then it is claimed anew, as another attempt under another lease.
pub async fn a_lease_keeps_others_off_until_it_ends(store: &dyn Store) {
    done(store, [Write::Enqueue(job("a", 0))]).await;
    let first = claim(store, 0, 10).await.expect("the job is due");
    assert_eq!(claim(store, 9, 20).await, None);
    let second = claim(store, 10, 20).await.expect("the lease has ended");
    assert_eq!(second.attempts, 2);
    assert_ne!(second.lease, first.lease);
}

/// A finish under another lease does nothing, and a finished job is gone.
pub async fn only_the_holder_finishes(store: &dyn Store) {
    done(store, [Write::Enqueue(job("a", 0))]).await;
    let first = claim(store, 0, 10).await.expect("the job is due");
    let second = claim(store, 10, 20).await.expect("the lease has ended");
    assert_eq!(done(store, [finish(&first)]).await, [0]);
    for lease in [0, u64::MAX] {
        done(
            store,
            [Write::Finish {
                id: "a".into(),
                lease,
            }],
        )
        .await;
    }
    let third = claim(store, 20, 30).await.expect("the job is still there");
    assert_eq!(third.attempts, 3);
    done(store, [finish(&second)]).await;
    done(store, [finish(&third)]).await;
    assert_eq!(claimed_id(store, 99).await, None);
    // A job of the same id later is another job, which the old lease does not finish.
    done(store, [Write::Enqueue(job("a", 0))]).await;
    let again = claim(store, 0, 10).await.expect("the job is due");
    assert_eq!(again.attempts, 1);
    done(store, [finish(&third)]).await;
    assert!(claim(store, 10, 20).await.is_some());
}

/// Slow work is not done twice for nothing.
pub async fn an_old_lease_serves_until_another_claims(store: &dyn Store) {
    done(store, [Write::Enqueue(job("a", 0))]).await;
    let held = claim(store, 0, 10).await.expect("the job is due");
    let late = commit_at(store, 50, [finish(&held)]).await;
    assert!(late.is_ok(), "{late:?}");
    assert_eq!(claimed_id(store, 99).await, None);
}

/// And is of no use once the job is another's, finished, or enqueued anew.
pub async fn a_renewed_lease_keeps_others_off_for_longer(store: &dyn Store) {
    done(store, [Write::Enqueue(job("a", 0))]).await;
    let renew = async |job: &Job, until_ms| {
        let renewed = store.renew_job(&job.id, job.lease, until_ms).await;
        renewed.expect("the store answers")
    };
    let first = claim(store, 0, 10).await.expect("the job is due");
    assert!(renew(&first, 30).await);
    assert_eq!(claim(store, 10, 40).await, None);
    let second = claim(store, 30, 40).await.expect("the lease has ended");
    assert_eq!(second.attempts, 2);
    assert!(!renew(&first, 99).await, "another holds it");
    let none = store.renew_job(&second.id, u64::MAX, 99).await;
    assert!(!none.expect("the store answers"), "no such claim was made");
    // A lapsed lease that nobody has taken over can still be renewed.
    assert!(renew(&second, 60).await);
    done(store, [Write::Enqueue(job("a", 50))]).await;
    assert!(!renew(&second, 99).await, "it is another job now");
    let third = claim(store, 50, 60).await.expect("the job is due");
    done(store, [finish(&third)]).await;
    assert!(!renew(&third, 99).await, "it is finished");
}

/// Payload, queue and due time; a claim ends, the attempts stay counted.
pub async fn enqueueing_again_replaces(store: &dyn Store) {
    done(store, [Write::Enqueue(job("a", 0))]).await;
    let held = claim(store, 0, 100).await.expect("the job is due");
    let again = NewJob {
        payload: "2".into(),
        ..job("a", 5)
    };
    done(store, [Write::Enqueue(again.clone()), finish(&held)]).await;
    assert_eq!(claim(store, 4, 100).await, None);
    let retried = claim(store, 5, 100).await.expect("the job is due");
    assert_eq!((&*retried.payload, retried.attempts), ("2", 2));
    let moved = NewJob {
        queue: "other",
        ..again
    };
    done(store, [Write::Enqueue(moved)]).await;
    assert_eq!(claimed_id(store, 999).await, None);
    let lease = Lease {
        now_ms: 5,
        until_ms: 6,
    };
    assert!(
        store
            .claim_job("other", lease)
            .await
            .expect("answers")
            .is_some()
    );
}

/// Nor does it finish any.
pub async fn a_failed_batch_enqueues_nothing(store: &dyn Store) {
    done(store, [Write::Enqueue(job("a", 0))]).await;
    let held = claim(store, 0, 10).await.expect("the job is due");
    let stale = put(&key("x"), "{}", Expect::Revision(1));
    let refused = commit(store, [finish(&held), Write::Enqueue(job("b", 0)), stale]).await;
    assert!(
        matches!(refused, Err(StoreError::Stale { index: 2 })),
        "{refused:?}"
    );
    assert_eq!(claimed_id(store, 10).await.as_deref(), Some("a"));
    assert_eq!(claimed_id(store, 10).await, None);
}

/// Nothing is handed out twice.
pub async fn racing_claimers_get_different_jobs(store: &dyn Store) {
    done(store, ["a", "b", "c"].map(|id| Write::Enqueue(job(id, 0)))).await;
    let (one, two, three, four) = tokio::join!(
        claimed_id(store, 0),
        claimed_id(store, 0),
        claimed_id(store, 0),
        claimed_id(store, 0),
    );
    let mut claimed: Vec<Option<Arc<str>>> = vec![one, two, three, four];
    claimed.sort();
    let expected = [None, Some("a"), Some("b"), Some("c")];
    assert_eq!(claimed, expected.map(|id| id.map(Arc::from)));
}
