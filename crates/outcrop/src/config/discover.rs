//! Model routes from the credentials in the environment; the rule stands in [`super`]'s header.
//!
//! Looks only at variables and at the two AWS profile files: no network, and no secret is read
//! beyond the two API keys that the routes then carry.

use std::path::{Path, PathBuf};

use outcrop_adapters::embed::LocalEmbedding;
use outcrop_adapters::model::registry::Limits;

use super::validate::models::{CONNECT_TIMEOUT, IDLE_TIMEOUT, RESPONSE_TIMEOUT};
use super::{
    EmbeddingRoute, Environment, ModelRoute, ModelsOrigin, ProviderKind, RerankerProvider,
    RerankerRoute, Secret, Upstream,
};

/// Variables each of which alone is a source of AWS credentials.
const AWS_VARIABLES: [&str; 5] = [
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_BEARER_TOKEN_BEDROCK",
];

/// Keys of a profile that name a source of credentials. A file that only sets a region has none.
const AWS_PROFILE_KEYS: [&str; 7] = [
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "sso_session",
    "sso_start_url",
];

/// Profile files larger than this are not looked into.
const PROFILE_FILE_LIMIT_BYTES: u64 = 1024 * 1024;

pub(super) fn routes(environment: &Environment) -> (Vec<ModelRoute>, ModelsOrigin) {
    let mut routes = Vec::new();
    if let Some(key) = environment.get("ANTHROPIC_API_KEY") {
        let base_url = environment.get("ANTHROPIC_BASE_URL");
        for pattern in ["anthropic.*", "claude*"] {
            routes.push(route(pattern, ProviderKind::Anthropic, base_url, Some(key)));
        }
    }
    if let Some(key) = environment.get("OPENAI_API_KEY") {
        let base_url = environment.get("OPENAI_BASE_URL");
        for pattern in ["openai.*", "gpt*"] {
            routes.push(route(pattern, ProviderKind::OpenAi, base_url, Some(key)));
        }
    }
    if has_aws_credentials(environment) {
        routes.push(route("*", ProviderKind::Bedrock, None, None));
    }
    if !routes.is_empty() {
        return (routes, ModelsOrigin::Environment);
    }
    if cfg!(feature = "local") {
        routes.push(route("*", ProviderKind::Local, None, None));
    }
    (routes, ModelsOrigin::Default)
}

/// Embedding models without `[[embeddings]]`: the local ones by their names, then whoever there are
/// credentials for, and for everything else the default local one.
pub(super) fn embeddings(environment: &Environment) -> Vec<EmbeddingRoute> {
    let mut routes: Vec<EmbeddingRoute> = LocalEmbedding::NAMES
        .iter()
        .flat_map(|name| {
            // A knowledge base names its model by an ARN, in which an id has a vendor before a dot.
            [(*name).to_owned(), format!("outcrop.{name}")].map(|pattern| EmbeddingRoute {
                upstream: Upstream {
                    model: Some((*name).to_owned()),
                    ..upstream(ProviderKind::Local, None, None)
                },
                pattern,
                dimensions: None,
            })
        })
        .collect();
    let mut add = |pattern: &str, upstream| {
        routes.push(EmbeddingRoute {
            pattern: pattern.to_owned(),
            upstream,
            dimensions: None,
        });
    };
    if let Some(key) = environment.get("OPENAI_API_KEY") {
        let base_url = environment.get("OPENAI_BASE_URL");
        add(
            "text-embedding-*",
            upstream(ProviderKind::OpenAi, base_url, Some(key)),
        );
    }
    if has_aws_credentials(environment) {
        add("*", upstream(ProviderKind::Bedrock, None, None));
    } else {
        add("*", upstream(ProviderKind::Local, None, None));
    }
    routes
}

/// Rerankers without `[[rerankers]]`: Bedrock's, where there are credentials for it.
pub(super) fn rerankers(environment: &Environment) -> Vec<RerankerRoute> {
    let route = RerankerRoute {
        pattern: "*".to_owned(),
        provider: RerankerProvider::Bedrock,
        upstream: upstream(ProviderKind::Bedrock, None, None),
    };
    let found = has_aws_credentials(environment).then_some(route);
    found.into_iter().collect()
}

fn route(
    pattern: &str,
    provider: ProviderKind,
    base_url: Option<&str>,
    key: Option<&str>,
) -> ModelRoute {
    ModelRoute {
        pattern: pattern.to_owned(),
        upstream: upstream(provider, base_url, key),
        fallback: Vec::new(),
        limits: Limits::default(),
        prompt_cache: true,
    }
}

fn upstream(provider: ProviderKind, base_url: Option<&str>, key: Option<&str>) -> Upstream {
    Upstream {
        provider,
        base_url: base_url.map(|url| url.trim_end_matches('/').to_owned()),
        model: None,
        api_key: key.map(|key| Secret(key.to_owned())),
        region: None,
        connect_timeout: CONNECT_TIMEOUT,
        response_timeout: RESPONSE_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
    }
}

fn has_aws_credentials(environment: &Environment) -> bool {
    let set = |name: &str| environment.get(name).is_some();
    if set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") {
        return true;
    }
    if AWS_VARIABLES.into_iter().any(set) {
        return true;
    }
    let home = environment.get("HOME").or(environment.get("USERPROFILE"));
    let file = |variable: &str, name: &str| {
        environment
            .get(variable)
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(home?).join(".aws").join(name)))
    };
    [
        file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        file("AWS_CONFIG_FILE", "config"),
    ]
    .into_iter()
    .flatten()
    .any(|path| names_credentials(&path))
}

fn names_credentials(path: &Path) -> bool {
    let small = std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= PROFILE_FILE_LIMIT_BYTES);
    small
        && std::fs::read_to_string(path).is_ok_and(|text| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .any(|(key, _)| AWS_PROFILE_KEYS.contains(&key.trim()))
        })
}
