//! Children that extract: limits, confinement, reuse, ends.

use std::time::Duration;

use bytes::Bytes;
use outcrop_adapters::extract::{ChildExtractor, ExtractorSettings};
use outcrop_engine::port::{ExtractCall, ExtractError, Extraction, Extractor};

/// Far longer than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_mins(1);

fn settings() -> ExtractorSettings {
    ExtractorSettings {
        program: env!("CARGO_BIN_EXE_extract-child").into(),
        memory_bytes: 128 * 1024 * 1024,
        time_limit: PATIENCE,
        children: 2,
    }
}

fn call(name: &str, content: impl Into<Bytes>) -> ExtractCall {
    ExtractCall {
        name: name.to_owned(),
        mime_type: None,
        content: content.into(),
        records: None,
    }
}

async fn extract(extractor: &ChildExtractor, name: &str) -> Result<String, ExtractError> {
    let extracted = tokio::time::timeout(PATIENCE, extractor.extract(call(name, "x")));
    match extracted.await.expect("it ends")? {
        Extraction::Document(document) => Ok(document.blocks[0].text.clone()),
        Extraction::Records(_) => panic!("no records were asked for"),
    }
}

#[tokio::test]
async fn a_child_reads_many_files() {
    let extractor = ChildExtractor::new(settings());
    assert_eq!(
        extractor.waiting(),
        0,
        "none is started before it is needed"
    );
    let first = extract(&extractor, "process").await.unwrap();
    assert_eq!(extract(&extractor, "process").await.unwrap(), first);
    let refused = extract(&extractor, "refuse").await.unwrap_err();
    assert_eq!(refused, ExtractError::Malformed("refused".to_owned()));
    assert_eq!(extract(&extractor, "process").await.unwrap(), first);
    assert_eq!(extractor.waiting(), 1);
    let large = vec![0; 20 * 1024 * 1024];
    let Ok(Extraction::Document(document)) = extractor.extract(call("a", large)).await else {
        panic!("it is read");
    };
    assert_eq!(document.blocks[0].text, "20971520 bytes");
    assert_eq!(
        extractor.waiting(),
        0,
        "one that had a large file is let go"
    );
    assert_ne!(extract(&extractor, "process").await.unwrap(), first);
}

#[tokio::test]
async fn a_file_that_takes_too_much_is_told_so_and_costs_no_other() {
    let short = ExtractorSettings {
        time_limit: Duration::from_millis(300),
        ..settings()
    };
    let spun = extract(&ChildExtractor::new(short), "spin")
        .await
        .unwrap_err();
    assert!(spun.to_string().contains("took longer than"), "{spun}");
    let extractor = ChildExtractor::new(settings());
    // Twice: in a new child, and in one that has read something.
    for _ in 0..2 {
        for name in ["eat", "overflow"] {
            let error = extract(&extractor, name).await.unwrap_err();
            let told = error.to_string();
            assert!(matches!(error, ExtractError::TooLarge(_)), "{name}: {told}");
            assert!(told.contains("128 MB of memory"), "{name}: {told}");
        }
        let error = extract(&extractor, "exit").await.unwrap_err();
        assert!(matches!(error, ExtractError::Failed(_)), "{error}");
        assert_eq!(extract(&extractor, "fine").await.unwrap(), "1 bytes");
    }
}

/// Nobody but the kernel is there to end it: the channel stays open, and nobody watches the clock.
#[cfg(target_os = "linux")]
#[test]
fn a_child_that_nobody_watches_ends_when_its_processor_time_does() {
    use std::io::Write as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_extract-child"))
        .args(["extract-document", "134217728", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = br#"{"name":"spin","mime_type":null,"records":null,"length":0}"#;
    let mut requests = child.stdin.take().unwrap();
    requests
        .write_all(&(request.len() as u64).to_le_bytes())
        .unwrap();
    requests.write_all(request).unwrap();
    let status = child.wait().unwrap();
    // 24 is the signal of processor time.
    assert_eq!(status.signal(), Some(24), "{status}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_can_do_nothing_but_compute() {
    let extractor = ChildExtractor::new(settings());
    // No file, folder, socket, program or thread; one variable, which is the allocator's.
    let tried = extract(&extractor, "try").await.unwrap();
    assert_eq!(tried, "false false false false false 1");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_caller_that_goes_away_ends_the_child() {
    let extractor = ChildExtractor::new(settings());
    let process = extract(&extractor, "process").await.unwrap();
    let spinning = tokio::spawn({
        let extractor = extractor.clone();
        async move { extract(&extractor, "spin").await }
    });
    while extractor.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    spinning.abort();
    let path = std::path::PathBuf::from(format!("/proc/{process}/exe"));
    let begun = std::time::Instant::now();
    // A dead process that nobody has reaped has no program.
    while path.read_link().is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn many_at_once_share_the_children() {
    let extractor = ChildExtractor::new(settings());
    let reading: Vec<_> = (0..200)
        .map(|_| {
            let extractor = extractor.clone();
            tokio::spawn(async move { extract(&extractor, "a").await })
        })
        .collect();
    for read in reading {
        assert_eq!(read.await.unwrap().unwrap(), "1 bytes");
    }
    assert!(extractor.waiting() <= 2);
}
