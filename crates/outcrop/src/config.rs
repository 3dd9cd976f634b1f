//! Configuration in two steps: the file as written ([`low`]), then [`Config`], in which every value
//! is checked, defaulted and resolved. Nothing after this module reads a variable or a file for a setting.
//!
//! # Where a value comes from
//! A flag, else its variable, else the file, else the default. The file is `--config`, else
//! `OUTCROP_CONFIG`, else `./outcrop.toml` where that exists, else none. A relative path in the file
//! is relative to the file's folder; one in a flag or a variable to the current folder. A top-level
//! key has the variable `OUTCROP_<KEY>`, a key of `[limits]` `OUTCROP_LIMITS_<KEY>`; `[log]` has
//! `OUTCROP_LOG` (filter) and `OUTCROP_LOG_FORMAT`, `[local]` `OUTCROP_LOCAL_WEIGHTS` and
//! `OUTCROP_LOCAL_THREADS`. An empty variable counts as unset.
//!
//! # Which provider serves a model when there is no `[[models]]`
//! 1. `ANTHROPIC_API_KEY` set: `anthropic.*` and `claude*` go to provider `anthropic`
//!    (`ANTHROPIC_BASE_URL` moves it).
//! 2. `OPENAI_API_KEY` set: `openai.*` and `gpt*` go to provider `openai` (`OPENAI_BASE_URL` moves it).
//! 3. AWS credentials found: `*` goes to provider `bedrock`. Found means `AWS_ACCESS_KEY_ID` with
//!    `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, `AWS_WEB_IDENTITY_TOKEN_FILE`, a container credentials
//!    variable, `AWS_BEARER_TOKEN_BEDROCK`, or a credential source in the AWS profile files. The
//!    metadata service of a virtual machine is not asked.
//! 4. None of these: `*` goes to `local`; in a build without it, nowhere.
//!
//! Rules 1 to 3 add up, in that order. With rule 1 or 2 alone, other models are unmapped rather than
//! given to a small local model behind the user's back. The outcome is one line of the start log.
//!
//! Invariant: a `Config` can be served. A listener beyond loopback has credentials, every named
//! secret is present, every pattern compiles.

mod discover;
mod document;
mod low;
mod overrides;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outcrop_adapters::action::{McpServer, RestApi};
use outcrop_adapters::http::egress::Egress;
use outcrop_adapters::index::opensearch::OpenSearchOptions;
use outcrop_adapters::index::postgres::PostgresIndexOptions;
use outcrop_adapters::index::routing::IndexPattern;
use outcrop_adapters::model::registry::Limits;
use outcrop_engine::orchestration::Budget;
use outcrop_store::DatabaseUrl;
use serde::Deserialize;

use document::Document;
pub(crate) use validate::INDEX_CONNECTIONS;

/// File looked for in the current folder when none is named.
const DEFAULT_FILE: &str = "outcrop.toml";
/// A configuration is a page or two; more is the wrong file.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// Everything the server needs to know, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file read, if any.
    pub(crate) file: Option<PathBuf>,
    /// Where to listen; port 0 lets the system choose.
    pub(crate) listen: SocketAddr,
    /// Folder of the store, where [`Self::database_url`] names none.
    pub(crate) data_dir: PathBuf,
    /// The PostgreSQL database that is the store.
    pub(crate) database_url: Option<DatabaseUrl>,
    /// Connections to it, at most.
    pub(crate) database_connections: usize,
    /// Region of requests whose signature names none.
    pub(crate) region: String,
    /// Account of requests whose key names none. Twelve digits.
    pub(crate) account_id: String,
    /// How closely AWS's limits are kept.
    pub(crate) aws_limits: AwsLimits,
    /// What a commit survives.
    pub(crate) durability: Durability,
    /// How long turns in flight may go on after a signal to stop.
    pub(crate) shutdown: Duration,
    /// Whether clients may register folders of this machine as functions.
    pub(crate) register_functions: bool,
    /// Whether answers are streamed to clients that do not say.
    pub(crate) stream_final_response: bool,
    /// Logging.
    pub(crate) log: Log,
    /// Keys that may sign requests; empty: any signature is accepted (loopback only).
    pub(crate) credentials: Vec<Credential>,
    /// Budgets of a turn (`[limits]`).
    pub(crate) turn: Budget,
    /// Turns in flight at once; more are told to come back.
    pub(crate) concurrent_turns: usize,
    /// Bytes of conversation kept at hand for sessions between two turns.
    pub(crate) session_cache_bytes: u64,
    /// How long a session stays closed to other servers after the one that served it has died.
    pub(crate) session_lease: Duration,
    /// Bounds of the listener.
    pub(crate) http: HttpLimits,
    /// Model lookup, first match wins.
    pub(crate) models: Vec<ModelRoute>,
    /// Who decided [`Self::models`].
    pub(crate) models_origin: ModelsOrigin,
    /// Embedding lookup, first match wins.
    pub(crate) embeddings: Vec<EmbeddingRoute>,
    /// Reranker lookup, first match wins.
    pub(crate) rerankers: Vec<RerankerRoute>,
    /// Engines of vectors, first match wins.
    pub(crate) indexes: Vec<IndexRoute>,
    /// Action functions, first match wins.
    pub(crate) functions: Vec<Function>,
    /// What functions in Python share.
    pub(crate) python: Python,
    /// The Node.js that functions run in.
    pub(crate) node: PathBuf,
    /// Python that models write.
    pub(crate) code_interpreter: CodeInterpreter,
    /// The model that judges for guardrails (`[guardrails]`).
    pub(crate) classifier: Option<String>,
    /// Whether sessions are summarised while they last (`[memory]`).
    pub(crate) memory_live: bool,
    /// What keeps functions apart.
    pub(crate) sandbox: Sandbox,
    /// What functions that are no Lambda functions may call.
    pub(crate) egress: Egress,
    /// Which hosts web data sources are read from; without any, none is.
    pub(crate) crawler: Egress,
    /// The models in this process.
    pub(crate) local: Local,
    /// Folder whose sub-folders are S3 buckets; `None`: `buckets` in the data folder.
    pub(crate) buckets: Option<PathBuf>,
    /// Where the other buckets are; `None`: nowhere.
    pub(crate) s3: Option<S3>,
}

/// `endpoint` and `region` of `[s3]`: either of them says that there is an S3 to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3 {
    /// Another server than AWS's.
    pub(crate) endpoint: Option<String>,
    /// Region of its buckets; the server's own where none is given.
    pub(crate) region: String,
}

/// `aws_limits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AwsLimits {
    /// Accepts what a careful reader can still understand (COMPAT.md lists it).
    #[default]
    Relaxed,
    /// Refuses all that AWS refuses.
    Strict,
}

/// `durability`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// A commit survives the death of the process.
    #[default]
    Process,
    /// A commit survives the loss of power.
    Power,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// Directives such as `info` or `outcrop=debug,warn`.
    pub(crate) filter: String,
    /// Form of the lines.
    pub(crate) format: LogFormat,
}

/// `format` of `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One object a line.
    Json,
}

/// A key that may sign requests.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// `AKID…`.
    pub(crate) access_key_id: String,
    /// Its secret.
    pub(crate) secret: Secret,
    /// Account of what it signs, when not the configured one.
    pub(crate) account_id: Option<String>,
}

/// A value that no log may show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The value itself, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Bounds of the listener (`[limits]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpLimits {
    /// Open connections; more are refused with 503.
    pub(crate) connections: usize,
    /// Bytes of one request's head.
    pub(crate) header_bytes: usize,
    /// Header fields of one request.
    pub(crate) header_count: usize,
    /// From the connection, or the end of the last answer, to the end of the next request's head.
    pub(crate) header_timeout: Duration,
    /// Bytes of one request's body.
    pub(crate) request_body_bytes: usize,
    /// Bytes of all bodies that are being received, together.
    pub(crate) buffered_body_bytes: usize,
    /// From the head of a request to the end of its body.
    pub(crate) body_timeout: Duration,
}

/// The four providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ProviderKind {
    /// Chat completions.
    OpenAi,
    /// Messages.
    Anthropic,
    /// `ConverseStream`.
    Bedrock,
    /// In process.
    Local,
}

impl ProviderKind {
    /// As written in the file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
            Self::Local => "local",
        }
    }
}

/// One `[[models]]` entry.
#[derive(Clone, Debug)]
pub(crate) struct ModelRoute {
    /// Glob over model ids.
    pub(crate) pattern: String,
    /// Who serves them, and how to reach it.
    pub(crate) upstream: Upstream,
    /// Models to ask where one of these fails.
    pub(crate) fallback: Vec<String>,
    /// What all these models together may be asked.
    pub(crate) limits: Limits,
    /// Whether the vendor is shown what to cache.
    pub(crate) prompt_cache: bool,
}

/// One `[[embeddings]]` entry.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddingRoute {
    /// Glob over model ids.
    pub(crate) pattern: String,
    /// Who serves them, and how to reach it.
    pub(crate) upstream: Upstream,
    /// Length of the vectors, where the model's own is not wanted.
    pub(crate) dimensions: Option<u32>,
}

/// One `[[rerankers]]` entry.
#[derive(Clone, Debug)]
pub(crate) struct RerankerRoute {
    /// Glob over model ids.
    pub(crate) pattern: String,
    /// What serves them.
    pub(crate) provider: RerankerProvider,
    /// How it is reached. Its own provider is of no account.
    pub(crate) upstream: Upstream,
}

/// What serves reranker models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RerankerProvider {
    /// Cohere's protocol.
    Cohere,
    /// Text Embeddings Inference.
    Tei,
    /// `InvokeModel`.
    Bedrock,
    /// A model of `[[models]]`.
    Judge,
}

/// One `[[indexes]]` entry.
#[derive(Clone, Debug)]
pub(crate) struct IndexRoute {
    /// Which knowledge bases.
    pub(crate) pattern: IndexPattern,
    /// Where their vectors are.
    pub(crate) engine: IndexEngine,
}

/// What keeps vectors.
#[derive(Clone, Debug)]
pub(crate) enum IndexEngine {
    /// This process, in its data folder.
    Embedded,
    /// PostgreSQL with pgvector.
    Postgres(PostgresIndexOptions),
    /// OpenSearch.
    OpenSearch(OpenSearchOptions),
}

/// How to reach a model.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Protocol.
    pub(crate) provider: ProviderKind,
    /// Base of the provider's URLs; for bedrock the endpoint. `None`: the provider's own.
    pub(crate) base_url: Option<String>,
    /// The id to ask for; `None`: the id as given.
    pub(crate) model: Option<String>,
    /// Bearer token or `x-api-key`.
    pub(crate) api_key: Option<Secret>,
    /// AWS region (bedrock only); `None`: the credential chain's.
    pub(crate) region: Option<String>,
    /// To a connection.
    pub(crate) connect_timeout: Duration,
    /// From the request to the head of the answer.
    pub(crate) response_timeout: Duration,
    /// Between two pieces of the answer.
    pub(crate) idle_timeout: Duration,
}

/// Who decided which provider serves a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelsOrigin {
    /// `[[models]]`.
    File,
    /// Credentials found in the environment.
    Environment,
    /// Neither: the embedded model.
    Default,
}

/// One `[[functions]]` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Function name or ARN.
    pub(crate) pattern: String,
    /// Longest invocation.
    pub(crate) timeout: Duration,
    /// What runs it.
    pub(crate) runtime: Runtime,
}

/// What executes the code of a function of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CodeRuntime {
    /// Python, through AWS's runtime interface client.
    Python,
    /// Node.js.
    Node,
    /// A program that speaks the Runtime API.
    Provided {
        /// Program and arguments; empty: the folder's `bootstrap`.
        command: Vec<String>,
    },
}

/// A function of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalCode {
    /// What executes it.
    pub(crate) runtime: CodeRuntime,
    /// `module.function`.
    pub(crate) handler: String,
    /// Folder of the handler's code.
    pub(crate) code: PathBuf,
    /// Variables the handler sees.
    pub(crate) environment: BTreeMap<String, String>,
    /// Memory of a process.
    pub(crate) memory_mb: u32,
    /// Most processes at a time.
    pub(crate) max_workers: NonZeroUsize,
    /// Whether it may open connections.
    pub(crate) network: bool,
    /// Folders it may write.
    pub(crate) writable: Vec<PathBuf>,
    /// Whether an edit of its files takes effect.
    pub(crate) reload: bool,
}

/// What runs a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// Warm worker processes that speak the Lambda Runtime API.
    Local(LocalCode),
    /// Lambda's Invoke API.
    Lambda {
        /// Where it is spoken; `None`: AWS.
        endpoint: Option<String>,
        /// AWS region; `None`: the ARN's, else the configured one.
        region: Option<String>,
        /// Name or ARN to invoke; `None`: the action group's.
        function: Option<String>,
    },
    /// A Lambda Runtime Interface Emulator.
    Http {
        /// Scheme, host and port.
        url: String,
    },
    /// The API that the action group's schema describes.
    OpenApi(RestApi),
    /// An MCP server.
    Mcp(McpServer),
}

/// `[local]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    /// Path of a GGUF file, or `hf:owner/repository/file.gguf`; `None`: the built-in choice.
    #[cfg_attr(
        all(not(feature = "local"), not(test)),
        expect(dead_code, reason = "a build without the language model")
    )]
    pub(crate) weights: Option<String>,
    /// Threads of the language model, and of the embedding models; `None`: the built-in choice.
    pub(crate) threads: Option<NonZeroUsize>,
}

/// `[python]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    /// The interpreter that environments are made with.
    pub(crate) interpreter: PathBuf,
    /// Folder of the environments that functions run in; worth sharing between servers.
    pub(crate) environments: PathBuf,
}

/// `[code_interpreter]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeInterpreter {
    /// How long one run may take.
    pub(crate) time_limit: Duration,
    /// Memory of each process of a session.
    pub(crate) memory_bytes: u64,
    /// Sessions with a state at once.
    pub(crate) sessions: usize,
    /// What is installed besides what always is, as pip takes it.
    pub(crate) packages: Vec<String>,
}

/// `[sandbox]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "there is a sandbox on Linux only")
)]
pub(crate) struct Sandbox {
    /// What becomes of code that is to have no network on a machine that cannot keep it off.
    pub(crate) network_off: NetworkOff,
    /// The first of the users that functions run as when the server runs as root.
    pub(crate) first_user: u32,
    /// How many there are.
    pub(crate) users: u32,
}

/// `network_off` of `[sandbox]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NetworkOff {
    /// It is refused.
    #[default]
    Enforce,
    /// It runs all the same.
    BestEffort,
}

/// What flags of `outcrop serve` say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--listen`.
    pub(crate) listen: Option<String>,
    /// `--data-dir`.
    pub(crate) data_dir: Option<String>,
}

/// The process's variables, taken once at start.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Those that are not UTF-8 cannot be settings and are left out.
    pub(crate) fn of_process() -> Self {
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                variables.insert(name, value);
            }
        }
        Self(variables)
    }

    /// The value of `name`, unless unset or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

/// Where a faulty value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file, and the line where it is known.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: Option<usize>,
    },
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
    /// Nowhere: a default meets a setting that forbids it.
    Default,
}

impl Place {
    /// The line, if it is one of a file.
    fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => *line,
            Self::Variable(_) | Self::Flag(_) | Self::Default => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}: ", path.display()),
            Self::File { path, line: None } => write!(f, "{}: ", path.display()),
            Self::Variable(name) => write!(f, "{name}: "),
            Self::Flag(name) => write!(f, "{name}: "),
            Self::Default => Ok(()),
        }
    }
}

/// One thing wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    place: Place,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.text)
    }
}

/// Everything wrong with the configuration, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub(crate) struct ConfigError(Vec<Problem>);

/// Reads, merges and checks. `directory` is the current folder.
pub(crate) fn load(
    flags: &Flags,
    environment: &Environment,
    directory: &Path,
) -> Result<Config, ConfigError> {
    let document =
        find_file(flags, environment, directory).map_err(|problem| ConfigError(vec![problem]))?;
    let (low, origins) =
        overrides::merge(document.as_ref(), flags, environment).map_err(ConfigError)?;
    validate::validate(low, &origins, document.as_ref(), environment, directory)
        .map_err(ConfigError)
}

/// Variables that look like a misspelt setting, each with the setting it resembles. Not an error:
/// `secret_env` may name any variable.
pub(crate) fn misspelt_variables(environment: &Environment) -> Vec<(String, String)> {
    overrides::misspelt(environment)
}

fn find_file(
    flags: &Flags,
    environment: &Environment,
    directory: &Path,
) -> Result<Option<Document>, Problem> {
    let (path, place) = if let Some(path) = &flags.config {
        (path.clone(), Place::Flag("--config"))
    } else if let Some(path) = environment.get("OUTCROP_CONFIG") {
        (
            PathBuf::from(path),
            Place::Variable("OUTCROP_CONFIG".to_owned()),
        )
    } else if directory.join(DEFAULT_FILE).is_file() {
        (PathBuf::from(DEFAULT_FILE), Place::Default)
    } else {
        return Ok(None);
    };
    let cannot_read = |cause: String| Problem {
        place: place.clone(),
        text: format!("cannot read {}: {cause}", path.display()),
    };
    let full = directory.join(&path);
    let size = std::fs::metadata(&full)
        .map_err(|error| cannot_read(error.to_string()))?
        .len();
    if size > FILE_LIMIT_BYTES {
        return Err(cannot_read(format!(
            "it has {size} bytes, a configuration at most {FILE_LIMIT_BYTES}"
        )));
    }
    let text = std::fs::read_to_string(&full).map_err(|error| cannot_read(error.to_string()))?;
    Ok(Some(Document::new(&path, text)))
}
