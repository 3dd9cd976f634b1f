//! Tables of configurations: what each becomes, or what is said about it.

mod indexes;

use std::path::Path;

use expect_test::{Expect, expect};
use outcrop_adapters::action::McpTransport;
use tempfile::TempDir;

use super::{
    AwsLimits, Config, ConfigError, Durability, Environment, Flags, LogFormat, ModelsOrigin,
    ProviderKind, RerankerProvider, Runtime, load, misspelt_variables,
};

/// Loads `text` as `outcrop.toml` of an empty folder.
fn load_text(text: &str, environment: &Environment) -> Result<Config, ConfigError> {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("outcrop.toml"), text).unwrap();
    load(&Flags::default(), environment, folder.path())
}

fn config(text: &str) -> Config {
    load_text(text, &Environment::default()).unwrap()
}

#[track_caller]
fn refused(text: &str, expected: &Expect) {
    let error = load_text(text, &Environment::default()).unwrap_err();
    let temporary = std::env::temp_dir().display().to_string();
    let text: Vec<String> = error
        .to_string()
        .lines()
        .map(|line| match (line.find(&temporary), line.find("nowhere")) {
            (Some(from), Some(to)) => format!("{}FOLDER/{}", &line[..from], &line[to..]),
            _ => line.to_owned(),
        })
        .collect();
    expected.assert_eq(&text.join("\n"));
}

fn routes(environment: &Environment) -> (Vec<String>, ModelsOrigin) {
    let config = load_text("", environment).unwrap();
    let routes = config
        .models
        .iter()
        .map(|route| {
            let upstream = &route.upstream;
            let base = upstream.base_url.as_deref().unwrap_or("-");
            let key = if upstream.api_key.is_some() {
                "key"
            } else {
                "-"
            };
            format!(
                "{} {} {base} {key}",
                route.pattern,
                upstream.provider.as_str()
            )
        })
        .collect();
    (routes, config.models_origin)
}

#[test]
fn defaults_without_a_file() {
    let folder = TempDir::new().unwrap();
    let config = load(&Flags::default(), &Environment::default(), folder.path()).unwrap();
    assert_eq!(config.file, None);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8474");
    assert_eq!(config.data_dir, folder.path().join("outcrop-data"));
    assert!(config.database_url.is_none());
    assert_eq!(config.region, "us-east-1");
    assert_eq!(config.account_id, "000000000000");
    assert_eq!(config.aws_limits, AwsLimits::Relaxed);
    assert_eq!(config.durability, Durability::Process);
    assert_eq!(config.turn.model_calls, 25);
    assert_eq!(config.turn.turn_s, 600);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one value for each key there is")]
fn every_key_is_read() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("functions/order-tools")).unwrap();
    std::fs::create_dir(folder.path().join("buckets")).unwrap();
    let text = r#"
        listen = "0.0.0.0:8474"
        data_dir = "data"
        database_url = "postgres://me:s3cr3t@db.example/agents"
        region = "us-west-2"
        account_id = "111111111111"
        aws_limits = "strict"
        durability = "power"
        shutdown_s = 5
        stream_final_response = true
        [log]
        filter = "debug"
        format = "json"
        [[credentials]]
        access_key_id = "AKIDEXAMPLE"
        secret_env = "OUTCROP_SECRET"
        [limits]
        model_calls = 3
        turn_s = 60
        [[models]]
        match = "anthropic.*"
        provider = "openai"
        base_url = "http://127.0.0.1:11434/v1/"
        upstream_model = "qwen3:8b"
        api_key_env = "OPENAI_API_KEY"
        fallback = ["amazon.nova-lite-v1:0"]
        max_concurrency = 8
        tokens_per_minute = 90000
        queue_timeout_s = 5
        [[models]]
        match = "*"
        provider = "bedrock"
        region = "eu-west-1"
        [[embeddings]]
        match = "*"
        provider = "openai"
        base_url = "http://127.0.0.1:11434/v1"
        upstream_model = "nomic-embed-text"
        dimensions = 768
        [[rerankers]]
        match = "cohere.*"
        provider = "cohere"
        base_url = "http://127.0.0.1:8000/v1"
        [[rerankers]]
        match = "judge"
        provider = "judge"
        upstream_model = "amazon.nova-lite-v1:0"
        [[functions]]
        match = "order-tools"
        runtime = "python"
        handler = "app.lambda_handler"
        code = "functions/order-tools"
        timeout_s = 31
        environment = { STAGE = "dev" }
        [[functions]]
        match = "*"
        runtime = "lambda"
        endpoint = "http://127.0.0.1:4566"
        [local]
        threads = 2
        [s3]
        root = "buckets"
        endpoint = "http://localhost:9000/"
    "#;
    let file = folder.path().join("outcrop.toml");
    std::fs::write(&file, text).unwrap();
    let environment = Environment::from([("OUTCROP_SECRET", "s3cr3t"), ("OPENAI_API_KEY", "sk-1")]);
    let flags = Flags {
        config: Some(file),
        ..Flags::default()
    };
    // The current folder is another one: paths of the file are relative to the file.
    let config = load(&flags, &environment, Path::new("/")).unwrap();

    assert_eq!(config.data_dir, folder.path().join("data"));
    assert_eq!(config.buckets, Some(folder.path().join("buckets")));
    let s3 = config.s3.as_ref().expect("an endpoint is given");
    assert_eq!(s3.endpoint.as_deref(), Some("http://localhost:9000"));
    assert_eq!(s3.region, config.region);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.shutdown.as_secs(), 5);
    assert!(config.stream_final_response);
    assert_eq!(config.durability, Durability::Power);
    let database = config.database_url.as_ref().map(ToString::to_string);
    assert_eq!(
        database.as_deref(),
        Some("postgres://me@db.example:5432/agents")
    );
    assert_eq!(config.credentials[0].secret.expose(), "s3cr3t");
    assert!(!format!("{config:?}").contains("s3cr3t"));
    assert_eq!(config.turn.model_calls, 3);
    assert_eq!(config.models_origin, ModelsOrigin::File);
    let first = &config.models[0].upstream;
    assert_eq!(first.base_url.as_deref(), Some("http://127.0.0.1:11434/v1"));
    assert_eq!(first.api_key.as_ref().unwrap().expose(), "sk-1");
    assert_eq!(config.models[0].fallback, ["amazon.nova-lite-v1:0"]);
    let limits = config.models[0].limits;
    assert_eq!(
        (limits.max_concurrency, limits.tokens_per_minute),
        (Some(8), Some(90_000))
    );
    assert_eq!((limits.queue_max, limits.queue_timeout.as_secs()), (256, 5));
    assert!(config.models[0].prompt_cache && config.models[1].limits.is_unlimited());
    assert_eq!(config.models[1].upstream.provider, ProviderKind::Bedrock);
    assert_eq!(config.embeddings[0].dimensions, Some(768));
    assert_eq!(config.rerankers[0].provider, RerankerProvider::Cohere);
    assert_eq!(
        config.rerankers[1].upstream.model.as_deref(),
        Some("amazon.nova-lite-v1:0")
    );
    assert_eq!(
        config.local.threads.map(std::num::NonZeroUsize::get),
        Some(2)
    );
    let Runtime::Local(local) = &config.functions[0].runtime else {
        panic!("{:?}", config.functions);
    };
    assert_eq!(local.handler, "app.lambda_handler");
    assert_eq!(local.code, folder.path().join("functions/order-tools"));
    assert_eq!(local.environment["STAGE"], "dev");
    assert!(local.network && local.reload && local.writable.is_empty());
    assert_eq!(config.functions[0].timeout.as_secs(), 31);
}

#[test]
fn a_flag_beats_a_variable_beats_the_file() {
    let folder = TempDir::new().unwrap();
    let text = "listen = \"127.0.0.1:1\"\nregion = \"eu-west-1\"\naccount_id = \"111111111111\"\n[limits]\nturn_s = 9\n";
    std::fs::write(folder.path().join("outcrop.toml"), text).unwrap();
    let environment = Environment::from([
        ("OUTCROP_LISTEN", "127.0.0.1:2"),
        ("OUTCROP_REGION", "eu-west-2"),
        ("OUTCROP_ACCOUNT_ID", ""),
        ("OUTCROP_LIMITS_MODEL_CALLS", "7"),
        ("OUTCROP_AWS_LIMITS", "strict"),
    ]);
    let flags = Flags {
        listen: Some("localhost:3".to_owned()),
        ..Flags::default()
    };
    let config = load(&flags, &environment, folder.path()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3");
    assert_eq!(config.region, "eu-west-2");
    assert_eq!(config.account_id, "111111111111");
    assert_eq!(config.turn.model_calls, 7);
    assert_eq!(config.turn.turn_s, 9);
    assert_eq!(config.aws_limits, AwsLimits::Strict);
}

#[test]
fn faulty_overrides_are_named() {
    let environment = Environment::from([
        ("OUTCROP_LIMITS_TURN_S", "ten"),
        ("OUTCROP_AWS_LIMITS", "lax"),
        ("OUTCROP_LISTEN", "here"),
    ]);
    let error = load_text("", &environment).unwrap_err();
    expect![[r"
        OUTCROP_AWS_LIMITS: unknown variant `lax`, expected `relaxed` or `strict`
        OUTCROP_LIMITS_TURN_S: `ten` is not a whole number"]]
    .assert_eq(&error.to_string());

    let environment = Environment::from([("OUTCROP_LISTEN", "here")]);
    let error = load_text("", &environment).unwrap_err();
    expect![
        "OUTCROP_LISTEN: `here` is not an address and a port, such as 127.0.0.1:8474 or [::1]:8474"
    ]
    .assert_eq(&error.to_string());
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    refused(
        "listn = \"127.0.0.1:1\"\n\n[limits]\nmodel_call = 3\nlisten = \"x\"\n\n[[models]]\nmatch = \"*\"\nprovidr = \"local\"\n[[models]]\nzzz = 1\n",
        &expect![[r"
            outcrop.toml:1: unknown key `listn` at the top level; did you mean `listen`?
            outcrop.toml:4: unknown key `model_call` in [limits]; did you mean `model_calls`?
            outcrop.toml:5: unknown key `listen` in [limits]; it belongs at the top level, before any [table]
            outcrop.toml:9: unknown key `providr` in [models]; did you mean `provider`?
            outcrop.toml:11: unknown key `zzz` in [models]; known: match, provider, base_url, upstream_model, api_key_env, region, connect_timeout_s, response_timeout_s, idle_timeout_s, fallback, max_concurrency, requests_per_minute, tokens_per_minute, queue_max, queue_timeout_s, prompt_cache"]],
    );
}

#[test]
fn wrong_types_and_values_name_their_line() {
    refused(
        "listen = 8474\n",
        &expect!["outcrop.toml:1: invalid type: integer `8474`, expected a string"],
    );
    refused(
        "listen = \n",
        &expect!["outcrop.toml:1: string values must be quoted, expected literal string"],
    );
    refused(
        "region = \"us west\"\naccount_id = \"12\"\n[limits]\n\nmodel_calls = 0\n[log]\nfilter = \"a=b=c\"\n[s3]\nendpoint = \"localhost:9000\"\n",
        &expect![[r"
            outcrop.toml:1: `us west` is not a region such as us-west-2
            outcrop.toml:2: `12` is not an account id: twelve digits
            outcrop.toml:5: `model_calls` must be 1 to 1000, not 0
            outcrop.toml:7: `a=b=c` is not a log filter such as info or outcrop=debug,warn: invalid filter directive: too many '=' in filter directive, expected 0 or 1
            outcrop.toml:9: `localhost:9000` is not an http:// or https:// URL"]],
    );
    refused(
        "[[models]]\nprovider = \"openai\"\nmatch = \"[\"\nbase_url = \"localhost:1\"\n[[models]]\nmatch = \"*\"\nprovider = \"local\"\nregion = \"us-east-1\"\n[[models]]\nmatch = \"a\"\nprovider = \"anthropic\"\n",
        &expect![[r#"
            outcrop.toml:3: `[` is not a glob: unclosed character class; missing ']'
            outcrop.toml:4: `localhost:1` is not an http:// or https:// URL
            outcrop.toml:8: `region` has no meaning with provider = "local"
            outcrop.toml:11: no key: ANTHROPIC_API_KEY is not set, and neither `api_key_env` nor `base_url` is given"#]],
    );
    refused(
        "[[functions]]\nmatch = \"f\"\nruntime = \"python\"\nhandler = \"handler\"\ncode = \"nowhere\"\nurl = \"http://x\"\n[[functions]]\nmatch = \"g\"\nruntime = \"http\"\n",
        &expect![[r#"
            outcrop.toml:4: `handler` is not module.function, such as app.lambda_handler
            outcrop.toml:5: FOLDER/nowhere is not a folder
            outcrop.toml:6: `url` has no meaning with runtime = "python"
            outcrop.toml:7: [[functions]] lacks `url`"#]],
    );
}

#[test]
fn fallbacks_and_limits_name_their_line() {
    refused(
        "[[models]]\nmatch = \"a\"\nprovider = \"bedrock\"\nfallback = [\"b\"]\n[[models]]\nmatch = \"b\"\nprovider = \"bedrock\"\nfallback = [\n  \"a\",\n]\n",
        &expect!["outcrop.toml:8: `a` leads back to itself: a -> b -> a"],
    );
    refused(
        "[[models]]\nmatch = \"a\"\nprovider = \"bedrock\"\nfallback = [\"c\"]\n",
        &expect!["outcrop.toml:4: `c` matches no [[models]] entry"],
    );
    refused(
        "[[models]]\nmatch = \"*\"\nprovider = \"local\"\nmax_concurrency = 0\nprompt_cache = false\n[[models]]\nmatch = \"b\"\nprovider = \"bedrock\"\nqueue_max = 5\n",
        &expect![[r#"
            outcrop.toml:4: `max_concurrency` must be 1 to 1000000, not 0
            outcrop.toml:5: `prompt_cache` has no meaning with provider = "local"
            outcrop.toml:9: `queue_max` has no meaning without `max_concurrency`, `requests_per_minute` or `tokens_per_minute`"#]],
    );
}

#[test]
fn a_listener_beyond_loopback_needs_credentials() {
    refused(
        "listen = \"0.0.0.0:80\"\n",
        &expect![
            "outcrop.toml:1: 0.0.0.0:80 can be reached from other machines and no [[credentials]] are configured: anybody could run agents here. Add a [[credentials]] entry, or listen on 127.0.0.1"
        ],
    );
    refused(
        "listen = \"0.0.0.0:80\"\n[[credentials]]\naccess_key_id = \"AKID\"\nsecret_env = \"OUTCROP_SECRET\"\n",
        &expect![
            "outcrop.toml:4: `secret_env` names the variable OUTCROP_SECRET, which is not set"
        ],
    );
    assert_eq!(
        config("listen = \"[::1]:0\"\n").listen.to_string(),
        "[::1]:0"
    );
    assert_eq!(
        config("listen = \"127.9.9.9:0\"\n").listen.to_string(),
        "127.9.9.9:0"
    );
}

#[test]
fn a_missing_file_is_an_error_when_named() {
    let environment = Environment::from([("OUTCROP_CONFIG", "nowhere.toml")]);
    let error = load(&Flags::default(), &environment, Path::new("/")).unwrap_err();
    expect!["OUTCROP_CONFIG: cannot read nowhere.toml: No such file or directory (os error 2)"]
        .assert_eq(&error.to_string());
}

#[test]
fn without_models_the_environment_decides() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().to_str().unwrap();
    let list = |routes: &[&str]| {
        routes
            .iter()
            .map(|route| (*route).to_owned())
            .collect::<Vec<_>>()
    };

    let nothing = Environment::from([("HOME", home), ("ANTHROPIC_API_KEY", "")]);
    let local: &[&str] = if cfg!(feature = "local") {
        &["* local - -"]
    } else {
        &[]
    };
    assert_eq!(routes(&nothing), (list(local), ModelsOrigin::Default));

    let all = Environment::from([
        ("HOME", home),
        ("ANTHROPIC_API_KEY", "a"),
        ("OPENAI_API_KEY", "b"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1/"),
        ("AWS_PROFILE", "dev"),
    ]);
    assert_eq!(
        routes(&all),
        (
            list(&[
                "anthropic.* anthropic - key",
                "claude* anthropic - key",
                "openai.* openai http://127.0.0.1:1/v1 key",
                "gpt* openai http://127.0.0.1:1/v1 key",
                "* bedrock - -",
            ]),
            ModelsOrigin::Environment
        )
    );

    let half = Environment::from([("HOME", home), ("AWS_ACCESS_KEY_ID", "AKID")]);
    assert_eq!(routes(&half).1, ModelsOrigin::Default);

    std::fs::create_dir(folder.path().join(".aws")).unwrap();
    std::fs::write(
        folder.path().join(".aws/config"),
        "[default]\nregion = us-east-1\n",
    )
    .unwrap();
    assert_eq!(routes(&nothing).1, ModelsOrigin::Default);
    std::fs::write(
        folder.path().join(".aws/credentials"),
        "[default]\naws_access_key_id = AKID\naws_secret_access_key = x\n",
    )
    .unwrap();
    assert_eq!(
        routes(&nothing),
        (list(&["* bedrock - -"]), ModelsOrigin::Environment)
    );
}

#[test]
fn misspelt_variables_are_noticed() {
    let environment = Environment::from([
        ("OUTCROP_LISTN", "127.0.0.1:1"),
        ("OUTCROP_SECRET", "x"),
        ("OUTCROP_LIMITS_TURNS", "1"),
        ("OUTCROP_LOG", "info"),
    ]);
    assert_eq!(
        misspelt_variables(&environment),
        [
            (
                "OUTCROP_LIMITS_TURNS".to_owned(),
                "OUTCROP_LIMITS_TURN_S".to_owned()
            ),
            ("OUTCROP_LISTN".to_owned(), "OUTCROP_LISTEN".to_owned()),
        ]
    );
}

/// A table that is missing from the list would lose its suggestions without anybody noticing.
#[test]
fn every_table_knows_its_keys() {
    let tables: Vec<_> = super::low::TABLES
        .iter()
        .map(|table| (table.name, (table.keys)().len()))
        .collect();
    assert_eq!(
        tables,
        [
            ("", 28),
            ("log", 2),
            ("limits", 16),
            ("local", 2),
            ("python", 2),
            ("node", 1),
            ("code_interpreter", 4),
            ("guardrails", 1),
            ("memory", 1),
            ("sandbox", 3),
            ("egress", 1),
            ("crawler", 1),
            ("s3", 3),
            ("credentials", 3),
            ("models", 16),
            ("embeddings", 10),
            ("rerankers", 8),
            ("indexes", 10),
            ("functions", 22),
        ]
    );
}

#[test]
fn functions_that_are_no_lambda_functions_are_read() {
    let text = r#"
        [egress]
        allow = ["orders:8080", "10.0.0.0/8"]
        [[functions]]
        match = "orders"
        runtime = "openapi"
        base_url = "https://api.example.com/v1/"
        headers = { Accept-Language = "en", X-Api-Key = { env = "ORDERS_KEY", prefix = "Key " } }
        max_reply_bytes = 4096
        [functions.oauth2]
        token_url = "https://login.example.com/token"
        client_id = "outcrop"
        client_secret_env = "ORDERS_SECRET"
        scopes = ["orders.read"]
        client_auth = "post"
        [[functions]]
        match = "files"
        runtime = "mcp"
        command = "npx"
        args = ["-y", "server"]
        environment = { TOKEN = { env = "ORDERS_KEY" } }
        [[functions]]
        match = "search"
        runtime = "mcp"
        url = "https://mcp.example.com/mcp/"
    "#;
    let environment = Environment::from([("ORDERS_KEY", "k3y"), ("ORDERS_SECRET", "s3cr3t")]);
    let config = load_text(text, &environment).unwrap();
    let [
        Runtime::OpenApi(api),
        Runtime::Mcp(files),
        Runtime::Mcp(search),
    ] = [0, 1, 2].map(|index| config.functions[index].runtime.clone())
    else {
        panic!("{:?}", config.functions);
    };
    assert_eq!(api.upstream.url.as_str(), "https://api.example.com/v1/");
    assert_eq!(api.upstream.headers["X-Api-Key"].expose(), "Key k3y");
    assert_eq!(api.max_reply_bytes, 4096);
    let oauth2 = api.upstream.oauth2.as_ref().unwrap();
    assert_eq!(oauth2.client_secret.expose(), "s3cr3t");
    let McpTransport::Stdio(process) = &files.transport else {
        panic!("{files:?}");
    };
    assert_eq!(process.command, ["npx", "-y", "server"]);
    assert_eq!(process.environment["TOKEN"].expose(), "k3y");
    assert!(
        matches!(&search.transport, McpTransport::Http(upstream) if upstream.url.path() == "/mcp/")
    );
    let shown = format!("{config:?}");
    assert!(!shown.contains("k3y") && !shown.contains("s3cr3t"));
}

#[test]
fn functions_that_are_no_lambda_functions_are_checked() {
    let text = r#"
        [egress]
        allow = ["http://a", "10.0.0.0/33"]
        [[functions]]
        match = "a"
        runtime = "openapi"
        [[functions]]
        match = "b"
        runtime = "openapi"
        base_url = "ftp://host"
        handler = "app.handler"
        headers = { Authorization = { env = "NO_SUCH_VARIABLE" } }
        oauth2 = { client_id = "x" }
        [[functions]]
        match = "c"
        runtime = "mcp"
        [[functions]]
        match = "d"
        runtime = "mcp"
        url = "http://host"
        args = ["x"]
        [[functions]]
        match = "e"
        runtime = "mcp"
        command = "server"
        headers = { a = "b" }
        max_concurrency = 0
    "#;
    let said = load_text(text, &Environment::default())
        .unwrap_err()
        .to_string();
    for problem in [
        "outcrop.toml:3: `http://a` is not a host, *.domain, address or network",
        "outcrop.toml:3: `10.0.0.0/33` is not a host",
        "[[functions]] lacks `base_url`",
        "outcrop.toml:10: `ftp://host` is not an http:// or https:// URL",
        "outcrop.toml:11: `handler` has no meaning with runtime = \"openapi\"",
        "outcrop.toml:12: `headers` names the variable NO_SUCH_VARIABLE, which is not set",
        "outcrop.toml:13: `oauth2` lacks `token_url`",
        "outcrop.toml:13: `oauth2` lacks `client_secret_env`",
        "outcrop.toml:16: an MCP server is reached by `command` or by `url`; give one of them",
        "outcrop.toml:21: `args` has no meaning with `url`",
        "outcrop.toml:26: `headers` has no meaning with `command`",
        "outcrop.toml:27: `max_concurrency` must be 1 to 1024, not 0",
    ] {
        assert!(said.contains(problem), "{problem} is not in:\n{said}");
    }
}
