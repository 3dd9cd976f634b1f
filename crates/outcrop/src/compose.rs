//! From [`Config`] to a server's parts: store, providers, executors, buckets, service, router.
//!
//! The only function that knows all of them. Opens the store, which takes an exclusive lock on the
//! data folder or connects to a database, and tries what keeps functions apart; contacts nothing else.

mod embeddings;
mod indexes;
mod rerankers;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use futures_core::future::BoxFuture;
use outcrop_adapters::action::{
    EmulatedFunction, FunctionMapping, FunctionRegistry, FunctionRuntime, FunctionSettings,
    LambdaFunction, LocalFunction, LocalRuntime, RegisteredFunction, RegisteredFunctions,
    WorkerSettings,
};
#[cfg(target_os = "linux")]
use outcrop_adapters::code::{CodeSettings, PythonInterpreter};
use outcrop_adapters::extract::{ChildExtractor, ExtractorSettings};
use outcrop_adapters::http::{Secret, Timeouts};
#[cfg(feature = "local")]
use outcrop_adapters::model::local::{LocalModel, LocalSettings, WeightsLocation};
use outcrop_adapters::model::registry::{ModelMapping, ModelRegistry, ProviderKind as Kind};
use outcrop_adapters::packages::PackageFolders;
#[cfg(target_os = "linux")]
use outcrop_adapters::sandbox::{Sandbox, SandboxSettings};
use outcrop_adapters::source::{BucketFolder, Buckets, S3Buckets, S3Settings, WebCrawler};
use outcrop_adapters::system::{RandomIds, SystemClock};
use outcrop_engine::action::Strictness;
use outcrop_engine::port::{DocumentSource, FunctionPackages, ModelProvider};
use outcrop_index::EmbeddedIndex;
use outcrop_service::Service;
use outcrop_service::lambda::directory::{Family, Found, FunctionDirectory, UploadedFunction};
use outcrop_service::outcrop_api::functions;
use outcrop_service::ports::{KnowledgePorts, Ports};
use outcrop_service::settings::Settings;
use outcrop_store::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store};

#[cfg(target_os = "linux")]
use tracing::{info, warn};

use crate::config::{
    AwsLimits, CodeRuntime, Config, Durability, Function, LocalCode, ModelRoute, ProviderKind,
    Runtime, Upstream,
};
#[cfg(feature = "local")]
use crate::config::{Local, Python};
use crate::server::aws::{self, Aws};
use crate::server::body::BodyReader;
use crate::server::own::Own;
use crate::server::signature::Signatures;

/// A server without its listener.
pub(crate) struct App {
    service: Arc<Service>,
    functions: Arc<FunctionRegistry>,
    index: Arc<EmbeddedIndex>,
    #[cfg(target_os = "linux")]
    code: Arc<PythonInterpreter>,
    router: Router,
    #[cfg(target_os = "linux")]
    sandbox: Sandbox,
}

impl App {
    /// Which connections come from inside of a function, and are none of a client's.
    #[cfg(target_os = "linux")]
    pub(crate) fn sandbox(&self) -> Sandbox {
        self.sandbox.clone()
    }

    /// What the listener serves.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Begins what goes on in the background: ended sessions are summarised, and the Python
    /// environments of functions are made ready, so that the first call does not wait for packages.
    /// What fails is logged, and tried again.
    pub(crate) fn prepare(&self) {
        self.service.start();
        let functions = Arc::clone(&self.functions);
        tokio::spawn(async move { functions.prepare().await });
    }

    /// Journals the turns that are still in flight, ends all workers and closes the index.
    pub(crate) async fn close(&self) {
        self.service.shutdown().await;
        self.functions.shutdown().await;
        #[cfg(target_os = "linux")]
        self.code.shutdown().await;
        self.index.close().await;
    }
}

/// Puts the parts together.
pub(crate) async fn compose(config: &Config) -> anyhow::Result<App> {
    let store = open_store(config).await?;
    let packages: Arc<dyn FunctionPackages> =
        Arc::new(PackageFolders::new(config.data_dir.join("functions")));
    let directory = FunctionDirectory::new(
        store.clone(),
        packages.clone(),
        Arc::new(SystemClock),
        Arc::new(RandomIds),
    );
    #[cfg(target_os = "linux")]
    let sandbox = sandbox(&config.sandbox).await?;
    let functions = functions(
        config,
        #[cfg(target_os = "linux")]
        sandbox.clone(),
    )?
    .with_registered(Arc::new(Registered(directory)));
    let functions = Arc::new(functions);
    let root = config.buckets.clone();
    let buckets = BucketFolder::new(root.unwrap_or_else(|| config.data_dir.join("buckets")))?
        .with_links(config.data_dir.join("bucket-links"));
    let documents = Buckets::new(buckets.clone(), s3(config)?);
    let documents: Arc<dyn DocumentSource> = Arc::new(documents);
    #[cfg(target_os = "linux")]
    let code = Arc::new(code_interpreter(config, sandbox.clone()));
    let models: Arc<dyn ModelProvider> = Arc::new(models(config)?);
    let indexes = indexes::indexes(config)?;
    let ports = Ports {
        retriever: None,
        knowledge: KnowledgePorts {
            embedder: Arc::new(embeddings::embeddings(config)?),
            reranker: Arc::new(rerankers::rerankers(config, &models)?),
            extractor: Arc::new(ChildExtractor::new(ExtractorSettings::of_this_program()?)),
            index: indexes.router,
            crawler: Some(Arc::new(WebCrawler::new(config.crawler.clone()))),
        },
        store: store.clone(),
        models,
        actions: functions.clone(),
        #[cfg(target_os = "linux")]
        code: code.clone(),
        // Code is run in the sandbox or not at all.
        #[cfg(not(target_os = "linux"))]
        code: Arc::new(outcrop_engine::port::NoCodeInterpreter),
        documents: documents.clone(),
        packages,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
    };
    let service = Arc::new(Service::new(ports, settings(config)));
    let router = aws::router(Aws {
        service: service.clone(),
        operations: outcrop_wire::Router::new(),
        signatures: Signatures::new(config),
        bodies: BodyReader::new(&config.http),
        own: Own {
            service: service.clone(),
            buckets,
            documents,
            register_functions: config.register_functions,
            configured: config.functions.clone(),
        },
        store,
    });
    Ok(App {
        service,
        functions,
        index: indexes.embedded,
        #[cfg(target_os = "linux")]
        code,
        router,
        #[cfg(target_os = "linux")]
        sandbox,
    })
}

/// Finds out what keeps functions apart on this machine, and says so.
#[cfg(target_os = "linux")]
async fn sandbox(config: &crate::config::Sandbox) -> anyhow::Result<Sandbox> {
    let settings = SandboxSettings {
        first_user: config.first_user,
        users: config.users,
        allow_network_leak: config.network_off == crate::config::NetworkOff::BestEffort,
        ..SandboxSettings::of_this_program()
    };
    let sandbox = tokio::task::spawn_blocking(|| Sandbox::new(settings)).await?;
    let strength = sandbox.strength();
    info!(in_force = %strength, "sandbox");
    if !strength.missing().is_empty() {
        let network_off = strength.network_off().err();
        warn!(
            missing = strength.missing().join("; "),
            keeps_files = strength.keeps_files(),
            network_off,
            "the sandbox is weaker than it could be"
        );
    }
    Ok(sandbox)
}

/// Opens the store, which reads and may migrate a database.
async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let durability = match config.durability {
        Durability::Process => outcrop_store::Durability::Process,
        Durability::Power => outcrop_store::Durability::Power,
    };
    if let Some(url) = &config.database_url {
        let options = PostgresOptions {
            durability,
            connections: config.database_connections,
            ..PostgresOptions::new(url.clone())
        };
        let store = PostgresStore::open(options)
            .await
            .with_context(|| format!("cannot open the database {url}"))?;
        return Ok(Arc::new(store));
    }
    let options = SqliteOptions {
        durability,
        listings: outcrop_service::LISTINGS,
        ..SqliteOptions::new(&config.data_dir)
    };
    let store = tokio::task::spawn_blocking(move || SqliteStore::open(&options))
        .await?
        .with_context(|| format!("cannot open the data folder {}", config.data_dir.display()))?;
    Ok(Arc::new(store))
}

/// Which store it is, for a log.
pub(crate) fn store_name(config: &Config) -> String {
    match &config.database_url {
        Some(url) => url.to_string(),
        None => config.data_dir.display().to_string(),
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        strictness: match config.aws_limits {
            AwsLimits::Relaxed => Strictness::Relaxed,
            AwsLimits::Strict => Strictness::Strict,
        },
        takes_code: config.register_functions,
        streams: config.stream_final_response,
        budget: config.turn,
        turns_max: config.concurrent_turns,
        // SQLite locks its folder; a database is anybody's.
        exclusive_store: config.database_url.is_none(),
        session_lease: config.session_lease,
        session_cache_bytes: config.session_cache_bytes,
        classifier: config.classifier.clone(),
        memory_live: config.memory_live,
    }
}

/// The buckets that are no folders here, where there are any.
fn s3(config: &Config) -> anyhow::Result<Option<S3Buckets>> {
    let settings = config.s3.as_ref().map(|s3| S3Settings {
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
    });
    Ok(settings.map(S3Buckets::new).transpose()?)
}

fn models(config: &Config) -> anyhow::Result<ModelRegistry> {
    let local = local_model(config)?;
    let mappings: Vec<ModelMapping> = config
        .models
        .iter()
        .map(|route| mapping(route, config))
        .collect();
    Ok(ModelRegistry::new(&mappings, local)?)
}

/// The embedded model; nothing is fetched or loaded before it is first called.
#[cfg(feature = "local")]
fn local_model(config: &Config) -> anyhow::Result<Option<Arc<dyn ModelProvider>>> {
    let settings = local_settings(&config.local, &config.python)?;
    Ok(Some(Arc::new(LocalModel::new(settings))))
}

/// What the embedded model runs with.
#[cfg(feature = "local")]
pub(crate) fn local_settings(local: &Local, python: &Python) -> anyhow::Result<LocalSettings> {
    let defaults = LocalSettings::default();
    Ok(LocalSettings {
        weights: match &local.weights {
            Some(weights) => weights.parse()?,
            None => WeightsLocation::default(),
        },
        python: python.interpreter.clone(),
        threads: local.threads.unwrap_or(defaults.threads),
        ..defaults
    })
}

#[cfg(not(feature = "local"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the build with the model can fail"
)]
fn local_model(_config: &Config) -> anyhow::Result<Option<Arc<dyn ModelProvider>>> {
    Ok(None)
}

fn mapping(route: &ModelRoute, config: &Config) -> ModelMapping {
    ModelMapping {
        fallback: route.fallback.clone(),
        limits: route.limits,
        prompt_cache: route.prompt_cache,
        ..upstream_mapping(&route.pattern, &route.upstream, config)
    }
}

/// How the models that match a pattern are reached.
fn upstream_mapping(pattern: &str, upstream: &Upstream, config: &Config) -> ModelMapping {
    let provider = match upstream.provider {
        ProviderKind::OpenAi => Kind::OpenAi,
        ProviderKind::Anthropic => Kind::Anthropic,
        ProviderKind::Bedrock => Kind::Bedrock,
        ProviderKind::Local => Kind::Local,
    };
    ModelMapping {
        base_url: upstream.base_url.clone(),
        upstream_model: upstream.model.clone(),
        api_key: upstream
            .api_key
            .as_ref()
            .map(|key| Secret::new(key.expose())),
        region: upstream.region.clone(),
        timeouts: Timeouts {
            connect: upstream.connect_timeout,
            response: upstream.response_timeout,
            idle: upstream.idle_timeout,
            // The turn's own budget ends it, with a clearer text.
            overall: Duration::from_secs(config.turn.turn_s.into()),
        },
        ..ModelMapping::new(pattern, provider)
    }
}

/// A registry of functions that this process runs for itself, in the same sandbox as a server's.
pub(crate) async fn function_registry(
    config: &Config,
    mappings: Vec<FunctionMapping>,
) -> anyhow::Result<FunctionRegistry> {
    let settings = function_settings(
        config,
        #[cfg(target_os = "linux")]
        sandbox(&config.sandbox).await?,
    );
    Ok(FunctionRegistry::new(mappings, settings)?)
}

fn function_settings(
    config: &Config,
    #[cfg(target_os = "linux")] sandbox: Sandbox,
) -> FunctionSettings {
    FunctionSettings {
        region: config.region.clone(),
        account_id: config.account_id.clone(),
        workers: WorkerSettings {
            python: config.python.interpreter.clone(),
            node: config.node.clone(),
            #[cfg(target_os = "linux")]
            sandbox: Some(sandbox),
            ..WorkerSettings::new(&config.python.environments)
        },
        egress: config.egress.clone(),
    }
}

fn functions(
    config: &Config,
    #[cfg(target_os = "linux")] sandbox: Sandbox,
) -> anyhow::Result<FunctionRegistry> {
    let settings = function_settings(
        config,
        #[cfg(target_os = "linux")]
        sandbox,
    );
    Ok(FunctionRegistry::new(mappings(config), settings)?)
}

/// Starts nothing before code is to be run.
#[cfg(target_os = "linux")]
fn code_interpreter(config: &Config, sandbox: Sandbox) -> PythonInterpreter {
    let given = &config.code_interpreter;
    let mut settings = CodeSettings {
        python: config.python.interpreter.clone(),
        time_limit: given.time_limit,
        memory_bytes: given.memory_bytes,
        sessions_max: given.sessions,
        ..CodeSettings::new(&config.python.environments)
    };
    settings.packages.extend(given.packages.iter().cloned());
    PythonInterpreter::new(settings, sandbox)
}

/// The functions of the configuration.
pub(crate) fn mappings(config: &Config) -> Vec<FunctionMapping> {
    config.functions.iter().map(function).collect()
}

fn function(function: &Function) -> FunctionMapping {
    let timeout = function.timeout;
    let runtime = match &function.runtime {
        Runtime::Local(local) => FunctionRuntime::Local(local_function(local, timeout)),
        Runtime::Lambda {
            endpoint,
            region,
            function,
        } => FunctionRuntime::Lambda(LambdaFunction {
            endpoint: endpoint.clone(),
            region: region.clone(),
            function: function.clone(),
            timeout,
        }),
        Runtime::OpenApi(api) => FunctionRuntime::OpenApi(api.clone()),
        Runtime::Mcp(server) => FunctionRuntime::Mcp(server.clone()),
        Runtime::Http { url } => FunctionRuntime::Http(EmulatedFunction {
            url: url.clone(),
            timeout,
        }),
    };
    FunctionMapping {
        pattern: function.pattern.clone(),
        runtime,
    }
}

fn local_function(local: &LocalCode, timeout: Duration) -> LocalFunction {
    LocalFunction {
        runtime: match &local.runtime {
            CodeRuntime::Python => LocalRuntime::Python,
            CodeRuntime::Node => LocalRuntime::Node,
            CodeRuntime::Provided { command } => LocalRuntime::Provided {
                command: command.clone(),
            },
        },
        code: local.code.clone(),
        handler: local.handler.clone(),
        timeout,
        memory_mb: local.memory_mb,
        environment: local.environment.clone(),
        max_workers: local.max_workers,
        network: local.network,
        writable: local.writable.clone(),
        reload: local.reload,
        install: true,
    }
}

/// Functions that a deployment has registered, as the executor wants them.
struct Registered(FunctionDirectory);

impl RegisteredFunctions for Registered {
    fn find<'a>(
        &'a self,
        account_id: &'a str,
        region: &'a str,
        name: &'a str,
        qualifier: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<RegisteredFunction>, String>> {
        Box::pin(async move {
            let found = self.0.find(account_id, region, name, qualifier).await?;
            Ok(found.map(|found| match found {
                Found::Registered(function) => registered(function),
                Found::Uploaded(function) => uploaded(function),
            }))
        })
    }
}

fn registered(function: functions::LocalFunction) -> RegisteredFunction {
    let identity = format!("{function:?}");
    let runtime = match function.runtime {
        functions::Runtime::Python => LocalRuntime::Python,
        functions::Runtime::Node => LocalRuntime::Node,
        functions::Runtime::Provided => LocalRuntime::Provided {
            command: Vec::new(),
        },
    };
    let local = LocalFunction {
        timeout: Duration::from_secs(function.timeout_seconds),
        memory_mb: function.memory_mb,
        environment: function.environment,
        ..LocalFunction::new(runtime, function.code, function.handler)
    };
    RegisteredFunction {
        identity,
        version: None,
        function: local,
    }
}

/// Uploaded code is a stranger's: no network, nothing installed for it, and nothing of it is edited.
fn uploaded(function: UploadedFunction) -> RegisteredFunction {
    let runtime = match function.family {
        Family::Python => LocalRuntime::Python,
        Family::Node => LocalRuntime::Node,
        Family::Provided => LocalRuntime::Provided {
            command: Vec::new(),
        },
    };
    let defaults = LocalFunction::new(runtime, function.folder, function.handler);
    let reserved = function
        .concurrency
        .and_then(|reserved| NonZeroUsize::new(reserved as usize));
    let local = LocalFunction {
        timeout: Duration::from_secs(function.timeout_s.into()),
        memory_mb: function.memory_mb,
        environment: function.environment,
        max_workers: reserved.unwrap_or(defaults.max_workers),
        network: false,
        reload: false,
        install: false,
        ..defaults
    };
    RegisteredFunction {
        identity: function.identity,
        version: Some(function.version),
        function: local,
    }
}
