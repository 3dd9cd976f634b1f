//! Seeded random batches against the oracle, everything compared after every step.
//!
//! A failure prints the seed; `OUTCROP_STORE_SEED` runs that one alone. The world is small, so that
//! names clash, journals are fenced and expectations fail often.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::*;
use crate::memory::MemoryStore;

/// Seeds a run of the suite goes through.
const SEEDS: Range<u64> = 0..12;

/// Steps a seed takes.
const STEPS: u32 = 120;

/// Set to a seed that failed, to run only that.
const SEED_VARIABLE: &str = "OUTCROP_STORE_SEED";

const SCOPES: [&str; 2] = ["111111111111/us-west-2", "222222222222/us-west-2"];
const KINDS: [&str; 2] = ["agent", "session"];
const PARENTS: [&str; 2] = ["", "P"];
const IDS: [&str; 4] = ["", "A", "B", "b\0"];
const NAMES: [&str; 3] = ["one", "two", "three"];
const JOURNALS: [&str; 3] = ["r1", "r2", "r3"];
const QUEUES: [&str; 2] = ["ingest", "summarise"];
const JOBS: [&str; 4] = ["j1", "j2", "j3", "j4"];
const ORDERS: [Order; 3] = [Order::Id, Order::Created, Order::UpdatedDescending];

/// The seeds to run.
///
/// # Panics
/// If the variable holds no number.
pub fn seeds() -> Range<u64> {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => {
            let seed = text.parse().expect("the seed is a number");
            seed..seed + 1
        }
        Err(_) => SEEDS,
    }
}

/// Takes one seed's steps.
///
/// # Panics
/// If the subject differs from the oracle.
pub async fn run(subject: &dyn Store, seed: u64) {
    let mut world = World {
        subject,
        oracle: MemoryStore::new(),
        random: Random(seed),
        now_ms: NOW,
        leases: HashMap::new(),
        held: Vec::new(),
        at: String::new(),
    };
    for step in 0..STEPS {
        world.at = format!("{SEED_VARIABLE}={seed}, step {step}");
        world.step().await;
        world.compare().await;
    }
}

/// `SplitMix64`: enough for a test, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

struct World<'a> {
    subject: &'a dyn Store,
    oracle: MemoryStore,
    random: Random,
    now_ms: i64,
    /// The oracle's lease numbers to the subject's; backends number as they like.
    leases: HashMap<u64, u64>,
    /// Claims made, under the oracle's numbers.
    held: Vec<(Arc<str>, u64)>,
    /// For the message of a failure.
    at: String,
}

impl World<'_> {
    async fn step(&mut self) {
        // Mostly moments pass, now and then hours, so that expiries come up singly and in numbers.
        self.now_ms += match self.random.below(20) {
            0 => 3_600_000 + self.random.below(7_200_000).cast_signed(),
            1..10 => 0,
            _ => self.random.below(50).cast_signed(),
        };
        if self.random.below(5) == 0 {
            self.claim().await;
        } else {
            self.commit().await;
        }
    }

    async fn commit(&mut self) {
        let count = 1 + self.random.below(5);
        let mut writes = Vec::new();
        for _ in 0..count {
            writes.push(self.write().await);
        }
        let batch = Batch {
            now_ms: self.now_ms,
            writes,
        };
        let expected = self.oracle.commit(batch.clone()).await;
        let actual = self.subject.commit(self.translate(batch.clone())).await;
        // Errors are compared by their text, which holds every field.
        assert_eq!(
            format!("{actual:?}"),
            format!("{expected:?}"),
            "{}, {batch:#?}",
            self.at
        );
    }

    async fn write(&mut self) -> Write {
        match self.random.below(12) {
            0..6 => self.put().await,
            6 => {
                let key = self.key();
                let expect = self.expect(&key).await;
                Write::Delete { key, expect }
            }
            7 if self.random.below(3) == 0 => {
                let Key {
                    scope,
                    kind,
                    parent,
                    ..
                } = self.key();
                Write::DeleteChildren {
                    scope,
                    kind,
                    parent,
                }
            }
            7..10 => self.append().await,
            10 => Write::Enqueue(NewJob {
                id: self.random.pick(&JOBS).into(),
                queue: self.random.pick(&QUEUES),
                payload: self.random.next().to_string().into(),
                due_at_ms: self.now_ms + self.random.below(100).cast_signed(),
            }),
            _ => self.finish(),
        }
    }

    async fn put(&mut self) -> Write {
        let key = self.key();
        let expect = self.expect(&key).await;
        let size = self.random.below(4) * self.random.below(2_000);
        let body = format!("{}{}", self.random.next(), "x".repeat(size as usize));
        let name = match self.random.below(2) {
            0 => None,
            _ => Some(self.random.pick(&NAMES).into()),
        };
        let expires_at_ms = match self.random.below(6) {
            0..3 => None,
            3 => Some(self.now_ms + self.random.below(40).cast_signed() - 5),
            _ => Some(self.now_ms + self.random.below(20_000_000).cast_signed()),
        };
        Write::Put {
            key,
            body: body.into(),
            expect,
            name,
            expires_at_ms,
        }
    }

    async fn append(&mut self) -> Write {
        let journal = self.random.pick(&JOURNALS);
        let last = read_all(&self.oracle, journal).await.len() as u64;
        let expected_seq = match self.random.below(10) {
            0 => self.random.below(4),
            1 => last + 1,
            _ => last,
        };
        let count = self.random.below(4);
        Write::Append {
            journal: journal.into(),
            expected_seq,
            entries: (0..count)
                .map(|_| Bytes::from(self.random.next().to_string()))
                .collect(),
        }
    }

    fn finish(&mut self) -> Write {
        if self.held.is_empty() || self.random.below(5) == 0 {
            return Write::Finish {
                id: self.random.pick(&JOBS).into(),
                lease: 0,
            };
        }
        let which = self.random.below(self.held.len() as u64);
        let (id, lease) = self.held.swap_remove(which as usize);
        Write::Finish { id, lease }
    }

    fn key(&mut self) -> Key {
        Key {
            scope: self.random.pick(&SCOPES).into(),
            kind: self.random.pick(&KINDS),
            parent: self.random.pick(&PARENTS).into(),
            id: self.random.pick(&IDS).into(),
        }
    }

    /// Likely to hold, but by no means certain to.
    async fn expect(&mut self, key: &Key) -> Expect {
        let found = self.oracle.get(key, self.now_ms).await;
        let revision = found
            .expect("the oracle answers")
            .map(|found| found.revision);
        match (self.random.below(12), revision) {
            (0, _) => Expect::Absent,
            (1, _) => Expect::Revision(self.random.below(4)),
            (2..6, _) => Expect::Any,
            (_, Some(revision)) => Expect::Revision(revision),
            (_, None) => Expect::Absent,
        }
    }

    async fn claim(&mut self) {
        let queue = self.random.pick(&QUEUES);
        let lease = Lease {
            now_ms: self.now_ms,
            until_ms: self.now_ms + self.random.below(200).cast_signed(),
        };
        let expected = self.oracle.claim_job(queue, lease).await;
        let expected = expected.expect("the oracle answers");
        let actual = self.subject.claim_job(queue, lease).await;
        let actual = actual.expect("the subject answers");
        if let (Some(expected), Some(actual)) = (&expected, &actual) {
            self.leases.insert(expected.lease, actual.lease);
            self.held.push((Arc::clone(&expected.id), expected.lease));
        }
        let without_lease = |job: Option<Job>| job.map(|job| (job.id, job.payload, job.attempts));
        assert_eq!(
            without_lease(actual),
            without_lease(expected),
            "{}",
            self.at
        );
    }

    fn translate(&self, mut batch: Batch) -> Batch {
        for write in &mut batch.writes {
            if let Write::Finish { lease, .. } = write {
                *lease = self.leases.get(lease).copied().unwrap_or(*lease);
            }
        }
        batch
    }

    /// Everything that can be read without changing anything.
    async fn compare(&mut self) {
        for scope in SCOPES {
            for kind in KINDS {
                for parent in PARENTS {
                    self.compare_family(scope, kind, parent).await;
                }
            }
        }
        for journal in JOURNALS {
            assert_eq!(
                read_all(self.subject, journal).await,
                read_all(&self.oracle, journal).await,
                "{}, journal {journal}",
                self.at
            );
        }
    }

    async fn compare_family(&mut self, scope: &str, kind: &'static str, parent: &str) {
        for id in IDS {
            let key = Key {
                scope: scope.into(),
                kind,
                parent: parent.into(),
                id: id.into(),
            };
            let actual = self.subject.get(&key, self.now_ms).await;
            let expected = self.oracle.get(&key, self.now_ms).await;
            assert_eq!(
                actual.expect("the subject answers"),
                expected.expect("the oracle answers"),
                "{}, {key:?}",
                self.at
            );
        }
        let scan = Scan {
            scope: scope.into(),
            kind,
            parent: parent.into(),
            order: self.random.pick(&ORDERS),
            now_ms: self.now_ms,
        };
        let limit = 1 + self.random.below(4) as u32;
        let mut after = None;
        loop {
            let page = Page { limit, after };
            let actual = self.subject.list(scan.clone(), page.clone()).await;
            let expected = self.oracle.list(scan.clone(), page.clone()).await;
            let actual = actual.expect("the subject answers");
            let expected = expected.expect("the oracle answers");
            assert_eq!(actual, expected, "{}, {scan:?} {page:?}", self.at);
            if actual.next.is_none() {
                break;
            }
            after = actual.next;
        }
    }
}

async fn read_all(store: &dyn Store, journal: &str) -> Vec<Bytes> {
    let mut all = Vec::new();
    loop {
        let after = all.len() as u64;
        let part = store.read_journal(journal, after, 7).await;
        let part = part.expect("the store answers");
        for entry in &part {
            assert_eq!(entry.seq, all.len() as u64 + 1);
            all.push(entry.bytes.clone());
        }
        if part.is_empty() {
            return all;
        }
    }
}
