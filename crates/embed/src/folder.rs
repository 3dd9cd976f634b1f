//! A folder with an embedding model, in the form that sentence-transformers writes: `model.safetensors`,
//! `tokenizer.json`, and for encoders `config.json`, `sentence_bert_config.json` and
//! `1_Pooling/config.json`. Without a `config.json` that says otherwise it is a table of static
//! vectors. Invariant: what [`ModelFolder`] says has been read from the files themselves.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::encoder::{EncoderConfig, Pooling};
use crate::table;

/// Name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// Name of the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// Name of the model's description.
pub const CONFIG: &str = "config.json";
/// Name of the file that says how long texts may be.
pub const SENTENCES: &str = "sentence_bert_config.json";
/// Name of the file that says how a text's vector is made of its tokens'.
pub const POOLING: &str = "1_Pooling/config.json";

/// The files of a model that are fetched, and whether a model needs each. The weights come last: where
/// they are, everything is.
pub const FILES: [(&str, bool); 5] = [
    (TOKENIZER, true),
    (CONFIG, false),
    (SENTENCES, false),
    (POOLING, false),
    (WEIGHTS, true),
];

/// Marks around a text: one before it, one behind.
const MARKS: usize = 2;
/// Tokens of a text whose mean is taken. A mean over more says nothing any more; the limit only bounds
/// what one text may cost.
const TABLE_TOKENS: usize = 65_536;

/// A file of a model that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} is not of a model that can be used: {detail}", path = path.display())]
pub struct FolderError {
    /// Which.
    pub path: PathBuf,
    /// What is wrong with it.
    pub detail: String,
}

/// What kind of model it is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
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
pub struct ModelFolder {
    /// The weights.
    pub weights: PathBuf,
    /// The tokenizer.
    pub tokenizer: PathBuf,
    /// What they are.
    pub(crate) kind: Kind,
    /// Numbers of a vector.
    pub dimensions: usize,
    /// Most tokens of a text, without marks.
    pub tokens_max: usize,
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

impl ModelFolder {
    /// Whether the first numbers of a vector are a vector too. Only static vectors are so: an encoder's
    /// numbers all say equally much.
    pub fn can_be_shortened(&self) -> bool {
        matches!(self.kind, Kind::Table { .. })
    }

    /// Reads what a folder holds, the weights themselves not.
    ///
    /// # Errors
    /// The file that is missing, broken or of another kind of model.
    pub fn read(folder: &Path) -> Result<Self, FolderError> {
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
        Ok(Self {
            weights,
            dimensions,
            tokenizer: folder.join(TOKENIZER),
            kind,
            tokens_max,
        })
    }
}

fn kind(folder: &Path) -> Result<Kind, FolderError> {
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
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FolderError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, error.to_string())),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| unusable(path, error.to_string()))
}

fn unusable(path: &Path, detail: String) -> FolderError {
    FolderError {
        path: path.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_what_it_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let write = |name: &str, text: &str| {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            fs::write(file, text).expect("written");
        };
        let files = ModelFolder::read;
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
