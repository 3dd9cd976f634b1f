//! Functions that are no Lambda functions: `runtime = "openapi"` and `"mcp"`, and what they may call.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use outcrop_adapters::action::{McpProcess, McpServer, McpTransport, RestApi, Upstream};
use outcrop_adapters::http::Secret;
use outcrop_adapters::http::egress::Egress;
use outcrop_adapters::http::oauth::{ClientAuthentication, ClientCredentials};
use reqwest::Url;

use super::super::low::{LowClientAuth, LowFunction, LowOauth2, LowValue};
use super::{At, Checker, KIB, MIB, Range, size};

/// Below Lambda's own limit of a reply, so that a text grown by JSON's escapes still passes.
const MAX_REPLY_BYTES: Range = Range(KIB, 6 * MIB, MIB);
/// A server that serves one program's tools rarely does more at once.
const MAX_CONCURRENCY: Range = Range(1, 1_024, 16);

impl Checker<'_> {
    /// The hosts of `allow` in a table.
    pub(super) fn egress(&mut self, table: &'static str, allow: Option<&[String]>) -> Egress {
        let mut rules = Vec::new();
        for text in allow.unwrap_or_default() {
            match text.parse() {
                Ok(rule) => rules.push(rule),
                Err(error) => self.fault(At::table(table, "allow"), format!("{error}")),
            }
        }
        Egress::new(rules)
    }

    pub(super) fn openapi(
        &mut self,
        entry: usize,
        low: LowFunction,
        timeout: Duration,
    ) -> Option<RestApi> {
        let max_reply_bytes = self.max_reply_bytes(entry, &low);
        let at = At::entry("functions", entry, "base_url");
        let url = self.required(at, low.base_url.as_deref())?;
        Some(RestApi {
            upstream: self.http_upstream(entry, at, &url, low)?,
            timeout,
            max_reply_bytes,
        })
    }

    pub(super) fn mcp(
        &mut self,
        entry: usize,
        low: LowFunction,
        timeout: Duration,
    ) -> Option<McpServer> {
        let at = |key| At::entry("functions", entry, key);
        let max_reply_bytes = self.max_reply_bytes(entry, &low);
        let max_concurrency =
            self.number(at("max_concurrency"), low.max_concurrency, MAX_CONCURRENCY);
        let transport = match (low.command.is_some(), low.url.clone()) {
            (true, None) => McpTransport::Stdio(self.mcp_process(entry, low)?),
            (false, Some(url)) => {
                self.refuse_process_keys(entry, &low);
                McpTransport::Http(self.http_upstream(entry, at("url"), &url, low)?)
            }
            (false, None) | (true, Some(_)) => {
                self.fault(
                    at("runtime"),
                    "an MCP server is reached by `command` or by `url`; give one of them",
                );
                return None;
            }
        };
        Some(McpServer {
            transport,
            timeout,
            max_concurrency: NonZeroUsize::new(size(max_concurrency))
                .expect("the range begins at one"),
            max_reply_bytes,
        })
    }

    /// Text of an environment, secrets from this process's own variables.
    pub(super) fn values(
        &mut self,
        at: At,
        values: Option<BTreeMap<String, LowValue>>,
    ) -> BTreeMap<String, Secret> {
        let values = values.unwrap_or_default();
        values
            .into_iter()
            .filter_map(|(name, value)| Some((name, self.value(at, value)?)))
            .collect()
    }

    fn value(&mut self, at: At, value: LowValue) -> Option<Secret> {
        match value {
            LowValue::Text(text) => Some(Secret::new(text)),
            LowValue::Variable { env, prefix } => {
                let secret = self.secret(at, &env)?;
                let prefix = prefix.unwrap_or_default();
                Some(Secret::new(format!("{prefix}{}", secret.expose())))
            }
        }
    }

    fn mcp_process(&mut self, entry: usize, low: LowFunction) -> Option<McpProcess> {
        let at = |key| At::entry("functions", entry, key);
        for (key, written) in [
            ("headers", low.headers.is_some()),
            ("oauth2", low.oauth2.is_some()),
        ] {
            if written {
                self.fault(at(key), format!("`{key}` has no meaning with `command`"));
            }
        }
        let mut command = low.command.map(Vec::from).unwrap_or_default();
        command.extend(low.args.unwrap_or_default());
        let Some(program) = command.first_mut().filter(|program| !program.is_empty()) else {
            self.fault(at("command"), "`command` is empty");
            return None;
        };
        // A path is relative to the file, as all others; a bare name is looked for on the search path.
        if program.contains('/') {
            *program = self.base.join(&*program).to_string_lossy().into_owned();
        }
        let folder = low
            .code
            .map_or_else(|| self.base.clone(), |code| self.base.join(code));
        let mut writable: Vec<PathBuf> = Vec::new();
        for path in low.writable.unwrap_or_default() {
            writable.push(self.base.join(path));
        }
        for (key, path) in
            std::iter::once(("code", &folder)).chain(writable.iter().map(|path| ("writable", path)))
        {
            if !path.is_dir() {
                let text = format!("{} is not a folder", path.display());
                self.fault(at(key), text);
            }
        }
        Some(McpProcess {
            command,
            environment: self.values(at("environment"), low.environment),
            folder,
            network: low.network.unwrap_or(true),
            writable,
        })
    }

    fn refuse_process_keys(&mut self, entry: usize, low: &LowFunction) {
        for (key, written) in [
            ("args", low.args.is_some()),
            ("code", low.code.is_some()),
            ("environment", low.environment.is_some()),
            ("network", low.network.is_some()),
            ("writable", low.writable.is_some()),
        ] {
            if written {
                self.fault(
                    At::entry("functions", entry, key),
                    format!("`{key}` has no meaning with `url`"),
                );
            }
        }
    }

    fn max_reply_bytes(&mut self, entry: usize, low: &LowFunction) -> usize {
        let at = At::entry("functions", entry, "max_reply_bytes");
        size(self.number(at, low.max_reply_bytes, MAX_REPLY_BYTES))
    }

    fn http_upstream(
        &mut self,
        entry: usize,
        at: At,
        url: &str,
        low: LowFunction,
    ) -> Option<Upstream> {
        let url = self.whole_url(at, url);
        let headers = self.values(At::entry("functions", entry, "headers"), low.headers);
        let oauth2 = match low.oauth2 {
            Some(oauth2) => Some(self.oauth2(entry, oauth2)?),
            None => None,
        };
        Some(Upstream {
            url: url?,
            headers,
            oauth2,
        })
    }

    fn oauth2(&mut self, entry: usize, low: LowOauth2) -> Option<ClientCredentials> {
        let at = At::entry("functions", entry, "oauth2");
        let LowOauth2 {
            token_url,
            client_id,
            client_secret_env,
            scopes,
            audience,
            client_auth,
        } = low;
        for (key, value) in [
            ("token_url", &token_url),
            ("client_id", &client_id),
            ("client_secret_env", &client_secret_env),
        ] {
            if value.as_ref().is_none_or(|value| value.trim().is_empty()) {
                self.fault(at, format!("`oauth2` lacks `{key}`"));
            }
        }
        let token_url = token_url.and_then(|url| self.whole_url(at, &url));
        let secret = client_secret_env.and_then(|variable| self.secret(at, &variable));
        Some(ClientCredentials {
            token_url: token_url?,
            client_id: client_id?,
            client_secret: Secret::new(secret?.expose()),
            scopes: scopes.unwrap_or_default(),
            audience,
            authentication: match client_auth {
                Some(LowClientAuth::Post) => ClientAuthentication::Post,
                Some(LowClientAuth::Basic) | None => ClientAuthentication::Basic,
            },
        })
    }

    /// A URL whose path is kept to the letter.
    fn whole_url(&mut self, at: At, url: &str) -> Option<Url> {
        let parsed = Url::parse(url).ok();
        let fits = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if fits.is_none() {
            self.fault(at, format!("`{url}` is not an http:// or https:// URL"));
        }
        fits
    }
}
