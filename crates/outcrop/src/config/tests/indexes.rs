//! `[[indexes]]`.

use expect_test::expect;
use outcrop_adapters::index::opensearch::OpenSearchAuth;
use outcrop_model::control::KnowledgeBaseStorageType;

use super::super::{Environment, IndexEngine};
use super::{load_text, refused};

#[test]
fn engines_are_read_with_their_addresses() {
    let environment = Environment::from([
        ("VECTORS", "postgres://me:s3cr3t@db.example/vectors"),
        ("PASSWORD", "s3cr3t"),
    ]);
    let text = r#"
        database_url = "postgres://me@store.example/agents"
        [[indexes]]
        storage = "RDS"
        match = "arn:aws:rds:*:cluster:kb"
        engine = "postgres"
        url_env = "VECTORS"
        connections = 3
        [[indexes]]
        storage = "RDS"
        engine = "postgres"
        [[indexes]]
        storage = "OPENSEARCH_SERVERLESS"
        engine = "opensearch"
        region = "eu-west-1"
        [[indexes]]
        storage = "OPENSEARCH_MANAGED_CLUSTER"
        engine = "opensearch"
        url = "http://localhost:9200"
        username = "admin"
        password_env = "PASSWORD"
        [[indexes]]
        match = "*"
        engine = "embedded"
    "#;
    let config = load_text(text, &environment).unwrap();
    let [postgres, same, serverless, managed, rest] = &config.indexes[..] else {
        panic!("{:?}", config.indexes);
    };
    assert_eq!(
        postgres.pattern.storage,
        Some(KnowledgeBaseStorageType::Rds)
    );
    assert_eq!(
        postgres.pattern.resource.as_deref(),
        Some("arn:aws:rds:*:cluster:kb")
    );
    let url = |engine: &IndexEngine| match engine {
        IndexEngine::Postgres(options) => (options.url.to_string(), options.connections),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        url(&postgres.engine),
        ("postgres://me@db.example:5432/vectors".to_owned(), 3)
    );
    // Without an address: the server's own database.
    assert_eq!(
        url(&same.engine),
        ("postgres://me@store.example:5432/agents".to_owned(), 8)
    );
    let opensearch = |engine: &IndexEngine| match engine {
        IndexEngine::OpenSearch(options) => options.clone(),
        other => panic!("{other:?}"),
    };
    let found = opensearch(&serverless.engine);
    let region = Some("eu-west-1".to_owned());
    assert_eq!(
        (found.url, found.auth),
        (None, OpenSearchAuth::Aws { region })
    );
    let found = opensearch(&managed.engine);
    assert_eq!(
        found.url.map(|url| url.to_string()).as_deref(),
        Some("http://localhost:9200/")
    );
    assert!(matches!(found.auth, OpenSearchAuth::Basic { username, .. } if username == "admin"));
    assert!(matches!(rest.engine, IndexEngine::Embedded));
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn what_an_index_lacks_is_told_with_its_line() {
    refused(
        "[[indexes]]\nstorage = \"AURORA\"\nengine = \"postgres\"\n[[indexes]]\nengine = \"embedded\"\nurl = \"x\"\n[[indexes]]\nmatch = \"[\"\nengine = \"opensearch\"\nurl = \"http://me:s3cr3t@host\"\n[[indexes]]\nengine = \"postgres\"\nurl_env = \"NOT_SET\"\n[[indexes]]\nengine = \"postgres\"\nurl = \"mysql://me:s3cr3t@host\"\n[[indexes]]\nengine = \"opensearch\"\nauth = \"aws\"\nusername = \"me\"\n[[indexes]]\nmatch = \"*\"\n",
        &expect![[r#"
            outcrop.toml:2: `AURORA` is no storage type; there are OPENSEARCH_SERVERLESS, PINECONE, REDIS_ENTERPRISE_CLOUD, RDS, MONGO_DB_ATLAS, NEPTUNE_ANALYTICS, OPENSEARCH_MANAGED_CLUSTER, S3_VECTORS
            outcrop.toml:3: engine "postgres" needs `url_env` (or `url`), or `database_url` at the top
            outcrop.toml:6: `url` has no meaning with engine = "embedded"
            outcrop.toml:8: `[` is not a glob: unclosed character class; missing ']'
            outcrop.toml:10: `url` is not an http:// or https:// URL without a name and a password
            outcrop.toml:13: `url_env` names the variable NOT_SET, which is not set
            outcrop.toml:16: `url`: a database URL begins with postgres://
            outcrop.toml:19: `username` and `password_env` are for auth "basic"
            outcrop.toml:21: [[indexes]] lacks `engine`"#]],
    );
}
