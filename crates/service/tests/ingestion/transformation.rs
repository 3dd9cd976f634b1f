//! A function between cutting and embedding.

use outcrop_knowledge::metadata::MetadataValue;
use serde_json::{Value, json};

use crate::doubles::set;
use crate::world::{World, counts};

fn transformed(function: &str) -> Value {
    json!({"vectorIngestionConfiguration": {
        "chunkingConfiguration": {"chunkingStrategy": "NONE"},
        "customTransformationConfiguration": {
            "intermediateStorage": {"s3Location": {"uri": "s3://between/part/"}},
            "transformations": [{
                "stepToApply": "POST_CHUNKING",
                "transformationFunction": {"transformationLambdaConfiguration": {
                    "lambdaArn": format!("arn:aws:lambda:us-west-2:111111111111:function:{function}")}},
            }],
        },
    }})
}

#[tokio::test(start_paused = true)]
async fn a_function_makes_the_chunks() {
    let world = World::new().await;
    world.buckets.make("between");
    world.buckets.put("a.txt", "three short words");
    let about = json!({"metadataAttributes": {"tag": "file", "year": 1}});
    world.buckets.put("a.txt.metadata.json", about.to_string());
    let source = world.s3("docs", transformed("splits")).await;
    let job = world.ingest(&source).await;
    assert_eq!(
        counts(&job),
        json!({"Scanned": 1, "MetadataScanned": 1, "NewIndexed": 1})
    );
    let chunks = world.index.chunks(&world.base);
    let words: Vec<&str> = chunks.iter().map(|chunk| &*chunk.text).collect();
    assert_eq!(words, ["three", "short", "words"]);
    let attribute = |name: &str| chunks[0].metadata.get(name).cloned();
    assert_eq!(attribute("length"), Some(MetadataValue::Number(5.0)));
    assert_eq!(
        attribute("tag"),
        Some(MetadataValue::String("chunk".to_owned()))
    );
    assert_eq!(attribute("year"), Some(MetadataValue::Number(1.0)));
    let event = world.functions.events.lock().expect("whole")[0].clone();
    let key = event["inputFiles"][0]["contentBatches"][0]["key"]
        .as_str()
        .expect("a key")
        .to_owned();
    assert!(
        key.starts_with("part/aws/bedrock/knowledge_bases/"),
        "{key}"
    );
    assert_eq!(
        event,
        json!({
            "version": "1.0", "knowledgeBaseId": world.base, "dataSourceId": source,
            "ingestionJobId": job["ingestionJobId"], "bucketName": "between", "priorTask": "CHUNKING",
            "inputFiles": [{
                "originalFileLocation": {"type": "S3", "s3_location": {"uri": "s3://docs/a.txt"}},
                "fileMetadata": {"tag": "file", "year": 1.0},
                "contentBatches": [{"key": key}],
            }],
        })
    );
    // What was written for the function is gone; what it wrote is its own.
    let objects = world.buckets.objects.lock().expect("whole");
    assert_eq!(
        set(objects["between"].keys().cloned()),
        set([format!("out/{key}")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails_fails_its_document() {
    let world = World::new().await;
    world.buckets.make("between");
    world.buckets.put("a.txt", "text");
    let source = world.s3("docs", transformed("broken")).await;
    let job = world.ingest(&source).await;
    assert_eq!(
        (&job["status"], counts(&job)),
        (&json!("COMPLETE"), json!({"Scanned": 1, "Failed": 1}))
    );
    let reason = job["failureReasons"][0].as_str().expect("text");
    assert!(
        reason.contains("function:broken failed (Unhandled)"),
        "{reason}"
    );
}
