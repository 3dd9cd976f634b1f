//! What the engine needs from the outside, as object-safe traits in AWS's own vocabulary.
//!
//! Traits and their plain data only: `adapters` implements them, `service` drives them, and neither
//! knows the other. Model traffic is in Converse shapes, action traffic in Lambda's.

mod code;
mod crawl;
mod judge;
mod knowledge;
mod request;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use outcrop_model::converse::{
    ConverseStreamOutput, Message, SystemContentBlock, Tool, ToolChoice,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::call::CalledAction;
use crate::definition::ToolDefinition;
pub use code::{
    BASE_PATH, CodeCall, CodeError, CodeFile, CodeInterpreter, CodeOutputFile, CodeReply,
    NoCodeInterpreter, OUTPUT_FILE_BYTES_MAX, OUTPUT_FILES_MAX,
};
pub use crawl::{CrawlError, CrawlEvent, Crawler, WebPage};
pub use judge::{
    Assessment, GuardrailError, GuardrailSource, RetrieveCall, RetrieveError, Retriever,
};
pub use knowledge::{
    ChunkIndex, DocumentKey, Embedder, EmbeddingChoice, EmbeddingIdentity, EmbeddingModel,
    EmbeddingPurpose, ExtractCall, ExtractError, Extraction, Extractor, Hit, IndexError,
    IndexPlace, IndexedChunk, NoKnowledge, ParentChunk, Ranked, RerankCall, RerankDocument,
    Reranker, Search, SearchBy,
};
pub use request::{ConverseFields, Latency, PromptCache};

/// One call of a foundation model, in Converse vocabulary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// The agent's `foundationModel`: a model id, an ARN, or an inference profile's id or ARN.
    pub model: String,
    /// The system text; empty for none.
    pub system: Arc<str>,
    /// The system text in several blocks, for a caller who has it so. Where there are any, they stand in
    /// place of `system`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_blocks: Vec<SystemContentBlock>,
    /// The conversation, oldest first, roles alternating, beginning with the user. Shared with the
    /// session's history, so that a long conversation is not copied at each step.
    pub messages: Vec<Arc<Message>>,
    /// The tools the model may call; empty for none.
    pub tools: Arc<[Tool]>,
    /// Those of `tools` that the model's vendor has a definition of its own for. A provider of that
    /// vendor sends it instead; any other sends the tool as it stands in `tools`.
    #[serde(default, skip_serializing_if = "no_tools")]
    pub vendor_tools: Arc<[VendorTool]>,
    /// How the model may choose among them; `None` leaves it to the model.
    pub tool_choice: Option<ToolChoice>,
    /// Sampling parameters; an absent one is left to the provider.
    pub inference: Inference,
    /// Passed through to the model unchanged (`additionalModelRequestFields`).
    pub additional_fields: Option<Value>,
    /// Whether anybody reads the deltas. A provider may then choose the cheaper request form; the
    /// result is the same stream of events either way.
    pub delivery: Delivery,
    /// What of the prompt the vendor is asked to cache.
    #[serde(default)]
    pub cache: PromptCache,
    /// `performanceConfig`; `None` leaves it to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What a caller of Converse has said besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Box<ConverseFields>>,
    /// For whom the call is made: where calls have to queue, callers take turns.
    #[serde(skip)]
    pub caller: Option<Arc<str>>,
}

fn no_tools(tools: &Arc<[VendorTool]>) -> bool {
    tools.is_empty()
}

/// A tool that Anthropic's models know by its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorTool {
    /// The tool of [`ModelRequest::tools`] that it stands for.
    pub name: String,
    /// The vendor's definition, an object.
    pub definition: Value,
    /// The beta that a request with it has to name, if any.
    pub beta: Option<String>,
}

/// Sampling parameters of one model call (AWS's `inferenceConfiguration`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// `maximumLength`: the most tokens to generate.
    pub max_tokens: Option<u32>,
    /// 0 to 1.
    pub temperature: Option<f32>,
    /// 0 to 1.
    pub top_p: Option<f32>,
    /// 0 to 500.
    pub top_k: Option<u32>,
    /// Up to four; the text that matched is not part of the answer.
    pub stop_sequences: Vec<String>,
}

/// Whether the deltas of a model call have a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// The deltas are forwarded as they come: stream upstream.
    Streamed,
    /// Only the finished message counts: the provider may ask upstream unstreamed.
    #[default]
    Whole,
}

/// The events of one model call: `MessageStart`, per block `ContentBlockStart` (tool use only),
/// `ContentBlockDelta`…, `ContentBlockStop`, then `MessageStop` and Metadata. Dropping it cancels the call.
pub type ModelStream = BoxStream<'static, Result<ConverseStreamOutput, ModelError>>;

/// What a model can do; the engine plans around it, so that a provider never drops a field silently.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one ability, none a state"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Takes tool definitions and answers with tool-use blocks.
    pub tools: bool,
    /// May ask for several tools in one message.
    pub parallel_tools: bool,
    /// Takes an assistant message as the last one, to be continued.
    pub prefill: bool,
    /// Takes `topK` (`inferenceConfiguration` of the agent carries one by default).
    pub top_k: bool,
    /// Takes stop sequences.
    pub stop_sequences: bool,
    /// Takes `temperature` and `topP`; reasoning models often refuse them.
    pub sampling: bool,
    /// Takes `temperature` and `topP` together; Anthropic's models since Claude Opus 4.1 take one.
    pub temperature_with_top_p: bool,
    /// Takes images, in messages and in tool results.
    pub images: bool,
    /// Which documents it takes.
    pub documents: Documents,
    /// Caches the prompt up to the points it is shown ([`PromptCache::StablePrefix`]).
    pub prompt_cache: bool,
    /// Takes `performanceConfig`.
    pub latency: bool,
}

/// Which documents a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    /// None but text.
    Text,
    /// Text and PDF.
    Pdf,
    /// Every format of Converse.
    All,
}

/// Calls foundation models.
pub trait ModelProvider: Send + Sync {
    /// What `model` can do.
    ///
    /// # Errors
    /// [`ModelError::Unmapped`] when no configured provider serves it.
    fn capabilities(&self, model: &str) -> Result<Capabilities, ModelError>;

    /// The models to ask, in this order, where `model` fails before it has said anything.
    fn fallbacks(&self, _model: &str) -> &[String] {
        &[]
    }

    /// Starts one call. Resolves when the provider has accepted the request (response headers).
    fn converse(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelStream, ModelError>>;
}

/// Why a model call failed, by who must react. Texts are for the operator and may name hosts, never
/// secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ModelError {
    /// No `[[models]]` entry matches the model.
    #[error("no provider is configured for model {model}: {hint}")]
    Unmapped {
        /// The id as given.
        model: String,
        /// The setting to add.
        hint: String,
    },
    /// The provider refuses the credentials, or the credentials may not use this model.
    #[error("the model provider refused the credentials: {detail}")]
    Auth {
        /// What it said.
        detail: String,
    },
    /// Too many requests; worth retrying.
    #[error("the model provider is throttling: {detail}")]
    Throttled {
        /// What it said.
        detail: String,
        /// Its own advice on when to retry.
        retry_after_ms: Option<u64>,
    },
    /// This server makes as many calls of the model as it may, and the queue for it is full or too slow.
    /// In a journal it stands as `Throttled`.
    #[error("too many calls of the model wait: {detail}")]
    #[serde(rename(serialize = "Throttled"))]
    Queued {
        /// Which limit.
        detail: String,
    },
    /// The provider does not have the model, or not for this account. In a journal it stands as
    /// `Rejected`.
    #[error("the model provider does not serve the model: {detail}")]
    #[serde(rename(serialize = "Rejected"))]
    NotServed {
        /// What it said.
        detail: String,
    },
    /// The provider took the request and refused its content (4xx). Retrying cannot help.
    #[error("the model provider rejected the request: {detail}")]
    Rejected {
        /// What it said.
        detail: String,
    },
    /// No answer in time.
    #[error("the model provider did not answer in time: {detail}")]
    Timeout {
        /// What was waited for.
        detail: String,
    },
    /// The model is being loaded.
    #[error("the model is not ready: {detail}")]
    Loading {
        /// What it said.
        detail: String,
    },
    /// The provider answered with a server fault (5xx); worth retrying.
    #[error("the model provider failed: {detail}")]
    Unavailable {
        /// What it said.
        detail: String,
    },
    /// No connection, or it broke; worth retrying as long as nothing has been received.
    #[error("the model provider cannot be reached: {detail}")]
    Unreachable {
        /// Host and cause.
        detail: String,
    },
    /// The answer breaks the provider's own protocol.
    #[error("the model provider's answer cannot be read: {detail}")]
    Malformed {
        /// Where and why.
        detail: String,
    },
}

impl ModelError {
    /// Whether the same call may succeed when made again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unavailable { .. } | Self::Unreachable { .. } => true,
            Self::Unmapped { .. }
            | Self::Auth { .. }
            | Self::Queued { .. }
            | Self::NotServed { .. }
            | Self::Rejected { .. }
            | Self::Timeout { .. }
            | Self::Loading { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Whether another model may do what this one could not. Not where the request itself was refused:
    /// it is the same for every model, and the caller has to hear what is wrong with it.
    pub fn may_fall_back(&self) -> bool {
        match self {
            Self::Auth { .. }
            | Self::Throttled { .. }
            | Self::Queued { .. }
            | Self::NotServed { .. }
            | Self::Timeout { .. }
            | Self::Loading { .. }
            | Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::Malformed { .. } => true,
            Self::Unmapped { .. } | Self::Rejected { .. } => false,
        }
    }
}

/// One invocation of an action group's function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionCall {
    /// The executor as configured on the action group: a Lambda ARN (or a bare function name).
    pub function: String,
    /// The Lambda event, JSON (behaviour.md 1.2, 1.3).
    pub event: Bytes,
    /// `run/seq`: the same for every delivery of this call, so that a tool can recognise a repeat.
    /// Reaches the handler as `context.client_context.custom["outcrop-idempotency-key"]`.
    pub idempotency_key: String,
    /// The client context that a caller of Invoke gave, JSON; it takes the place of the one that carries
    /// the idempotency key.
    pub client_context: Option<String>,
    /// The call's `clientRequestId`, a UUID; Lambda's request id where the executor may choose it.
    pub request_id: String,
    /// The same call for executors that serve something else than a Lambda function; `None` where it
    /// comes from no action group, such as Lambda's own Invoke.
    pub action: Option<Arc<CalledAction>>,
}

/// What a Lambda function gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionReply {
    /// The payload: the handler's return value, or Lambda's error object when `function_error` is set.
    pub payload: Bytes,
    /// Lambda's `X-Amz-Function-Error` (`Unhandled`) when the handler raised, exited or timed out.
    pub function_error: Option<String>,
    /// The last 4 KB of what the handler logged.
    pub log_tail: Option<String>,
    /// Lambda's id of the invocation, as its log names it; `None` where there is none.
    pub request_id: Option<String>,
}

/// Why an action could not be invoked at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ActionError {
    /// The model should hear this and go on.
    #[error("{0}")]
    RespondToModel(String),
    /// The function may not be invoked with the credentials at hand.
    #[error("access denied while invoking {function}: {detail}")]
    AccessDenied {
        /// The function as configured.
        function: String,
        /// What the other side said.
        detail: String,
    },
    /// No `[[functions]]` entry and no Lambda service knows this function.
    #[error("function {function} is not known: {detail}")]
    NotFound {
        /// The function as configured.
        function: String,
        /// The setting to add, or what the other side said.
        detail: String,
    },
    /// The invocation itself failed: throttled, unreachable, or the worker could not start.
    #[error("function {function} could not be invoked: {detail}")]
    Failed {
        /// The function as configured.
        function: String,
        /// Cause, and the log tail where there is one.
        detail: String,
    },
}

/// Invokes action-group functions.
pub trait ActionExecutor: Send + Sync {
    /// Invokes the function once; never retries by itself. Dropping the future cancels the
    /// invocation as far as the other side allows.
    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>>;

    /// What the function offers by itself, where whoever serves it can tell; `None` for all others.
    fn tools<'a>(
        &'a self,
        _function: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<ToolDefinition>>, ActionError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// An object of a bucket, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Its length, bytes.
    pub size: u64,
    /// Changes whenever the content does: S3's `ETag`, or what a folder has like it.
    pub version: String,
}

/// Some objects of a bucket, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// They.
    pub objects: Vec<ObjectInfo>,
    /// What to ask for the next ones with; `None` where these are the last.
    pub next: Option<String>,
}

/// Reads whole objects by `s3://` location: API schemas, files, documents. A source that can only be
/// read leaves out the rest, and says so when asked.
pub trait DocumentSource: Send + Sync {
    /// Objects whose keys begin with `prefix`, in the order of their keys' bytes, at most a thousand at
    /// once; those behind `after`: [`ObjectPage::next`] of the page before, or any other key. Keys that
    /// cannot be read are among them, and [`Self::read`] says why.
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ObjectPage, SourceError>> {
        let _ = after;
        read_only(bucket, prefix)
    }

    /// Writes an object, in place of one that is there.
    fn write<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        content: Bytes,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        drop(content);
        read_only(bucket, key)
    }

    /// Removes an object; one that is not there is fine.
    fn remove<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        read_only(bucket, key)
    }

    /// The object's bytes, refused above `limit_bytes`.
    fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        limit_bytes: u64,
    ) -> BoxFuture<'a, Result<Bytes, SourceError>>;
}

fn read_only<'a, T: Send + 'a>(bucket: &str, key: &str) -> BoxFuture<'a, Result<T, SourceError>> {
    Box::pin(std::future::ready(Err(SourceError::Unreadable {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        detail: "objects here can be read one by one and nothing else".to_owned(),
    })))
}

/// Unpacks the archives of uploaded functions into folders of this machine, each once.
pub trait FunctionPackages: Send + Sync {
    /// The folder of the archive with this SHA-256, in lower-case hexadecimal digits, if it has been
    /// unpacked here. It stays for as long as calls that begin now may take.
    fn find<'a>(&'a self, sha256: &'a str) -> BoxFuture<'a, Option<PathBuf>>;

    /// Unpacks a zip archive and gives its folder.
    fn unpack<'a>(
        &'a self,
        sha256: &'a str,
        archive: Bytes,
    ) -> BoxFuture<'a, Result<PathBuf, PackageError>>;
}

/// Why an archive could not be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// It is no zip archive.
    #[error("this is no zip archive: {detail}")]
    NotZip {
        /// What is wrong with it.
        detail: String,
    },
    /// Its content has too many bytes.
    #[error("the content of the archive has more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// It holds too many files.
    #[error("the archive holds {entries} entries, at most {limit}")]
    TooManyEntries {
        /// How many there are.
        entries: usize,
        /// The limit.
        limit: usize,
    },
    /// One of its entries cannot be unpacked, or must not be.
    #[error("the archive's entry {entry:?} {detail}")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The file system says no.
    #[error("the archive cannot be unpacked: {detail}")]
    Failed {
        /// Cause.
        detail: String,
    },
}

/// Why an object could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No such bucket or key.
    #[error("s3://{bucket}/{key} does not exist: {detail}")]
    NotFound {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// Where was looked.
        detail: String,
    },
    /// A key that objects may have and that cannot be asked for here.
    #[error(
        "s3://{bucket}/{key} cannot be read: the key is not a plain relative path, but too long or with \
         an empty, `.` or `..` part, a control character or a backslash"
    )]
    BadKey {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
    },
    /// Larger than the caller takes.
    #[error("s3://{bucket}/{key} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// No `[s3]` setting, a path outside the root, or an I/O failure.
    #[error("s3://{bucket}/{key} cannot be read: {detail}")]
    Unreadable {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// Cause.
        detail: String,
    },
}

/// The time, as nanoseconds since the Unix epoch.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> outcrop_model::timestamp::Timestamp;
    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Fresh identifiers.
pub trait Ids: Send + Sync {
    /// A lower-case UUID version 4.
    fn uuid(&self) -> String;
    /// Ten characters of `[A-Z0-9]`, the form of agent, alias and action-group ids.
    fn resource_id(&self) -> String;
    /// A number in `0.0..1.0`, for jitter.
    fn fraction(&self) -> f64;
}
