//! The configuration file as written: every key optional, nothing checked beyond its type.
//!
//! [`TABLES`] names the keys of each table. They are read off the structs themselves, so a new field
//! is at once a known key, a candidate for "did you mean", and (in `[limits]`) a variable.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// The file's top level.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowConfig {
    pub(super) listen: Option<String>,
    pub(super) data_dir: Option<String>,
    pub(super) database_url: Option<String>,
    pub(super) region: Option<String>,
    pub(super) account_id: Option<String>,
    pub(super) aws_limits: Option<super::AwsLimits>,
    pub(super) durability: Option<super::Durability>,
    pub(super) shutdown_s: Option<u64>,
    pub(super) register_functions: Option<bool>,
    pub(super) stream_final_response: Option<bool>,
    #[serde(default)]
    pub(super) log: LowLog,
    #[serde(default)]
    pub(super) limits: LowLimits,
    #[serde(default)]
    pub(super) local: LowLocal,
    #[serde(default)]
    pub(super) python: LowPython,
    #[serde(default)]
    pub(super) node: LowNode,
    #[serde(default)]
    pub(super) code_interpreter: LowCodeInterpreter,
    #[serde(default)]
    pub(super) guardrails: LowGuardrails,
    #[serde(default)]
    pub(super) memory: LowMemory,
    #[serde(default)]
    pub(super) sandbox: LowSandbox,
    #[serde(default)]
    pub(super) egress: LowEgress,
    #[serde(default)]
    pub(super) crawler: LowCrawler,
    #[serde(default)]
    pub(super) s3: LowS3,
    #[serde(default)]
    pub(super) credentials: Vec<LowCredential>,
    #[serde(default)]
    pub(super) models: Vec<LowModel>,
    #[serde(default)]
    pub(super) embeddings: Vec<LowEmbedding>,
    #[serde(default)]
    pub(super) rerankers: Vec<LowReranker>,
    #[serde(default)]
    pub(super) indexes: Vec<LowIndex>,
    #[serde(default)]
    pub(super) functions: Vec<LowFunction>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowLog {
    pub(super) filter: Option<String>,
    pub(super) format: Option<super::LogFormat>,
}

/// `[limits]`. All whole numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowLimits {
    pub(super) model_calls: Option<u64>,
    pub(super) actions: Option<u64>,
    pub(super) turn_s: Option<u64>,
    pub(super) tokens: Option<u64>,
    pub(super) observation_bytes: Option<u64>,
    pub(super) concurrent_turns: Option<u64>,
    pub(super) session_cache_bytes: Option<u64>,
    pub(super) session_lease_s: Option<u64>,
    pub(super) database_connections: Option<u64>,
    pub(super) connections: Option<u64>,
    pub(super) header_bytes: Option<u64>,
    pub(super) header_count: Option<u64>,
    pub(super) header_timeout_s: Option<u64>,
    pub(super) request_body_bytes: Option<u64>,
    pub(super) buffered_body_bytes: Option<u64>,
    pub(super) body_timeout_s: Option<u64>,
}

/// `[local]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowLocal {
    pub(super) weights: Option<String>,
    pub(super) threads: Option<u64>,
}

/// `[python]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowPython {
    pub(super) interpreter: Option<String>,
    pub(super) environments: Option<String>,
}

/// `[node]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowNode {
    pub(super) interpreter: Option<String>,
}

/// `[code_interpreter]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowCodeInterpreter {
    pub(super) timeout_s: Option<u64>,
    pub(super) memory_mb: Option<u64>,
    pub(super) sessions: Option<u64>,
    #[serde(default)]
    pub(super) packages: Vec<String>,
}

/// `[guardrails]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowGuardrails {
    pub(super) classifier: Option<String>,
}

/// `[memory]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowMemory {
    pub(super) live: Option<bool>,
}

/// `[sandbox]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowSandbox {
    pub(super) network_off: Option<super::NetworkOff>,
    pub(super) first_user: Option<u64>,
    pub(super) users: Option<u64>,
}

/// `[egress]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowEgress {
    pub(super) allow: Option<Vec<String>>,
}

/// `[crawler]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowCrawler {
    pub(super) allow: Option<Vec<String>>,
}

/// `[s3]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowS3 {
    pub(super) root: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
}

/// `[[credentials]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowCredential {
    pub(super) access_key_id: Option<String>,
    pub(super) secret_env: Option<String>,
    pub(super) account_id: Option<String>,
}

/// `[[models]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowModel {
    #[serde(rename = "match")]
    pub(super) pattern: Option<String>,
    pub(super) provider: Option<super::ProviderKind>,
    pub(super) base_url: Option<String>,
    pub(super) upstream_model: Option<String>,
    pub(super) api_key_env: Option<String>,
    pub(super) region: Option<String>,
    pub(super) connect_timeout_s: Option<u64>,
    pub(super) response_timeout_s: Option<u64>,
    pub(super) idle_timeout_s: Option<u64>,
    #[serde(default)]
    pub(super) fallback: Vec<String>,
    pub(super) max_concurrency: Option<u64>,
    pub(super) requests_per_minute: Option<u64>,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) queue_max: Option<u64>,
    pub(super) queue_timeout_s: Option<u64>,
    pub(super) prompt_cache: Option<bool>,
}

/// `[[embeddings]]`: how an upstream of `[[models]]` is reached, plus `dimensions`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowEmbedding {
    #[serde(rename = "match")]
    pub(super) pattern: Option<String>,
    pub(super) provider: Option<super::ProviderKind>,
    pub(super) base_url: Option<String>,
    pub(super) upstream_model: Option<String>,
    pub(super) api_key_env: Option<String>,
    pub(super) region: Option<String>,
    pub(super) connect_timeout_s: Option<u64>,
    pub(super) response_timeout_s: Option<u64>,
    pub(super) idle_timeout_s: Option<u64>,
    pub(super) dimensions: Option<u64>,
}

/// `[[rerankers]]`: how an upstream of `[[models]]` is reached, with providers of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowReranker {
    #[serde(rename = "match")]
    pub(super) pattern: Option<String>,
    pub(super) provider: Option<super::RerankerProvider>,
    pub(super) base_url: Option<String>,
    pub(super) upstream_model: Option<String>,
    pub(super) api_key_env: Option<String>,
    pub(super) region: Option<String>,
    pub(super) connect_timeout_s: Option<u64>,
    pub(super) response_timeout_s: Option<u64>,
}

/// `[[indexes]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowIndex {
    #[serde(rename = "match")]
    pub(super) pattern: Option<String>,
    pub(super) storage: Option<String>,
    pub(super) engine: Option<LowIndexEngine>,
    pub(super) url: Option<String>,
    pub(super) url_env: Option<String>,
    pub(super) connections: Option<u64>,
    pub(super) auth: Option<LowIndexAuth>,
    pub(super) username: Option<String>,
    pub(super) password_env: Option<String>,
    pub(super) region: Option<String>,
}

/// `engine` of an `[[indexes]]` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LowIndexEngine {
    Embedded,
    Postgres,
    OpenSearch,
}

/// `auth` of an `[[indexes]]` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LowIndexAuth {
    None,
    Basic,
    Aws,
}

/// `[[functions]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowFunction {
    #[serde(rename = "match")]
    pub(super) pattern: Option<String>,
    pub(super) runtime: Option<LowRuntime>,
    pub(super) handler: Option<String>,
    pub(super) code: Option<String>,
    pub(super) memory_mb: Option<u64>,
    pub(super) environment: Option<BTreeMap<String, LowValue>>,
    pub(super) max_workers: Option<u64>,
    pub(super) command: Option<LowCommand>,
    pub(super) args: Option<Vec<String>>,
    pub(super) network: Option<bool>,
    pub(super) writable: Option<Vec<String>>,
    pub(super) reload: Option<bool>,
    pub(super) timeout_s: Option<u64>,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) function: Option<String>,
    pub(super) url: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) headers: Option<BTreeMap<String, LowValue>>,
    pub(super) oauth2: Option<LowOauth2>,
    pub(super) max_reply_bytes: Option<u64>,
    pub(super) max_concurrency: Option<u64>,
}

/// A text, or the variable that holds it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum LowValue {
    Text(String),
    Variable { env: String, prefix: Option<String> },
}

/// A program, with or without its arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum LowCommand {
    Program(String),
    Whole(Vec<String>),
}

impl From<LowCommand> for Vec<String> {
    fn from(command: LowCommand) -> Self {
        match command {
            LowCommand::Program(program) => vec![program],
            LowCommand::Whole(words) => words,
        }
    }
}

/// `oauth2` of a `[[functions]]` entry.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LowOauth2 {
    pub(super) token_url: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret_env: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) audience: Option<String>,
    pub(super) client_auth: Option<LowClientAuth>,
}

/// How a client proves who it is to a token endpoint.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LowClientAuth {
    Basic,
    Post,
}

/// `runtime` of a `[[functions]]` entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LowRuntime {
    Python,
    Node,
    Provided,
    Lambda,
    Http,
    OpenApi,
    Mcp,
}

impl LowRuntime {
    /// As it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Provided => "provided",
            Self::Lambda => "lambda",
            Self::Http => "http",
            Self::OpenApi => "openapi",
            Self::Mcp => "mcp",
        }
    }
}

/// One table of the file.
pub(super) struct Table {
    /// As written between brackets; empty for the top level.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) keys: fn() -> &'static [&'static str],
}

/// Every table whose keys are fixed (`environment` of a function is free).
pub(super) const TABLES: [Table; 19] = [
    Table {
        name: "",
        keys: keys_of::<LowConfig>,
    },
    Table {
        name: "log",
        keys: keys_of::<LowLog>,
    },
    Table {
        name: "limits",
        keys: keys_of::<LowLimits>,
    },
    Table {
        name: "local",
        keys: keys_of::<LowLocal>,
    },
    Table {
        name: "python",
        keys: keys_of::<LowPython>,
    },
    Table {
        name: "node",
        keys: keys_of::<LowNode>,
    },
    Table {
        name: "code_interpreter",
        keys: keys_of::<LowCodeInterpreter>,
    },
    Table {
        name: "guardrails",
        keys: keys_of::<LowGuardrails>,
    },
    Table {
        name: "memory",
        keys: keys_of::<LowMemory>,
    },
    Table {
        name: "sandbox",
        keys: keys_of::<LowSandbox>,
    },
    Table {
        name: "egress",
        keys: keys_of::<LowEgress>,
    },
    Table {
        name: "crawler",
        keys: keys_of::<LowCrawler>,
    },
    Table {
        name: "s3",
        keys: keys_of::<LowS3>,
    },
    Table {
        name: "credentials",
        keys: keys_of::<LowCredential>,
    },
    Table {
        name: "models",
        keys: keys_of::<LowModel>,
    },
    Table {
        name: "embeddings",
        keys: keys_of::<LowEmbedding>,
    },
    Table {
        name: "rerankers",
        keys: keys_of::<LowReranker>,
    },
    Table {
        name: "indexes",
        keys: keys_of::<LowIndex>,
    },
    Table {
        name: "functions",
        keys: keys_of::<LowFunction>,
    },
];

/// The keys of the table `name`, or `None` where keys are free.
pub(super) fn keys(name: &str) -> Option<&'static [&'static str]> {
    TABLES
        .iter()
        .find(|table| table.name == name)
        .map(|table| (table.keys)())
}

/// The field names serde passes to `deserialize_struct`.
fn keys_of<T: de::DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The error is how the probe ends: it has no value to give.
    let _ = T::deserialize(FieldNames { keys: &mut keys }).err();
    keys
}

struct FieldNames<'a> {
    keys: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.keys = fields;
        Err(de::Error::custom("only the field names were wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a table"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
