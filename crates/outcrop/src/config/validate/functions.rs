//! `[[functions]]`: what runs an action's function.
//!
//! Invariant: a Python function's folder exists, and no key is written that its runtime would not
//! look at.

use std::num::NonZeroUsize;

use super::super::low::{LowFunction, LowRuntime};
use super::super::{Function, Runtime};
use super::{At, Checker, Range, narrow, size};

/// Lambda's own bounds and a kinder default than its three seconds.
const FUNCTION_TIMEOUT_S: Range = Range(1, 900, 30);
/// Lambda's own bounds and default.
const MEMORY_MB: Range = Range(128, 10_240, 128);
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
                LowRuntime::Python => self.python(entry, low),
                LowRuntime::Lambda => Some(Runtime::Lambda {
                    endpoint: self.url(at("endpoint"), low.endpoint.as_deref()),
                    region: self.region(at("region"), low.region),
                    function: low.function,
                }),
                LowRuntime::Http => self
                    .required(at("url"), low.url.as_deref())
                    .and_then(|url| self.url(at("url"), Some(&url)))
                    .map(|url| Runtime::Http { url }),
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

    fn python(&mut self, entry: usize, low: LowFunction) -> Option<Runtime> {
        let at = |key| At::entry("functions", entry, key);
        let handler = self.required(at("handler"), low.handler.as_deref());
        let code = self.required(at("code"), low.code.as_deref());
        if let Some(handler) = &handler
            && !handler
                .rsplit_once('.')
                .is_some_and(|(module, name)| !module.is_empty() && !name.is_empty())
        {
            self.fault(
                at("handler"),
                format!("`{handler}` is not module.function, such as app.lambda_handler"),
            );
        }
        let code = self.base.join(code?);
        if !code.is_dir() {
            self.fault(at("code"), format!("{} is not a folder", code.display()));
        }
        Some(Runtime::Python {
            handler: handler?,
            code,
            environment: low.environment.unwrap_or_default(),
            memory_mb: narrow(self.number(at("memory_mb"), low.memory_mb, MEMORY_MB)),
            max_workers: NonZeroUsize::new(size(self.number(
                at("max_workers"),
                low.max_workers,
                MAX_WORKERS,
            )))
            .expect("the range begins at one"),
        })
    }

    fn refuse_foreign_function_keys(
        &mut self,
        entry: usize,
        runtime: LowRuntime,
        low: &LowFunction,
    ) {
        let python = [
            ("handler", low.handler.is_some()),
            ("code", low.code.is_some()),
            ("memory_mb", low.memory_mb.is_some()),
            ("environment", low.environment.is_some()),
            ("max_workers", low.max_workers.is_some()),
        ];
        let lambda = [
            ("endpoint", low.endpoint.is_some()),
            ("region", low.region.is_some()),
            ("function", low.function.is_some()),
        ];
        let http = [("url", low.url.is_some())];
        let (name, foreign): (&str, Vec<(&'static str, bool)>) = match runtime {
            LowRuntime::Python => ("python", lambda.into_iter().chain(http).collect()),
            LowRuntime::Lambda => ("lambda", python.into_iter().chain(http).collect()),
            LowRuntime::Http => ("http", python.into_iter().chain(lambda).collect()),
        };
        for (key, _) in foreign.into_iter().filter(|(_, written)| *written) {
            self.fault(
                At::entry("functions", entry, key),
                format!("`{key}` has no meaning with runtime = \"{name}\""),
            );
        }
    }
}
