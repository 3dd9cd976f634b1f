//! Files that are written to be edited, in folders that are written more than once.
//!
//! What was written is remembered beside the files by its hash. A file that still is what was written
//! is brought up to date; one that somebody has changed, or that somebody else wrote, is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use outcrop_deploy::files::digest;

/// Where it is remembered what was written.
const MEMORY: &str = ".outcrop-written.json";
/// Hashes of a few thousand files; more was not written here.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024;

/// What became of the files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Left alone, though they are not what would have been written.
    pub(crate) edited: BTreeSet<String>,
    /// Made or brought up to date.
    pub(crate) written: BTreeSet<String>,
}

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub(crate) struct KeepError {
    /// Below the folder.
    pub(crate) path: String,
    /// Cause.
    pub(crate) source: io::Error,
}

/// Writes what nobody has edited.
pub(crate) fn write(place: &Path, files: &BTreeMap<String, String>) -> Result<Kept, KeepError> {
    let told = |path: &str| {
        let path = path.to_owned();
        move |source| KeepError { path, source }
    };
    let mut memory = recall(place).map_err(told(MEMORY))?;
    let before = memory.clone();
    let mut kept = Kept::default();
    for (path, text) in files {
        let there = match fs::read(place.join(path)) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(told(path)(source)),
        };
        let is_ours = there.as_ref().is_none_or(|there| {
            let there = String::from_utf8_lossy(there);
            there == *text || memory.get(path) == Some(&digest(&there))
        });
        if !is_ours {
            kept.edited.insert(path.clone());
            continue;
        }
        if there.as_deref() != Some(text.as_bytes()) {
            put(&place.join(path), text).map_err(told(path))?;
            kept.written.insert(path.clone());
        }
        memory.insert(path.clone(), digest(text));
    }
    if memory != before {
        let text = serde_json::to_string_pretty(&memory).unwrap_or_default();
        put(&place.join(MEMORY), &format!("{text}\n")).map_err(told(MEMORY))?;
    }
    Ok(kept)
}

/// What was written before. A memory that is none remembers nothing, so that every file counts as
/// edited.
fn recall(place: &Path) -> io::Result<BTreeMap<String, String>> {
    let path = place.join(MEMORY);
    match fs::metadata(&path) {
        Ok(found) if found.len() <= MEMORY_BYTES_MAX => {
            Ok(serde_json::from_slice(&fs::read(path)?).unwrap_or_default())
        }
        Ok(_) => Ok(BTreeMap::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn put(file: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn only_what_nobody_has_edited_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::write(place.join("mine.py"), "mine").unwrap();
        let first = files(&[("a.py", "1"), ("below/b.py", "1"), ("mine.py", "1")]);
        let kept = write(place, &first).unwrap();
        assert_eq!(kept.edited, BTreeSet::from(["mine.py".to_owned()]));
        assert_eq!(kept.written.len(), 2);
        assert_eq!(write(place, &first).unwrap().written.len(), 0);

        fs::write(place.join("a.py"), "edited").unwrap();
        let second = files(&[("a.py", "2"), ("below/b.py", "2")]);
        let kept = write(place, &second).unwrap();
        assert_eq!(kept.edited, BTreeSet::from(["a.py".to_owned()]));
        assert_eq!(kept.written, BTreeSet::from(["below/b.py".to_owned()]));
        let text = |path: &str| fs::read_to_string(place.join(path)).unwrap();
        assert_eq!(
            (text("a.py"), text("mine.py")),
            ("edited".into(), "mine".into())
        );
        // Again: it is still edited, for what is there was never written here.
        assert_eq!(write(place, &second).unwrap().edited.len(), 1);
    }
}
