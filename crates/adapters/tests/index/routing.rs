//! Which engine serves which knowledge base.

use std::sync::Arc;

use outcrop_adapters::index::opensearch::{OpenSearchAuth, OpenSearchIndex, OpenSearchOptions};
use outcrop_adapters::index::postgres::{PostgresIndex, PostgresIndexOptions};
use outcrop_adapters::index::routing::{IndexPattern, IndexRouter};
use outcrop_engine::port::ChunkIndex;
use outcrop_model::control::{KnowledgeBaseStorageType, StorageConfiguration};
use serde_json::{Value, json};

use crate::oracle::Oracle;
use crate::random::{Random, document};
use crate::suite::{DIMENSIONS, identity, place};

fn storage(value: Value) -> Arc<StorageConfiguration> {
    Arc::new(serde_json::from_value(value).expect("a storage configuration"))
}

fn rds(cluster: &str) -> Arc<StorageConfiguration> {
    let fields = json!({
        "primaryKeyField": "id", "vectorField": "v", "textField": "t", "metadataField": "m"
    });
    storage(json!({"type": "RDS", "rdsConfiguration": {
        "resourceArn": format!("arn:aws:rds:us-west-2:111122223333:cluster:{cluster}"),
        "credentialsSecretArn": "arn:aws:secretsmanager:us-west-2:111122223333:secret:a",
        "databaseName": "d", "tableName": "t", "fieldMapping": fields
    }}))
}

fn serverless() -> Arc<StorageConfiguration> {
    let fields = json!({"vectorField": "v", "textField": "t", "metadataField": "m"});
    storage(
        json!({"type": "OPENSEARCH_SERVERLESS", "opensearchServerlessConfiguration": {
            "collectionArn": "arn:aws:aoss:us-west-2:111122223333:collection/abc",
            "vectorIndexName": "i", "fieldMapping": fields
        }}),
    )
}

#[tokio::test]
async fn the_first_route_that_serves_a_storage_keeps_it() {
    let engines: Vec<Arc<Oracle>> = (0..4).map(|_| Arc::default()).collect();
    let pattern = |storage, resource: Option<&str>| IndexPattern {
        storage,
        resource: resource.map(str::to_owned),
    };
    let patterns = [
        pattern(Some(KnowledgeBaseStorageType::Rds), Some("*:cluster:old*")),
        pattern(None, Some("arn:aws:aoss:*")),
        pattern(Some(KnowledgeBaseStorageType::Rds), None),
    ];
    let as_index = |engine: &Arc<Oracle>| Arc::clone(engine) as Arc<dyn ChunkIndex>;
    let routes = patterns.into_iter().zip(engines.iter().map(as_index));
    let router = IndexRouter::new(routes.collect(), as_index(&engines[3])).expect("good globs");
    let pinecone = storage(json!({"type": "PINECONE", "pineconeConfiguration": {
        "connectionString": "https://a.pinecone.io", "credentialsSecretArn": "arn:aws:s",
        "fieldMapping": {"textField": "t", "metadataField": "m"}
    }}));
    for (number, (storage, engine)) in [
        (Some(rds("old-one")), 0),
        (Some(serverless()), 1),
        (Some(rds("new")), 2),
        (Some(pinecone), 3),
        (None, 3),
    ]
    .into_iter()
    .enumerate()
    {
        let place = place(&format!("ROUTED000{number}"), storage.as_ref());
        let chunks = Random::new(1).chunks("a", 1, DIMENSIONS);
        let key = document("S", "a");
        router
            .put(&place, &identity(), &key, chunks)
            .await
            .expect("a put");
        for (other, found) in engines.iter().enumerate() {
            let there = found.identity(&place).await.expect("an answer").is_some();
            assert_eq!(there, other == engine, "{number}: {other}");
        }
        assert_eq!(router.identity(&place).await, Ok(Some(identity())));
    }
    let wrong = vec![(pattern(None, Some("[")), as_index(&engines[0]))];
    assert!(IndexRouter::new(wrong, as_index(&engines[0])).is_err());
}

#[tokio::test]
async fn the_engine_that_serves_a_storage_tells_who_reaches_it() {
    let postgres = PostgresIndexOptions {
        url: "postgres://nobody@127.0.0.1:9/none?sslmode=disable"
            .parse()
            .expect("a good URL"),
        connections: 1,
    };
    let postgres: Arc<dyn ChunkIndex> = Arc::new(PostgresIndex::new(postgres).expect("an index"));
    let opensearch = OpenSearchOptions {
        url: Some("http://127.0.0.1:9".parse().expect("a good URL")),
        auth: OpenSearchAuth::None,
        serverless: false,
    };
    let opensearch = OpenSearchIndex::new(opensearch).expect("an index");
    let opensearch: Arc<dyn ChunkIndex> = Arc::new(opensearch);
    let of = |type_| IndexPattern {
        storage: Some(type_),
        resource: None,
    };
    let routes = vec![
        (of(KnowledgeBaseStorageType::Rds), postgres),
        (
            of(KnowledgeBaseStorageType::OpensearchServerless),
            opensearch,
        ),
    ];
    let router = IndexRouter::new(routes, Arc::new(Oracle::default())).expect("good globs");
    for (storage, is_reached) in [
        (Some(rds("a")), true),
        (Some(serverless()), true),
        (None, false),
    ] {
        let place = place("REACHED001", storage.as_ref());
        assert_eq!(router.is_reached_by_others(&place), is_reached, "{place:?}");
    }
}
