//! OpenSearch: the suite against a double of its API, and its requests to the letter.

mod foreign;
mod versions;

use std::sync::Arc;

use outcrop_adapters::http::Secret;
use outcrop_adapters::index::opensearch::{OpenSearchAuth, OpenSearchIndex, OpenSearchOptions};
use outcrop_engine::port::{ChunkIndex, IndexError, Search, SearchBy};
use outcrop_knowledge::document::DocumentLocation;
use outcrop_knowledge::filter::{Condition, Filter};
use outcrop_knowledge::metadata::{Metadata, MetadataValue};
use outcrop_model::control::StorageConfiguration;
use serde_json::{Value, json};

use crate::double::{Behaviour, OpenSearch};
use crate::loopback::{Answer, Server};
use crate::random::{Random, document};
use crate::suite::{self, DIMENSIONS, find, identity, place};

fn open(url: &str, auth: OpenSearchAuth) -> OpenSearchIndex {
    let options = OpenSearchOptions {
        url: Some(url.parse().expect("a good URL")),
        auth,
        serverless: false,
    };
    OpenSearchIndex::new(options).expect("an index")
}

fn storage(value: Value) -> Arc<StorageConfiguration> {
    Arc::new(serde_json::from_value(value).expect("a storage configuration"))
}

fn managed(endpoint: &str) -> Arc<StorageConfiguration> {
    storage(
        json!({"type": "OPENSEARCH_MANAGED_CLUSTER", "opensearchManagedClusterConfiguration": {
            "domainArn": "arn:aws:es:us-west-2:111122223333:domain/kb", "domainEndpoint": endpoint,
            "vectorIndexName": "hr", "fieldMapping": {"vectorField": "v", "textField": "t", "metadataField": "m"}
        }}),
    )
}

fn serverless() -> Arc<StorageConfiguration> {
    storage(
        json!({"type": "OPENSEARCH_SERVERLESS", "opensearchServerlessConfiguration": {
            "collectionArn": "arn:aws:aoss:us-west-2:111122223333:collection/abc",
            "vectorIndexName": "hr", "fieldMapping": {"vectorField": "v", "textField": "t", "metadataField": "m"}
        }}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_its_own_passes_the_suite() {
    let server = OpenSearch::start(Behaviour::default()).await;
    suite::check(&open(&server.url(), OpenSearchAuth::None), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_index_of_a_cluster_passes_the_suite() {
    let server = OpenSearch::start(Behaviour::default()).await;
    let endpoint = "https://nobody.invalid";
    let index = open(&server.url(), OpenSearchAuth::None);
    suite::check(&index, Some(managed(endpoint))).await;
    // The endpoint of the storage serves where no other is configured.
    let options = OpenSearchOptions {
        url: None,
        auth: OpenSearchAuth::None,
        serverless: false,
    };
    let index = OpenSearchIndex::new(options).expect("an index");
    let place = place("ENDPOINT01", Some(&managed(&server.url())));
    let chunks = Random::new(1).chunks("a", 1, DIMENSIONS);
    let key = document("S", "a");
    index
        .put(&place, &identity(), &key, chunks)
        .await
        .expect("a put");
    assert_eq!(index.identity(&place).await, Ok(Some(identity())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_without_ids_and_refresh_shows_what_was_written() {
    let behaviour = Behaviour {
        serverless: true,
        ..Behaviour::default()
    };
    let server = OpenSearch::start(behaviour).await;
    let options = OpenSearchOptions {
        url: Some(server.url().parse().expect("a good URL")),
        auth: OpenSearchAuth::None,
        serverless: true,
    };
    let index = OpenSearchIndex::new(options).expect("an index");
    let place = place("COLLECTION", Some(&serverless()));
    let key = document("S", "a");
    for (name, count) in [("first", 3), ("second", 2)] {
        let chunks = Random::new(1).chunks(name, count, DIMENSIONS);
        index
            .put(&place, &identity(), &key, chunks)
            .await
            .expect("a put");
        let by = SearchBy::Vector(Random::new(1).vector(DIMENSIONS));
        let hits = find(&index, &place, by, 10).await;
        assert_eq!(hits.len(), count);
        assert!(hits.iter().all(|hit| hit.chunk_id.starts_with(name)));
    }
    index.remove(&place, &[key]).await.expect("a removal");
    assert_eq!(server.count("hr"), 0);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| !request.contains("refresh"))
    );
}

/// Status and body of each answer, in turn.
async fn scripted(answers: &[(u16, Value)]) -> Server {
    let answers = answers.iter().map(|(status, body)| {
        Answer::whole(
            *status,
            "content-type: application/json\r\n",
            &body.to_string(),
        )
    });
    Server::start(answers.collect::<Vec<_>>()).await
}

fn no_index() -> (u16, Value) {
    (
        404,
        json!({"error": {"root_cause": [{"reason": "no such index [hr]"}]}, "status": 404}),
    )
}

fn hits(hits: &Value) -> (u16, Value) {
    (
        200,
        json!({"timed_out": false, "_shards": {"failed": 0}, "hits": {"hits": hits}}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "requests whole")]
async fn requests_are_what_opensearch_takes() {
    let server = scripted(&[
        no_index(),
        no_index(),
        (200, json!({"acknowledged": true})),
        hits(&json!([{"_id": "old", "_source": {}}])),
        (
            200,
            json!({"errors": false, "items": [{"index": {"_id": "new", "status": 201}}]}),
        ),
        (
            200,
            json!({"errors": false, "items": [{"delete": {"_id": "old", "status": 404}}]}),
        ),
        (
            200,
            json!({"hr": {"mappings": {"properties": {"year": {"type": "long"}}}}}),
        ),
        hits(&json!([])),
    ])
    .await;
    let auth = OpenSearchAuth::Basic {
        username: "admin".to_owned(),
        password: Secret::new("s3cr3t"),
    };
    let index = open(&server.url("/base"), auth);
    let place = place("KBKBKBKBKB", Some(&serverless()));
    let mut chunk = Random::new(1).chunks("a", 1, 2).remove(0);
    chunk.text = "leave".into();
    chunk.vector = vec![0.6, 0.8];
    chunk.parent = None;
    let year = MetadataValue::Number(2024.0);
    chunk.metadata = Arc::new(Metadata::from([("year".to_owned(), year.clone())]));
    let mut plain = identity();
    plain.dimensions = 2;
    let key = document("DS", "a.txt");
    index
        .put(&place, &plain, &key, vec![chunk])
        .await
        .expect("a put");
    let search = Search {
        by: SearchBy::Vector(vec![1.0, 0.0]),
        filter: Some(Filter::Attribute {
            key: "year".to_owned(),
            condition: Condition::GreaterThan(2020.0),
        }),
        limit: 3,
    };
    assert_eq!(index.search(&place, search).await, Ok(Vec::new()));
    let received = server.received();
    let line = |number: usize| {
        received[number]
            .head
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let lines: Vec<String> = (0..received.len()).map(line).collect();
    assert_eq!(
        lines,
        [
            "POST /base/hr/_search HTTP/1.1",
            "GET /base/hr/_mapping HTTP/1.1",
            "PUT /base/hr HTTP/1.1",
            "POST /base/hr/_search HTTP/1.1",
            "POST /base/hr/_bulk?refresh=true HTTP/1.1",
            "POST /base/hr/_bulk?refresh=true HTTP/1.1",
            "GET /base/hr/_mapping HTTP/1.1",
            "POST /base/hr/_search HTTP/1.1",
        ]
    );
    for request in &received {
        assert!(
            request
                .head
                .contains("authorization: Basic YWRtaW46czNjcjN0\r\n"),
            "{}",
            request.head
        );
    }
    let body =
        |number: usize| -> Value { serde_json::from_slice(&received[number].body).expect("JSON") };
    let scope = "111122223333/us-west-2/KBKBKBKBKB";
    assert_eq!(
        body(2),
        json!({
            "settings": {"index": {"knn": true}},
            "mappings": {"properties": {
                "v": {"type": "knn_vector", "dimension": 2,
                    "method": {"name": "hnsw", "engine": "faiss", "space_type": "l2"}},
                "t": {"type": "text"},
                "m": {"type": "text", "index": false},
                "outcrop_scope": {"type": "keyword"},
                "outcrop_source": {"type": "keyword"},
                "outcrop_document": {"type": "keyword"},
                "outcrop_generation": {"type": "keyword"},
                "outcrop_number": {"type": "integer"},
                "outcrop_attributes": {"type": "keyword"},
                "outcrop": {"type": "object", "enabled": false}
            }}
        })
    );
    assert_eq!(
        body(3),
        json!({"size": 5000, "_source": ["outcrop_generation"], "query": {"bool": {"filter": [
            {"term": {"outcrop_scope": scope}},
            {"term": {"outcrop_source": "DS"}},
            {"term": {"outcrop_document": "0s3://bucket/a.txt"}}
        ]}}})
    );
    let bulk = String::from_utf8(received[4].body.clone()).expect("text");
    let mut bulk = bulk
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let action = bulk.next().expect("an action");
    let stored = bulk.next().expect("a document");
    let generation = stored["outcrop_generation"].as_str().expect("a text");
    assert!(generation.starts_with("0000000000000000-"), "{generation}");
    assert_eq!(action["index"]["_id"], format!("{generation}-0"));
    assert_eq!(stored["v"].as_array().map(Vec::len), Some(2));
    assert_eq!(stored["t"], "leave");
    let told: Value = serde_json::from_str(stored["m"].as_str().expect("text")).expect("JSON");
    assert_eq!(told, json!({"source": "s3://bucket/a.txt", "year": 2024.0}));
    let year = "year\u{1f}n\u{1f}c09fa00000000000";
    assert_eq!(stored["outcrop_attributes"], json!([year]));
    assert_eq!(
        stored["outcrop"],
        json!({
            "chunk": "a-000",
            "location": {"s3": {"uri": "s3://bucket/a.txt"}},
            "identity": {"model": "test/plain@1", "dimensions": 2},
            "metadata": {"year": 2024.0},
            "chunks": 1
        })
    );
    assert_eq!(bulk.next(), None);
    assert_eq!(body(5), json!({"delete": {"_id": "old"}}));
    let own = json!({"bool": {"filter": [
        {"term": {"outcrop_scope": scope}},
        {"range": {"outcrop_attributes": {
            "gt": "year\u{1f}n\u{1f}c09f900000000000", "lt": "year\u{1f}n\u{1f}g"
        }}}
    ]}});
    let foreign = json!({"bool": {
        "filter": [{"range": {"year": {"gte": 2020.0}}}],
        "must_not": [{"exists": {"field": "outcrop_scope"}}]
    }});
    assert_eq!(
        body(7),
        json!({"size": 3, "query": {"knn": {"v": {
            "vector": [1.0, 0.0], "k": 3,
            "filter": {"bool": {"should": [own, foreign], "minimum_should_match": 1}}
        }}}})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told() {
    let place = place("KBKBKBKBKB", Some(&serverless()));
    let search = || Search {
        by: SearchBy::Vector(vec![1.0, 0.0]),
        filter: None,
        limit: 3,
    };
    for (answer, expected) in [
        (
            (403, json!({"message": "User is not authorized"})),
            "the vector store refuses the request: HOST answered 403: User is not authorized",
        ),
        (
            (
                400,
                json!({"error": {"root_cause": [{"reason": "Field 'v' is not knn_vector type."}]}}),
            ),
            "the vector store refuses the request: HOST answered 400: Field 'v' is not knn_vector type.",
        ),
        (
            (503, json!({"error": "no master"})),
            "the vector store cannot be used: HOST answered 503: no master",
        ),
        (
            (429, json!({})),
            "the vector store cannot be used: HOST answered 429: {}",
        ),
        (
            (
                200,
                json!({"timed_out": true, "_shards": {"failed": 0}, "hits": {"hits": []}}),
            ),
            "the vector store cannot be used: OpenSearch answers for a part of the index only",
        ),
        (
            (200, json!({})),
            "the vector store cannot be used: OpenSearch's answer has no hits",
        ),
    ] {
        let server = scripted(&[answer]).await;
        let index = open(&server.url(""), OpenSearchAuth::None);
        let error = index
            .search(&place, search())
            .await
            .expect_err("it fails")
            .to_string();
        let host = format!("http://{}", server.address);
        assert_eq!(error.replace(&host, "HOST"), expected);
    }
    let unnamed = OpenSearchIndex::new(OpenSearchOptions {
        url: None,
        auth: OpenSearchAuth::None,
        serverless: false,
    });
    let answer = unnamed
        .expect("an index")
        .search(&suite::place("KB", None), search())
        .await;
    assert!(matches!(answer, Err(IndexError::Rejected(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_of_many_is_told() {
    let server = scripted(&[
        no_index(),
        no_index(),
        (200, json!({})),
        hits(&json!([])),
        (200, json!({"errors": true, "items": [
            {"index": {"_id": "a", "status": 400, "error": {"reason": "failed to parse field [v]"}}}
        ]})),
    ])
    .await;
    let index = open(&server.url(""), OpenSearchAuth::None);
    let chunks = Random::new(1).chunks("a", 1, DIMENSIONS);
    let place = place("KBKBKBKBKB", Some(&serverless()));
    let put = index
        .put(&place, &identity(), &document("S", "a"), chunks)
        .await;
    let text = "OpenSearch answered 400: failed to parse field [v]".to_owned();
    assert_eq!(put, Err(IndexError::Rejected(text)));
}
