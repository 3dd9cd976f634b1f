//! Documents that AWS has written: attributes are fields beside the text, of types that OpenSearch has
//! guessed from the first of them.

use super::*;

/// How AWS's documents are mapped, and a document of theirs.
fn fields() -> Value {
    let text = json!({
        "type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}
    });
    json!({
        "v": {"type": "knn_vector", "dimension": DIMENSIONS}, "t": {"type": "text"},
        "m": {"type": "text", "index": false},
        "x-amz-bedrock-kb-source-uri": text, "x-amz-bedrock-kb-data-source-id": text,
        "team": text, "tags": text, "it's \"odd\"": text,
        "year": {"type": "double"}, "draft": {"type": "boolean"}
    })
}

fn filled(number: usize, more: &Metadata) -> Value {
    let uri = format!("s3://b/{number}.txt");
    let told = json!({"source": uri}).to_string();
    let mut document = json!({
        "v": Random::new(1 + number as u64).vector(DIMENSIONS), "t": "the leave policy", "m": told,
        "x-amz-bedrock-kb-source-uri": uri, "x-amz-bedrock-kb-data-source-id": "DS"
    });
    for (name, value) in more {
        document[name] = json!(value);
    }
    document
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_aws_has_written_are_found() {
    let server = OpenSearch::start(Behaviour::default()).await;
    let year = Metadata::from([("year".to_owned(), MetadataValue::Number(2024.0))]);
    server.fill(
        "hr",
        &fields(),
        vec![("aws-1".to_owned(), filled(0, &year))],
    );
    let index = open(&server.url(), OpenSearchAuth::None);
    let place = place("FILLED0001", Some(&serverless()));
    let vector = Random::new(1).vector(DIMENSIONS);
    let hits = find(&index, &place, SearchBy::Vector(vector.clone()), 5).await;
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].document.data_source_id, "DS");
    let uri = "s3://b/0.txt".to_owned();
    assert_eq!(hits[0].document.location, DocumentLocation::S3 { uri });
    assert_eq!(
        hits[0].metadata.get("year"),
        Some(&MetadataValue::Number(2024.0))
    );
    assert!((hits[0].score - 1.0).abs() < 1e-5);
    let chunks = Random::new(2).chunks("own", 1, DIMENSIONS);
    index
        .put(&place, &identity(), &document("S", "a"), chunks)
        .await
        .expect("a put");
    let found = find(&index, &place, SearchBy::Vector(vector), 5).await;
    assert_eq!(found.len(), 2);
    // What is not ours stays.
    index.remove_all(&place).await.expect("a removal");
    assert_eq!(server.count("hr"), 1);
}

/// Attributes as AWS has them: each name has values of one type.
fn attributes(random: &mut Random, number: usize) -> Metadata {
    const TEXTS: [&str; 7] = [
        "hr",
        "HR",
        "hr-policies",
        "it's",
        "say \"hi\"",
        "naïve",
        "5",
    ];
    const NUMBERS: [f64; 6] = [0.0, 1.0, 5.0, 5.5, -2.0, 2024.0];
    let mut text = || TEXTS[random.below(TEXTS.len())].to_owned();
    let long = "hr-policies".repeat(30);
    let mut all = vec![
        ("team", MetadataValue::String(text())),
        ("it's \"odd\"", MetadataValue::String(text())),
        ("tags", MetadataValue::StringList(vec![text(), text()])),
        ("year", MetadataValue::Number(NUMBERS[number % 6])),
        ("draft", MetadataValue::Boolean(number.is_multiple_of(2))),
    ];
    if number.is_multiple_of(10) {
        all[0].1 = MetadataValue::String(long);
    }
    all.remove(number % 7 % all.len());
    let all = all.into_iter();
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_find_what_aws_has_written_to_the_letter() {
    const DOCUMENTS: usize = 70;
    let server = OpenSearch::start(Behaviour::default()).await;
    let mut random = Random::new(21);
    let all: Vec<Metadata> = (0..DOCUMENTS)
        .map(|number| attributes(&mut random, number))
        .collect();
    let documents = all.iter().enumerate();
    let documents = documents.map(|(number, all)| (format!("aws-{number}"), filled(number, all)));
    server.fill("hr", &fields(), documents.collect());
    let index = open(&server.url(), OpenSearchAuth::None);
    let place = place("FILLED0002", Some(&serverless()));
    let (mut found, mut some) = (0, 0);
    for round in 0..120 {
        let filter = random.filter(2);
        let matching = all.iter().filter(|metadata| filter.matches(metadata));
        let matching = matching.count();
        for limit in [5, 500] {
            let search = Search {
                by: if round % 3 == 0 {
                    SearchBy::Text("leave".to_owned())
                } else {
                    SearchBy::Vector(random.vector(DIMENSIONS))
                },
                filter: Some(filter.clone()),
                limit,
            };
            let hits = index.search(&place, search).await.expect("a search");
            assert_eq!(hits.len(), matching.min(limit), "{filter:?}");
            assert!(hits.iter().all(|hit| filter.matches(&hit.metadata)));
        }
        found += matching;
        some += usize::from(matching > 0 && matching < DOCUMENTS);
    }
    assert!(found > 500 && some > 10, "{found} {some}");
}
