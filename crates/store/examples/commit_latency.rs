//! Measures the round trip of a commit and of a read, over the SQLite store or over PostgreSQL.
//!
//! `cargo run --release -p outcrop-store --example commit_latency [FOLDER | postgres://…]`. The batch is
//! what a turn writes at each step: one journal entry and the session's document with its expiry moved
//! on. Then whole turns of new sessions, four commits each, which is what a busy server does most. A
//! database is left with the schema `commit_latency`.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "statistics of small numbers"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use outcrop_store::{
    Batch, Durability, Expect, Key, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore,
    Store, Write,
};

/// Commits measured in all, shared among the tasks.
const COMMITS: usize = 40_000;

/// Not counted: statements compile, pages are allocated.
const WARM_UP: usize = 20;

/// Syncing to disk is slow; fewer will do.
const COMMITS_TO_DISK: usize = 3_200;

/// Turns measured in all, shared among the tasks.
const TURNS: usize = 16_000;

const COMMITS_A_TURN: f64 = 4.0;

/// Each is a round trip.
const COMMITS_TO_DATABASE: usize = 8_000;
const TURNS_ON_DATABASE: usize = 2_000;

const BODY_BYTES: usize = 1_500;
/// A session's document without attributes.
const SESSION_BYTES: usize = 150;
const ENTRY_BYTES: usize = 800;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = std::env::temp_dir().join(format!("commit-latency-{}", std::process::id()));
    let folder = std::env::args_os().nth(1).map_or(temporary, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if let Some(url) = folder.to_str().filter(|text| text.starts_with("postgres")) {
        return runtime.block_on(measure_postgres(url));
    }
    for (durability, commits) in [
        (Durability::Process, COMMITS),
        (Durability::Power, COMMITS_TO_DISK),
    ] {
        for tasks in [1, 32] {
            runtime.block_on(measure(&folder, durability, tasks, commits))?;
        }
    }
    for tasks in [1, 32] {
        runtime.block_on(measure_turns(&folder, tasks))?;
    }
    let store = SqliteStore::open(&SqliteOptions::new(folder.join("Process-1")))?;
    runtime.block_on(measure_get(&store))?;
    drop(store);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn measure_postgres(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let join = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{join}schema=commit_latency");
    let store = PostgresStore::open(PostgresOptions::new(url.parse()?)).await?;
    let store: Arc<dyn Store> = Arc::new(store);
    // Journals of an earlier run must not be met again.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    for tasks in [1, 8, 32] {
        let run = format!("{}-{tasks}", since.as_micros());
        let (times, elapsed, cpu) = sessions(&store, &run, tasks, COMMITS_TO_DATABASE).await?;
        report(&format!("postgres, {tasks} tasks"), times, elapsed, cpu, "");
    }
    for tasks in [1, 32] {
        let run = format!("{}-{tasks}", since.as_micros());
        all_turns(&store, &run, tasks, TURNS_ON_DATABASE).await?;
    }
    measure_get(&*store).await
}

async fn measure(
    folder: &Path,
    durability: Durability,
    tasks: usize,
    commits: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let options = SqliteOptions {
        durability,
        ..SqliteOptions::new(folder.join(format!("{durability:?}-{tasks}")))
    };
    let store = Arc::new(SqliteStore::open(&options)?);
    let shared: Arc<dyn Store> = store.clone();
    let (times, elapsed, cpu) = sessions(&shared, "run", tasks, commits).await?;
    let grouped = times.len() as f64 / store.transactions() as f64;
    let what = format!("{durability:?}, {tasks} tasks");
    let more = format!(", {grouped:.1} commits a transaction");
    report(&what, times, elapsed, cpu, &more);
    Ok(())
}

/// Runs sessions side by side: each commit's time, the time of all, and this process's share of it.
async fn sessions(
    store: &Arc<dyn Store>,
    run: &str,
    tasks: usize,
    commits: usize,
) -> Result<(Vec<Duration>, Duration, Duration), Box<dyn std::error::Error>> {
    let share = commits / tasks;
    let began = Instant::now();
    let cpu_began = cpu();
    let handles: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(session(Arc::clone(store), run.to_owned(), task, share)))
        .collect();
    let mut times = Vec::new();
    for handle in handles {
        times.extend(handle.await?);
    }
    Ok((times, began.elapsed(), cpu().saturating_sub(cpu_began)))
}

fn report(what: &str, mut times: Vec<Duration>, elapsed: Duration, cpu: Duration, more: &str) {
    println!(
        "{what}: {}, {:.0} commits/s{more}, {:.0} µs CPU a commit",
        percentiles(&mut times),
        times.len() as f64 / elapsed.as_secs_f64(),
        cpu.as_micros() as f64 / times.len() as f64,
    );
}

/// One session: its commits come one after another, as a turn's do.
async fn session(store: Arc<dyn Store>, run: String, task: usize, commits: usize) -> Vec<Duration> {
    let journal: Arc<str> = format!("{run}-{task}").into();
    let body: Arc<str> = format!("{{\"a\":\"{}\"}}", "x".repeat(BODY_BYTES)).into();
    let entry = Bytes::from(vec![b'x'; ENTRY_BYTES]);
    let mut times = Vec::with_capacity(commits);
    for number in 0..commits as u64 {
        let now_ms = 1_700_000_000_000 + number.cast_signed();
        let batch = Batch {
            now_ms,
            writes: vec![
                Write::Put {
                    key: session_key(task),
                    body: Arc::clone(&body),
                    expect: Expect::Any,
                    name: None,
                    expires_at_ms: Some(now_ms + 3_600_000),
                },
                Write::Append {
                    journal: Arc::clone(&journal),
                    expected_seq: number,
                    entries: vec![entry.clone()],
                },
            ],
        };
        let began = Instant::now();
        store.commit(batch).await.expect("the batch holds");
        if number as usize >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    times
}

/// Turns of new sessions: begun with a document and an entry, two entries, ended with both again.
async fn measure_turns(folder: &Path, tasks: usize) -> Result<(), Box<dyn std::error::Error>> {
    let options = SqliteOptions::new(folder.join(format!("turns-{tasks}")));
    let store = Arc::new(SqliteStore::open(&options)?);
    let shared: Arc<dyn Store> = store.clone();
    all_turns(&shared, "run", tasks, TURNS).await?;
    let made = (TURNS / tasks * tasks) as f64;
    println!(
        "  {:.1} commits a transaction",
        made * COMMITS_A_TURN / store.transactions() as f64
    );
    Ok(())
}

async fn all_turns(
    store: &Arc<dyn Store>,
    run: &str,
    tasks: usize,
    count: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let share = count / tasks;
    let began = Instant::now();
    let cpu_began = cpu();
    let handles: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(turns(Arc::clone(store), run.to_owned(), task, share)))
        .collect();
    for handle in handles {
        handle.await?;
    }
    let cpu = cpu().saturating_sub(cpu_began);
    let made = (share * tasks) as f64;
    println!(
        "turns, {tasks} tasks: {:.0} turns/s, {:.0} µs CPU a turn",
        made / began.elapsed().as_secs_f64(),
        cpu.as_micros() as f64 / made,
    );
    Ok(())
}

async fn turns(store: Arc<dyn Store>, run: String, task: usize, turns: usize) {
    let body: Arc<str> = format!("{{\"a\":\"{}\"}}", "x".repeat(SESSION_BYTES)).into();
    let entry = Bytes::from(vec![b'x'; ENTRY_BYTES]);
    for number in 0..turns {
        // Ids of sessions are the clients', so they fall anywhere in the index; those of journals
        // begin with the time.
        let scattered = (number * 32 + task).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = Key {
            id: format!("{scattered:016x}-session-{run}-{task}-{number}").into(),
            ..session_key(task)
        };
        let journal: Arc<str> = format!("{number:012x}-{scattered:016x}-{run}").into();
        let now_ms = 1_700_000_000_000 + (number as u64).cast_signed();
        for step in 0..4 {
            let mut writes = vec![Write::Append {
                journal: Arc::clone(&journal),
                expected_seq: step,
                entries: vec![entry.clone()],
            }];
            let expect = match step {
                0 => Some(Expect::Absent),
                3 => Some(Expect::Revision(1)),
                _ => None,
            };
            writes.extend(expect.map(|expect| Write::Put {
                key: key.clone(),
                body: Arc::clone(&body),
                expect,
                name: None,
                expires_at_ms: Some(now_ms + 3_600_000),
            }));
            let batch = Batch { now_ms, writes };
            store.commit(batch).await.expect("the batch holds");
        }
    }
}

async fn measure_get(store: &dyn Store) -> Result<(), Box<dyn std::error::Error>> {
    let key = session_key(0);
    let mut times = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS_TO_DATABASE {
        let began = Instant::now();
        let found = store.get(&key, 0).await?;
        times.push(began.elapsed());
        assert!(found.is_some());
    }
    println!("get: {}", percentiles(&mut times));
    Ok(())
}

fn session_key(task: usize) -> Key {
    Key {
        scope: "111111111111/us-west-2".into(),
        kind: "session",
        parent: "AGENT12345".into(),
        id: format!("session-{task}").into(),
    }
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let micros = |time: Duration| time.as_nanos() as f64 / 1_000.0;
    format!(
        "p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs, most {:.1} µs",
        micros(at(0.5)),
        micros(at(0.99)),
        micros(at(0.999)),
        micros(at(1.0))
    )
}

/// Time on a processor this process has had, from Linux's accounting; zero elsewhere.
fn cpu() -> Duration {
    // Clock ticks are hundredths of a second on every Linux.
    const TICK_MS: u64 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the closing parenthesis of the name; user and system time are the 12th and 13th.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * TICK_MS)
}
