//! From the file as written to [`Config`]: defaults, ranges, references, secrets.
//!
//! Goes on after a fault, so that one run reports them all, each with the place it was written.

mod functions;
mod indexes;
pub(super) mod models;
mod rerankers;
mod upstreams;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outcrop_engine::orchestration::Budget;
use outcrop_store::DatabaseUrl;

pub(crate) use self::indexes::INDEX_CONNECTIONS;
use super::document::{Document, Step};
use super::low::{LowCodeInterpreter, LowConfig, LowCredential, LowLimits, LowPython, LowS3};
use super::overrides::Origins;
use super::{
    CodeInterpreter, Config, Credential, Environment, HttpLimits, Local, Log, Place, Problem,
    Python, S3, Sandbox, Secret,
};

const DEFAULT_PORT: u16 = 8474;
const DEFAULT_DATA_DIR: &str = "outcrop-data";
const DEFAULT_REGION: &str = "us-east-1";
const DEFAULT_ACCOUNT: &str = "000000000000";
const DEFAULT_LOG_FILTER: &str = "info";

/// A day: longer than any wait or turn has a reason to be.
const LONGEST_S: u64 = 86_400;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Bounds of a number: least, most, default.
#[derive(Clone, Copy)]
struct Range(u64, u64, u64);

/// The guide's agents need two to five; a planner that needs more than this goes in circles.
const MODEL_CALLS: Range = Range(1, 1_000, 25);
const ACTIONS: Range = Range(1, 10_000, 50);
const TURN_S: Range = Range(1, LONGEST_S, 600);
/// 25 calls of an 80,000-token conversation.
const TOKENS: Range = Range(1, u32::MAX as u64, 2_000_000);
/// Lambda's own largest reply is 6 MB.
const OBSERVATION_BYTES: Range = Range(KIB, 1024 * MIB, 8 * MIB);
/// Each may hold a conversation and a model call's buffers, a few hundred KiB.
const CONCURRENT_TURNS: Range = Range(1, 1_000_000, 1_024);
/// A conversation of a hundred turns takes about a megabyte.
const SESSION_CACHE_BYTES: Range = Range(0, 64 * 1024 * MIB, 256 * MIB);
/// Renewed at a third of it. Less than the store's own time limits would end sound turns.
const SESSION_LEASE_S: Range = Range(2, 600, 30);
/// Some servers together must stay below a database's usual 100.
const DATABASE_CONNECTIONS: Range = Range(1, 1_000, 16);
/// Idle ones cost about 10 KiB each.
const CONNECTIONS: Range = Range(1, 1_000_000, 4_096);
/// The least that the HTTP implementation reads at a time is 8 KiB.
const HEADER_BYTES: Range = Range(8 * KIB, MIB, 32 * KIB);
const HEADER_COUNT: Range = Range(16, 1_000, 100);
const HEADER_TIMEOUT_S: Range = Range(1, 3_600, 30);
/// `inputText` may have 25,000,000 characters.
const REQUEST_BODY_BYTES: Range = Range(KIB, 1024 * MIB, 32 * MIB);
const BUFFERED_BODY_BYTES: Range = Range(KIB, 64 * 1024 * MIB, 256 * MIB);
const BODY_TIMEOUT_S: Range = Range(1, 3_600, 60);
const SHUTDOWN_S: Range = Range(0, 3_600, 20);
const THREADS: Range = Range(1, 1_024, 1);
/// A turn has 600 s by default; below 128 MB pandas cannot be imported.
const CODE_TIMEOUT_S: Range = Range(1, 3_600, 60);
const CODE_MEMORY_MB: Range = Range(128, 1024 * 1024, 1_024);
const CODE_SESSIONS: Range = Range(1, 1_024, 25);
/// Above those that people have, below those that the system hands out, within what a container has.
const FIRST_USER: Range = Range(1_000, 4_000_000_000, 59_000);
/// One for each worker.
const USERS: Range = Range(1, 65_536, 512);

/// What a value is checked against and reported to.
struct Checker<'a> {
    origins: &'a Origins,
    document: Option<&'a Document>,
    environment: &'a Environment,
    /// Folder of the file, else the current one.
    base: PathBuf,
    problems: Vec<Problem>,
}

/// A key for a message and for finding its line: table, entry of the table, key.
#[derive(Clone, Copy)]
struct At {
    table: &'static str,
    entry: Option<usize>,
    key: &'static str,
}

impl At {
    const fn top(key: &'static str) -> Self {
        Self::table("", key)
    }

    const fn table(table: &'static str, key: &'static str) -> Self {
        Self {
            table,
            entry: None,
            key,
        }
    }

    const fn entry(table: &'static str, entry: usize, key: &'static str) -> Self {
        Self {
            table,
            entry: Some(entry),
            key,
        }
    }
}

pub(super) fn validate(
    low: LowConfig,
    origins: &Origins,
    document: Option<&Document>,
    environment: &Environment,
    directory: &Path,
) -> Result<Config, Vec<Problem>> {
    let base = document
        .and_then(|document| document.path().parent())
        .map_or_else(|| directory.to_owned(), |parent| directory.join(parent));
    let mut check = Checker {
        origins,
        document,
        environment,
        base,
        problems: Vec::new(),
    };

    let credentials = check.credentials(&low.credentials);
    let listen = check.listen(low.listen.as_deref(), &low.credentials);
    let (models, models_origin) = check.models(&low.models);
    let data_dir = low.data_dir.as_deref().unwrap_or(DEFAULT_DATA_DIR);
    let limits = &low.limits;
    let region = check
        .region(At::top("region"), low.region)
        .unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let s3 = check.s3(&low.s3, &region);
    let database_url = check.database_url(low.database_url.as_deref());
    let config = Config {
        file: document.map(|document| document.path().to_owned()),
        listen,
        data_dir: check.path(At::top("data_dir"), data_dir, directory),
        indexes: check.indexes(low.indexes, database_url.as_ref()),
        database_url,
        database_connections: size(check.limit(
            "database_connections",
            limits.database_connections,
            DATABASE_CONNECTIONS,
        )),
        region,
        account_id: check
            .account(At::top("account_id"), low.account_id)
            .unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned()),
        aws_limits: low.aws_limits.unwrap_or_default(),
        durability: low.durability.unwrap_or_default(),
        shutdown: check.seconds(At::top("shutdown_s"), low.shutdown_s, SHUTDOWN_S),
        register_functions: low
            .register_functions
            .unwrap_or_else(|| listen.ip().to_canonical().is_loopback()),
        stream_final_response: low.stream_final_response.unwrap_or(false),
        log: Log {
            filter: check.log_filter(low.log.filter),
            format: low.log.format.unwrap_or_default(),
        },
        credentials,
        turn: check.turn_limits(&low.limits),
        concurrent_turns: size(check.limit(
            "concurrent_turns",
            limits.concurrent_turns,
            CONCURRENT_TURNS,
        )),
        session_cache_bytes: check.limit(
            "session_cache_bytes",
            limits.session_cache_bytes,
            SESSION_CACHE_BYTES,
        ),
        session_lease: check.seconds(
            At::table("limits", "session_lease_s"),
            limits.session_lease_s,
            SESSION_LEASE_S,
        ),
        http: check.http_limits(&low.limits),
        models,
        models_origin,
        embeddings: check.embeddings(&low.embeddings),
        rerankers: check.rerankers(&low.rerankers),
        functions: check.functions(low.functions),
        python: check.python_settings(&low.python, directory),
        egress: check.egress("egress", low.egress.allow.as_deref()),
        crawler: check.egress("crawler", low.crawler.allow.as_deref()),
        node: PathBuf::from(low.node.interpreter.as_deref().unwrap_or("node")),
        code_interpreter: check.code_interpreter(low.code_interpreter),
        classifier: check.classifier(low.guardrails.classifier),
        memory_live: low.memory.live.unwrap_or(false),
        sandbox: Sandbox {
            network_off: low.sandbox.network_off.unwrap_or_default(),
            first_user: check.user("first_user", low.sandbox.first_user, FIRST_USER),
            users: check.user("users", low.sandbox.users, USERS),
        },
        local: Local {
            weights: check.weights(low.local.weights, directory),
            threads: low.local.threads.and_then(|threads| {
                let at = At::table("local", "threads");
                NonZeroUsize::new(size(check.number(at, Some(threads), THREADS)))
            }),
        },
        buckets: check.buckets(low.s3.root.as_deref()),
        s3,
    };
    check.body_sizes(&config.http);
    if check.problems.is_empty() {
        Ok(config)
    } else {
        check.problems.sort_by_key(|problem| problem.place.line());
        Err(check.problems)
    }
}

impl Checker<'_> {
    fn fault(&mut self, at: At, text: impl Into<String>) {
        let place = self.place(at);
        self.problems.push(Problem {
            place,
            text: text.into(),
        });
    }

    fn place(&self, at: At) -> Place {
        if let Some(place) = self.origins.get(&(at.table, at.key)) {
            return place.clone();
        }
        let Some(document) = self.document else {
            return Place::Default;
        };
        let mut steps = Vec::new();
        if !at.table.is_empty() {
            steps.push(Step::Key(at.table));
        }
        steps.extend(at.entry.map(Step::Index));
        steps.push(Step::Key(at.key));
        document.place(&steps)
    }

    fn number(&mut self, at: At, value: Option<u64>, Range(least, most, default): Range) -> u64 {
        let value = value.unwrap_or(default);
        if !(least..=most).contains(&value) {
            self.fault(
                at,
                format!("`{}` must be {least} to {most}, not {value}", at.key),
            );
        }
        value.clamp(least, most)
    }

    fn limit(&mut self, key: &'static str, value: Option<u64>, range: Range) -> u64 {
        self.number(At::table("limits", key), value, range)
    }

    fn turn_limits(&mut self, limits: &LowLimits) -> Budget {
        Budget {
            model_calls: narrow(self.limit("model_calls", limits.model_calls, MODEL_CALLS)),
            actions: narrow(self.limit("actions", limits.actions, ACTIONS)),
            tokens: self.limit("tokens", limits.tokens, TOKENS),
            observation_bytes: self.limit(
                "observation_bytes",
                limits.observation_bytes,
                OBSERVATION_BYTES,
            ),
            turn_s: narrow(self.limit("turn_s", limits.turn_s, TURN_S)),
        }
    }

    fn http_limits(&mut self, limits: &LowLimits) -> HttpLimits {
        HttpLimits {
            connections: size(self.limit("connections", limits.connections, CONNECTIONS)),
            header_bytes: size(self.limit("header_bytes", limits.header_bytes, HEADER_BYTES)),
            header_count: size(self.limit("header_count", limits.header_count, HEADER_COUNT)),
            header_timeout: self.seconds(
                At::table("limits", "header_timeout_s"),
                limits.header_timeout_s,
                HEADER_TIMEOUT_S,
            ),
            request_body_bytes: size(self.limit(
                "request_body_bytes",
                limits.request_body_bytes,
                REQUEST_BODY_BYTES,
            )),
            buffered_body_bytes: size(self.limit(
                "buffered_body_bytes",
                limits.buffered_body_bytes,
                BUFFERED_BODY_BYTES,
            )),
            body_timeout: self.seconds(
                At::table("limits", "body_timeout_s"),
                limits.body_timeout_s,
                BODY_TIMEOUT_S,
            ),
        }
    }

    fn seconds(&mut self, at: At, value: Option<u64>, range: Range) -> Duration {
        Duration::from_secs(self.number(at, value, range))
    }

    fn wait(&mut self, at: At, value: Option<u64>, default: Duration) -> Duration {
        self.seconds(at, value, Range(1, LONGEST_S, default.as_secs()))
    }

    /// A path of the file is relative to the file, one of a flag or a variable to `directory`.
    fn path(&self, at: At, path: &str, directory: &Path) -> PathBuf {
        if self.origins.contains_key(&(at.table, at.key)) {
            directory.join(path)
        } else {
            self.base.join(path)
        }
    }

    /// The fault says nothing of the text, which may hold a password.
    fn database_url(&mut self, url: Option<&str>) -> Option<DatabaseUrl> {
        match url?.parse() {
            Ok(url) => Some(url),
            Err(error) => {
                self.fault(At::top("database_url"), format!("`database_url`: {error}"));
                None
            }
        }
    }

    fn listen(&mut self, listen: Option<&str>, credentials: &[LowCredential]) -> SocketAddr {
        let at = At::top("listen");
        let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);
        let Some(text) = listen else {
            return default;
        };
        let numeric = text
            .strip_prefix("localhost:")
            .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        let Ok(address) = numeric.parse::<SocketAddr>() else {
            self.fault(
                at,
                format!(
                    "`{text}` is not an address and a port, such as 127.0.0.1:8474 or [::1]:8474"
                ),
            );
            return default;
        };
        if !address.ip().to_canonical().is_loopback() && credentials.is_empty() {
            self.fault(
                at,
                format!(
                    "{address} can be reached from other machines and no [[credentials]] are configured: \
                     anybody could run agents here. Add a [[credentials]] entry, or listen on 127.0.0.1"
                ),
            );
        }
        address
    }

    fn region(&mut self, at: At, region: Option<String>) -> Option<String> {
        let region = region?;
        let fits = (1..=32).contains(&region.len())
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            self.fault(at, format!("`{region}` is not a region such as us-west-2"));
        }
        Some(region)
    }

    fn account(&mut self, at: At, account: Option<String>) -> Option<String> {
        let account = account?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            self.fault(
                at,
                format!("`{account}` is not an account id: twelve digits"),
            );
        }
        Some(account)
    }

    fn log_filter(&mut self, filter: Option<String>) -> String {
        let filter = filter.unwrap_or_else(|| DEFAULT_LOG_FILTER.to_owned());
        if let Err(error) = filter.parse::<tracing_subscriber::filter::Targets>() {
            self.fault(
                At::table("log", "filter"),
                format!(
                    "`{filter}` is not a log filter such as info or outcrop=debug,warn: {error}"
                ),
            );
        }
        filter
    }

    /// The secret in the variable that `at` names.
    fn secret(&mut self, at: At, variable: &str) -> Option<Secret> {
        if let Some(secret) = self.environment.get(variable) {
            return Some(Secret(secret.to_owned()));
        }
        self.fault(
            at,
            format!(
                "`{}` names the variable {variable}, which is not set",
                at.key
            ),
        );
        None
    }

    fn credentials(&mut self, entries: &[LowCredential]) -> Vec<Credential> {
        let mut credentials: Vec<Credential> = Vec::new();
        for (entry, low) in entries.iter().enumerate() {
            let at = |key| At::entry("credentials", entry, key);
            let access_key_id = self.required(at("access_key_id"), low.access_key_id.as_deref());
            let variable = self.required(at("secret_env"), low.secret_env.as_deref());
            let secret = variable.and_then(|variable| self.secret(at("secret_env"), &variable));
            let account_id = self.account(at("account_id"), low.account_id.clone());
            let (Some(access_key_id), Some(secret)) = (access_key_id, secret) else {
                continue;
            };
            if credentials
                .iter()
                .any(|other| other.access_key_id == access_key_id)
            {
                self.fault(
                    at("access_key_id"),
                    format!("{access_key_id} is configured twice"),
                );
            }
            credentials.push(Credential {
                access_key_id,
                secret,
                account_id,
            });
        }
        credentials
    }

    fn required(&mut self, at: At, value: Option<&str>) -> Option<String> {
        match value {
            Some(value) if !value.trim().is_empty() => Some(value.to_owned()),
            Some(_) => {
                self.fault(at, format!("`{}` is empty", at.key));
                None
            }
            None => {
                self.fault(at, format!("[[{}]] lacks `{}`", at.table, at.key));
                None
            }
        }
    }

    fn glob(&mut self, at: At, pattern: Option<&str>) -> Option<String> {
        let pattern = self.required(at, pattern)?;
        if let Err(error) = globset::Glob::new(&pattern) {
            self.fault(at, format!("`{pattern}` is not a glob: {}", error.kind()));
        }
        Some(pattern)
    }

    fn url(&mut self, at: At, url: Option<&str>) -> Option<String> {
        let url = url?;
        let parsed = url.parse::<http::Uri>().ok();
        let fits = parsed.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !fits {
            self.fault(at, format!("`{url}` is not an http:// or https:// URL"));
        }
        Some(url.trim_end_matches('/').to_owned())
    }

    /// `hf:…` stands as given; anything else is a path.
    /// The id of a model, as an agent would name it.
    fn classifier(&mut self, classifier: Option<String>) -> Option<String> {
        if classifier.as_deref().is_some_and(|id| id.trim().is_empty()) {
            self.fault(
                At::table("guardrails", "classifier"),
                "`classifier` must be the id of a model that [[models]] serves",
            );
        }
        classifier
    }

    fn weights(&mut self, weights: Option<String>, directory: &Path) -> Option<String> {
        let weights = weights?;
        if weights.starts_with("hf:") {
            return Some(weights);
        }
        let at = At::table("local", "weights");
        let path = self.path(at, &weights, directory);
        if !path.is_file() {
            self.fault(
                at,
                format!(
                    "{} is not a file; a model of a hub is written hf:owner/repository/file.gguf",
                    path.display()
                ),
            );
        }
        Some(path.to_string_lossy().into_owned())
    }

    fn user(&mut self, key: &'static str, value: Option<u64>, range: Range) -> u32 {
        let number = self.number(At::table("sandbox", key), value, range);
        u32::try_from(number).expect("ranges of users are within 32 bits")
    }

    fn python_settings(&mut self, low: &LowPython, directory: &Path) -> Python {
        let interpreter = low.interpreter.as_deref().unwrap_or("python3");
        let environments = match &low.environments {
            Some(path) => self.base.join(path),
            None => self.cache_folder(directory).join("python"),
        };
        Python {
            // A bare name is looked up in PATH when it is used.
            interpreter: if interpreter.contains('/') {
                self.base.join(interpreter)
            } else {
                PathBuf::from(interpreter)
            },
            environments,
        }
    }

    fn code_interpreter(&mut self, low: LowCodeInterpreter) -> CodeInterpreter {
        let at = |key| At::table("code_interpreter", key);
        CodeInterpreter {
            time_limit: self.seconds(at("timeout_s"), low.timeout_s, CODE_TIMEOUT_S),
            memory_bytes: MIB * self.number(at("memory_mb"), low.memory_mb, CODE_MEMORY_MB),
            sessions: size(self.number(at("sessions"), low.sessions, CODE_SESSIONS)),
            packages: low.packages,
        }
    }

    /// Where what can be made again is kept, whichever data folder is in use.
    fn cache_folder(&self, directory: &Path) -> PathBuf {
        if let Some(cache) = self.environment.get("XDG_CACHE_HOME") {
            return Path::new(cache).join("outcrop");
        }
        match self.environment.get("HOME") {
            Some(home) => Path::new(home).join(".cache/outcrop"),
            None => directory.join(".outcrop-cache"),
        }
    }

    fn buckets(&mut self, root: Option<&str>) -> Option<PathBuf> {
        let root = self.base.join(root?);
        if !root.is_dir() {
            self.fault(
                At::table("s3", "root"),
                format!("{} is not a folder", root.display()),
            );
        }
        Some(root)
    }

    fn s3(&mut self, low: &LowS3, region: &str) -> Option<S3> {
        if low.endpoint.is_none() && low.region.is_none() {
            return None;
        }
        let own = self.region(At::table("s3", "region"), low.region.clone());
        Some(S3 {
            endpoint: self.url(At::table("s3", "endpoint"), low.endpoint.as_deref()),
            region: own.unwrap_or_else(|| region.to_owned()),
        })
    }

    fn body_sizes(&mut self, http: &HttpLimits) {
        if http.buffered_body_bytes < http.request_body_bytes {
            self.fault(
                At::table("limits", "buffered_body_bytes"),
                format!(
                    "`buffered_body_bytes` ({}) must hold at least one body (`request_body_bytes`, {})",
                    http.buffered_body_bytes, http.request_body_bytes
                ),
            );
        }
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("the range of every such setting ends within 32 bits")
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
