//! The processes below a launcher, as `/proc` shows them.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// More than a child may have by its limits: what a walk sees beyond is left out.
const MAX_PROCESSES: usize = 8_192;

/// A tree begins with the supervisor and its init, which are the server's.
const LAUNCHERS: usize = 2;

/// A process and all its descendants. What starts or ends meanwhile may be missing.
pub(super) fn descendants(root: u32) -> Vec<u32> {
    let mut seen = HashSet::from([root]);
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&pid) = found.get(at).filter(|_| found.len() < MAX_PROCESSES) {
        at += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children = children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok());
            found.extend(children.filter(|&child| seen.insert(child)));
        }
    }
    found
}

/// Memory of what a launcher has started that is backed by no file.
pub(super) fn resident_bytes(root: u32) -> io::Result<u64> {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
    // A root that is gone is the caller's business; others may go while we look.
    fs::metadata(format!("/proc/{root}"))?;
    let pages = descendants(root).into_iter().skip(LAUNCHERS).map(|pid| {
        let counts = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let mut counts = counts.split(' ').skip(1).map(str::parse::<u64>);
        match (counts.next(), counts.next()) {
            (Some(Ok(resident)), Some(Ok(of_files))) => resident.saturating_sub(of_files),
            _ => 0,
        }
    });
    Ok(pages.sum::<u64>() * page)
}

/// Processes and threads of a user, as the system's limit counts them.
pub(super) fn tasks_of(user: u32) -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| process.metadata().is_ok_and(|found| found.uid() == user))
        .map(|process| {
            // Two links of a folder are its own.
            let tasks = fs::metadata(process.path().join("task"));
            tasks.map_or(0, |tasks| tasks.nlink().saturating_sub(2))
        })
        .sum()
}
