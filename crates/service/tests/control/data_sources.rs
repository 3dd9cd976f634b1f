//! Data sources: what is kept, what is refused, what can change.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::knowledge_bases::{managed, of_type, sql, vector};
use crate::support::{World, conflict, each, not_found, quota, text, validation, with};

const SECRET: &str = "arn:aws:secretsmanager:us-west-2:111111111111:secret:wiki-Ab12Cd";
const MODEL: &str = "anthropic.claude-3-5-sonnet-20240620-v1:0";

fn s3() -> Value {
    json!({
        "type": "S3",
        "s3Configuration": {"bucketArn": "arn:aws:s3:::docs", "inclusionPrefixes": ["manuals/"]},
    })
}

fn filter() -> Value {
    json!({"filterConfiguration": {"type": "PATTERN", "patternObjectFilter": {"filters": [
        {"objectType": "Page", "inclusionFilters": [".*"], "exclusionFilters": ["draft.*"]},
    ]}}})
}

/// Each type of source, and a knowledge base that takes it.
fn sources() -> Vec<(Value, Value)> {
    let web = json!({
        "type": "WEB",
        "webConfiguration": {
            "sourceConfiguration": {"urlConfiguration": {"seedUrls": [{"url": "https://example.com/docs"}]}},
            "crawlerConfiguration": {
                "crawlerLimits": {"rateLimit": 30, "maxPages": 100},
                "scope": "HOST_ONLY",
                "inclusionFilters": [".*"],
            },
        },
    });
    let confluence = json!({
        "type": "CONFLUENCE",
        "confluenceConfiguration": {
            "sourceConfiguration": {
                "hostUrl": "https://example.atlassian.net", "hostType": "SAAS",
                "authType": "BASIC", "credentialsSecretArn": SECRET,
            },
            "crawlerConfiguration": filter(),
        },
    });
    let salesforce = json!({
        "type": "SALESFORCE",
        "salesforceConfiguration": {
            "sourceConfiguration": {
                "hostUrl": "https://example.my.salesforce.com",
                "authType": "OAUTH2_CLIENT_CREDENTIALS", "credentialsSecretArn": SECRET,
            },
            "crawlerConfiguration": filter(),
        },
    });
    let share_point = json!({
        "type": "SHAREPOINT",
        "sharePointConfiguration": {
            "sourceConfiguration": {
                "domain": "example", "siteUrls": ["https://example.sharepoint.com/sites/docs"],
                "hostType": "ONLINE", "authType": "OAUTH2_CLIENT_CREDENTIALS",
                "tenantId": "00000000-0000-4000-8000-000000000000", "credentialsSecretArn": SECRET,
            },
            "crawlerConfiguration": filter(),
        },
    });
    let connector = json!({
        "type": "MANAGED_KNOWLEDGE_BASE_CONNECTOR",
        "managedKnowledgeBaseConnectorConfiguration": {
            "deletionProtectionConfiguration": {"deletionProtectionStatus": "ENABLED", "deletionProtectionThreshold": 10},
            "mediaExtractionConfiguration": {"imageExtractionConfiguration": {"imageExtractionStatus": "DISABLED"}},
            "connectorParameters": {"type": "S3", "version": 1, "nested": [true, null, 1.5]},
            "syncSchedule": {"monthly": {"dayOfMonth": {"lastDayOfMonth": {}}}},
        },
    });
    let metadata = json!({"type": "REDSHIFT_METADATA"});
    let mut all: Vec<(Value, Value)> = [s3(), web, confluence, salesforce, share_point]
        .into_iter()
        .chain([json!({"type": "CUSTOM"})])
        .map(|source| (vector("documents"), source))
        .collect();
    all.push((of_type("tables", &sql()), metadata));
    all.push((of_type("connected", &managed()), connector));
    all
}

fn ingestion() -> Value {
    json!({
        "chunkingConfiguration": {
            "chunkingStrategy": "HIERARCHICAL",
            "hierarchicalChunkingConfiguration": {
                "levelConfigurations": [{"maxTokens": 1500}, {"maxTokens": 300}],
                "overlapTokens": 60,
            },
        },
        "parsingConfiguration": {
            "parsingStrategy": "BEDROCK_FOUNDATION_MODEL",
            "bedrockFoundationModelConfiguration": {
                "modelArn": MODEL, "parsingModality": "MULTIMODAL",
                "parsingPrompt": {"parsingPromptText": "Transcribe the page."},
            },
        },
        "customTransformationConfiguration": {
            "intermediateStorage": {"s3Location": {"uri": "s3://docs/steps/"}},
            "transformations": [{
                "stepToApply": "POST_CHUNKING",
                "transformationFunction": {"transformationLambdaConfiguration": {
                    "lambdaArn": "arn:aws:lambda:us-west-2:111111111111:function:shape",
                }},
            }],
        },
        "contextEnrichmentConfiguration": {
            "type": "BEDROCK_FOUNDATION_MODEL",
            "bedrockFoundationModelConfiguration": {
                "modelArn": MODEL,
                "enrichmentStrategyConfiguration": {"method": "CHUNK_ENTITY_EXTRACTION"},
            },
        },
    })
}

/// A `CreateDataSource` request.
fn request(knowledge_base: &str, name: &str) -> Value {
    json!({
        "knowledgeBaseId": knowledge_base,
        "name": name,
        "dataSourceConfiguration": s3(),
    })
}

impl World {
    async fn data_source(&self, request: Value) -> String {
        let made = self.call::<op::CreateDataSource>(request).await;
        text(&made["dataSource"]["dataSourceId"])
    }

    async fn get_data_source(&self, knowledge_base: &str, id: &str) -> Value {
        let input = json!({"knowledgeBaseId": knowledge_base, "dataSourceId": id});
        let mut got = self.call::<op::GetDataSource>(input).await;
        got["dataSource"].take()
    }
}

#[tokio::test]
async fn all_of_it_is_kept_and_shown() {
    for (knowledge_base, source) in sources() {
        let world = World::relaxed();
        let knowledge_base = world.create_knowledge_base(knowledge_base).await;
        let request = json!({
            "knowledgeBaseId": knowledge_base,
            "name": "source",
            "description": "what it is for",
            "dataSourceConfiguration": source,
            "dataDeletionPolicy": "RETAIN",
            "serverSideEncryptionConfiguration": {
                "kmsKeyArn": "arn:aws:kms:us-west-2:111111111111:key/00000000-0000-4000-8000-000000000000",
            },
            "vectorIngestionConfiguration": ingestion(),
        });
        let made = world.call::<op::CreateDataSource>(request.clone()).await;
        let made = &made["dataSource"];
        let id = text(&made["dataSourceId"]);
        let expected = with(
            request,
            json!({
                "dataSourceId": id,
                "status": "AVAILABLE",
                "createdAt": made["createdAt"],
                "updatedAt": made["createdAt"],
            }),
        );
        assert_eq!(made, &expected);
        assert_eq!(world.get_data_source(&knowledge_base, &id).await, expected);
    }
}

#[tokio::test]
async fn data_goes_with_its_source_unless_it_is_said_otherwise() {
    let world = World::relaxed();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    let id = world.data_source(request(&knowledge_base, "source")).await;
    let shown = world.get_data_source(&knowledge_base, &id).await;
    assert_eq!(shown["dataDeletionPolicy"], "DELETE");
}

#[tokio::test]
async fn parts_that_do_not_fit_together_are_refused() {
    let world = World::relaxed();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    let source = |given: Value| json!({"dataSourceConfiguration": given});
    let ingestion = |given: Value| json!({"vectorIngestionConfiguration": given});
    for (change, message) in [
        (
            source(json!({"type": "WEB", "s3Configuration": {"bucketArn": "arn:aws:s3:::docs"}})),
            "The member dataSourceConfiguration.s3Configuration is not allowed when dataSourceConfiguration.type is WEB.",
        ),
        (
            source(json!({"type": "S3"})),
            "The member dataSourceConfiguration.s3Configuration is required when dataSourceConfiguration.type is S3.",
        ),
        (
            source(json!({"type": "REDSHIFT_METADATA"})),
            "The member dataSourceConfiguration.type is REDSHIFT_METADATA, which a knowledge base of type VECTOR does not take.",
        ),
        (
            source(json!({"type": "CONFLUENCE", "confluenceConfiguration": {
                "sourceConfiguration": {
                    "hostUrl": "https://example.atlassian.net", "hostType": "SAAS",
                    "authType": "BASIC", "credentialsSecretArn": SECRET,
                },
                "crawlerConfiguration": {"filterConfiguration": {"type": "PATTERN"}},
            }})),
            "The member dataSourceConfiguration.confluenceConfiguration.crawlerConfiguration.filterConfiguration.patternObjectFilter is required when dataSourceConfiguration.confluenceConfiguration.crawlerConfiguration.filterConfiguration.type is PATTERN.",
        ),
        (
            ingestion(json!({"chunkingConfiguration": {"chunkingStrategy": "FIXED_SIZE"}})),
            "The member vectorIngestionConfiguration.chunkingConfiguration.fixedSizeChunkingConfiguration is required when vectorIngestionConfiguration.chunkingConfiguration.chunkingStrategy is FIXED_SIZE.",
        ),
        (
            ingestion(json!({"chunkingConfiguration": {
                "chunkingStrategy": "NONE",
                "fixedSizeChunkingConfiguration": {"maxTokens": 300, "overlapPercentage": 20},
            }})),
            "The member vectorIngestionConfiguration.chunkingConfiguration.fixedSizeChunkingConfiguration is not allowed when vectorIngestionConfiguration.chunkingConfiguration.chunkingStrategy is NONE.",
        ),
        (
            ingestion(json!({"parsingConfiguration": {
                "parsingStrategy": "SMART_PARSING",
                "bedrockDataAutomationConfiguration": {},
            }})),
            "The member vectorIngestionConfiguration.parsingConfiguration.bedrockDataAutomationConfiguration is not allowed when vectorIngestionConfiguration.parsingConfiguration.parsingStrategy is SMART_PARSING.",
        ),
        (
            ingestion(
                json!({"contextEnrichmentConfiguration": {"type": "BEDROCK_FOUNDATION_MODEL"}}),
            ),
            "The member vectorIngestionConfiguration.contextEnrichmentConfiguration.bedrockFoundationModelConfiguration is required when vectorIngestionConfiguration.contextEnrichmentConfiguration.type is BEDROCK_FOUNDATION_MODEL.",
        ),
    ] {
        let refused = world
            .refused::<op::CreateDataSource>(with(request(&knowledge_base, "source"), change))
            .await;
        assert_eq!(refused, validation(message));
    }
    let automated =
        ingestion(json!({"parsingConfiguration": {"parsingStrategy": "BEDROCK_DATA_AUTOMATION"}}));
    world
        .data_source(with(request(&knowledge_base, "source"), automated))
        .await;
}

#[tokio::test]
async fn an_update_replaces_all_but_parsing_and_chunking() {
    let world = World::relaxed();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    let created = with(
        request(&knowledge_base, "old"),
        json!({
            "description": "old",
            "dataDeletionPolicy": "RETAIN",
            "vectorIngestionConfiguration": ingestion(),
        }),
    );
    let id = world.data_source(created).await;
    let before = world.get_data_source(&knowledge_base, &id).await;
    let bucket = json!({"type": "S3", "s3Configuration": {"bucketArn": "arn:aws:s3:::others"}});
    let update = with(
        request(&knowledge_base, "new"),
        json!({"dataSourceId": id, "dataSourceConfiguration": bucket}),
    );
    world.call::<op::UpdateDataSource>(update.clone()).await;
    let after = world.get_data_source(&knowledge_base, &id).await;
    assert_eq!(
        after,
        with(
            before,
            json!({
                "name": "new", "description": null, "dataDeletionPolicy": "DELETE",
                "dataSourceConfiguration": bucket, "updatedAt": after["updatedAt"],
            })
        )
    );
    let fixed = |member: &str| {
        validation(&format!(
            "The member {member} cannot be changed after the data source is created. Specify the same configuration as when it was created."
        ))
    };
    for (change, member) in [
        (
            json!({"dataSourceConfiguration": {"type": "CUSTOM"}}),
            "dataSourceConfiguration.type",
        ),
        (
            json!({"vectorIngestionConfiguration": {"chunkingConfiguration": {"chunkingStrategy": "NONE"}}}),
            "vectorIngestionConfiguration.chunkingConfiguration",
        ),
        (
            json!({"vectorIngestionConfiguration": {"parsingConfiguration": {"parsingStrategy": "SMART_PARSING"}}}),
            "vectorIngestionConfiguration.parsingConfiguration",
        ),
    ] {
        let refused = world
            .refused::<op::UpdateDataSource>(with(update.clone(), change))
            .await;
        assert_eq!(refused, fixed(member));
    }
}

#[tokio::test]
async fn a_name_is_taken_once_within_a_knowledge_base() {
    let world = World::relaxed();
    let one = world.create_knowledge_base(vector("one")).await;
    let two = world.create_knowledge_base(vector("two")).await;
    world.data_source(request(&one, "source")).await;
    world.data_source(request(&two, "source")).await;
    let other = world.data_source(request(&one, "other")).await;
    let taken = conflict("DataSource with name source already exists.");
    assert_eq!(
        world
            .refused::<op::CreateDataSource>(request(&one, "source"))
            .await,
        taken
    );
    let rename = with(request(&one, "source"), json!({"dataSourceId": other}));
    assert_eq!(world.refused::<op::UpdateDataSource>(rename).await, taken);
}

#[tokio::test]
async fn the_same_token_makes_one() {
    let world = World::relaxed();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    let token = json!({"clientToken": "00000000-0000-4000-8000-000000000001"});
    let asked = with(request(&knowledge_base, "source"), token);
    let id = world.data_source(asked.clone()).await;
    assert_eq!(world.data_source(asked).await, id);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let world = World::relaxed();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    let id = world.data_source(request(&knowledge_base, "source")).await;
    let named = json!({"knowledgeBaseId": knowledge_base, "dataSourceId": id});
    assert_eq!(
        world.call::<op::DeleteDataSource>(named.clone()).await,
        json!({"knowledgeBaseId": knowledge_base, "dataSourceId": id, "status": "DELETING"})
    );
    let gone = not_found(&format!(
        "DataSource with id {id} in KnowledgeBase with id {knowledge_base} is not found."
    ));
    let update = with(
        request(&knowledge_base, "source"),
        json!({"dataSourceId": id}),
    );
    assert_eq!(
        world.refused::<op::GetDataSource>(named.clone()).await,
        gone
    );
    assert_eq!(world.refused::<op::UpdateDataSource>(update).await, gone);
    assert_eq!(world.refused::<op::DeleteDataSource>(named).await, gone);
    let nowhere = json!({"knowledgeBaseId": "NOWHERE000", "dataSourceId": id});
    let no_base = not_found("KnowledgeBase with id NOWHERE000 is not found.");
    assert_eq!(
        world.refused::<op::GetDataSource>(nowhere.clone()).await,
        no_base
    );
    assert_eq!(
        world.refused::<op::DeleteDataSource>(nowhere.clone()).await,
        no_base
    );
    assert_eq!(world.refused::<op::ListDataSources>(nowhere).await, no_base);
    assert_eq!(
        world
            .refused::<op::CreateDataSource>(request("NOWHERE000", "source"))
            .await,
        no_base
    );
}

#[tokio::test]
async fn they_go_with_their_knowledge_base() {
    let world = World::relaxed();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    world.data_source(request(&knowledge_base, "source")).await;
    let named = json!({"knowledgeBaseId": knowledge_base});
    world.call::<op::DeleteKnowledgeBase>(named).await;
    let left = world
        .stored("111111111111/us-west-2", "data-source", &knowledge_base)
        .await;
    assert_eq!(left, Vec::<Value>::new());
}

#[tokio::test]
async fn they_are_listed_in_pages() {
    let world = World::relaxed();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    for name in ["b", "a", "c"] {
        world.data_source(request(&knowledge_base, name)).await;
    }
    let asked = json!({"knowledgeBaseId": knowledge_base, "maxResults": 2});
    let first = world.call::<op::ListDataSources>(asked.clone()).await;
    let next = with(asked, json!({"nextToken": first["nextToken"]}));
    let second = world.call::<op::ListDataSources>(next).await;
    assert_eq!(each(&first["dataSourceSummaries"], "name"), ["b", "a"]);
    assert_eq!(each(&second["dataSourceSummaries"], "name"), ["c"]);
    assert_eq!(second.get("nextToken"), None);
}

#[tokio::test]
async fn strict_holds_to_the_quota() {
    let world = World::strict();
    let knowledge_base = world.create_knowledge_base(vector("kb")).await;
    for number in 0..5 {
        world
            .data_source(request(&knowledge_base, &format!("source-{number}")))
            .await;
    }
    assert_eq!(
        world
            .refused::<op::CreateDataSource>(request(&knowledge_base, "one-more"))
            .await,
        quota("The number of data sources per knowledge base exceeds the limit. Limit: 5.")
    );
}
