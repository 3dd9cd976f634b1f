//! What only the Postgres store promises: several of them on one database, whatever each is doing.

#[path = "support/database.rs"]
mod database;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outcrop_store::postgres::OpenError;
use outcrop_store::{
    Batch, Expect, Key, Lease, NewJob, Order, Page, PostgresOptions, PostgresStore, Scan, Store,
    StoreError, Write,
};
use tokio_postgres::{Client, NoTls};

const NOW: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

/// A URL with an empty schema; without a database the test ends here.
macro_rules! fresh_url {
    () => {
        match database::fresh_url() {
            Some(url) => url,
            None => return,
        }
    };
}

fn key(id: &str) -> Key {
    child("", id)
}

fn child(parent: &str, id: &str) -> Key {
    Key {
        scope: "111111111111/us-west-2".into(),
        kind: "agent",
        parent: parent.into(),
        id: id.into(),
    }
}

fn put(key: Key, body: &str, expect: Expect) -> Write {
    Write::Put {
        key,
        body: body.into(),
        expect,
        name: None,
        expires_at_ms: None,
    }
}

fn batch(writes: impl Into<Vec<Write>>) -> Batch {
    Batch {
        now_ms: NOW,
        writes: writes.into(),
    }
}

/// The database, past the store, and the schema.
async fn database(url: &str) -> (Client, String) {
    let (server, schema) = url.split_once("?schema=").expect("a test's URL");
    let (client, connection) = tokio_postgres::connect(server, NoTls)
        .await
        .expect("the database answers");
    tokio::spawn(connection);
    (client, schema.to_owned())
}

async fn two_stores(url: &str) -> [Arc<PostgresStore>; 2] {
    [
        Arc::new(database::open(url).await),
        Arc::new(database::open(url).await),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_start_at_once_migrate_once() {
    let url = fresh_url!();
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { database::open(&url).await })
        })
        .collect();
    let mut stores = Vec::new();
    for start in starts {
        stores.push(start.await.expect("the store opens"));
    }
    stores[0]
        .commit(batch([put(key("a"), "1", Expect::Absent)]))
        .await
        .expect("the batch holds");
    for store in &stores {
        assert!(store.get(&key("a"), NOW).await.expect("answers").is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_opened_only_by_who_knows_it() {
    let url = fresh_url!();
    drop(database::open(&url).await);
    let (client, schema) = database(&url).await;
    client
        .batch_execute(&format!(
            "INSERT INTO {schema}.schema_versions VALUES (99, 'future')"
        ))
        .await
        .expect("inserts");
    let refused = PostgresStore::open(database::options(&url)).await;
    assert!(
        matches!(refused, Err(OpenError::NewerSchema { found: 99, .. })),
        "{refused:?}"
    );
    client
        .batch_execute(&format!("DROP TABLE {schema}.schema_versions"))
        .await
        .expect("drops");
    let refused = PostgresStore::open(database::options(&url)).await;
    assert!(
        matches!(refused, Err(OpenError::Foreign { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_come_back_as_they_were() {
    let url = fresh_url!();
    let store = database::open(&url).await;
    let bodies = [
        r#"{"b":1,"a" : 2, "a":3,"e":1.0e+2,"zero":"\u0000","big":123456789012345678901234567890}"#,
        "\"Grüße 😀\\ud800\"",
        " [ ] \n",
        "",
    ];
    for body in bodies {
        store
            .commit(batch([put(key("a"), body, Expect::Any)]))
            .await
            .expect("the batch holds");
        let found = store.get(&key("a"), NOW).await.expect("answers");
        assert_eq!(&*found.expect("it is there").body, body);
    }
}

/// Two servers count in one document: each increment is there at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost() {
    const WRITERS: u64 = 8;
    const ROUNDS: u64 = 25;
    let url = fresh_url!();
    let stores = two_stores(&url).await;
    stores[0]
        .commit(batch([put(key("a"), "0", Expect::Absent)]))
        .await
        .expect("the batch holds");
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&stores[usize::from(writer % 2 == 0)]);
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    loop {
                        let found = store.get(&key("a"), NOW).await.expect("answers");
                        let found = found.expect("it is there");
                        let count: u64 = found.body.parse().expect("a number");
                        let expect = Expect::Revision(found.revision);
                        let write = put(key("a"), &(count + 1).to_string(), expect);
                        match store.commit(batch([write])).await {
                            Ok(_) => break,
                            Err(StoreError::Stale { index: 0 }) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("the writer is done");
    }
    let found = stores[1].get(&key("a"), NOW).await.expect("answers");
    let found = found.expect("it is there");
    assert_eq!(*found.body, *(WRITERS * ROUNDS).to_string());
    assert_eq!(found.revision, WRITERS * ROUNDS + 1);
}

/// Batches over the same documents in opposite orders neither fail nor wait for each other's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opposite_orders_do_not_deadlock() {
    let url = fresh_url!();
    let stores = two_stores(&url).await;
    for id in ["a", "b"] {
        stores[0]
            .commit(batch([put(key(id), "0", Expect::Absent)]))
            .await
            .expect("the batch holds");
    }
    let began = Instant::now();
    let tasks: Vec<_> = [["a", "b"], ["b", "a"]]
        .into_iter()
        .zip(stores)
        .map(|(ids, store)| {
            tokio::spawn(async move {
                for _ in 0..60 {
                    let writes = ids.map(|id| put(key(id), "1", Expect::Any));
                    store.commit(batch(writes)).await.expect("the batch holds");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task is done");
    }
    // The database takes a second to notice a single deadlock.
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// Of many that take one name at once, one has it and the others hear who.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_taken_once() {
    let url = fresh_url!();
    let stores = two_stores(&url).await;
    for round in 0..5 {
        let name: Arc<str> = format!("name-{round}").into();
        let takers: Vec<_> = (0..8)
            .map(|taker| {
                let store = Arc::clone(&stores[taker % 2]);
                let write = Write::Put {
                    key: key(&format!("{round}-{taker}")),
                    body: "{}".into(),
                    expect: Expect::Absent,
                    name: Some(Arc::clone(&name)),
                    expires_at_ms: None,
                };
                tokio::spawn(async move { store.commit(batch([write])).await })
            })
            .collect();
        let mut holders = BTreeSet::new();
        let mut winner = None;
        for (taker, task) in takers.into_iter().enumerate() {
            match task.await.expect("the taker is done") {
                Ok(_) => assert_eq!(winner.replace(format!("{round}-{taker}")), None),
                Err(StoreError::NameTaken { index: 0, holder }) => {
                    holders.insert(holder.to_string());
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(holders, BTreeSet::from([winner.expect("one has it")]));
    }
}

/// A parent is deleted with its children while others add some under its guard: none is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_child_outlives_its_parent() {
    let url = fresh_url!();
    let [adder, deleter] = two_stores(&url).await;
    for round in 0..20 {
        let parent = format!("parent-{round}");
        let guard = |parent: &str| put(key(parent), "{}", Expect::Revision(1));
        adder
            .commit(batch([put(key(&parent), "{}", Expect::Absent)]))
            .await
            .expect("the batch holds");
        let add = adder.commit(batch([
            guard(&parent),
            put(child(&parent, "x"), "{}", Expect::Absent),
        ]));
        let delete = deleter.commit(batch([
            Write::DeleteChildren {
                scope: key("").scope,
                kind: "agent",
                parent: parent.as_str().into(),
            },
            Write::Delete {
                key: key(&parent),
                expect: Expect::Any,
            },
        ]));
        let (added, deleted) = tokio::join!(add, delete);
        assert!(
            matches!(added, Ok(_) | Err(StoreError::Stale { index: 0 })),
            "{added:?}"
        );
        deleted.expect("the batch holds");
        let left = adder.get(&child(&parent, "x"), NOW).await.expect("answers");
        assert_eq!(left, None, "round {round}");
    }
}

/// Whichever server claims, a job has one holder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_claimed_once() {
    const JOBS: usize = 40;
    let url = fresh_url!();
    let stores = two_stores(&url).await;
    let jobs: Vec<Write> = (0..JOBS)
        .map(|number| {
            Write::Enqueue(NewJob {
                id: number.to_string().into(),
                queue: "ingest",
                payload: "{}".into(),
                due_at_ms: NOW,
            })
        })
        .collect();
    stores[0]
        .commit(batch(jobs))
        .await
        .expect("the batch holds");
    let lease = Lease {
        now_ms: NOW,
        until_ms: NOW + 1,
    };
    let claims: Vec<_> = (0..JOBS)
        .map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { store.claim_job("ingest", lease).await })
        })
        .collect();
    let (mut ids, mut leases) = (BTreeSet::new(), BTreeSet::new());
    for claim in claims {
        let job = claim.await.expect("the claim is done").expect("answers");
        let job = job.expect("there is one for each");
        assert!(ids.insert(job.id) && leases.insert(job.lease));
    }
    let none = stores[0].claim_job("ingest", lease).await.expect("answers");
    assert_eq!(none, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_are_replaced() {
    let url = fresh_url!();
    let store = database::open(&url).await;
    let (client, schema) = database(&url).await;
    let application = format!("app_{schema}");
    drop(store);
    let store = database::open(&format!("{url}&application_name={application}")).await;
    for round in 0..3 {
        store
            .commit(batch([put(key(&format!("{round}")), "1", Expect::Absent)]))
            .await
            .expect("the batch holds");
        client
            .execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1",
                &[&application],
            )
            .await
            .expect("ends them");
        let found = store.get(&key(&format!("{round}")), NOW).await;
        assert!(found.expect("the read is made again").is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_are_turned_away() {
    let url = fresh_url!();
    let options = PostgresOptions {
        connections: 1,
        calls_waiting_max: 1,
        ..database::options(&url)
    };
    let store = Arc::new(PostgresStore::open(options).await.expect("the store opens"));
    let (mut client, schema) = database(&url).await;
    let blocker = client.transaction().await.expect("begins");
    blocker
        .batch_execute(&format!("LOCK TABLE {schema}.documents"))
        .await
        .expect("locks");
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.get(&key("a"), NOW).await })
        })
        .collect();
    let mut busy = 0;
    let mut waiting = Vec::new();
    for call in calls {
        // Two go in or wait for the lock; the others hear at once.
        match tokio::time::timeout(Duration::from_millis(500), call).await {
            Ok(answer) => {
                let answer = answer.expect("the call is done");
                assert!(matches!(answer, Err(StoreError::Busy)), "{answer:?}");
                busy += 1;
            }
            Err(still) => waiting.push(still),
        }
    }
    assert_eq!((busy, waiting.len()), (4, 2));
    blocker.rollback().await.expect("ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_commit_is_done_all_the_same() {
    let url = fresh_url!();
    let store = database::open(&url).await;
    let mut commit = store.commit(batch([put(key("a"), "1", Expect::Absent)]));
    assert!(futures_util::poll!(&mut commit).is_pending());
    drop(commit);
    let began = Instant::now();
    while store.get(&key("a"), NOW).await.expect("answers").is_none() {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_removed() {
    const DOCUMENTS: usize = 1_200;
    let url = fresh_url!();
    let store = database::open(&url).await;
    for part in 0..3 {
        let writes: Vec<_> = (0..DOCUMENTS / 3)
            .map(|number| Write::Put {
                key: key(&format!("{part}-{number}")),
                body: "{}".into(),
                expect: Expect::Absent,
                name: None,
                expires_at_ms: Some(NOW + 1_000),
            })
            .collect();
        store.commit(batch(writes)).await.expect("the batch holds");
    }
    let later = Batch {
        now_ms: NOW + 2 * HOUR_MS,
        writes: vec![put(key("kept"), "1", Expect::Absent)],
    };
    store.commit(later).await.expect("the batch holds");
    let (client, schema) = database(&url).await;
    let count = format!("SELECT count(*) FROM {schema}.documents");
    let began = Instant::now();
    loop {
        let row = client.query_one(&count, &[]).await.expect("counts");
        if row.get::<_, i64>(0) == 1 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

/// Each order is an index's: a page costs the same wherever it lies and however many documents are
/// there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_reads_no_more_than_a_page() {
    const DOCUMENTS: i64 = 20_000;
    const PAGE: u32 = 10;
    let url = fresh_url!();
    let store = database::open(&url).await;
    let (client, schema) = database(&url).await;
    let fill = format!(
        "INSERT INTO {schema}.documents
         SELECT '111111111111/us-west-2', 'agent', '', 'id' || n, 1, n, n, NULL, NULL, -n, NULL, '{{}}'
         FROM generate_series(1, {DOCUMENTS}) AS n"
    );
    client.batch_execute(&fill).await.expect("fills");
    for order in [Order::Id, Order::Created, Order::UpdatedDescending] {
        let scan = Scan {
            scope: key("").scope,
            kind: "agent",
            parent: "".into(),
            order,
            now_ms: NOW,
        };
        let mut seen = 0;
        let mut after = None;
        // A page from the middle, by a cursor of a page before it.
        for limit in [1_000, 1_000, PAGE] {
            let page = Page { limit, after };
            let listing = store.list(scan.clone(), page).await.expect("answers");
            seen += listing.records.len();
            after = listing.next;
        }
        assert_eq!(seen, 2_010, "{order:?}");
        let (file, parameters) = match order {
            Order::Id => (include_str!("../src/postgres/queries/list_by_id.sql"), ""),
            Order::Created => (
                include_str!("../src/postgres/queries/list_by_created.sql"),
                ", 10000",
            ),
            Order::UpdatedDescending => (
                include_str!("../src/postgres/queries/list_by_updated.sql"),
                ", -10000",
            ),
        };
        let types = "text, text, text, bigint, text, bigint";
        let more = if parameters.is_empty() {
            ""
        } else {
            ", bigint"
        };
        let statement = format!(
            "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
             SET enable_bitmapscan = off;
             DEALLOCATE ALL; PREPARE p ({types}{more}) AS {}",
            file.replace("outcrop.", &format!("{schema}."))
        );
        client.batch_execute(&statement).await.expect("prepares");
        let explain = format!(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
             EXECUTE p ('111111111111/us-west-2', 'agent', '', {NOW}, 'id5', {PAGE}{parameters})"
        );
        let rows = client.simple_query(&explain).await.expect("explains");
        let plan: Vec<String> = rows
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index Scan"), "{order:?}:\n{plan}");
        for line in plan.lines().filter(|line| line.contains("actual rows=")) {
            let count = line.split("actual rows=").nth(1).and_then(|rest| {
                let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse::<u32>().ok()
            });
            assert!(
                count.is_some_and(|count| count <= PAGE),
                "{order:?}:\n{plan}"
            );
        }
        assert!(!plan.contains("Rows Removed"), "{order:?}:\n{plan}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_says_so() {
    let url = "postgres://me:s3cret@127.0.0.1:1/none?connect_timeout=1";
    let refused = PostgresStore::open(database::options(url)).await;
    let error = refused.expect_err("nothing listens there");
    assert!(matches!(error, OpenError::Database(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("s3cret"));
}
