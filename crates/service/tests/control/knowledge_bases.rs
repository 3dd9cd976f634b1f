//! Knowledge bases: what is kept, what is refused, what can change.

use outcrop_model::control::ops as op;
use serde_json::{Value, json};

use crate::support::{
    REGION, ROLE, World, conflict, context, each, not_found, text, validation, with,
};

const MODEL: &str = "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0";
const SECRET: &str = "arn:aws:secretsmanager:us-west-2:111111111111:secret:db-Ab12Cd";

/// A `CreateKnowledgeBase` request of type VECTOR.
pub(crate) fn vector(name: &str) -> Value {
    json!({
        "name": name,
        "roleArn": ROLE,
        "knowledgeBaseConfiguration": {
            "type": "VECTOR",
            "vectorKnowledgeBaseConfiguration": {
                "embeddingModelArn": MODEL,
                "embeddingModelConfiguration": {
                    "bedrockEmbeddingModelConfiguration": {
                        "dimensions": 1024, "embeddingDataType": "FLOAT32",
                    },
                },
            },
        },
        "storageConfiguration": rds(),
    })
}

fn rds() -> Value {
    json!({
        "type": "RDS",
        "rdsConfiguration": {
            "resourceArn": "arn:aws:rds:us-west-2:111111111111:cluster:docs",
            "credentialsSecretArn": SECRET,
            "databaseName": "docs",
            "tableName": "bedrock_integration.bedrock_kb",
            "fieldMapping": {
                "primaryKeyField": "id", "vectorField": "embedding",
                "textField": "chunks", "metadataField": "metadata",
            },
        },
    })
}

/// A `CreateKnowledgeBase` request of another type, with its configuration.
pub(crate) fn of_type(name: &str, configuration: &Value) -> Value {
    let base = with(vector(name), json!({"storageConfiguration": null}));
    with(base, json!({"knowledgeBaseConfiguration": configuration}))
}

pub(crate) fn sql() -> Value {
    json!({
        "type": "SQL",
        "sqlKnowledgeBaseConfiguration": {
            "type": "REDSHIFT",
            "redshiftConfiguration": {
                "storageConfigurations": [
                    {"type": "REDSHIFT", "redshiftConfiguration": {"databaseName": "sales"}},
                ],
                "queryEngineConfiguration": {
                    "type": "SERVERLESS",
                    "serverlessConfiguration": {
                        "workgroupArn": "arn:aws:redshift-serverless:us-west-2:111111111111:workgroup/00000000-0000-4000-8000-000000000000",
                        "authConfiguration": {"type": "USERNAME_PASSWORD", "usernamePasswordSecretArn": SECRET},
                    },
                },
                "queryGenerationConfiguration": {
                    "executionTimeoutSeconds": 30,
                    "generationContext": {
                        "tables": [{"name": "sales.public.orders", "inclusion": "INCLUDE"}],
                        "curatedQueries": [{"naturalLanguage": "how many", "sql": "SELECT 1"}],
                    },
                },
            },
        },
    })
}

fn kendra() -> Value {
    json!({
        "type": "KENDRA",
        "kendraKnowledgeBaseConfiguration": {
            "kendraIndexArn": "arn:aws:kendra:us-west-2:111111111111:index/00000000-0000-4000-8000-000000000000",
        },
    })
}

pub(crate) fn managed() -> Value {
    json!({
        "type": "MANAGED",
        "managedKnowledgeBaseConfiguration": {
            "embeddingModelType": "CUSTOM",
            "embeddingModelArn": MODEL,
            "serverSideEncryptionConfiguration": {
                "kmsKeyArn": "arn:aws:kms:us-west-2:111111111111:key/00000000-0000-4000-8000-000000000000",
            },
        },
    })
}

impl World {
    /// A knowledge base; its id.
    pub(crate) async fn create_knowledge_base(&self, request: Value) -> String {
        let made = self.call::<op::CreateKnowledgeBase>(request).await;
        text(&made["knowledgeBase"]["knowledgeBaseId"])
    }

    async fn get_knowledge_base(&self, id: &str) -> Value {
        let input = json!({"knowledgeBaseId": id});
        let mut got = self.call::<op::GetKnowledgeBase>(input).await;
        got["knowledgeBase"].take()
    }
}

/// `base` with one value replaced, or removed where it is null.
fn at(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let object = base.pointer_mut(parent).expect("a member");
    let object = object.as_object_mut().expect("an object");
    if value.is_null() {
        object.remove(member);
    } else {
        object.insert(member.to_owned(), value);
    }
    base
}

#[tokio::test]
async fn all_of_it_is_kept_and_shown() {
    let world = World::relaxed();
    for (name, request) in [
        ("vector", vector("vector")),
        ("sql", of_type("sql", &sql())),
        ("kendra", of_type("kendra", &kendra())),
        ("managed", of_type("managed", &managed())),
    ] {
        let request = with(request, json!({"description": "what it is for"}));
        let made = world.call::<op::CreateKnowledgeBase>(request.clone()).await;
        let made = &made["knowledgeBase"];
        let id = text(&made["knowledgeBaseId"]);
        let shown = world.get_knowledge_base(&id).await;
        let mut expected = with(
            request,
            json!({
                "knowledgeBaseId": id,
                "knowledgeBaseArn": format!("arn:aws:bedrock:us-west-2:111111111111:knowledge-base/{id}"),
                "createdAt": made["createdAt"],
                "updatedAt": made["createdAt"],
                "status": "ACTIVE",
            }),
        );
        assert_eq!(shown, expected, "{name}");
        expected["status"] = json!("CREATING");
        assert_eq!(made, &expected, "{name}");
    }
}

#[tokio::test]
async fn whoever_says_nothing_of_storage_gets_the_servers_own() {
    let world = World::relaxed();
    let request = at(vector("kb"), "/storageConfiguration", Value::Null);
    let made = world.call::<op::CreateKnowledgeBase>(request).await;
    assert!(made["knowledgeBase"].get("storageConfiguration").is_none());
}

#[tokio::test]
async fn parts_that_do_not_fit_together_are_refused() {
    let world = World::strict();
    let sql_base = || of_type("kb", &sql());
    let engine = "/knowledgeBaseConfiguration/sqlKnowledgeBaseConfiguration/redshiftConfiguration/queryEngineConfiguration";
    let vectors = |given: Value| {
        with(
            vector("kb"),
            json!({"storageConfiguration": {"type": "S3_VECTORS", "s3VectorsConfiguration": given}}),
        )
    };
    let needs_an_index = "The member storageConfiguration.s3VectorsConfiguration needs either indexArn, or both vectorBucketArn and indexName.";
    for (request, message) in [
        (
            at(
                vector("kb"),
                "/knowledgeBaseConfiguration/vectorKnowledgeBaseConfiguration",
                Value::Null,
            ),
            "The member knowledgeBaseConfiguration.vectorKnowledgeBaseConfiguration is required when knowledgeBaseConfiguration.type is VECTOR.",
        ),
        (
            at(
                of_type("kb", &kendra()),
                "/knowledgeBaseConfiguration/vectorKnowledgeBaseConfiguration",
                json!({"embeddingModelArn": MODEL}),
            ),
            "The member knowledgeBaseConfiguration.vectorKnowledgeBaseConfiguration is not allowed when knowledgeBaseConfiguration.type is KENDRA.",
        ),
        (
            at(vector("kb"), "/storageConfiguration", Value::Null),
            "The member storageConfiguration is required when knowledgeBaseConfiguration.type is VECTOR.",
        ),
        (
            with(
                of_type("kb", &managed()),
                json!({"storageConfiguration": rds()}),
            ),
            "The member storageConfiguration is not allowed when knowledgeBaseConfiguration.type is MANAGED.",
        ),
        (
            at(
                vector("kb"),
                "/storageConfiguration/type",
                json!("PINECONE"),
            ),
            "The member storageConfiguration.pineconeConfiguration is required when storageConfiguration.type is PINECONE.",
        ),
        (vectors(json!({})), needs_an_index),
        (vectors(json!({"indexName": "docs"})), needs_an_index),
        (
            vectors(json!({"indexName": "docs", "vectorBucketArn": "b", "indexArn": "a"})),
            needs_an_index,
        ),
        (
            at(
                of_type("kb", &managed()),
                "/knowledgeBaseConfiguration/managedKnowledgeBaseConfiguration/embeddingModelArn",
                Value::Null,
            ),
            "The member knowledgeBaseConfiguration.managedKnowledgeBaseConfiguration.embeddingModelArn is required when knowledgeBaseConfiguration.managedKnowledgeBaseConfiguration.embeddingModelType is CUSTOM.",
        ),
        (
            at(sql_base(), &format!("{engine}/type"), json!("PROVISIONED")),
            "The member knowledgeBaseConfiguration.sqlKnowledgeBaseConfiguration.redshiftConfiguration.queryEngineConfiguration.serverlessConfiguration is not allowed when knowledgeBaseConfiguration.sqlKnowledgeBaseConfiguration.redshiftConfiguration.queryEngineConfiguration.type is PROVISIONED.",
        ),
        (
            at(
                sql_base(),
                &format!(
                    "{engine}/serverlessConfiguration/authConfiguration/usernamePasswordSecretArn"
                ),
                Value::Null,
            ),
            "The member knowledgeBaseConfiguration.sqlKnowledgeBaseConfiguration.redshiftConfiguration.queryEngineConfiguration.serverlessConfiguration.authConfiguration.usernamePasswordSecretArn is required when knowledgeBaseConfiguration.sqlKnowledgeBaseConfiguration.redshiftConfiguration.queryEngineConfiguration.serverlessConfiguration.authConfiguration.type is USERNAME_PASSWORD.",
        ),
    ] {
        assert_eq!(
            world.refused::<op::CreateKnowledgeBase>(request).await,
            validation(message)
        );
    }
}

#[tokio::test]
async fn names_descriptions_and_roles_can_change() {
    let world = World::relaxed();
    let id = world
        .create_knowledge_base(with(vector("old"), json!({"description": "old"})))
        .await;
    let before = world.get_knowledge_base(&id).await;
    let role = "arn:aws:iam::111111111111:role/Another";
    let update = with(
        vector("new"),
        json!({"knowledgeBaseId": id, "roleArn": role}),
    );
    let answer = world.call::<op::UpdateKnowledgeBase>(update).await;
    assert_eq!(answer["knowledgeBase"]["status"], "UPDATING");
    let after = world.get_knowledge_base(&id).await;
    let changed = json!({
        "name": "new", "roleArn": role, "description": null, "updatedAt": after["updatedAt"],
    });
    assert_eq!(after, with(before.clone(), changed));
    assert_ne!(after["updatedAt"], before["updatedAt"]);
    world.create_knowledge_base(vector("old")).await;
}

#[tokio::test]
async fn what_it_is_made_of_cannot_change() {
    let world = World::relaxed();
    let id = world.create_knowledge_base(vector("kb")).await;
    let update = || with(vector("kb"), json!({"knowledgeBaseId": id}));
    let fixed = |member: &str| {
        validation(&format!(
            "The member {member} cannot be changed after the knowledge base is created. Specify the same configuration as when it was created."
        ))
    };
    let other = at(
        update(),
        "/knowledgeBaseConfiguration/vectorKnowledgeBaseConfiguration/embeddingModelArn",
        json!("another-model"),
    );
    assert_eq!(
        world.refused::<op::UpdateKnowledgeBase>(other).await,
        fixed("knowledgeBaseConfiguration")
    );
    let other = at(
        update(),
        "/storageConfiguration/rdsConfiguration/databaseName",
        json!("other"),
    );
    assert_eq!(
        world.refused::<op::UpdateKnowledgeBase>(other).await,
        fixed("storageConfiguration")
    );
    let fields = json!({"metadataConfigurations": [
        {"name": "year", "type": "STRING", "searchability": "ENABLED"},
    ]});
    assert_eq!(
        world
            .refused::<op::UpdateKnowledgeBase>(with(update(), fields.clone()))
            .await,
        validation(
            "The member metadataConfigurations is only allowed for a knowledge base of type MANAGED."
        )
    );
    let left_out = at(update(), "/storageConfiguration", Value::Null);
    world.call::<op::UpdateKnowledgeBase>(left_out).await;
    let kept = world.get_knowledge_base(&id).await;
    assert_eq!(kept["storageConfiguration"], rds());
}

#[tokio::test]
async fn metadata_fields_of_a_managed_one_stay_until_they_are_replaced() {
    let world = World::relaxed();
    let id = world.create_knowledge_base(of_type("kb", &managed())).await;
    let fields = json!([{"name": "year", "type": "STRING", "searchability": "ENABLED"}]);
    for (given, shown) in [
        (fields.clone(), &fields),
        (Value::Null, &fields),
        (json!([]), &Value::Null),
    ] {
        let update = with(of_type("kb", &managed()), json!({"knowledgeBaseId": id}));
        let update = with(update, json!({"metadataConfigurations": given}));
        world.call::<op::UpdateKnowledgeBase>(update).await;
        let got = world.get_knowledge_base(&id).await;
        assert_eq!(&got["metadataConfigurations"], shown);
    }
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let world = World::relaxed();
    world.create_knowledge_base(vector("kb")).await;
    let other = world.create_knowledge_base(vector("other")).await;
    let taken = conflict("KnowledgeBase with name kb already exists.");
    assert_eq!(
        world.refused::<op::CreateKnowledgeBase>(vector("kb")).await,
        taken
    );
    let rename = with(vector("kb"), json!({"knowledgeBaseId": other}));
    assert_eq!(
        world.refused::<op::UpdateKnowledgeBase>(rename).await,
        taken
    );
}

#[tokio::test]
async fn the_same_token_makes_one() {
    let world = World::relaxed();
    let token = json!({"clientToken": "00000000-0000-4000-8000-000000000001"});
    let id = world
        .create_knowledge_base(with(vector("kb"), token.clone()))
        .await;
    assert_eq!(
        world
            .create_knowledge_base(with(vector("kb"), token.clone()))
            .await,
        id
    );
    let (kind, _) = world
        .refused::<op::CreateKnowledgeBase>(with(vector("another"), token))
        .await;
    assert_eq!(kind, outcrop_model::exception::ExceptionKind::Conflict);
}

#[tokio::test]
async fn deleting_leaves_nothing() {
    let world = World::relaxed();
    let id = world
        .create_knowledge_base(with(vector("kb"), json!({"tags": {"team": "docs"}})))
        .await;
    let arn = format!("arn:aws:bedrock:us-west-2:111111111111:knowledge-base/{id}");
    let tags = json!({"resourceArn": arn});
    assert_eq!(
        world.call::<op::ListTagsForResource>(tags.clone()).await,
        json!({"tags": {"team": "docs"}})
    );
    let named = json!({"knowledgeBaseId": id});
    assert_eq!(
        world.call::<op::DeleteKnowledgeBase>(named.clone()).await,
        json!({"knowledgeBaseId": id, "status": "DELETING"})
    );
    let gone = not_found(&format!("KnowledgeBase with id {id} is not found."));
    assert_eq!(
        world.refused::<op::GetKnowledgeBase>(named.clone()).await,
        gone
    );
    assert_eq!(world.refused::<op::DeleteKnowledgeBase>(named).await, gone);
    world.refused::<op::ListTagsForResource>(tags).await;
    let scope = format!("111111111111/{REGION}");
    for kind in ["knowledge-base", "data-source", "tags"] {
        assert_eq!(
            world.stored(&scope, kind, "").await,
            Vec::<Value>::new(),
            "{kind}"
        );
    }
    let regions = world
        .stored("111111111111", "knowledge-base-region", "")
        .await;
    assert_eq!(regions, Vec::<Value>::new());
    world.create_knowledge_base(vector("kb")).await;
}

#[tokio::test]
async fn one_that_a_draft_names_stays() {
    let world = World::relaxed();
    let id = world.create_knowledge_base(vector("kb")).await;
    let agent = world.agent("reader").await;
    let association = json!({
        "agentId": agent, "agentVersion": "DRAFT", "knowledgeBaseId": id, "description": "docs",
    });
    world
        .call::<op::AssociateAgentKnowledgeBase>(association.clone())
        .await;
    let named = json!({"knowledgeBaseId": id});
    assert_eq!(
        world
            .refused::<op::DeleteKnowledgeBase>(named.clone())
            .await,
        conflict(&format!(
            "Could not perform Delete operation, since the knowledge base kb (id: {id}) is in use by the agent with id {agent}"
        ))
    );
    world
        .call::<op::DisassociateAgentKnowledgeBase>(with(association, json!({"description": null})))
        .await;
    world.call::<op::DeleteKnowledgeBase>(named).await;
}

#[tokio::test]
async fn the_404_names_the_region_it_is_in() {
    let world = World::relaxed();
    let id = world.create_knowledge_base(vector("kb")).await;
    let elsewhere = context("eu-central-1");
    let refusal = world
        .call_from::<op::GetKnowledgeBase>(&elsewhere, json!({"knowledgeBaseId": id}))
        .await
        .unwrap_err();
    assert_eq!(
        refusal.message(),
        format!(
            "KnowledgeBase with id {id} is not found. (KnowledgeBase {id} exists in region us-west-2; this request is for region eu-central-1.)"
        )
    );
}

#[tokio::test]
async fn they_are_listed_in_pages_in_the_order_of_their_creation() {
    let world = World::relaxed();
    for name in ["b", "a", "c"] {
        world.create_knowledge_base(vector(name)).await;
    }
    let first = world
        .call::<op::ListKnowledgeBases>(json!({"maxResults": 2}))
        .await;
    let next = json!({"maxResults": 2, "nextToken": first["nextToken"]});
    let second = world.call::<op::ListKnowledgeBases>(next).await;
    assert_eq!(each(&first["knowledgeBaseSummaries"], "name"), ["b", "a"]);
    assert_eq!(
        second,
        json!({"knowledgeBaseSummaries": [{
            "knowledgeBaseId": "ID00000003",
            "name": "c",
            "status": "ACTIVE",
            "updatedAt": "2025-05-30T17:28:12.000000Z",
        }]})
    );
}

#[tokio::test]
async fn strict_holds_to_the_quotas() {
    let world = World::strict();
    for number in 0..100 {
        world
            .create_knowledge_base(vector(&format!("kb-{number}")))
            .await;
    }
    assert_eq!(
        world
            .refused::<op::CreateKnowledgeBase>(vector("one-more"))
            .await,
        crate::support::quota(
            "The number of knowledge bases per account exceeds the limit. Limit: 100."
        )
    );
}
