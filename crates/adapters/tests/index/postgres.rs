//! PostgreSQL with pgvector: the suite on each kind of table, and what only a shared database can do.

mod size;
mod words;

use std::sync::Arc;

use outcrop_adapters::index::postgres::{PostgresIndex, PostgresIndexOptions};
use outcrop_engine::port::{ChunkIndex, Hit, IndexError, IndexPlace, Search, SearchBy};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::MetadataValue;
use outcrop_model::control::{
    KnowledgeBaseStorageType, RdsConfiguration, RdsFieldMapping, StorageConfiguration,
};
use tokio_postgres::{Client, NoTls};

use crate::random::{Random, document};
use crate::server;
use crate::suite::{self, DIMENSIONS, find, identity, place};

/// A database with pgvector: its URL with a schema of the test's own, and that schema.
struct Database {
    url: String,
    schema: String,
    client: Client,
}

/// The database; `None`, which is said, where there is none.
async fn database() -> Option<Database> {
    let url = server::fresh_url()?;
    let (plain, schema) = url.split_once("?schema=").expect("a test's URL");
    let client = connect(plain).await;
    let there = client
        .query(
            "SELECT FROM pg_available_extensions WHERE name = 'vector'",
            &[],
        )
        .await
        .expect("the catalogue");
    if there.is_empty() {
        eprintln!("SKIPPED: the PostgreSQL of the tests has no pgvector");
        return None;
    }
    client
        .batch_execute(&format!("CREATE SCHEMA {schema}"))
        .await
        .expect("a schema");
    Some(Database {
        schema: schema.to_owned(),
        client,
        url,
    })
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the database");
    tokio::spawn(connection);
    client
}

fn open(url: &str) -> PostgresIndex {
    let options = PostgresIndexOptions {
        url: url.parse().expect("a good URL"),
        connections: 4,
    };
    PostgresIndex::new(options).expect("an index")
}

fn rds(table: &str, custom: Option<&str>) -> Arc<StorageConfiguration> {
    Arc::new(StorageConfiguration {
        mongo_db_atlas_configuration: None,
        neptune_analytics_configuration: None,
        opensearch_managed_cluster_configuration: None,
        opensearch_serverless_configuration: None,
        pinecone_configuration: None,
        redis_enterprise_cloud_configuration: None,
        s3_vectors_configuration: None,
        rds_configuration: Some(RdsConfiguration {
            credentials_secret_arn: "arn:aws:secretsmanager:us-west-2:111122223333:secret:a"
                .to_owned(),
            database_name: "postgres".to_owned(),
            resource_arn: "arn:aws:rds:us-west-2:111122223333:cluster:a".to_owned(),
            table_name: table.to_owned(),
            field_mapping: RdsFieldMapping {
                custom_metadata_field: custom.map(str::to_owned),
                metadata_field: "metadata".to_owned(),
                primary_key_field: "id".to_owned(),
                text_field: "chunks".to_owned(),
                vector_field: "embedding".to_owned(),
            },
        }),
        type_: KnowledgeBaseStorageType::Rds,
    })
}

/// A table as AWS's guide has it made.
async fn documented(database: &Database, table: &str, more: &str) -> String {
    let table = format!("{}.{table}", database.schema);
    database
        .client
        .batch_execute(&format!(
            "CREATE EXTENSION IF NOT EXISTS vector;
             CREATE TABLE {table} (
                id uuid PRIMARY KEY, embedding vector({DIMENSIONS}), chunks text, metadata json {more}
             );
             CREATE INDEX ON {table} USING hnsw (embedding vector_cosine_ops);
             CREATE INDEX ON {table} USING gin (to_tsvector('simple', chunks));"
        ))
        .await
        .expect("a table");
    table
}

/// Several at once make the extension; whoever is late finds it.
async fn with_extension(database: &Database) {
    for _ in 0..5 {
        let made = database
            .client
            .batch_execute("CREATE EXTENSION IF NOT EXISTS vector")
            .await;
        if made.is_ok() {
            return;
        }
    }
    panic!("no extension");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_its_own_pass_the_suite() {
    let Some(database) = database().await else {
        return;
    };
    suite::check(&open(&database.url), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_missing_is_made_and_passes_the_suite() {
    let Some(database) = database().await else {
        return;
    };
    let table = format!("{0}_made.Knowledge", database.schema);
    suite::check(
        &open(&database.url),
        Some(rds(&table, Some("custom_metadata"))),
    )
    .await;
    let indexes = database
        .client
        .query_one(
            "SELECT string_agg(indexdef, ' ') FROM pg_indexes WHERE schemaname = $1 AND tablename = 'knowledge'",
            &[&format!("{}_made", database.schema)],
        )
        .await
        .expect("the catalogue");
    let indexes: String = indexes.get(0);
    for part in [
        "USING hnsw (embedding",
        "USING gin (tokens",
        "USING gin (custom_metadata",
    ] {
        assert!(indexes.contains(part), "{part}: {indexes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_made_as_documented_passes_the_suite() {
    let Some(database) = database().await else {
        return;
    };
    with_extension(&database).await;
    let table = documented(&database, "plain", "").await;
    suite::check(&open(&database.url), Some(rds(&table, None))).await;
    let table = documented(&database, "custom", ", custom_metadata jsonb").await;
    suite::check(
        &open(&database.url),
        Some(rds(&table, Some("custom_metadata"))),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_aws_has_written_are_found() {
    let Some(database) = database().await else {
        return;
    };
    with_extension(&database).await;
    let table = documented(&database, "filled", ", team text, custom jsonb").await;
    let vector = format!("{:?}", Random::new(1).vector(DIMENSIONS));
    database
        .client
        .batch_execute(&format!(
            r#"INSERT INTO {table} VALUES
                ('00000000-0000-0000-0000-000000000001', '{vector}', 'the leave policy',
                 '{{"x-amz-bedrock-kb-source-uri": "s3://b/a.txt", "x-amz-bedrock-kb-data-source-id": "DS",
                    "x-amz-bedrock-kb-chunk-id": "c1"}}', 'hr', '{{"year": 2024, "nothing": null}}'),
                ('00000000-0000-0000-0000-000000000002', '{vector}', 'travel', '{{"source": "s3://b/b.txt"}}',
                 NULL, NULL),
                ('00000000-0000-0000-0000-000000000003', NULL, NULL, NULL, NULL, NULL)"#
        ))
        .await
        .expect("rows");
    let index = open(&database.url);
    let place = place("FILLED0001", Some(&rds(&table, Some("custom"))));
    assert_eq!(index.identity(&place).await, Ok(None));
    assert_eq!(index.searches_text(&place).await, Ok(true));
    let by = SearchBy::Vector(Random::new(1).vector(DIMENSIONS));
    let hits = find(&index, &place, by.clone(), 10).await;
    let ids: Vec<&str> = hits.iter().map(|hit| hit.chunk_id.as_str()).collect();
    assert_eq!(ids, ["00000000-0000-0000-0000-000000000002", "c1"]);
    assert_eq!(hits[1].document.data_source_id, "DS");
    let uri = "s3://b/a.txt".to_owned();
    assert_eq!(hits[1].document.location, DocumentLocation::S3 { uri });
    assert_eq!(
        hits[1].metadata.get("year"),
        Some(&MetadataValue::Number(2024.0))
    );
    assert_eq!(
        hits[1].metadata.get("team"),
        Some(&MetadataValue::String("hr".to_owned()))
    );
    assert_eq!(hits[1].metadata.get("nothing"), None);
    assert!((hits[0].score - 1.0).abs() < 1e-5);
    for (key, value, found) in [("team", "hr", 1), ("team", "it", 0)] {
        let filter = Filter::Attribute {
            key: key.to_owned(),
            condition: Condition::Equals(MetadataValue::String(value.to_owned())),
        };
        let search = Search {
            by: by.clone(),
            filter: Some(filter),
            limit: 10,
        };
        assert_eq!(
            index.search(&place, search).await.expect("a search").len(),
            found
        );
    }
    let by_words = find(&index, &place, SearchBy::Text("Policy".to_owned()), 10).await;
    assert_eq!(by_words.len(), 1);
    // What is not ours stays.
    index.remove_all(&place).await.expect("a removal");
    assert_eq!(find(&index, &place, by, 10).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_told_by_its_name() {
    let Some(database) = database().await else {
        return;
    };
    with_extension(&database).await;
    let index = open(&database.url);
    let schema = &database.schema;
    for (name, columns, said) in [
        (
            "a",
            "id uuid, embedding text, chunks text, metadata json",
            "`embedding`",
        ),
        (
            "b",
            "id uuid, embedding vector(8), chunks text",
            "`metadata`",
        ),
        (
            "c",
            "id int, embedding vector(8), chunks text, metadata json",
            "`id`",
        ),
        (
            "d",
            "id uuid, embedding vector(3), chunks text, metadata json",
            "3 dimensions",
        ),
    ] {
        let table = format!("{schema}.{name}");
        database
            .client
            .batch_execute(&format!("CREATE TABLE {table} ({columns})"))
            .await
            .expect("a table");
        let place = place("WRONG00001", Some(&rds(&table, None)));
        let chunks = Random::new(1).chunks("a", 1, DIMENSIONS);
        let put = index
            .put(&place, &identity(), &document("S", "a"), chunks)
            .await;
        let Err(IndexError::Rejected(text)) = put else {
            panic!("{put:?}");
        };
        assert!(text.contains(said), "{text}");
    }
    // No index of words, no search by words.
    let place = place("WRONG00001", Some(&rds(&format!("{schema}.d"), None)));
    assert_eq!(index.searches_text(&place).await, Ok(false));
    let nobody = open("postgres://nobody@127.0.0.1:1/nothing");
    let answer = nobody.identity(&place).await;
    assert!(
        matches!(answer, Err(IndexError::Unavailable(_))),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_the_extension_is_told_of() {
    let Some(database) = database().await else {
        return;
    };
    let name = &database.schema;
    for statement in [
        format!("CREATE DATABASE {name}"),
        format!("CREATE ROLE {name} LOGIN PASSWORD 'x'"),
    ] {
        database
            .client
            .batch_execute(&statement)
            .await
            .expect("allowed");
    }
    let (_, rest) = database.url.split_once('@').expect("a user");
    let (host, _) = rest.split_once('/').expect("a database");
    let index = open(&format!("postgres://{name}:x@{host}/{name}"));
    let answer = index.identity(&place("NONE000001", None)).await;
    let Err(IndexError::Rejected(text)) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        text.contains("`vector` (pgvector)") && text.contains(name),
        "{text}"
    );
    drop(index);
    let dropped = format!("DROP DATABASE {name} WITH (FORCE)");
    database
        .client
        .batch_execute(&dropped)
        .await
        .expect("it is ours");
    let dropped = format!("DROP ROLE {name}");
    database
        .client
        .batch_execute(&dropped)
        .await
        .expect("it is ours");
}

async fn ids(index: &PostgresIndex, place: &IndexPlace) -> Vec<String> {
    let by = SearchBy::Vector(Random::new(1).vector(DIMENSIONS));
    let hits = find(index, place, by, 100).await;
    hits.into_iter().map(|hit| hit.chunk_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_on_several_servers_leave_one_whole_document() {
    let Some(database) = database().await else {
        return;
    };
    let place = place("WRITERS001", None);
    let key = document("S", "a");
    let servers = [open(&database.url), open(&database.url)].map(Arc::new);
    let mut writes = Vec::new();
    for writer in 0..8_u64 {
        let index = Arc::clone(&servers[usize::from(writer % 2 == 0)]);
        let (place, key) = (place.clone(), key.clone());
        writes.push(tokio::spawn(async move {
            let count = usize::try_from(writer).expect("a few") + 1;
            let chunks = Random::new(writer).chunks(&format!("w{writer}"), count, DIMENSIONS);
            index.put(&place, &identity(), &key, chunks).await
        }));
    }
    for write in writes {
        write.await.expect("no panic").expect("a put");
    }
    let left = ids(&servers[0], &place).await;
    let writer = left
        .first()
        .and_then(|id| id.get(1..2))
        .expect("a document");
    let count: usize = writer.parse().expect("its writer");
    assert_eq!(left.len(), count + 1, "{left:?}");
    assert!(
        left.iter().all(|id| id.starts_with(&format!("w{writer}"))),
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_are_made_again_and_nothing_is_half_written() {
    let Some(database) = database().await else {
        return;
    };
    let name = format!("app_{}", database.schema);
    let index = Arc::new(open(&format!("{}&application_name={name}", database.url)));
    let place = place("KILLED0001", None);
    let key = document("S", "a");
    let chunks = Random::new(1).chunks("first", 5, DIMENSIONS);
    index
        .put(&place, &identity(), &key, chunks)
        .await
        .expect("a put");
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    for round in 0..5_u64 {
        let write = {
            let (index, place, key) = (Arc::clone(&index), place.clone(), key.clone());
            let chunks = Random::new(round).chunks(&format!("r{round}"), 150, DIMENSIONS);
            tokio::spawn(async move { index.put(&place, &identity(), &key, chunks).await })
        };
        for _ in 0..=round {
            database
                .client
                .execute(kill, &[&name])
                .await
                .expect("allowed");
        }
        let outcome = write.await.expect("no panic");
        let left = ids(&index, &place).await;
        let whole = left.len() == 5 || left.len() == 100;
        assert!(whole, "{} after {outcome:?}", left.len());
        let of = |name: &str| left.iter().all(|id| id.starts_with(name));
        if outcome.is_ok() {
            assert!(of(&format!("r{round}-")), "{left:?}");
        }
    }
    // Another server sees what this one has written.
    assert_eq!(
        ids(&open(&database.url), &place).await,
        ids(&index, &place).await
    );
}
