//! Ingestion jobs from the command line: started one after the other, followed to their ends, and told
//! of with each document that failed.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use outcrop_deploy::api::{Api as _, OwnRequest, segment};
use serde_json::{Value, json};

use super::find::{self, number, text};
use super::progress::Progress;
use crate::cli::Failure;
use crate::cli::remote::Remote;

/// Between two looks at a running job.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Failed documents that are listed one by one; the rest is counted.
const FAILED_SHOWN: usize = 50;

/// What is told of each member of a job's statistics, in this order.
const STATISTICS: [(&str, &str); 8] = [
    ("numberOfDocumentsScanned", "scanned"),
    ("numberOfNewDocumentsIndexed", "new"),
    ("numberOfModifiedDocumentsIndexed", "modified"),
    ("numberOfDocumentsDeleted", "deleted"),
    ("numberOfDocumentsSkipped", "skipped"),
    ("numberOfDocumentsFailed", "failed"),
    ("numberOfMetadataDocumentsScanned", "metadata files scanned"),
    (
        "numberOfMetadataDocumentsModified",
        "metadata files modified",
    ),
];

/// A job that has ended, with the data source it read.
pub(super) struct Ended {
    /// The data source's name.
    pub(super) source: String,
    /// `ingestionJob`.
    pub(super) job: Value,
    /// Documents of the data source that have failed: what they are known by, and why.
    pub(super) failed: Vec<(String, String)>,
}

impl Ended {
    /// Whether everything is indexed.
    pub(super) fn is_well(&self) -> bool {
        text(&self.job, "status") == "COMPLETE"
            && number(&self.job["statistics"], "numberOfDocumentsFailed") == 0
    }

    /// As one JSON object.
    pub(super) fn json(&self) -> Value {
        let failed = self.failed.iter();
        let failed: Vec<Value> = failed
            .map(|(document, reason)| json!({"document": document, "reason": reason}))
            .collect();
        json!({"dataSource": self.source, "ingestionJob": self.job, "failedDocuments": failed})
    }

    /// As text for a person.
    pub(super) fn told(&self) -> String {
        let counts = &self.job["statistics"];
        let told = STATISTICS.iter().filter_map(|(member, name)| {
            let count = number(counts, member);
            let always = ["scanned", "failed"].contains(name);
            (always || count > 0).then(|| format!("{count} {name}"))
        });
        let told: Vec<String> = told.collect();
        let status = text(&self.job, "status");
        let mut out = format!("{}: {status}: {}\n", self.source, told.join(", "));
        let reasons = self.job["failureReasons"].as_array().into_iter().flatten();
        for reason in reasons.filter_map(Value::as_str) {
            let _ = writeln!(out, "  {reason}");
        }
        for (document, reason) in self.failed.iter().take(FAILED_SHOWN) {
            let _ = writeln!(out, "  failed: {document}: {reason}");
        }
        match self.failed.len().saturating_sub(FAILED_SHOWN) {
            0 => {}
            more => {
                let _ = writeln!(out, "  and {more} more");
            }
        }
        out
    }
}

/// Starts a job; one that is running already is taken instead. Says whether it was started.
pub(super) async fn start(
    server: &Remote,
    id: &str,
    source: &Value,
) -> Result<(Value, bool), Failure> {
    let input = json!({"knowledgeBaseId": id, "dataSourceId": text(source, "dataSourceId")});
    match server.call("StartIngestionJob", input.clone()).await {
        Ok(mut answer) => Ok((answer["ingestionJob"].take(), true)),
        Err(error) if error.is_conflict() => {
            let operation = "ListIngestionJobs";
            let jobs = find::list(server, operation, input, "ingestionJobSummaries").await?;
            let running = jobs.into_iter().find(|job| !has_ended(job));
            running.map(|job| (job, false)).ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Follows a job to its end.
pub(super) async fn follow(
    server: &Remote,
    source: &Value,
    mut job: Value,
    mut progress: Option<Progress>,
) -> Result<Ended, Failure> {
    let input = json!({
        "knowledgeBaseId": job["knowledgeBaseId"],
        "dataSourceId": job["dataSourceId"],
        "ingestionJobId": job["ingestionJobId"],
    });
    while !has_ended(&job) {
        if let Some(progress) = &mut progress {
            progress.show(&job, Instant::now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let mut answer = server.call("GetIngestionJob", input.clone()).await?;
        job = answer["ingestionJob"].take();
    }
    if let Some(progress) = &mut progress {
        progress.end();
    }
    let has_failed = number(&job["statistics"], "numberOfDocumentsFailed") > 0;
    let failed = if has_failed {
        failed_documents(server, &job).await?
    } else {
        Vec::new()
    };
    let source = text(source, "name").to_owned();
    Ok(Ended {
        source,
        job,
        failed,
    })
}

/// Ingests all that the given data sources have, one after the other: a knowledge base takes one job
/// at a time.
pub(super) async fn ingest(
    server: &Remote,
    id: &str,
    sources: &[Value],
    watch: bool,
) -> Result<Vec<Ended>, Failure> {
    if sources.is_empty() {
        return Err(Failure::Refused(anyhow!(
            "the knowledge base has no data source that a job could read"
        )));
    }
    let mut ended = Vec::with_capacity(sources.len());
    for source in sources {
        let (job, is_ours) = start(server, id, source).await?;
        if !is_ours {
            let job = text(&job, "ingestionJobId");
            eprintln!("job {job} is running already; waiting for its end");
        }
        let progress = if watch {
            Some(Progress::new(total(server, source).await))
        } else {
            None
        };
        ended.push(follow(server, source, job, progress).await?);
    }
    Ok(ended)
}

/// How many documents a data source has, where the server can count them. A bar is no reason to fail.
async fn total(server: &Remote, source: &Value) -> Option<u64> {
    let s3 = &source["dataSourceConfiguration"]["s3Configuration"];
    let bucket = text(s3, "bucketArn")
        .rsplit(':')
        .next()
        .filter(|name| !name.is_empty())?;
    let mut path = format!("buckets/{}/documents", segment(bucket));
    if let Some(prefix) = s3["inclusionPrefixes"][0].as_str() {
        let _ = write!(path, "?prefix={}", segment(prefix));
    }
    let answer = server.own(OwnRequest::new("GET", path)).await.ok()?;
    answer["documents"].as_u64()
}

fn has_ended(job: &Value) -> bool {
    matches!(text(job, "status"), "COMPLETE" | "FAILED" | "STOPPED")
}

async fn failed_documents(server: &Remote, job: &Value) -> Result<Vec<(String, String)>, Failure> {
    let input = json!({
        "knowledgeBaseId": job["knowledgeBaseId"],
        "dataSourceId": job["dataSourceId"],
    });
    let operation = "ListKnowledgeBaseDocuments";
    let documents = find::list(server, operation, input, "documentDetails").await?;
    let failed = documents.iter().filter(|document| {
        let status = text(document, "status");
        status == "FAILED" || status == "METADATA_UPDATE_FAILED" || status.starts_with("PARTIALLY")
    });
    let told = failed.map(|document| {
        let identifier = &document["identifier"];
        let uri = text(&identifier["s3"], "uri");
        let name = [uri, text(&identifier["custom"], "id")];
        let name = name.into_iter().find(|name| !name.is_empty());
        let reason = text(document, "statusReason");
        (name.unwrap_or("?").to_owned(), reason.to_owned())
    });
    Ok(told.collect())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_is_told_of_a_job() {
        let ended = Ended {
            source: "files".to_owned(),
            job: json!({"status": "COMPLETE", "statistics": {
                "numberOfDocumentsScanned": 4, "numberOfNewDocumentsIndexed": 3,
                "numberOfDocumentsFailed": 1, "numberOfMetadataDocumentsScanned": 2}}),
            failed: vec![("s3://hr/bomb.docx".to_owned(), "too large".to_owned())],
        };
        assert!(!ended.is_well());
        expect![[r"
            files: COMPLETE: 4 scanned, 3 new, 1 failed, 2 metadata files scanned
              failed: s3://hr/bomb.docx: too large
        "]]
        .assert_eq(&ended.told());
    }

    #[test]
    fn a_job_that_failed() {
        let ended = Ended {
            source: "files".to_owned(),
            job: json!({"status": "FAILED", "failureReasons": ["there is no bucket hr"]}),
            failed: Vec::new(),
        };
        assert!(!ended.is_well());
        expect![[r"
            files: FAILED: 0 scanned, 0 failed
              there is no bucket hr
        "]]
        .assert_eq(&ended.told());
    }
}
