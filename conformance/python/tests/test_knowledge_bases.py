"""Knowledge bases and data sources with boto3: what is made comes back, and what is wrong is refused."""

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e.agents import ROLE, settle, unique

MODEL = "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0"
SECRET = "arn:aws:secretsmanager:us-west-2:111111111111:secret:docs-Ab12Cd"
FIELDS = {"vectorField": "vector", "textField": "text", "metadataField": "metadata"}
NO_VECTOR_FIELD = {"textField": "text", "metadataField": "metadata"}

VECTOR = {
    "type": "VECTOR",
    "vectorKnowledgeBaseConfiguration": {
        "embeddingModelArn": MODEL,
        "embeddingModelConfiguration": {
            "bedrockEmbeddingModelConfiguration": {"dimensions": 1024, "embeddingDataType": "FLOAT32"}
        },
        "supplementalDataStorageConfiguration": {
            "storageLocations": [{"type": "S3", "s3Location": {"uri": "s3://docs/images/"}}]
        },
    },
}

STORAGE = {
    "OPENSEARCH_SERVERLESS": {
        "opensearchServerlessConfiguration": {
            "collectionArn": "arn:aws:aoss:us-west-2:111111111111:collection/abc0123",
            "vectorIndexName": "docs",
            "fieldMapping": FIELDS,
        }
    },
    "OPENSEARCH_MANAGED_CLUSTER": {
        "opensearchManagedClusterConfiguration": {
            "domainEndpoint": "https://search-docs.us-west-2.es.amazonaws.com",
            "domainArn": "arn:aws:es:us-west-2:111111111111:domain/docs",
            "vectorIndexName": "docs",
            "fieldMapping": FIELDS,
        }
    },
    "PINECONE": {
        "pineconeConfiguration": {
            "connectionString": "https://docs.svc.pinecone.io",
            "credentialsSecretArn": SECRET,
            "namespace": "docs",
            "fieldMapping": NO_VECTOR_FIELD,
        }
    },
    "REDIS_ENTERPRISE_CLOUD": {
        "redisEnterpriseCloudConfiguration": {
            "endpoint": "docs.redis.example.com:6379",
            "vectorIndexName": "docs",
            "credentialsSecretArn": SECRET,
            "fieldMapping": FIELDS,
        }
    },
    "RDS": {
        "rdsConfiguration": {
            "resourceArn": "arn:aws:rds:us-west-2:111111111111:cluster:docs",
            "credentialsSecretArn": SECRET,
            "databaseName": "docs",
            "tableName": "bedrock_integration.bedrock_kb",
            "fieldMapping": {**FIELDS, "primaryKeyField": "id", "customMetadataField": "more"},
        }
    },
    "MONGO_DB_ATLAS": {
        "mongoDbAtlasConfiguration": {
            "endpoint": "docs.mongodb.net",
            "databaseName": "docs",
            "collectionName": "chunks",
            "vectorIndexName": "vectors",
            "textIndexName": "texts",
            "endpointServiceName": "com.amazonaws.vpce.us-west-2.vpce-svc-0",
            "credentialsSecretArn": SECRET,
            "fieldMapping": FIELDS,
        }
    },
    "NEPTUNE_ANALYTICS": {
        "neptuneAnalyticsConfiguration": {
            "graphArn": "arn:aws:neptune-graph:us-west-2:111111111111:graph/g-0123456789",
            "fieldMapping": NO_VECTOR_FIELD,
        }
    },
    "S3_VECTORS": {
        "s3VectorsConfiguration": {
            "vectorBucketArn": "arn:aws:s3vectors:us-west-2:111111111111:bucket/docs",
            "indexName": "docs",
        }
    },
}

S3 = {"type": "S3", "s3Configuration": {"bucketArn": "arn:aws:s3:::docs", "inclusionPrefixes": ["manuals/"]}}
CHUNKING = {
    "chunkingStrategy": "FIXED_SIZE",
    "fixedSizeChunkingConfiguration": {"maxTokens": 300, "overlapPercentage": 20},
}


def storage(kind="RDS"):
    """A storage configuration of that kind."""
    return {"type": kind, **STORAGE[kind]}


def create(control, name=None, **more):
    """A knowledge base, settled; returns it as created."""
    arguments = {
        "name": name or unique("kb"),
        "roleArn": ROLE,
        "knowledgeBaseConfiguration": VECTOR,
        "storageConfiguration": storage(),
        **more,
    }
    made = control.create_knowledge_base(**arguments)["knowledgeBase"]
    assert made["status"] == "CREATING"
    read = lambda: control.get_knowledge_base(knowledgeBaseId=made["knowledgeBaseId"])["knowledgeBase"]["status"]
    assert settle(read) == "ACTIVE"
    return made


def refused(call, **arguments):
    """Code, status and text of the error a call must end with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Message"]


@pytest.mark.parametrize("kind", sorted(STORAGE))
def test_every_store_is_kept(control, kind):
    made = create(control, storageConfiguration=storage(kind))
    got = control.get_knowledge_base(knowledgeBaseId=made["knowledgeBaseId"])["knowledgeBase"]
    assert got["storageConfiguration"] == storage(kind)
    assert got["knowledgeBaseConfiguration"] == VECTOR
    assert got["createdAt"] == got["updatedAt"] == made["createdAt"]


def gone(read, **arguments):
    """Waits until what is being deleted is not found any more; returns that refusal."""

    def status():
        try:
            (found,) = (value for name, value in read(**arguments).items() if name != "ResponseMetadata")
        except ClientError:
            return "GONE"
        return found["status"]

    assert settle(status, passing=("DELETING",)) == "GONE"
    return refused(read, **arguments)


def test_life_of_a_knowledge_base(control):
    name = unique("kb")
    token = "a" * 36
    made = create(control, name, description="what it is for", tags={"team": "docs"}, clientToken=token)
    kb = made["knowledgeBaseId"]
    again = control.create_knowledge_base(
        name=name,
        description="what it is for",
        roleArn=ROLE,
        knowledgeBaseConfiguration=VECTOR,
        storageConfiguration=storage(),
        tags={"team": "docs"},
        clientToken=token,
    )["knowledgeBase"]
    assert again["knowledgeBaseId"] == kb
    arn = made["knowledgeBaseArn"]
    assert arn == f"arn:aws:bedrock:us-west-2:111111111111:knowledge-base/{kb}"
    assert control.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "docs"}
    control.tag_resource(resourceArn=arn, tags={"stage": "dev"})
    control.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert control.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "dev"}
    updated = control.update_knowledge_base(
        knowledgeBaseId=kb,
        name=f"{name}-new",
        roleArn=ROLE,
        knowledgeBaseConfiguration=VECTOR,
        storageConfiguration=storage(),
    )["knowledgeBase"]
    assert updated["status"] == "UPDATING"
    assert "description" not in updated
    names = [
        summary["name"]
        for page in control.get_paginator("list_knowledge_bases").paginate(PaginationConfig={"PageSize": 2})
        for summary in page["knowledgeBaseSummaries"]
    ]
    assert f"{name}-new" in names and name not in names
    deleted = control.delete_knowledge_base(knowledgeBaseId=kb)
    assert (deleted["knowledgeBaseId"], deleted["status"]) == (kb, "DELETING")
    assert gone(control.get_knowledge_base, knowledgeBaseId=kb) == (
        "ResourceNotFoundException",
        404,
        f"KnowledgeBase with id {kb} is not found.",
    )


def test_names_are_taken_once(control):
    name = unique("kb")
    create(control, name)
    found = refused(
        control.create_knowledge_base,
        name=name,
        roleArn=ROLE,
        knowledgeBaseConfiguration=VECTOR,
        storageConfiguration=storage(),
    )
    assert found == ("ConflictException", 409, f"KnowledgeBase with name {name} already exists.")


def test_members_must_fit(control):
    code, status, message = refused(
        control.create_knowledge_base,
        name=unique("kb"),
        roleArn=ROLE,
        knowledgeBaseConfiguration={"type": "VECTOR"},
        storageConfiguration=storage(),
    )
    assert (code, status) == ("ValidationException", 400)
    assert "vectorKnowledgeBaseConfiguration is required" in message


def test_life_of_a_data_source(control):
    kb = create(control)["knowledgeBaseId"]
    name = unique("source")
    made = control.create_data_source(
        knowledgeBaseId=kb,
        name=name,
        dataSourceConfiguration=S3,
        vectorIngestionConfiguration={"chunkingConfiguration": CHUNKING},
    )["dataSource"]
    assert (made["status"], made["dataDeletionPolicy"]) == ("AVAILABLE", "DELETE")
    source = made["dataSourceId"]
    got = control.get_data_source(knowledgeBaseId=kb, dataSourceId=source)["dataSource"]
    assert got == made
    found = refused(control.create_data_source, knowledgeBaseId=kb, name=name, dataSourceConfiguration=S3)
    assert found == ("ConflictException", 409, f"DataSource with name {name} already exists.")
    updated = control.update_data_source(
        knowledgeBaseId=kb,
        dataSourceId=source,
        name=name,
        description="for manuals",
        dataSourceConfiguration=S3,
        dataDeletionPolicy="RETAIN",
        vectorIngestionConfiguration={"chunkingConfiguration": CHUNKING},
    )["dataSource"]
    assert (updated["description"], updated["dataDeletionPolicy"]) == ("for manuals", "RETAIN")
    assert updated["vectorIngestionConfiguration"] == {"chunkingConfiguration": CHUNKING}
    code, status, message = refused(
        control.update_data_source,
        knowledgeBaseId=kb,
        dataSourceId=source,
        name=name,
        dataSourceConfiguration=S3,
        vectorIngestionConfiguration={"chunkingConfiguration": {"chunkingStrategy": "NONE"}},
    )
    assert (code, status) == ("ValidationException", 400)
    assert "cannot be changed" in message
    summaries = control.list_data_sources(knowledgeBaseId=kb)["dataSourceSummaries"]
    assert [summary["dataSourceId"] for summary in summaries] == [source]
    deleted = control.delete_data_source(knowledgeBaseId=kb, dataSourceId=source)
    assert (deleted["dataSourceId"], deleted["status"]) == (source, "DELETING")
    code, status, _ = gone(control.get_data_source, knowledgeBaseId=kb, dataSourceId=source)
    assert (code, status) == ("ResourceNotFoundException", 404)
