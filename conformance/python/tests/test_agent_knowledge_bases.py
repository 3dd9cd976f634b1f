"""Knowledge bases of agents: associating, versions, and a knowledge base that cannot go while a draft names it."""

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents

ROLE = agents.ROLE
BASE = {
    "roleArn": ROLE,
    "knowledgeBaseConfiguration": {
        "type": "VECTOR",
        "vectorKnowledgeBaseConfiguration": {
            "embeddingModelArn": "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0"
        },
    },
    "storageConfiguration": {
        "type": "OPENSEARCH_SERVERLESS",
        "opensearchServerlessConfiguration": {
            "collectionArn": "arn:aws:aoss:us-west-2:111111111111:collection/abc0123",
            "vectorIndexName": "docs",
            "fieldMapping": {"vectorField": "vector", "textField": "text", "metadataField": "metadata"},
        },
    },
}


def refused(call, code, **arguments):
    """The message of a call that must fail with this code."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response["Error"]
    assert answer["Code"] == code, answer
    return answer["Message"]


def knowledge_base(control):
    """The id of a new knowledge base."""
    return control.create_knowledge_base(name=agents.unique("kb"), **BASE)["knowledgeBase"]["knowledgeBaseId"]


def test_the_life_of_an_association(control):
    agent = agents.create(control)
    base = knowledge_base(control)
    one = {"agentId": agent, "agentVersion": "DRAFT", "knowledgeBaseId": base}
    made = control.associate_agent_knowledge_base(**one, description="Policies.")["agentKnowledgeBase"]
    assert {name: made[name] for name in one} == one
    assert made["knowledgeBaseState"] == "ENABLED"
    assert made["createdAt"] == made["updatedAt"]
    assert control.get_agent_knowledge_base(**one)["agentKnowledgeBase"] == made
    message = refused(
        control.associate_agent_knowledge_base, "ConflictException", **one, description="Policies again."
    )
    assert base in message and "already exists" in message

    agents.prepare(control, agent)
    control.create_agent_alias(agentId=agent, agentAliasName="PROD")

    updated = control.update_agent_knowledge_base(**one, knowledgeBaseState="DISABLED")["agentKnowledgeBase"]
    assert updated["knowledgeBaseState"] == "DISABLED"
    assert updated["description"] == "Policies."
    for version, state in (("DRAFT", "DISABLED"), ("1", "ENABLED")):
        listed = control.list_agent_knowledge_bases(agentId=agent, agentVersion=version)
        listed = listed["agentKnowledgeBaseSummaries"]
        assert [(item["knowledgeBaseId"], item["knowledgeBaseState"]) for item in listed] == [(base, state)]
    got = control.get_agent_knowledge_base(**{**one, "agentVersion": "1"})["agentKnowledgeBase"]
    assert got["agentVersion"] == "1"

    refused(control.delete_knowledge_base, "ConflictException", knowledgeBaseId=base)
    control.disassociate_agent_knowledge_base(**one)
    refused(control.get_agent_knowledge_base, "ResourceNotFoundException", **one)
    refused(control.disassociate_agent_knowledge_base, "ResourceNotFoundException", **one)
    control.delete_knowledge_base(knowledgeBaseId=base)


def test_an_unknown_knowledge_base(control):
    agent = agents.create(control)
    message = refused(
        control.associate_agent_knowledge_base, "ResourceNotFoundException",
        agentId=agent, agentVersion="DRAFT", knowledgeBaseId="ZZDMPCCHWX", description="Policies.",
    )
    assert message == "KnowledgeBase with id ZZDMPCCHWX is not found."
