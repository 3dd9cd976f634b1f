//! Which provider an id leads to, and what a wrong setting is told.

use outcrop_engine::port::Delivery;

use super::*;
use crate::model::fixture::request;
use crate::model::scripted::{Part, Reply, ScriptedModel};

fn mapping(pattern: &str, base_url: &str) -> ModelMapping {
    ModelMapping {
        base_url: Some(base_url.to_owned()),
        ..ModelMapping::new(pattern, ProviderKind::OpenAi)
    }
}

fn local(pattern: &str, upstream: Option<&str>) -> ModelMapping {
    ModelMapping {
        upstream_model: upstream.map(str::to_owned),
        ..ModelMapping::new(pattern, ProviderKind::Local)
    }
}

fn error(mappings: &[ModelMapping]) -> String {
    match ModelRegistry::new(mappings, None) {
        Ok(_) => panic!("no error"),
        Err(error) => error.to_string(),
    }
}

/// The upstream id that a model gets, by the mappings.
fn upstream(mappings: &[ModelMapping], model: &str) -> Option<String> {
    let scripted: Arc<dyn ModelProvider> = Arc::new(ScriptedModel::new([]));
    let registry = ModelRegistry::new(mappings, Some(scripted)).expect("a registry");
    let route = registry.route(model).ok()?;
    Some(
        route
            .upstream_model
            .clone()
            .unwrap_or_else(|| model.to_owned()),
    )
}

#[test]
fn a_model_goes_by_three_names() {
    let mappings = [
        local("anthropic.claude-3*", Some("a")),
        local("eu.amazon.*", Some("b")),
        local("amazon.*", Some("c")),
        local("arn:aws:bedrock:*:custom-model/*", Some("d")),
        local("exact", None),
    ];
    let arn = |kind: &str| format!("arn:aws:bedrock:us-east-1:111111111111:{kind}");
    for (model, expected) in [
        ("anthropic.claude-3-haiku-20240307-v1:0", Some("a")),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", Some("a")),
        ("apac.anthropic.claude-3-haiku-20240307-v1:0", Some("a")),
        (&arn("foundation-model/anthropic.claude-3-haiku"), Some("a")),
        (
            &arn("inference-profile/global.anthropic.claude-3-haiku"),
            Some("a"),
        ),
        (&arn("custom-model/anthropic.claude-3-haiku/abc"), Some("d")),
        ("eu.amazon.nova-lite-v1:0", Some("b")),
        ("us.amazon.nova-lite-v1:0", Some("c")),
        ("exact", Some("exact")),
        ("us.exact", Some("us.exact")),
        ("Exact", None),
        ("jp.exact", None),
        ("", None),
    ] {
        assert_eq!(upstream(&mappings, model).as_deref(), expected, "{model}");
    }
}

/// A catch-all at the end must not take what an earlier entry names.
#[test]
fn the_first_mapping_wins_by_any_name() {
    let mappings = [
        local("anthropic.*", Some("named")),
        local("*", Some("rest")),
    ];
    assert_eq!(
        upstream(&mappings, "us.anthropic.claude-3").as_deref(),
        Some("named")
    );
    assert_eq!(upstream(&mappings, "meta.llama3").as_deref(), Some("rest"));
}

#[test]
fn an_unmapped_model_names_the_setting() {
    let registry = ModelRegistry::new(&[], None).expect("a registry");
    let model = "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0";
    let error = registry.capabilities(model).expect_err("unmapped");
    let ModelError::Unmapped { model: named, hint } = error else {
        panic!("{error}");
    };
    assert_eq!(named, model);
    assert!(
        hint.contains("[[models]]") && hint.contains("match = \"amazon.nova-pro-v1:0\""),
        "{hint}"
    );
}

#[tokio::test]
async fn a_call_reaches_its_provider_under_its_upstream_id() {
    let scripted = Arc::new(ScriptedModel::new([Reply::Message(vec![Part::text("Hi")])]));
    let mappings = [local("tiny", Some("upstream"))];
    let registry = ModelRegistry::new(&mappings, Some(scripted.clone())).expect("a registry");
    let mut call = request("us.tiny");
    call.delivery = Delivery::Whole;
    assert!(registry.converse(call).await.is_ok());
    assert!(matches!(
        registry.converse(request("other")).await.err(),
        Some(ModelError::Unmapped { .. })
    ));
    let models: Vec<String> = scripted
        .requests()
        .into_iter()
        .map(|call| call.model)
        .collect();
    assert_eq!(models, ["upstream"]);
}

#[tokio::test]
async fn an_entry_says_what_stands_behind_its_models_and_how_much_they_take() {
    let scripted = Arc::new(ScriptedModel::new([Reply::Message(vec![Part::text("Hi")])]));
    let mut first = local("a.*", None);
    first.fallback = vec!["spare".to_owned()];
    first.prompt_cache = false;
    first.limits.max_concurrency = Some(1);
    let registry = ModelRegistry::new(&[first, local("spare", None)], Some(scripted));
    let registry = registry.expect("a registry");
    assert_eq!(registry.fallbacks("us.a.b"), ["spare"]);
    assert!(registry.fallbacks("spare").is_empty() && registry.fallbacks("none").is_empty());
    let caches = |model| registry.capabilities(model).expect("mapped").prompt_cache;
    assert!(!caches("a.b") && caches("spare"));
    let held = registry.converse(request("a.b")).await.expect("an answer");
    let refused = registry.converse(request("a.b")).await.err();
    assert!(
        matches!(refused, Some(ModelError::Queued { .. })),
        "{refused:?}"
    );
    drop(held);
    let loops = [local("a", None), local("b", None)].map(|mut entry| {
        let other = if entry.pattern == "a" { "b" } else { "a" };
        entry.fallback = vec![other.to_owned()];
        entry
    });
    assert_eq!(
        error(&loops),
        "fallback `a` of model pattern `b` leads back to itself: a -> b -> a"
    );
}

#[test]
fn settings_are_checked() {
    let url = |url: &str| error(&[mapping("m", url)]);
    assert_eq!(
        url("127.0.0.1:11434/v1"),
        "base_url `127.0.0.1:11434/v1` of model pattern `m` cannot be used: relative URL without a base; it must begin with http:// or https://"
    );
    assert_eq!(
        url("ftp://host/"),
        "base_url `ftp://host/` of model pattern `m` cannot be used: it must begin with http:// or https://"
    );
    let with_password = url("http://user:pass@host/v1");
    assert!(
        with_password.contains("api_key_env") && !with_password.contains("pass"),
        "{with_password}"
    );
    assert!(!url("user:pass@host").contains("pass"));
    assert!(url("http://host/#x").contains("fragment"));
    assert!(error(&[mapping("a[", "http://h")]).contains("`a[` is not a glob"));
    assert!(error(&[local("tiny", None)]).contains("`local` feature"));
    let mut key = mapping("m", "http://h");
    key.api_key = Some(Secret::new("a\nb"));
    assert_eq!(
        error(&[key]),
        "the API key of model pattern `m` holds characters that cannot be sent"
    );
}

#[test]
fn equal_settings_share_a_provider() {
    let mappings = [
        mapping("a", "http://h/v1"),
        mapping("b", "http://h/v1"),
        mapping("c", "http://other/v1"),
    ];
    let registry = ModelRegistry::new(&mappings, None).expect("a registry");
    let provider = |model: &str| &registry.route(model).expect("mapped").provider;
    assert!(Arc::ptr_eq(provider("a"), provider("b")));
    assert!(!Arc::ptr_eq(provider("a"), provider("c")));
}
