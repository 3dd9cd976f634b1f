//! Runs the functions of an action group as tools of an MCP server, through the official Rust SDK.
//!
//! The server is started, or connected to, by the first call that needs it, and kept. A function calls
//! the tool of its name, an API operation that of its `operationId` ([`names`]); arguments get the
//! types of the tool's input schema. What the tool gives back becomes the reply a Lambda function would
//! have given ([`result`]). A call is made once: a connection found dead before the call is opened
//! anew, one that breaks during it fails the call. A call that nobody waits for any more is cancelled
//! at the server too.

mod arguments;
mod http;
mod names;
mod result;
mod session;
mod stdio;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use outcrop_engine::action::ActionTarget;
use outcrop_engine::action::call::CalledAction;
use outcrop_engine::port::{ActionCall, ActionError, ActionReply};
use rmcp::ServiceError;
use rmcp::model::{CallToolRequestParams, ErrorCode, MetaObject, RequestMetaObject, Tool};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::upstream::{Reach, Upstream};
use crate::http::Secret;
use crate::http::egress::Egress;
use session::{Peer, Session};

pub use names::{ExportedTool, function_name};

/// The key under which a tool finds the call's idempotency key in `_meta`.
const IDEMPOTENCY_KEY: &str = "outcrop/idempotency-key";

/// An MCP server that serves action groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// How to reach it.
    pub transport: McpTransport,
    /// How long one call may take, waiting for its turn included.
    pub timeout: Duration,
    /// The most calls at a time.
    pub max_concurrency: NonZeroUsize,
    /// The most bytes of one result's text.
    pub max_reply_bytes: usize,
}

/// How an MCP server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpTransport {
    /// A process of this machine, over its standard streams.
    Stdio(McpProcess),
    /// Streamable HTTP.
    Http(Upstream),
}

/// The process of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpProcess {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Its variables, besides the few that every program needs.
    pub environment: BTreeMap<String, Secret>,
    /// The folder it is started in.
    pub folder: PathBuf,
    /// Whether it may open connections.
    pub network: bool,
    /// Folders it may write.
    pub writable: Vec<PathBuf>,
}

/// What processes are confined by, where there is such a thing.
#[cfg(target_os = "linux")]
pub(super) type Shelter = Option<crate::sandbox::Sandbox>;
/// What processes are confined by: nothing, on this system.
#[cfg(not(target_os = "linux"))]
pub(super) type Shelter = ();

/// A checked [`McpServer`], with its session once it has one.
#[derive(Clone, Debug)]
pub(super) struct Target(Arc<Server>);

#[derive(Debug)]
struct Server {
    /// The mapping's pattern, for messages.
    name: String,
    peer: Peer,
    timeout: Duration,
    calls: Semaphore,
    max_reply_bytes: usize,
}

/// Why a tool was not called, or gave nothing.
enum CallError {
    /// The model can correct it.
    Mistake(String),
    Failed(String),
}

impl Target {
    pub(super) fn new(
        name: &str,
        server: McpServer,
        egress: &Egress,
        shelter: &Shelter,
    ) -> Result<Self, String> {
        let route = match server.transport {
            McpTransport::Stdio(process) if process.command.is_empty() => {
                return Err("its command is empty".to_owned());
            }
            McpTransport::Stdio(process) => session::Route::Stdio(process, shelter.clone()),
            McpTransport::Http(upstream) => {
                session::Route::Http(Arc::new(Reach::new(upstream, egress)?))
            }
        };
        Ok(Self(Arc::new(Server {
            name: name.to_owned(),
            peer: Peer::new(name, route),
            timeout: server.timeout,
            calls: Semaphore::new(server.max_concurrency.get()),
            max_reply_bytes: server.max_reply_bytes,
        })))
    }

    pub(super) async fn invoke(&self, call: ActionCall) -> Result<ActionReply, ActionError> {
        let server = &self.0;
        let function = call.function.clone();
        let failed = |detail: String| ActionError::Failed {
            function: function.clone(),
            detail: format!("MCP server {}: {detail}", server.name),
        };
        let action = call.action.clone().ok_or_else(|| {
            failed(
                "its tools run the calls of action groups only; it takes no plain event".to_owned(),
            )
        })?;
        let begun = Instant::now();
        let called = server.call(&action, &call.idempotency_key);
        match tokio::time::timeout(server.timeout, called).await {
            Ok(Ok((payload, told))) => Ok(ActionReply {
                payload,
                function_error: None,
                log_tail: Some(format!("{told} in {} ms", begun.elapsed().as_millis())),
                request_id: None,
            }),
            Ok(Err(CallError::Mistake(text))) => Err(ActionError::RespondToModel(text)),
            Ok(Err(CallError::Failed(detail))) => Err(failed(detail)),
            Err(_) => Err(failed(format!(
                "the call of {} did not end within {} s and was cancelled",
                wanted(&action),
                server.timeout.as_secs_f32()
            ))),
        }
    }

    /// What the server offers, as functions.
    pub(super) async fn tools(&self) -> Result<Vec<ExportedTool>, String> {
        let server = &self.0;
        let list = async {
            let session = server.peer.session().await?;
            let tools = session.tools(session::Freshness::Now).await;
            let tools = tools.map_err(|error| session.explain(&error))?;
            Ok(tools.iter().map(names::exported).collect())
        };
        match tokio::time::timeout(server.timeout, list).await {
            Ok(result) => {
                result.map_err(|detail: String| format!("MCP server {}: {detail}", server.name))
            }
            Err(_) => Err(format!(
                "MCP server {}: its tools were not listed within {} s",
                server.name,
                server.timeout.as_secs_f32()
            )),
        }
    }

    /// Ends the session, and the process behind it.
    pub(super) async fn close(&self) {
        self.0.peer.close().await;
    }
}

impl Server {
    async fn call(
        &self,
        action: &CalledAction,
        idempotency_key: &str,
    ) -> Result<(Bytes, String), CallError> {
        let _turn = self
            .calls
            .acquire()
            .await
            .map_err(|_| CallError::Failed("it is being shut down".to_owned()))?;
        let session = self.peer.session().await.map_err(CallError::Failed)?;
        let tool = find(&session, wanted(action)).await?;
        let mut params = CallToolRequestParams::new(tool.name.clone())
            .with_arguments(arguments::arguments(&tool, action));
        let mut meta = MetaObject::default();
        meta.0
            .insert(IDEMPOTENCY_KEY.to_owned(), Value::from(idempotency_key));
        params.meta = Some(RequestMetaObject(meta));
        let called = session.call(params).await;
        let given = called.map_err(|error| self.fault(&session, &tool, &error))?;
        session.worked();
        let told = format!("MCP server {} answered for tool {}", self.name, tool.name);
        let result = result::Result::of(given);
        if result.text.len() > self.max_reply_bytes {
            return Err(CallError::Failed(format!(
                "the result of tool {} has {} bytes of text, more than the {} of max_reply_bytes",
                tool.name,
                result.text.len(),
                self.max_reply_bytes
            )));
        }
        Ok((Bytes::from(result::payload(action, &result)), told))
    }

    fn fault(&self, session: &Session, tool: &Tool, error: &ServiceError) -> CallError {
        match error {
            // The server has looked at the arguments and says what is wrong with them.
            ServiceError::McpError(error) if error.code == ErrorCode::INVALID_PARAMS => {
                CallError::Mistake(format!(
                    "The call of {} was refused: {}. Correct the arguments.",
                    tool.name, error.message
                ))
            }
            error => {
                self.peer.suspect(session, error);
                CallError::Failed(format!("tool {}: {}", tool.name, session.explain(error)))
            }
        }
    }
}

/// The name a call asks for: the function, or the operation's id.
fn wanted(action: &CalledAction) -> &str {
    match (&action.target, &action.operation) {
        (ActionTarget::Function { name }, _) => name,
        (ActionTarget::Api { .. }, Some(operation)) => &operation.id,
        (ActionTarget::Api { path, .. }, None) => path,
    }
}

/// The tool of that name. A list that lacks it may be old, and is read once more.
async fn find(session: &Session, wanted: &str) -> Result<Tool, CallError> {
    let mut known = Vec::new();
    for freshness in [session::Freshness::Kept, session::Freshness::Now] {
        let tools = session.tools(freshness).await;
        let tools = tools.map_err(|error| CallError::Failed(session.explain(&error)))?;
        if let Some(tool) = names::find(&tools, wanted) {
            return Ok(tool.clone());
        }
        known = tools.iter().map(|tool| tool.name.to_string()).collect();
    }
    let known = match known.as_slice() {
        [] => "no tools".to_owned(),
        names => names.join(", "),
    };
    Err(CallError::Failed(format!(
        "it has no tool {wanted}; it has {known}"
    )))
}
