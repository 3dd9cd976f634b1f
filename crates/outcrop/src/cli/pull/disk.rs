//! A pulled folder on disk: written over an earlier one, never over something else.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use outcrop_deploy::pull::Folder;

use crate::cli::keep::{self, KeepError};

/// Begins a template that `outcrop pull` wrote.
const MARK: &str = "# Written by `outcrop pull`";

/// What became of files that were there.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Stubs that have been edited.
    pub(super) kept: BTreeSet<String>,
    /// Files of an earlier pull that this one does not have.
    pub(super) left: BTreeSet<String>,
}

/// Why a folder was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// It holds something that is not ours.
    #[error("it holds other files; name an empty folder, or one that an earlier pull wrote")]
    Occupied,
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// Below the folder.
        path: String,
        /// Cause.
        source: io::Error,
    },
}

/// Writes a folder. Stubs that have been edited stay as they are.
pub(super) fn write(place: &Path, folder: &Folder) -> Result<Written, WriteError> {
    check(place)?;
    let mut written = Written::default();
    for (path, text) in &folder.files {
        put(place, path, text)?;
    }
    let kept = keep::write(place, &folder.stubs);
    let kept = kept.map_err(|KeepError { path, source }| WriteError::Io { path, source })?;
    written.kept = kept.edited;
    for below in ["schemas", "prompts"] {
        for name in names(&place.join(below)) {
            let path = format!("{below}/{name}");
            if !folder.files.contains_key(&path) {
                written.left.insert(path);
            }
        }
    }
    Ok(written)
}

/// That the folder is absent, empty, or from an earlier pull.
fn check(place: &Path) -> Result<(), WriteError> {
    let mut entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(".", source)),
    };
    let is_ours = fs::read_to_string(place.join("template.yaml"))
        .is_ok_and(|template| template.starts_with(MARK));
    if is_ours || entries.next().is_none() {
        Ok(())
    } else {
        Err(WriteError::Occupied)
    }
}

fn put(place: &Path, path: &str, text: &str) -> Result<(), WriteError> {
    let file = place.join(path);
    let told = |source| failed(path, source);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(told)?;
    }
    fs::write(file, text).map_err(told)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.collect()
}

fn failed(path: &str, source: io::Error) -> WriteError {
    WriteError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Folder {
        let mut folder = Folder::default();
        let template = format!("{MARK}; x\n");
        folder.files.insert("template.yaml".to_owned(), template);
        let path = "functions/f/handler.py".to_owned();
        folder.stubs.insert(path, "stub".to_owned());
        folder
    }

    #[test]
    fn an_edited_stub_stays() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("new");
        assert!(write(&place, &folder()).unwrap().kept.is_empty());
        let stub = place.join("functions/f/handler.py");
        fs::write(&stub, "mine").unwrap();
        fs::create_dir(place.join("prompts")).unwrap();
        fs::write(place.join("prompts/old.txt"), "x").unwrap();
        let written = write(&place, &folder()).unwrap();
        assert_eq!(fs::read_to_string(stub).unwrap(), "mine");
        assert_eq!(written.kept.len(), 1);
        assert!(written.left.contains("prompts/old.txt"));
    }

    #[test]
    fn something_else_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("notes.txt"), "x").unwrap();
        let refused = write(directory.path(), &folder());
        assert!(matches!(refused, Err(WriteError::Occupied)), "{refused:?}");
    }
}
