//! A folder's files, copied into a bucket of the server. What the bucket has besides stays.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outcrop_deploy::api::{Api as _, OwnRequest, segment};
use serde_json::json;

use crate::cli::Failure;
use crate::cli::remote::Remote;

/// AWS's limit of a document, which is the server's too.
const FILE_BYTES_MAX: u64 = 50 * 1024 * 1024;
/// Files of one folder; more are a mistake about which folder is meant.
const FILES_MAX: usize = 100_000;

/// Copies all files below `folder`, their paths becoming keys.
pub(super) async fn folder(server: &Remote, bucket: &str, folder: &Path) -> Result<(), Failure> {
    let files = files(folder)
        .with_context(|| format!("the folder {} cannot be read", folder.display()))
        .map_err(Failure::Usage)?;
    let path = format!("buckets/{}/objects", segment(bucket));
    let mut copied = 0_usize;
    for (key, file) in files {
        let size = std::fs::metadata(&file).map(|found| found.len());
        let size = size.with_context(|| file.display().to_string())?;
        if size > FILE_BYTES_MAX {
            eprintln!(
                "left out {key}: it has {size} bytes, and a document at most {FILE_BYTES_MAX}"
            );
            continue;
        }
        let content = std::fs::read(&file).with_context(|| file.display().to_string())?;
        let body = json!({"key": key, "content": STANDARD.encode(content)});
        let request = OwnRequest::new("PUT", path.clone()).with_body(body);
        server.own(request).await?;
        copied += 1;
    }
    eprintln!("{copied} files copied to bucket {bucket}");
    Ok(())
}

/// All files below a folder with their keys, in order. Hidden ones are left out; links are not
/// followed.
fn files(root: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .with_context(|| format!("the name {} is not UTF-8", entry.path().display()))?;
            if name.starts_with('.') {
                continue;
            }
            let key = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push((format!("{key}/"), entry.path()));
            } else if kind.is_file() {
                found.push((key, entry.path()));
            }
            if found.len() > FILES_MAX {
                return Err(anyhow!("it holds more than {FILES_MAX} files"));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_keys() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b.md", "leave/parental.md", ".git/config", "leave/.hidden"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "text").unwrap();
        }
        let keys: Vec<String> = files(folder.path())
            .unwrap()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(keys, ["b.md", "leave/parental.md"]);
    }
}
