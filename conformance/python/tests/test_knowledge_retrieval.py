"""What a question finds: filters, both kinds of search, paging, parents, the knowledge base's own words."""

import json
import random

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import knowledge

DOCUMENTS = {
    "leave.txt": ("Parents take sixteen weeks of leave.", {"department": "hr", "year": 2024, "tags": ["family"]}),
    "travel.txt": ("Trips are booked a fortnight ahead.", {"department": "finance", "year": 2021, "open": True}),
    "remote.txt": ("Staff may work from home two days a week.", {"department": "hr", "year": 2020, "open": False}),
    "badge.txt": ("Badges are worn where visitors see them.", {"tags": ["safety", "visitors"], "year": 2019}),
    "plain.txt": ("Coffee is free on all floors.", {}),
}


@pytest.fixture(scope="module")
def filled(knowing, tmp_path_factory):
    """A knowledge base with the documents above."""
    from outcrop_e2e.clients import Clients

    clients = Clients(knowing.url)
    folder = tmp_path_factory.mktemp("filled")
    for name, (text, attributes) in DOCUMENTS.items():
        files = {name: text}
        if attributes:
            files[f"{name}.metadata.json"] = json.dumps({"metadataAttributes": attributes})
        knowledge.write(folder, files)
    knowledge.link(knowing, "filled", folder)
    base = knowledge.create(clients.control)
    source = knowledge.s3_source(clients.control, base, "filled")
    knowledge.ingest(clients.control, base, source)
    clients.close()
    return base


@pytest.fixture
def clients(knowing, connect, embedder):
    embedder.reset()
    return connect(knowing)


def leaf(operator, key, value):
    return {operator: {"key": key, "value": value}}


@pytest.mark.parametrize(
    "given, expected",
    [
        (leaf("equals", "department", "hr"), "leave remote"),
        (leaf("equals", "open", False), "remote"),
        (leaf("equals", "year", 2024), "leave"),
        (leaf("notEquals", "department", "hr"), "travel badge plain"),
        (leaf("greaterThan", "year", 2020), "leave travel"),
        (leaf("greaterThanOrEquals", "year", 2020), "leave travel remote"),
        (leaf("lessThan", "year", 2020), "badge"),
        (leaf("lessThanOrEquals", "year", 2020), "remote badge"),
        (leaf("in", "department", ["hr", "it"]), "leave remote"),
        (leaf("notIn", "department", ["hr", "it"]), "travel badge plain"),
        (leaf("startsWith", "department", "fin"), "travel"),
        (leaf("stringContains", "department", "nan"), "travel"),
        (leaf("stringContains", "tags", "visit"), "badge"),
        (leaf("listContains", "tags", "visitors"), "badge"),
        (leaf("listContains", "tags", "visit"), ""),
        ({"andAll": [leaf("equals", "department", "hr"), leaf("greaterThan", "year", 2021)]}, "leave"),
        ({"orAll": [leaf("equals", "open", True), leaf("listContains", "tags", "family")]}, "leave travel"),
        (
            {"orAll": [{"andAll": [leaf("equals", "department", "hr"), leaf("equals", "open", False)]},
                       leaf("equals", "department", "finance")]},
            "travel remote",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["SEMANTIC", "HYBRID"])
def test_filters(runtime, filled, given, expected, kind):
    # All words, so that the text half finds all that the filter lets through.
    words = " ".join(text for text, _ in DOCUMENTS.values())
    found = knowledge.retrieve(runtime, filled, words, number=10, kind=kind, filter=given)
    assert {knowledge.key(one) for one in found} == {f"{name}.txt" for name in expected.split()}


def test_filters_that_make_no_sense(runtime, filled):
    for given in (leaf("greaterThan", "year", "2020"), leaf("in", "year", "2020"), leaf("startsWith", "year", 1)):
        with pytest.raises(ClientError) as refused:
            knowledge.retrieve(runtime, filled, "leave", filter=given)
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_scores_and_numbers(runtime, filled):
    for kind in ("SEMANTIC", "HYBRID", None):
        found = knowledge.retrieve(runtime, filled, "weeks of leave for parents", number=3, kind=kind)
        scores = [one["score"] for one in found]
        assert len(found) <= 3 and scores == sorted(scores, reverse=True)
        assert knowledge.key(found[0]) == "leave.txt"
        assert all(0 < score <= 1.0001 for score in scores), scores
    assert len(knowledge.retrieve(runtime, filled, "weeks of leave", number=100, kind="SEMANTIC")) == len(DOCUMENTS)


def test_pages(runtime, filled):
    """A page after the other gives what one long page does."""
    search = {"vectorSearchConfiguration": {"numberOfResults": 100, "overrideSearchType": "SEMANTIC"}}
    asked = {"knowledgeBaseId": filled, "retrievalQuery": {"text": "leave"}, "retrievalConfiguration": search}
    found, token = [], None
    for _ in range(20):
        page = runtime.retrieve(**asked, **({"nextToken": token} if token else {}))
        found += [knowledge.key(one) for one in page["retrievalResults"]]
        token = page.get("nextToken")
        if not token:
            break
    assert len(found) == len(set(found)) == len(DOCUMENTS)
    with pytest.raises(ClientError):
        runtime.retrieve(**asked, nextToken="bm90IG91cnM=")


def test_long_pages(control, runtime, bucket):
    """More results than a page holds come in pages that nothing is lost between."""
    name, _ = bucket({f"{number:03}.txt": f"badger {number} " + "word " * 40 for number in range(120)})
    base = knowledge.create(control)
    knowledge.ingest(control, base, knowledge.s3_source(control, base, name))
    search = {"vectorSearchConfiguration": {"numberOfResults": 100, "overrideSearchType": "SEMANTIC"}}
    asked = {"knowledgeBaseId": base, "retrievalQuery": {"text": "badger"}, "retrievalConfiguration": search}
    found, token = [], None
    while True:
        page = runtime.retrieve(**asked, **({"nextToken": token} if token else {}))
        found += [knowledge.key(one) for one in page["retrievalResults"]]
        token = page.get("nextToken")
        if not token:
            break
    assert len(found) == len(set(found)) == 100


def test_parents_take_the_place_of_their_chunks(control, runtime, bucket):
    sections = [f"Section {number} speaks of {animal}s alone. " + f"The {animal} {verb}. " * 12
                for number, (animal, verb) in enumerate([("heron", "waits"), ("otter", "dives"), ("badger", "digs")])]
    name, _ = bucket({"animals.md": "\n\n".join(sections), "stone.txt": "A stone lies where it fell. " * 12})
    base = knowledge.create(control)
    levels = {"levelConfigurations": [{"maxTokens": 120}, {"maxTokens": 20}], "overlapTokens": 2}
    vectors = knowledge.chunking("HIERARCHICAL", hierarchicalChunkingConfiguration=levels)
    knowledge.ingest(control, base, knowledge.s3_source(control, base, name, vectors=vectors))
    found = knowledge.retrieve(runtime, base, "the otter dives", number=10, kind="SEMANTIC")
    texts = [one["content"]["text"] for one in found]
    assert "otter dives" in texts[0]
    # A parent is longer than the chunk that was found, and comes once however many of its chunks were.
    assert len(texts[0].split()) > 40
    assert len(set(texts)) == len(texts) < 10


@pytest.mark.parametrize(
    "vectors",
    [
        None,
        knowledge.chunking("NONE"),
        knowledge.chunking("FIXED_SIZE", fixedSizeChunkingConfiguration={"maxTokens": 40, "overlapPercentage": 10}),
        knowledge.chunking(
            "SEMANTIC",
            semanticChunkingConfiguration={"maxTokens": 60, "bufferSize": 1, "breakpointPercentileThreshold": 90},
        ),
    ],
    ids=["default", "none", "fixed", "semantic"],
)
def test_nothing_of_a_document_is_lost(control, runtime, bucket, vectors):
    """Each sentence of a long document is in some chunk, whole."""
    words = random.Random(5).sample([f"{start}{end}" for start in "bdfgklmnprst" for end in
                                     ("ana", "elo", "iru", "ota", "ume", "yka", "aski", "endo", "orra")], 90)
    sentences = [f"The {one} meets the {other} at noon." for one, other in zip(words[::2], words[1::2])]
    name, _ = bucket({"long.txt": " ".join(sentences)})
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, name, vectors=vectors)
    assert knowledge.ingest(control, base, source) == {"scanned": 1, "new": 1}
    chunks = [one["content"]["text"] for one in knowledge.retrieve(runtime, base, "noon", 100, kind="SEMANTIC")]
    for sentence in sentences:
        assert any(sentence in " ".join(chunk.split()) for chunk in chunks), (sentence, chunks)
    if vectors and vectors["chunkingConfiguration"]["chunkingStrategy"] == "NONE":
        assert len(chunks) == 1


def test_the_halves_of_a_hybrid_search(runtime, filled, knowing):
    by_words = knowledge.by_words(knowing, filled, "badges", number=10)
    assert [knowledge.key(one) for one in by_words] == ["badge.txt"]
    both = knowledge.retrieve(runtime, filled, "badges", number=10, kind="HYBRID")
    assert knowledge.key(both[0]) == "badge.txt" and len(both) == len(DOCUMENTS)


def test_what_cannot_be_searched(control, runtime):
    with pytest.raises(ClientError) as refused:
        knowledge.retrieve(runtime, "ZZZZZZZZZZ", "leave")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    empty = knowledge.create(control)
    assert knowledge.retrieve(runtime, empty, "leave") == []
