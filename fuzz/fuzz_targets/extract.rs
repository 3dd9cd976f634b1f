//! Any file of any format: a document or an error, never a panic that gets out, and never more text
//! than the limits allow.
//!
//! Input: a letter for the format, then the file. Memory on the way is libFuzzer's to bound
//! (`-rss_limit_mb`), as it is a child's limit in the server.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outcrop_extract::{File, Limits, extract};

const LIMITS: Limits = Limits {
    file_bytes: 1024 * 1024,
    text_bytes: 1024 * 1024,
    blocks: 10_000,
    entries: 100,
    unpacked_bytes: 8 * 1024 * 1024,
    depth: 64,
    cells: 100_000,
    pages: 100,
    drawings: 100_000,
};

fuzz_target!(|data: &[u8]| {
    let Some((letter, content)) = data.split_first() else {
        return;
    };
    let endings = ["txt", "md", "html", "csv", "json", "pdf", "docx", "xlsx", "xls", ""];
    let ending = endings[usize::from(*letter) % endings.len()];
    let file = File {
        name: format!("a.{ending}"),
        mime_type: None,
        content: content.to_vec().into(),
    };
    match extract(&file, &LIMITS) {
        Ok(document) => {
            let bytes: usize = document.blocks.iter().map(|block| block.text.len()).sum();
            assert!(bytes <= 1024 * 1024);
            assert!(document.blocks.iter().all(|block| !block.text.is_empty()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
