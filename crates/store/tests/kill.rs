//! `kill -9` at random moments: every commit that was answered is there, and none is there in part.
//!
//! The test starts its own binary again as the victim, which commits without end and reports each
//! answer on its output.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use outcrop_store::{
    Batch, Expect, Key, Lease, NewJob, Order, PAGE_MAX, Page, Scan, SqliteOptions, SqliteStore,
    Store, Write,
};

/// Tells the binary that it is the victim, and where to write.
const VICTIM_FOLDER: &str = "OUTCROP_STORE_VICTIM_FOLDER";

/// Times the victim is killed, each time over the same folder.
const KILLS: u32 = 8;

/// The longest the victim lives after its first answer.
const LIFE_MAX_MS: u32 = 60;

/// Tasks of the victim that commit at the same time.
const STREAMS: usize = 4;

const SCOPE: &str = "111111111111/us-west-2";

const JOURNALS: [&str; STREAMS] = ["s0", "s1", "s2", "s3"];
const QUEUES: [&str; STREAMS] = ["q0", "q1", "q2", "q3"];

fn key(kind: &'static str, stream: usize, id: &str) -> Key {
    Key {
        scope: SCOPE.into(),
        kind,
        parent: JOURNALS[stream].into(),
        id: id.into(),
    }
}

/// The batch that takes a stream from `number - 1` to `number`: one write of each kind, over pages far
/// apart.
fn batch(stream: usize, number: u64) -> Batch {
    let text: Arc<str> = number.to_string().into();
    let put = |key, body, expect| Write::Put {
        key,
        body,
        expect,
        name: None,
        expires_at_ms: None,
    };
    let expect = match number {
        1 => Expect::Absent,
        _ => Expect::Revision(number - 1),
    };
    let padded = format!("{number}{}", "x".repeat(1_500)).into();
    Batch {
        now_ms: 0,
        writes: vec![
            put(key("state", stream, ""), Arc::clone(&text), expect),
            put(key("step", stream, &text), padded, Expect::Absent),
            Write::Append {
                journal: JOURNALS[stream].into(),
                expected_seq: number - 1,
                entries: vec![Bytes::from(text.to_string())],
            },
            Write::Enqueue(NewJob {
                id: JOURNALS[stream].into(),
                queue: QUEUES[stream],
                payload: text,
                due_at_ms: 0,
            }),
        ],
    }
}

async fn last_number(store: &SqliteStore, stream: usize) -> u64 {
    let state = store.get(&key("state", stream, ""), 0).await;
    let state = state.expect("the store answers");
    state.map_or(0, |state| state.body.parse().expect("the body is a number"))
}

#[test]
fn every_answered_commit_survives_kill_9() {
    if let Some(folder) = std::env::var_os(VICTIM_FOLDER) {
        commit_until_killed(Path::new(&folder));
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut answered = [0; STREAMS];
    for _ in 0..KILLS {
        let life_time = life_time();
        kill_after(folder.path(), life_time, &mut answered);
        let options = SqliteOptions::new(folder.path());
        let store = SqliteStore::open(&options).expect("the store opens");
        for (stream, answered) in answered.iter().enumerate() {
            runtime.block_on(check(&store, stream, *answered));
        }
    }
    assert!(answered.iter().all(|last| *last > 0), "{answered:?}");
}

/// Some random while.
fn life_time() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.expect("the clock is past 1970").subsec_nanos();
    Duration::from_millis(u64::from(nanos / 1_000 % LIFE_MAX_MS))
}

/// Starts the victim, kills it, and takes in what it was answered.
fn kill_after(folder: &Path, life_time: Duration, answered: &mut [u64; STREAMS]) {
    let mut victim = Command::new(std::env::current_exe().expect("this binary has a path"))
        .args([
            "every_answered_commit_survives_kill_9",
            "--exact",
            "--nocapture",
        ])
        .env(VICTIM_FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the victim starts");
    let output = BufReader::new(victim.stdout.take().expect("the output is piped"));
    let mut timer = None;
    let mut victim = Some(victim);
    // A last line cut off by the kill does not parse, or names what had been answered anyway.
    for line in output.lines() {
        let line = line.expect("the output is text");
        let Some((stream, number)) = parse(&line) else {
            continue;
        };
        answered[stream] = answered[stream].max(number);
        if let Some(mut victim) = victim.take() {
            timer = Some(std::thread::spawn(move || {
                std::thread::sleep(life_time);
                victim.kill().expect("the victim was alive");
                victim.wait().expect("the victim is buried");
            }));
        }
    }
    let timer = timer.expect("the victim was answered once");
    timer.join().expect("the victim is dead");
}

fn parse(line: &str) -> Option<(usize, u64)> {
    let (stream, number) = line.strip_prefix("answered ")?.split_once(' ')?;
    let number = number.strip_suffix('.')?;
    Some((stream.parse().ok()?, number.parse().ok()?))
}

/// The stream ends at some batch not before the answered one, and each batch up to it is whole.
async fn check(store: &SqliteStore, stream: usize, answered: u64) {
    let last = last_number(store, stream).await;
    assert!(
        last >= answered,
        "stream {stream}: {answered} was answered, {last} is there"
    );
    if last == 0 {
        return;
    }
    let last_entry = store.read_journal(JOURNALS[stream], last - 1, 9).await;
    let last_entry = last_entry.expect("the store answers");
    assert_eq!(last_entry.len(), 1, "stream {stream} at {last}");
    assert_eq!(last_entry[0].bytes, last.to_string());
    assert_eq!(steps(store, stream).await, last, "stream {stream}");
    let lease = Lease {
        now_ms: 0,
        until_ms: 0,
    };
    let job = store.claim_job(QUEUES[stream], lease).await;
    let job = job.expect("the store answers").expect("there is a job");
    assert_eq!(*job.payload, *last.to_string());
}

/// How many steps the stream has.
async fn steps(store: &SqliteStore, stream: usize) -> u64 {
    let Key {
        scope,
        kind,
        parent,
        ..
    } = key("step", stream, "");
    let scan = Scan {
        scope,
        kind,
        parent,
        order: Order::Id,
        now_ms: 0,
    };
    let mut count = 0;
    let mut after = None;
    loop {
        let page = Page {
            limit: PAGE_MAX,
            after,
        };
        let listing = store.list(scan.clone(), page).await;
        let listing = listing.expect("the store answers");
        count += listing.records.len() as u64;
        match listing.next {
            Some(next) => after = Some(next),
            None => return count,
        }
    }
}

/// The victim.
fn commit_until_killed(folder: &Path) -> ! {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = SqliteStore::open(&SqliteOptions::new(folder)).expect("the store opens");
    let store = Arc::new(store);
    for stream in 0..STREAMS {
        let store = Arc::clone(&store);
        runtime.spawn(async move {
            for number in last_number(&store, stream).await + 1.. {
                let committed = store.commit(batch(stream, number)).await;
                committed.expect("the batch holds");
                println!("answered {stream} {number}.");
            }
        });
    }
    loop {
        std::thread::park();
    }
}
