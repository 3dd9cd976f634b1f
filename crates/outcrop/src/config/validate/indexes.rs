//! `[[indexes]]`: which engine keeps the vectors of which knowledge bases, and how it is reached.
//!
//! Invariant: no key is written that its engine would not look at, and each engine can be reached.

use outcrop_adapters::http::Secret as SentSecret;
use outcrop_adapters::index::opensearch::{OpenSearchAuth, OpenSearchOptions};
use outcrop_adapters::index::postgres::PostgresIndexOptions;
use outcrop_adapters::index::routing::IndexPattern;
use outcrop_model::control::KnowledgeBaseStorageType;
use outcrop_store::DatabaseUrl;

use super::super::low::{LowIndex, LowIndexAuth, LowIndexEngine};
use super::super::{IndexEngine, IndexRoute};
use super::{At, Checker, Range, size};

/// A table.
const INDEXES: &str = "indexes";
/// Beside those of the store; some servers together must stay below a database's usual 100.
const CONNECTIONS: Range = Range(1, 1_000, INDEX_CONNECTIONS as u64);

/// Connections of an index in the database that is the store.
pub(crate) const INDEX_CONNECTIONS: usize = 8;

impl Checker<'_> {
    /// `store` is the database that the server itself uses, if any.
    pub(super) fn indexes(
        &mut self,
        entries: Vec<LowIndex>,
        store: Option<&DatabaseUrl>,
    ) -> Vec<IndexRoute> {
        let routes = entries.into_iter().enumerate().map(|(entry, low)| {
            let pattern = self.index_pattern(entry, &low);
            let engine = self.index_engine(entry, low, store);
            engine.map(|engine| IndexRoute { pattern, engine })
        });
        routes.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn index_pattern(&mut self, entry: usize, low: &LowIndex) -> IndexPattern {
        let at = |key| At::entry(INDEXES, entry, key);
        let storage = low.storage.as_deref().and_then(|text| {
            let parsed: Option<KnowledgeBaseStorageType> = text.parse().ok();
            if parsed.is_none() {
                let known = KnowledgeBaseStorageType::VALUES.iter();
                let known: Vec<&str> = known.map(|value| value.as_str()).collect();
                let text = format!(
                    "`{text}` is no storage type; there are {}",
                    known.join(", ")
                );
                self.fault(at("storage"), text);
            }
            parsed
        });
        let resource = low.pattern.as_deref();
        IndexPattern {
            storage,
            resource: resource.and_then(|pattern| self.glob(at("match"), Some(pattern))),
        }
    }

    fn index_engine(
        &mut self,
        entry: usize,
        low: LowIndex,
        store: Option<&DatabaseUrl>,
    ) -> Option<IndexEngine> {
        let at = |key| At::entry(INDEXES, entry, key);
        let Some(engine) = low.engine else {
            self.fault(at("engine"), "[[indexes]] lacks `engine`");
            return None;
        };
        self.refuse_keys_of_others(entry, engine, &low);
        match engine {
            LowIndexEngine::Embedded => Some(IndexEngine::Embedded),
            LowIndexEngine::Postgres => self.postgres_index(entry, &low, store),
            LowIndexEngine::OpenSearch => self.opensearch_index(entry, low),
        }
    }

    fn refuse_keys_of_others(&mut self, entry: usize, engine: LowIndexEngine, low: &LowIndex) {
        use LowIndexEngine::{Embedded, OpenSearch, Postgres};
        let name = match engine {
            Embedded => "embedded",
            Postgres => "postgres",
            OpenSearch => "opensearch",
        };
        let remote: &[LowIndexEngine] = &[Postgres, OpenSearch];
        let postgres: &[LowIndexEngine] = &[Postgres];
        let opensearch: &[LowIndexEngine] = &[OpenSearch];
        for (key, written, engines) in [
            ("url", low.url.is_some(), remote),
            ("url_env", low.url_env.is_some(), remote),
            ("connections", low.connections.is_some(), postgres),
            ("auth", low.auth.is_some(), opensearch),
            ("username", low.username.is_some(), opensearch),
            ("password_env", low.password_env.is_some(), opensearch),
            ("region", low.region.is_some(), opensearch),
        ] {
            if written && !engines.contains(&engine) {
                let at = At::entry(INDEXES, entry, key);
                self.fault(
                    at,
                    format!("`{key}` has no meaning with engine = \"{name}\""),
                );
            }
        }
    }

    /// The address, from the file or from a variable, and the key that told it.
    fn index_url(&mut self, entry: usize, low: &LowIndex) -> Option<(String, &'static str)> {
        let at = |key| At::entry(INDEXES, entry, key);
        match (&low.url, &low.url_env) {
            (Some(_), Some(_)) => {
                self.fault(at("url"), "give `url` or `url_env`, not both");
                None
            }
            (Some(url), None) => Some((url.clone(), "url")),
            (None, Some(variable)) => {
                let secret = self.secret(at("url_env"), variable)?;
                Some((secret.expose().to_owned(), "url_env"))
            }
            (None, None) => None,
        }
    }

    /// A fault says nothing of the URL, which may hold a password.
    fn postgres_index(
        &mut self,
        entry: usize,
        low: &LowIndex,
        store: Option<&DatabaseUrl>,
    ) -> Option<IndexEngine> {
        let at = |key| At::entry(INDEXES, entry, key);
        let connections = size(self.number(at("connections"), low.connections, CONNECTIONS));
        let url = match self.index_url(entry, low) {
            Some((text, key)) => match text.parse::<DatabaseUrl>() {
                Ok(url) => url,
                Err(error) => {
                    self.fault(at(key), format!("`{key}`: {error}"));
                    return None;
                }
            },
            None if low.url.is_some() || low.url_env.is_some() => return None,
            None => {
                if let Some(url) = store {
                    url.clone()
                } else {
                    let text = "engine \"postgres\" needs `url_env` (or `url`), or `database_url` at \
                            the top";
                    self.fault(at("engine"), text);
                    return None;
                }
            }
        };
        Some(IndexEngine::Postgres(PostgresIndexOptions {
            url,
            connections,
        }))
    }

    fn opensearch_index(&mut self, entry: usize, low: LowIndex) -> Option<IndexEngine> {
        let at = |key| At::entry(INDEXES, entry, key);
        let url = match self.index_url(entry, &low) {
            Some((text, key)) => {
                let parsed = reqwest::Url::parse(&text).ok();
                let parsed = parsed.filter(|url| {
                    let plain = url.username().is_empty() && url.password().is_none();
                    matches!(url.scheme(), "http" | "https") && url.has_host() && plain
                });
                if parsed.is_none() {
                    let text = format!(
                        "`{key}` is not an http:// or https:// URL without a name and a password"
                    );
                    self.fault(at(key), text);
                    return None;
                }
                parsed
            }
            None if low.url.is_some() || low.url_env.is_some() => return None,
            None => None,
        };
        let named = low.username.is_some() || low.password_env.is_some();
        let auth = low.auth.unwrap_or(match (&url, named) {
            (_, true) => LowIndexAuth::Basic,
            // What a storage names is AWS's.
            (None, false) => LowIndexAuth::Aws,
            (Some(_), false) => LowIndexAuth::None,
        });
        if named && auth != LowIndexAuth::Basic {
            self.fault(
                at("auth"),
                "`username` and `password_env` are for auth \"basic\"",
            );
        }
        if low.region.is_some() && auth != LowIndexAuth::Aws {
            self.fault(at("region"), "`region` is for auth \"aws\"");
        }
        let auth = match auth {
            LowIndexAuth::None => OpenSearchAuth::None,
            LowIndexAuth::Aws => OpenSearchAuth::Aws {
                region: self.region(at("region"), low.region),
            },
            LowIndexAuth::Basic => {
                let username = self.required(at("username"), low.username.as_deref());
                let variable = self.required(at("password_env"), low.password_env.as_deref());
                let password = self.secret(at("password_env"), &variable?)?;
                OpenSearchAuth::Basic {
                    username: username?,
                    password: SentSecret::new(password.expose()),
                }
            }
        };
        Some(IndexEngine::OpenSearch(OpenSearchOptions {
            url,
            serverless: matches!(auth, OpenSearchAuth::Aws { .. }),
            auth,
        }))
    }
}
