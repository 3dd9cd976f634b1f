//! `[[functions]]`: what runs an action's function.
//!
//! Invariant: the folder of a function of this machine exists, and no key is written that its runtime
//! would not look at.

use std::num::NonZeroUsize;

use super::super::low::{LowFunction, LowRuntime};
use super::super::{CodeRuntime, Function, LocalCode, Runtime};
use super::{At, Checker, Range, narrow, size};

/// Lambda's own bounds and a kinder default than its three seconds.
const FUNCTION_TIMEOUT_S: Range = Range(1, 900, 30);
/// Lambda's own bounds, and room for a data library: Lambda's default of 128 ends many a first try.
const MEMORY_MB: Range = Range(128, 10_240, 512);
const MAX_WORKERS: Range = Range(1, 256, 4);

impl Checker<'_> {
    pub(super) fn functions(&mut self, entries: Vec<LowFunction>) -> Vec<Function> {
        let mut functions = Vec::new();
        for (entry, low) in entries.into_iter().enumerate() {
            let at = |key| At::entry("functions", entry, key);
            let pattern = self.glob(at("match"), low.pattern.as_deref());
            let timeout = self.seconds(at("timeout_s"), low.timeout_s, FUNCTION_TIMEOUT_S);
            let Some(kind) = low.runtime else {
                self.fault(at("runtime"), "[[functions]] lacks `runtime`");
                continue;
            };
            self.refuse_foreign_function_keys(entry, kind, &low);
            let runtime = match kind {
                LowRuntime::Python => self.code(entry, CodeRuntime::Python, low),
                LowRuntime::Node => self.code(entry, CodeRuntime::Node, low),
                LowRuntime::Provided => {
                    let command = low.command.clone().map(Vec::from).unwrap_or_default();
                    self.code(entry, CodeRuntime::Provided { command }, low)
                }
                LowRuntime::Lambda => Some(Runtime::Lambda {
                    endpoint: self.url(at("endpoint"), low.endpoint.as_deref()),
                    region: self.region(at("region"), low.region),
                    function: low.function,
                }),
                LowRuntime::Http => self
                    .required(at("url"), low.url.as_deref())
                    .and_then(|url| self.url(at("url"), Some(&url)))
                    .map(|url| Runtime::Http { url }),
                LowRuntime::OpenApi => self.openapi(entry, low, timeout).map(Runtime::OpenApi),
                LowRuntime::Mcp => self.mcp(entry, low, timeout).map(Runtime::Mcp),
            };
            if let (Some(pattern), Some(runtime)) = (pattern, runtime) {
                functions.push(Function {
                    pattern,
                    timeout,
                    runtime,
                });
            }
        }
        functions
    }

    /// A function of this machine.
    fn code(&mut self, entry: usize, runtime: CodeRuntime, low: LowFunction) -> Option<Runtime> {
        let at = |key| At::entry("functions", entry, key);
        let handler = self.handler(entry, &runtime, low.handler.as_deref());
        let code = self.required(at("code"), low.code.as_deref());
        let code = self.base.join(code?);
        if !code.is_dir() {
            self.fault(at("code"), format!("{} is not a folder", code.display()));
        }
        let writable = low.writable.unwrap_or_default();
        let writable: Vec<_> = writable.iter().map(|path| self.base.join(path)).collect();
        for folder in writable.iter().filter(|folder| !folder.is_dir()) {
            let text = format!("{} is not a folder", folder.display());
            self.fault(at("writable"), text);
        }
        Some(Runtime::Local(LocalCode {
            runtime,
            handler: handler?,
            code,
            environment: self
                .values(at("environment"), low.environment)
                .into_iter()
                .map(|(name, value)| (name, value.expose().to_owned()))
                .collect(),
            memory_mb: narrow(self.number(at("memory_mb"), low.memory_mb, MEMORY_MB)),
            max_workers: NonZeroUsize::new(size(self.number(
                at("max_workers"),
                low.max_workers,
                MAX_WORKERS,
            )))
            .expect("the range begins at one"),
            network: low.network.unwrap_or(true),
            writable,
            reload: low.reload.unwrap_or(true),
        }))
    }

    /// A program of its own may do without a handler; the others are told by its form where to look.
    fn handler(
        &mut self,
        entry: usize,
        runtime: &CodeRuntime,
        written: Option<&str>,
    ) -> Option<String> {
        let at = At::entry("functions", entry, "handler");
        let example = match runtime {
            CodeRuntime::Python => "app.lambda_handler",
            CodeRuntime::Node => "index.handler",
            CodeRuntime::Provided { .. } => return Some(written.unwrap_or("bootstrap").to_owned()),
        };
        let handler = self.required(at, written)?;
        let well_formed = handler
            .rsplit_once('.')
            .is_some_and(|(module, name)| !module.is_empty() && !name.is_empty());
        if !well_formed {
            let text = format!("`{handler}` is not module.function, such as {example}");
            self.fault(at, text);
        }
        Some(handler)
    }

    fn refuse_foreign_function_keys(
        &mut self,
        entry: usize,
        runtime: LowRuntime,
        low: &LowFunction,
    ) {
        use LowRuntime::{Http, Lambda, Mcp, Node, OpenApi, Provided, Python};
        let code = [Python, Node, Provided].as_slice();
        let processes = [Python, Node, Provided, Mcp].as_slice();
        let keys = [
            ("handler", low.handler.is_some(), code),
            ("code", low.code.is_some(), processes),
            ("memory_mb", low.memory_mb.is_some(), code),
            ("environment", low.environment.is_some(), processes),
            ("max_workers", low.max_workers.is_some(), code),
            ("network", low.network.is_some(), processes),
            ("writable", low.writable.is_some(), processes),
            ("reload", low.reload.is_some(), code),
            ("command", low.command.is_some(), &[Provided, Mcp]),
            ("args", low.args.is_some(), &[Mcp]),
            ("endpoint", low.endpoint.is_some(), &[Lambda]),
            ("region", low.region.is_some(), &[Lambda]),
            ("function", low.function.is_some(), &[Lambda]),
            ("url", low.url.is_some(), &[Http, Mcp]),
            ("base_url", low.base_url.is_some(), &[OpenApi]),
            ("headers", low.headers.is_some(), &[OpenApi, Mcp]),
            ("oauth2", low.oauth2.is_some(), &[OpenApi, Mcp]),
            (
                "max_reply_bytes",
                low.max_reply_bytes.is_some(),
                &[OpenApi, Mcp],
            ),
            ("max_concurrency", low.max_concurrency.is_some(), &[Mcp]),
        ];
        let name = runtime.name();
        for (key, written, owners) in keys {
            if written && !owners.contains(&runtime) {
                self.fault(
                    At::entry("functions", entry, key),
                    format!("`{key}` has no meaning with runtime = \"{name}\""),
                );
            }
        }
    }
}
