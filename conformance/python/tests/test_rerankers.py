"""Rerankers that are no service of their own: a language model as a judge, and names that nothing serves."""

import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.process import texts

JUDGE = '[[rerankers]]\nmatch = "judge*"\nprovider = "judge"\nupstream_model = "{}"\n'


@pytest.fixture(scope="module")
def server(stub, launch):
    return launch(config(stub) + JUDGE.format(agents.MODEL))


def rerank(runtime, documents, model="arn:aws:bedrock:us-west-2::foundation-model/judge-1", **more):
    source = {"type": "INLINE"}
    return runtime.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "who books trips ahead"}}],
        sources=[{**source, "inlineDocumentSource": document} for document in documents],
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": model}, **more},
        },
    )["results"]


def text(said):
    return {"type": "TEXT", "textDocument": {"text": said}}


def test_a_language_model_judges(runtime, stub):
    stub.script(model=[{"content": [{"text": "1: 2\n2: 9\n3: 0"}]}])
    documents = [text("Coffee is free."), text("Trips are booked ahead."), {"type": "JSON", "jsonDocument": {"page": 3}}]
    made = rerank(runtime, documents, numberOfResults=2)
    assert [(one["index"], round(one["relevanceScore"], 3)) for one in made] == [(1, 0.9), (0, 0.2)]
    (prompt,) = stub.model_calls()
    said = " ".join(text for _, text in texts(prompt))
    assert "who books trips ahead" in said and "Trips are booked ahead." in said and "page: 3" in said


def test_a_judge_that_gives_no_marks(runtime, stub):
    stub.script(model=[{"content": [{"text": "I would rather not."}]}])
    with pytest.raises(ClientError) as failed:
        rerank(runtime, [text("Coffee is free.")])
    assert failed.value.response["Error"]["Code"] == "DependencyFailedException"


def test_a_model_that_nothing_serves(runtime):
    with pytest.raises(ClientError) as failed:
        rerank(runtime, [text("Coffee is free.")], model="arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0")
    error = failed.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert "[[rerankers]]" in error["Message"]
