"""RetrieveAndGenerate, its stream, and Rerank: answers with citations that point into the right file."""

import base64

import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents, knowledge
from outcrop_e2e.process import texts
from test_knowledge_agents import POLICIES, answer

RERANKER = "arn:aws:bedrock:us-west-2::foundation-model/cohere.rerank-v3-5:0"
REFUSAL = "Sorry, I am unable to assist you with this request."


@pytest.fixture(scope="module")
def knowing(stub, launch, embedder):
    return launch(config(stub) + knowledge.embeddings(embedder.url) + knowledge.rerankers(embedder.url))


@pytest.fixture
def clients(knowing, connect, embedder):
    embedder.reset()
    return connect(knowing)


@pytest.fixture
def policies(control, bucket):
    base = knowledge.create(control)
    name, _ = bucket(POLICIES)
    knowledge.ingest(control, base, knowledge.s3_source(control, base, name))
    return base


def asked(base, **more):
    return {
        "type": "KNOWLEDGE_BASE",
        "knowledgeBaseConfiguration": {"knowledgeBaseId": base, "modelArn": agents.MODEL, **more},
    }


def test_an_answer_with_its_source(runtime, policies, stub):
    stub.script(model=[answer("Parents take sixteen weeks.", 1)])
    made = runtime.retrieve_and_generate(
        input={"text": "How many weeks of paid leave do parents of a new child take?"},
        retrieveAndGenerateConfiguration=asked(policies),
    )
    assert made["output"]["text"].strip() == "Parents take sixteen weeks."
    (citation,) = made["citations"]
    part = citation["generatedResponsePart"]["textResponsePart"]
    assert part["text"] == "Parents take sixteen weeks."
    # The last character is part of the span.
    assert part["span"]["end"] - part["span"]["start"] == len(part["text"]) - 1
    assert [knowledge.key(one) for one in citation["retrievedReferences"]] == ["leave/parental-leave.md"]
    (prompt,) = stub.model_calls()
    said = prompt["system"] + " ".join(text for _, text in texts(prompt))
    assert "sixteen weeks of paid leave" in said


def test_a_session_remembers(runtime, policies, stub):
    """The second question is put anew with what was said before, and then searched for."""
    stub.script(model=[answer("Sixteen weeks.", 1)])
    first = runtime.retrieve_and_generate(
        input={"text": "How long is parental leave?"}, retrieveAndGenerateConfiguration=asked(policies)
    )
    stub.script(model=[{"content": [{"text": "How many days of PTO do staff accrue a year?"}]}, answer("25 days.", 1)])
    second = runtime.retrieve_and_generate(
        input={"text": "And how much otherwise?"}, sessionId=first["sessionId"],
        retrieveAndGenerateConfiguration=asked(policies),
    )
    assert second["sessionId"] == first["sessionId"]
    references = second["citations"][0]["retrievedReferences"]
    assert [knowledge.key(one) for one in references] == ["leave/pto.md"]
    rewriting = " ".join(text for _, text in texts(stub.model_calls()[1])) + stub.model_calls()[1]["system"]
    assert "How long is parental leave?" in rewriting
    with pytest.raises(ClientError, match="is not valid"):
        runtime.retrieve_and_generate(
            input={"text": "?"}, sessionId="11111111-2222-3333-4444-555555555555",
            retrieveAndGenerateConfiguration=asked(policies),
        )


def test_nothing_to_answer_from(control, runtime, stub):
    empty = knowledge.create(control)
    made = runtime.retrieve_and_generate(
        input={"text": "Who is who?"}, retrieveAndGenerateConfiguration=asked(empty)
    )
    assert made["output"]["text"] == REFUSAL
    assert made["citations"] == [
        {"generatedResponsePart": {"textResponsePart": {"text": REFUSAL, "span": {}}}, "retrievedReferences": []}
    ]


def test_the_stream_says_the_same(runtime, policies, stub):
    stub.script(model=[answer("Parents take sixteen weeks.", 1)])
    made = runtime.retrieve_and_generate_stream(
        input={"text": "How many weeks of paid leave do parents of a new child take?"},
        retrieveAndGenerateConfiguration=asked(policies),
    )
    assert made["sessionId"]
    events = list(made["stream"])
    said = "".join(event["output"]["text"] for event in events if "output" in event)
    assert said.strip() == "Parents take sixteen weeks."
    cited = [event["citation"] for event in events if "citation" in event]
    references = [knowledge.key(one) for one in cited[-1]["citation"]["retrievedReferences"]]
    assert references == ["leave/parental-leave.md"]


def test_a_document_of_the_request(runtime, stub):
    stub.script(model=[answer("Blue.", 1)])
    document = {"contentType": "text/plain", "data": b"The door is blue.", "identifier": "door.txt"}
    made = runtime.retrieve_and_generate(
        input={"text": "Which colour has the door?"},
        retrieveAndGenerateConfiguration={
            "type": "EXTERNAL_SOURCES",
            "externalSourcesConfiguration": {
                "modelArn": agents.MODEL,
                "sources": [{"sourceType": "BYTE_CONTENT", "byteContent": document}],
            },
        },
    )
    assert made["output"]["text"].strip() == "Blue."
    assert "The door is blue." in str(stub.model_calls()[0]) + base64.b64encode(document["data"]).decode()


def test_reranking(runtime, policies):
    """A reranker puts documents in order, by itself and behind a search."""
    documents = ["Coffee is free.", "Trips are booked ahead.", "Badges are worn."]
    sources = [
        {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
        for text in documents
    ]
    reranking = {"modelConfiguration": {"modelArn": RERANKER}}
    made = runtime.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "who books trips ahead"}}],
        sources=sources,
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {**reranking, "numberOfResults": 2},
        },
    )["results"]
    assert [one["index"] for one in made][0] == 1 and len(made) == 2
    assert made[0]["relevanceScore"] > made[1]["relevanceScore"]
    found = knowledge.retrieve(
        runtime, policies, "receipt for expense reimbursement", number=4,
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {**reranking, "numberOfRerankedResults": 2},
        },
    )
    assert len(found) == 2 and knowledge.key(found[0]) == "expenses.md"
