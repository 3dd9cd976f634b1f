"""Ingestion from a real S3: pages of a listing, prefixes, metadata files, what has gone."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import config

from outcrop_e2e import knowledge
from outcrop_e2e.s3 import REGION, S3

# More than one page of a listing.
MANY = 1_010
BUCKET = "remote-docs"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3(tmp_path_factory.mktemp("s3"))
    server.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(stub, launch, embedder, s3):
    text = config(stub) + f'endpoint = "{s3.url}"\nregion = "{REGION}"\n' + knowledge.embeddings(embedder.url)
    return launch(text, {"AWS_ACCESS_KEY_ID": s3.key, "AWS_SECRET_ACCESS_KEY": s3.secret})


@pytest.fixture
def clients(server, connect):
    return connect(server)


def put(s3, objects):
    def one(item):
        key, content = item
        if content is None:
            s3.client.delete_object(Bucket=BUCKET, Key=key)
        else:
            s3.client.put_object(Bucket=BUCKET, Key=key, Body=content.encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, objects.items()))


def test_a_bucket_of_s3(control, runtime, s3):
    put(
        s3,
        {
            "in/": "",
            "in/a.txt": "The heron waits.",
            "in/a.txt.metadata.json": json.dumps({"metadataAttributes": {"kind": "bird"}}),
            "in/deep/b.md": "# Otter\n\nThe otter sleeps.",
            "in2/c.txt": "The badger digs.",
            "out.txt": "Not this one.",
        },
    )
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, BUCKET, prefix="in")
    assert knowledge.ingest(control, base, source) == {"scanned": 3, "metadata scanned": 1, "new": 3}
    best = knowledge.retrieve(runtime, base, "heron", 1)[0]
    assert (knowledge.key(best), best["metadata"]["kind"]) == ("in/a.txt", "bird")
    assert knowledge.ingest(control, base, source) == {"scanned": 3, "metadata scanned": 1}
    put(s3, {"in2/c.txt": None, "in/deep/b.md": "The otter swims."})
    assert knowledge.ingest(control, base, source) == {
        "scanned": 2, "metadata scanned": 1, "modified": 1, "deleted": 1,
    }
    found = {knowledge.key(one) for one in knowledge.retrieve(runtime, base, "heron otter badger", 10)}
    assert found == {"in/a.txt", "in/deep/b.md"}


def test_a_key_that_cannot_be_asked_for_fails_alone(control, runtime, s3):
    odd = ["odd//b.txt", "odd/./c.txt", "odd/d\x01.txt"]
    put(s3, {"odd/a.txt": "The heron waits.", "odd/z&<z>.txt": "The otter sleeps."} | dict.fromkeys(odd, "Lost."))
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, BUCKET, prefix="odd")
    ended = knowledge.end(control, base, source, knowledge.start(control, base, source))
    assert ended["status"] == "COMPLETE"
    assert knowledge.counts(ended) == {"scanned": 5, "new": 2, "failed": 3}
    found = {knowledge.key(one) for one in knowledge.retrieve(runtime, base, "heron otter", 10)}
    assert found == {"odd/a.txt", "odd/z&<z>.txt"}
    told = knowledge.documents(control, base, source)
    for key in odd:
        status, reason = told[f"s3://{BUCKET}/{key}"]
        assert status == "FAILED" and "the key is not a plain relative path" in reason, (status, reason)


@pytest.mark.skipif(not os.environ.get("OUTCROP_ALL"), reason="OUTCROP_ALL is not set: moto takes ten seconds to be filled")
def test_more_than_one_page(control, s3):
    put(s3, {f"many/{number:04}.txt": f"Number {number}." for number in range(MANY)})
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, BUCKET, prefix="many/")
    assert knowledge.ingest(control, base, source) == {"scanned": MANY, "new": MANY}
    assert knowledge.ingest(control, base, source) == {"scanned": MANY}


def test_no_such_bucket(control):
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, "no-such-bucket")
    ended = knowledge.end(control, base, source, knowledge.start(control, base, source))
    assert ended["status"] == "FAILED"
    assert "no-such-bucket" in ended["failureReasons"][0], ended["failureReasons"]
