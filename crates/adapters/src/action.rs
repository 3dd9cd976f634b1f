//! Invokes the functions of action groups: on this machine, in Lambda, behind a Runtime Interface
//! Emulator, or served by something else than a Lambda function: the real API, an MCP server.
//!
//! A function is found by the first mapping whose pattern fits its name or ARN. What the event says
//! and what the reply means is the engine's business; here both are bytes. Nothing is retried: a tool
//! runs once for each call.

mod emulator;
mod lambda;
pub(crate) mod local;
mod mcp;
mod name;
mod rest;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use outcrop_engine::definition::ToolDefinition;
use outcrop_engine::port::{ActionCall, ActionError, ActionExecutor, ActionReply};
use serde_json::json;
use tracing::warn;

use crate::glob::NameGlob;
use crate::http::egress::Egress;
use emulator::Emulators;
use lambda::LambdaService;
use local::{Source, Workers};
use name::FunctionName;

pub use emulator::EmulatedFunction;
pub use lambda::LambdaFunction;
#[cfg(target_os = "linux")]
pub(crate) use local::python::Environments;
pub use local::{LocalFunction, LocalRuntime, ReservedVariable, WorkerSettings};
pub use mcp::{ExportedTool, McpProcess, McpServer, McpTransport, function_name};
pub use rest::RestApi;
pub use upstream::Upstream;

/// The one value of `X-Amz-Function-Error` that functions of today cause.
const FUNCTION_ERROR_UNHANDLED: &str = "Unhandled";

/// How long a connection to a remote function may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The key under which a handler finds the call's idempotency key in `context.client_context.custom`.
pub const IDEMPOTENCY_KEY: &str = "outcrop-idempotency-key";

/// Sends functions that fit a pattern to a runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionMapping {
    /// A function name, an ARN, or a glob over either. A pattern without a qualifier fits the function
    /// under every qualifier.
    pub pattern: String,
    /// What runs it.
    pub runtime: FunctionRuntime,
}

/// What runs a function.
#[derive(Clone, Debug, PartialEq)]
pub enum FunctionRuntime {
    /// A folder of code, in worker processes of this machine.
    Local(LocalFunction),
    /// AWS Lambda, or whatever speaks its Invoke operation.
    Lambda(LambdaFunction),
    /// A Runtime Interface Emulator, such as the one in AWS's container images.
    Http(EmulatedFunction),
    /// The API that an action group's schema describes.
    OpenApi(RestApi),
    /// An MCP server.
    Mcp(McpServer),
}

/// What all functions share.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    /// Of a function that is named without an ARN.
    pub region: String,
    /// Of a function that is named without an ARN.
    pub account_id: String,
    /// Of functions that run on this machine.
    pub workers: WorkerSettings,
    /// What functions that are no Lambda functions may call.
    pub egress: Egress,
}

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FunctionsError {
    /// The pattern is not a glob.
    #[error("the function pattern {pattern:?} is not valid: {source}")]
    Pattern {
        /// As configured.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// The mapping's environment cannot be given to a worker.
    #[error("the environment of function {pattern:?} is not valid: {source}")]
    Environment {
        /// The mapping's pattern.
        pattern: String,
        /// What is wrong with it.
        source: ReservedVariable,
    },
    /// The URL of an emulator or endpoint cannot be used.
    #[error("the url of function {pattern:?} is not valid: {detail}")]
    Url {
        /// The mapping's pattern.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// Functions that are registered while the server runs.
pub trait RegisteredFunctions: Send + Sync {
    /// The function of this name in the version or alias `qualifier`, if one is registered; an error if
    /// that cannot be found out.
    fn find<'a>(
        &'a self,
        account_id: &'a str,
        region: &'a str,
        name: &'a str,
        qualifier: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<RegisteredFunction>, String>>;
}

/// A function registered while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredFunction {
    /// Differs whenever anything about the function does, its code included.
    pub identity: String,
    /// The version that the handler is told; `None`: what the name by which it is called says.
    pub version: Option<String>,
    /// What to run.
    pub function: LocalFunction,
}

/// The functions of this server. Workers end when it is dropped.
pub struct FunctionRegistry {
    mappings: Vec<Mapping>,
    registered: Option<Arc<dyn RegisteredFunctions>>,
    region: String,
    account_id: String,
    workers: Workers,
    lambda: LambdaService,
    emulators: Emulators,
}

#[derive(Debug)]
struct Mapping {
    pattern: String,
    glob: NameGlob,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Local(Arc<LocalFunction>),
    Lambda(lambda::Target),
    Http(emulator::Target),
    OpenApi(Box<rest::Target>),
    Mcp(mcp::Target),
}

impl FunctionRegistry {
    /// Checks the mappings. Nothing is started and nothing is contacted before the first invocation.
    ///
    /// # Errors
    /// A mapping cannot be used.
    pub fn new(
        mappings: Vec<FunctionMapping>,
        settings: FunctionSettings,
    ) -> Result<Self, FunctionsError> {
        #[cfg(target_os = "linux")]
        let shelter = settings.workers.sandbox.clone();
        #[cfg(not(target_os = "linux"))]
        let shelter = ();
        let mappings = mappings
            .into_iter()
            .map(|mapping| Mapping::new(mapping, &settings.egress, &shelter))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            mappings,
            registered: None,
            workers: Workers::new(settings.workers),
            lambda: LambdaService::new(settings.region.clone()),
            emulators: Emulators::new(),
            region: settings.region,
            account_id: settings.account_id,
        })
    }

    /// Also runs functions that are registered while the server runs: after a mapping that names a
    /// function in full, before one that fits it by a wildcard.
    #[must_use]
    pub fn with_registered(self, registered: Arc<dyn RegisteredFunctions>) -> Self {
        Self {
            registered: Some(registered),
            ..self
        }
    }

    /// Makes ready what the first invocations would otherwise wait for: the environments of functions
    /// in Python, which take seconds the first time. A failure is logged here and reported by the
    /// invocations that meet it again.
    pub async fn prepare(&self) {
        for mapping in &self.mappings {
            let Target::Local(function) = &mapping.target else {
                continue;
            };
            if let Err(error) = self.workers.prepare(function).await {
                warn!(
                    function = mapping.pattern,
                    error, "function is not ready to run"
                );
            }
        }
    }

    /// Ends every worker process and MCP session, also those at work, and waits until they are gone.
    /// Invocations of functions that run here fail from now on.
    pub async fn shutdown(&self) {
        let servers = self
            .mappings
            .iter()
            .filter_map(|mapping| match &mapping.target {
                Target::Mcp(server) => Some(server.close()),
                _ => None,
            });
        let servers = futures_util::future::join_all(servers);
        futures_util::future::join(self.workers.shutdown(), servers).await;
    }

    /// The tools behind a function that an MCP server serves; `None` for any other function.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn tools(&self, function: &str) -> Result<Option<Vec<ExportedTool>>, String> {
        let name = FunctionName::parse(function, &self.region, &self.account_id);
        let mut mappings = self.mappings.iter();
        let named = mappings.find(|mapping| mapping.names(function, &name));
        let found = named.or_else(|| {
            let mut mappings = self.mappings.iter();
            mappings.find(|mapping| mapping.fits(function, &name))
        });
        match found.map(|mapping| &mapping.target) {
            Some(Target::Mcp(server)) => server.tools().await.map(Some),
            Some(_) | None => Ok(None),
        }
    }

    async fn invoke(&self, call: ActionCall) -> Result<ActionReply, ActionError> {
        let name = FunctionName::parse(&call.function, &self.region, &self.account_id);
        let mut mappings = self.mappings.iter().enumerate();
        let mut found = mappings.find(|(_, mapping)| mapping.names(&call.function, &name));
        if found.is_none() {
            if let Some(registered) = self.registered(&call, &name).await? {
                let name = name.in_version(registered.version);
                let source = Source::Registered(registered.identity);
                let function = Arc::new(registered.function);
                return self.workers.invoke(source, &function, name, call).await;
            }
            let mut mappings = self.mappings.iter().enumerate();
            found = mappings.find(|(_, mapping)| mapping.fits(&call.function, &name));
        }
        match found {
            Some((index, mapping)) => match &mapping.target {
                Target::Local(function) => {
                    let source = Source::Mapping(index);
                    self.workers.invoke(source, function, name, call).await
                }
                Target::Lambda(target) => self.lambda.invoke(target, call).await,
                Target::Http(target) => self.emulators.invoke(target, call).await,
                Target::OpenApi(target) => target.invoke(call).await,
                Target::Mcp(target) => target.invoke(call).await,
            },
            None => Err(ActionError::NotFound {
                detail: hint(&name),
                function: call.function,
            }),
        }
    }
}

impl FunctionRegistry {
    async fn registered(
        &self,
        call: &ActionCall,
        name: &FunctionName,
    ) -> Result<Option<RegisteredFunction>, ActionError> {
        let Some(registered) = &self.registered else {
            return Ok(None);
        };
        let qualifier = name.qualifier.as_deref();
        let found = registered.find(&name.account, &name.region, &name.name, qualifier);
        found.await.map_err(|detail| ActionError::Failed {
            function: call.function.clone(),
            detail,
        })
    }
}

impl std::fmt::Debug for FunctionRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionRegistry")
            .field("mappings", &self.mappings)
            .finish_non_exhaustive()
    }
}

impl ActionExecutor for FunctionRegistry {
    fn tools<'a>(
        &'a self,
        function: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<ToolDefinition>>, ActionError>> {
        Box::pin(async move {
            let tools = self
                .tools(function)
                .await
                .map_err(|detail| ActionError::Failed {
                    function: function.to_owned(),
                    detail,
                })?;
            let tools = tools.map(|tools| tools.into_iter().map(ExportedTool::into_definition));
            Ok(tools.map(Iterator::collect))
        })
    }

    fn invoke(&self, call: ActionCall) -> BoxFuture<'_, Result<ActionReply, ActionError>> {
        Box::pin(self.invoke(call))
    }
}

impl Mapping {
    fn new(
        mapping: FunctionMapping,
        egress: &Egress,
        shelter: &mcp::Shelter,
    ) -> Result<Self, FunctionsError> {
        let FunctionMapping { pattern, runtime } = mapping;
        let glob = match NameGlob::new(&pattern) {
            Ok(glob) => glob,
            Err(source) => return Err(FunctionsError::Pattern { pattern, source }),
        };
        let target = match runtime {
            FunctionRuntime::Local(function) => match function.check_environment() {
                Ok(()) => Target::Local(Arc::new(function)),
                Err(source) => return Err(FunctionsError::Environment { pattern, source }),
            },
            FunctionRuntime::Lambda(function) => match lambda::Target::new(function) {
                Ok(target) => Target::Lambda(target),
                Err(detail) => return Err(FunctionsError::Url { pattern, detail }),
            },
            FunctionRuntime::Http(function) => match emulator::Target::new(&function) {
                Ok(target) => Target::Http(target),
                Err(detail) => return Err(FunctionsError::Url { pattern, detail }),
            },
            FunctionRuntime::OpenApi(api) => match rest::Target::new(api, egress) {
                Ok(target) => Target::OpenApi(Box::new(target)),
                Err(detail) => return Err(FunctionsError::Url { pattern, detail }),
            },
            FunctionRuntime::Mcp(server) => {
                match mcp::Target::new(&pattern, server, egress, shelter) {
                    Ok(target) => Target::Mcp(target),
                    Err(detail) => return Err(FunctionsError::Url { pattern, detail }),
                }
            }
        };
        Ok(Self {
            pattern,
            glob,
            target,
        })
    }

    /// Whether the pattern is the function's name or ARN itself.
    fn names(&self, reference: &str, name: &FunctionName) -> bool {
        [reference, &name.name, &name.unqualified_arn()].contains(&self.pattern.as_str())
    }

    fn fits(&self, reference: &str, name: &FunctionName) -> bool {
        [reference, &name.name, &name.unqualified_arn()]
            .into_iter()
            .any(|candidate| self.pattern == candidate || self.glob.is_match(candidate))
    }
}

/// The setting that would make the function known, ready to be pasted.
fn hint(name: &FunctionName) -> String {
    let name = &name.name;
    format!(
        "no [[functions]] entry of the configuration fits it. Add one, such as\n\n\
         [[functions]]\nmatch = {name:?}\nruntime = \"python\"\nhandler = \"app.lambda_handler\"\n\
         code = \"functions/{name}\"\n"
    )
}

/// The client context of an invocation, JSON in ASCII, as Lambda's Invoke and the Runtime API carry it:
/// the caller's own, else the one with the idempotency key.
fn client_context(own: Option<&str>, idempotency_key: &str) -> String {
    let context = own.map_or_else(
        || {
            json!({"client": {}, "custom": {IDEMPOTENCY_KEY: idempotency_key}, "env": {}})
                .to_string()
        },
        str::to_owned,
    );
    let mut ascii = String::new();
    for unit in context.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => ascii.push(char::from(byte)),
            Ok(_) | Err(_) => ascii.extend(format!("\\u{unit:04x}").chars()),
        }
    }
    ascii
}

#[cfg(test)]
mod tests;
