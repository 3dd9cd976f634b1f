//! Jobs: enqueue, claim, renew, finish.

use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::job::{Job, Lease, NewJob};

/// Adds a job, or replaces the one of the same id.
pub(super) fn enqueue(connection: &Connection, job: &NewJob) -> rusqlite::Result<()> {
    connection
        .prepare_cached(include_str!("../queries/job_enqueue.sql"))?
        .execute(params![job.id, job.queue, job.due_at_ms, job.payload])?;
    Ok(())
}

/// Removes a job held under this lease.
pub(super) fn finish(connection: &Connection, id: &Arc<str>, lease: u64) -> rusqlite::Result<()> {
    // A number SQLite cannot hold was never given out.
    if let Ok(lease) = i64::try_from(lease) {
        connection
            .prepare_cached(include_str!("../queries/job_finish.sql"))?
            .execute(params![id, lease])?;
    }
    Ok(())
}

/// Claims the job that has been claimable longest, under the lease number given.
pub(in crate::sqlite) fn claim(
    connection: &Connection,
    queue: &'static str,
    lease: Lease,
    number: i64,
) -> rusqlite::Result<Option<Job>> {
    let mut statement = connection.prepare_cached(include_str!("../queries/job_claim.sql"))?;
    let mut rows = statement.query(params![queue, lease.now_ms, lease.until_ms, number])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let job = Job {
        id: row.get(0)?,
        payload: row.get(1)?,
        attempts: row.get(2)?,
        lease: number.cast_unsigned(),
    };
    // The update is complete only once the statement has run out.
    while rows.next()?.is_some() {}
    Ok(Some(job))
}

/// Moves the end of a claim on; `false` if the job is not held under this lease.
pub(in crate::sqlite) fn renew(
    connection: &Connection,
    id: &str,
    lease: u64,
    until_ms: i64,
) -> rusqlite::Result<bool> {
    // A number SQLite cannot hold was never given out.
    let Ok(lease) = i64::try_from(lease) else {
        return Ok(false);
    };
    let mut statement = connection.prepare_cached(include_str!("../queries/job_renew.sql"))?;
    Ok(statement.execute(params![id, lease, until_ms])? > 0)
}

/// Ends every lease: whoever held one is gone, for the data folder was locked by that process.
pub(in crate::sqlite) fn release_all(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute(include_str!("../queries/job_release_all.sql"), [])
}
