//! How far an ingestion job has come, as it is shown: a bar on a terminal, a line now and then
//! elsewhere.
//!
//! A job does not say how much there is to do; the bar needs somebody who has counted it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::find::{number, text};
use crate::cli::invoke::terminal::Terminal;

/// Cells of the bar.
const CELLS: u64 = 24;
/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of one job.
pub(super) struct Progress {
    is_terminal: bool,
    /// Documents of the data source; `None`: nobody has counted them.
    total: Option<u64>,
    /// `None`: nothing has been shown.
    last: Option<(Instant, String)>,
}

impl Progress {
    /// On standard error.
    pub(super) fn new(total: Option<u64>) -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            total,
            last: None,
        }
    }

    /// Shows a job as it is now.
    pub(super) fn show(&mut self, job: &Value, now: Instant) {
        let line = line(job, self.total);
        let is_new = self.last.as_ref().is_none_or(|(_, last)| *last != line);
        let is_due = self.is_terminal
            || self
                .last
                .as_ref()
                .is_none_or(|(at, _)| now.duration_since(*at) >= LINE_EVERY);
        if !is_new || !is_due {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        // Standard error may be gone; the job goes on.
        let _ = if self.is_terminal {
            let shown: String = line.chars().take(Terminal::width() - 1).collect();
            write!(stderr, "\r\x1b[K{shown}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{line}")
        };
        self.last = Some((now, line));
    }

    /// Takes the bar away again.
    pub(super) fn end(&mut self) {
        if self.is_terminal && self.last.take().is_some() {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K").and_then(|()| stderr.flush());
        }
    }
}

/// One line about a running job.
fn line(job: &Value, total: Option<u64>) -> String {
    let counts = &job["statistics"];
    let of = |member: &str| number(counts, member);
    let indexed = of("numberOfNewDocumentsIndexed") + of("numberOfModifiedDocumentsIndexed");
    let failed = of("numberOfDocumentsFailed");
    // Documents are counted as scanned in bulk, unchanged ones among them.
    let worked = indexed + failed + of("numberOfDocumentsSkipped");
    let done = worked.max(of("numberOfDocumentsScanned"));
    let status = text(job, "status").to_lowercase().replace('_', " ");
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{status}: {done} documents, {indexed} indexed{failed}");
    };
    let done = done.min(total);
    let bar: String = (0..CELLS)
        .map(|cell| {
            if cell < done * CELLS / total {
                '#'
            } else {
                '.'
            }
        })
        .collect();
    format!("[{bar}] {status}: {done} of {total} documents, {indexed} indexed{failed}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn what_the_bar_says() {
        let job = json!({"status": "IN_PROGRESS", "statistics": {
            "numberOfDocumentsScanned": 0, "numberOfNewDocumentsIndexed": 3,
            "numberOfModifiedDocumentsIndexed": 0, "numberOfDocumentsFailed": 1,
            "numberOfDocumentsSkipped": 0}});
        let shown = "[############............] in progress: 4 of 8 documents, 3 indexed, 1 failed";
        assert_eq!(line(&job, Some(8)), shown);
        let shown = "in progress: 4 documents, 3 indexed, 1 failed";
        assert_eq!(line(&job, None), shown);
        let nothing = json!({"status": "STARTING"});
        let shown = "[........................] starting: 0 of 2 documents, 0 indexed";
        assert_eq!(line(&nothing, Some(2)), shown);
    }
}
