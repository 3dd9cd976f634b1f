"""Vectors in PostgreSQL: a table that a knowledge base names, and servers that share an index."""

import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents, knowledge

LINES = {
    "heron": "The heron nests in the reed beds.",
    "otter": "The otter sleeps in a holt by the river.",
    "badger": "The badger digs a sett in the wood.",
}


def rds(table):
    """A storage configuration whose ARNs nobody dials."""
    return {
        "type": "RDS",
        "rdsConfiguration": {
            "resourceArn": "arn:aws:rds:us-west-2:111111111111:cluster:vectors",
            "credentialsSecretArn": "arn:aws:secretsmanager:us-west-2:111111111111:secret:vectors-a1b2c3",
            "databaseName": "postgres",
            "tableName": table,
            "fieldMapping": {
                "primaryKeyField": "id", "vectorField": "embedding", "textField": "chunks", "metadataField": "metadata",
                "customMetadataField": "custom_metadata",
            },
        },
    }


def fill(clients, base, lines=LINES):
    """The data source with the documents in it; skips where the database has no pgvector, which it says."""
    control = clients.control
    try:
        assert knowledge.retrieve(clients.runtime, base, "heron") == []
    except ClientError as error:
        if "`vector` (pgvector)" not in str(error):
            raise
        pytest.skip(str(error))
    source = knowledge.source(control, base, {"type": "CUSTOM"})
    given = [knowledge.custom(name, text, kind=name, length=len(text)) for name, text in lines.items()]
    control.ingest_knowledge_base_documents(knowledgeBaseId=base, dataSourceId=source, documents=given)

    def statuses():
        found = knowledge.documents(control, base, source)
        return {status for status, _ in found.values()} if len(found) == len(lines) else {"PENDING"}

    agents.settle(lambda: statuses() <= {"INDEXED", "FAILED"}, passing=(False,))
    told = knowledge.documents(control, base, source).values()
    assert {status for status, _ in told} == {"INDEXED"}, told
    return source


def found(runtime, base, text, number=5, **search):
    return [knowledge.uri(one) for one in knowledge.retrieve(runtime, base, text, number, **search)]


def test_a_table_that_the_knowledge_base_names(stub, launch, connect, embedder, database):
    url = database()
    schema = url.rpartition("schema=")[2]
    indexes = '[[indexes]]\nstorage = "RDS"\nmatch = "*:cluster:vectors"\nengine = "postgres"\nurl_env = "VECTORS"\n'
    text = config(stub) + knowledge.embeddings(embedder.url) + indexes
    server = launch(text, {"VECTORS": url})
    clients = connect(server)
    table = f"{schema}_kb.vectors"
    base, other = (knowledge.create(clients.control, storageConfiguration=rds(table)) for _ in range(2))
    fill(clients, base)
    fill(clients, other, {"wolf": "The wolf howls at the heron."})
    for again in range(2):
        assert found(clients.runtime, base, "heron nests reed")[0] == "heron"
        assert sorted(found(clients.runtime, base, "heron", 10)) == sorted(LINES)
        assert found(clients.runtime, other, "heron", 10) == ["wolf"]
        only = {"andAll": [
            {"stringContains": {"key": "kind", "value": "tt"}},
            {"greaterThan": {"key": "length", "value": 10}},
        ]}
        assert found(clients.runtime, base, "heron", 10, filter=only) == ["otter"]
        assert found(clients.runtime, base, "holt river", 1, kind="HYBRID") == ["otter"]
        if not again:
            server.kill()
            clients = connect(server.start())


def test_servers_on_one_database_share_the_index(stub, launch, connect, embedder, database):
    url = database()
    text = config(stub) + knowledge.embeddings(embedder.url)
    one, other = (connect(launch(text, {"OUTCROP_DATABASE_URL": url})) for _ in range(2))
    base = knowledge.create(one.control)
    source = fill(one, base)
    assert found(other.runtime, base, "badger sett wood")[0] == "badger"
    gone = [{"dataSourceType": "CUSTOM", "custom": {"id": "badger"}}]
    other.control.delete_knowledge_base_documents(
        knowledgeBaseId=base, dataSourceId=source, documentIdentifiers=gone
    )
    agents.settle(lambda: "badger" in knowledge.documents(one.control, base, source), passing=(True,))
    assert sorted(found(one.runtime, base, "badger", 10)) == ["heron", "otter"]
