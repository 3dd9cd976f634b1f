"""From a bucket, or from the documents API, to an index: formats, statistics, metadata, what is done again."""

import json

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents, files, knowledge
from outcrop_e2e.process import request

LINES = [
    "The heron nests in the reed beds.",
    "The otter sleeps in a holt by the river.",
    "The badger digs a sett in the wood.",
    "The marten climbs the old spruce.",
]


@pytest.fixture
def clients(knowing, connect, embedder):
    embedder.reset()
    return connect(knowing)


@pytest.fixture
def base(control):
    return knowledge.create(control)


def test_every_format(control, runtime, base, bucket):
    name, _ = bucket(
        {
            "heron.txt": "A heron waits in the shallows for a frog.",
            "otter.md": "# Otters\n\nAn otter closes its ears under water.\n",
            "badger.html": "<html><head><title>Badgers</title><style>p{}</style></head>"
            "<body><h1>Badgers</h1><p>A badger airs its bedding in spring.</p><script>hidden()</script></body></html>",
            "marten.csv": "animal,habit\nmarten,sleeps in a squirrel drey\n",
            "beaver.json": json.dumps({"animal": "beaver", "habit": "stores branches for winter"}),
            "deep/lynx.docx": files.docx("Lynx", "A lynx has tufts on its ears."),
            "deep/boar.xlsx": files.xlsx([["animal", "habit"], ["boar", "wallows in mud after rain"]]),
            "deep/stoat.pdf": files.pdf("A stoat dances to confuse rabbits.", "Its winter coat is called ermine."),
        }
    )
    source = knowledge.s3_source(control, base, name)
    assert knowledge.ingest(control, base, source) == {"scanned": 8, "new": 8}
    for question, key, words in (
        ("heron waits shallows frog", "heron.txt", "shallows"),
        ("otter closes ears under water", "otter.md", "closes its ears"),
        ("badger airs bedding spring", "badger.html", "airs its bedding"),
        ("marten sleeps squirrel drey", "marten.csv", "squirrel drey"),
        ("beaver stores branches winter", "beaver.json", "branches"),
        ("lynx tufts ears", "deep/lynx.docx", "tufts"),
        ("boar wallows mud after rain", "deep/boar.xlsx", "wallows"),
        ("stoat dances confuse rabbits", "deep/stoat.pdf", "confuse rabbits"),
    ):
        best = knowledge.retrieve(runtime, base, question, number=1)[0]
        assert knowledge.key(best) == key
        assert words in best["content"]["text"] and best["content"]["type"] == "TEXT"
        assert best["location"] == {"type": "S3", "s3Location": {"uri": f"s3://{name}/{key}"}}
        metadata = best["metadata"]
        assert metadata["x-amz-bedrock-kb-source-uri"] == f"s3://{name}/{key}"
        assert metadata["x-amz-bedrock-kb-data-source-id"] == source
        assert metadata["x-amz-bedrock-kb-chunk-id"]
        if key.endswith(".pdf"):
            assert metadata["x-amz-bedrock-kb-document-page-number"] == 1.0
    assert "hidden()" not in knowledge.retrieve(runtime, base, "badger hidden", number=1)[0]["content"]["text"]


def test_only_what_has_changed_is_done_again(control, runtime, base, bucket, embedder):
    name, folder = bucket({f"{number}.txt": line for number, line in enumerate(LINES)})
    source = knowledge.s3_source(control, base, name)

    def sync(changes):
        knowledge.write(folder, changes)
        embedder.reset()
        return knowledge.ingest(control, base, source)

    assert sync({}) == {"scanned": 4, "new": 4}
    assert sync({}) == {"scanned": 4} and embedder.texts == []
    assert sync({"0.txt": "The heron has moved to the lake."}) == {"scanned": 4, "modified": 1}
    assert embedder.texts == ["The heron has moved to the lake."]
    # The same text again is no change, whatever its file says of its age.
    assert sync({"1.txt": LINES[1]}) == {"scanned": 4}
    assert sync({"2.txt": None, "4.txt": "The weasel is new."}) == {"scanned": 4, "new": 1, "deleted": 1}
    found = {knowledge.key(one) for one in knowledge.retrieve(runtime, base, "heron otter badger weasel", 10)}
    assert found == {"0.txt", "1.txt", "3.txt", "4.txt"}
    kinds = {"metadataAttributes": {"kind": "bird"}}
    changed = sync({"0.txt.metadata.json": json.dumps(kinds)})
    assert changed == {"scanned": 4, "metadata scanned": 1, "metadata modified": 1}
    # Nothing of the text was embedded anew.
    assert embedder.texts == []
    best = knowledge.retrieve(runtime, base, "heron lake", 1)[0]
    assert best["metadata"]["kind"] == "bird"
    assert sync({"0.txt.metadata.json": None}) == {"scanned": 4, "metadata modified": 1}
    assert "kind" not in knowledge.retrieve(runtime, base, "heron lake", 1)[0]["metadata"]
    for gone in ("0.txt", "1.txt", "3.txt", "4.txt"):
        knowledge.write(folder, {gone: None})
    assert sync({}) == {"deleted": 4}
    assert knowledge.retrieve(runtime, base, "heron", 10) == []
    assert knowledge.documents(control, base, source) == {}


def test_metadata_of_both_forms(control, runtime, base, bucket):
    full = {
        "metadataAttributes": {
            "department": {"value": {"type": "STRING", "stringValue": "forest"}, "includeForEmbedding": True},
            "year": {"value": {"type": "NUMBER", "numberValue": 2024}},
            "open": {"value": {"type": "BOOLEAN", "booleanValue": True}},
            "tags": {"value": {"type": "STRING_LIST", "stringListValue": ["wet", "cold"]}},
        }
    }
    simple = {"metadataAttributes": {"department": "river", "year": 2020.5, "open": False, "tags": ["dry"]}}
    name, _ = bucket(
        {
            "a.txt": LINES[0], "a.txt.metadata.json": json.dumps(full),
            "b.txt": LINES[1], "b.txt.metadata.json": json.dumps(simple),
            "c.txt": LINES[2], "c.txt.metadata.json": '{"metadataAttributes": {"x-amz-bedrock-own": 1}}',
            "d.txt": LINES[3], "d.txt.metadata.json": "not JSON",
        }
    )
    source = knowledge.s3_source(control, base, name)
    assert knowledge.ingest(control, base, source) == {
        "scanned": 4, "metadata scanned": 4, "new": 2, "failed": 2,
    }
    found = {knowledge.key(one): one["metadata"] for one in knowledge.retrieve(runtime, base, "heron otter", 10)}
    shown = {key: {name: value for name, value in got.items() if "bedrock" not in name} for key, got in found.items()}
    assert shown == {
        "a.txt": {"department": "forest", "year": 2024.0, "open": True, "tags": ["wet", "cold"]},
        "b.txt": {"department": "river", "year": 2020.5, "open": False, "tags": ["dry"]},
    }
    told = knowledge.documents(control, base, source)
    for key in ("c.txt", "d.txt"):
        status, reason = told[f"s3://{name}/{key}"]
        assert status == "FAILED" and "metadata" in reason, (status, reason)


def test_rows_of_a_csv_file_as_documents_of_their_own(control, runtime, base, bucket):
    structure = {
        "documentStructureConfiguration": {
            "type": "RECORD_BASED_STRUCTURE_METADATA",
            "recordBasedStructureMetadata": {
                "contentFields": [{"fieldName": "text"}],
                "metadataFieldsSpecification": {"fieldsToInclude": [{"fieldName": "animal"}]},
            },
        }
    }
    name, _ = bucket(
        {
            "animals.csv": "animal,text,secret\nheron,waits for a frog,1\notter,closes its ears,2\n",
            "animals.csv.metadata.json": json.dumps({"metadataAttributes": {"year": 2024}, **structure}),
        }
    )
    source = knowledge.s3_source(control, base, name)
    assert knowledge.ingest(control, base, source) == {"scanned": 1, "metadata scanned": 1, "new": 1}
    found = knowledge.retrieve(runtime, base, "frog", 10)
    assert found[0]["content"]["text"].strip() == "waits for a frog"
    assert [one["metadata"]["animal"] for one in found] == ["heron", "otter"]
    assert all("secret" not in one["metadata"] for one in found)


def test_a_prefix(control, runtime, base, bucket):
    name, _ = bucket({"in/a.txt": LINES[0], "in/b.txt": LINES[1], "out/c.txt": LINES[2]})
    source = knowledge.s3_source(control, base, name, prefix="in/")
    assert knowledge.ingest(control, base, source) == {"scanned": 2, "new": 2}
    found = {knowledge.key(one) for one in knowledge.retrieve(runtime, base, "badger", 10)}
    assert found == {"in/a.txt", "in/b.txt"}


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(control, runtime, base, bucket):
    name, _ = bucket(
        {
            "good.txt": LINES[0],
            "loop.pdf": files.looped_pdf(),
            "torn.pdf": files.pdf("never seen")[:200],
            "torn.docx": files.docx("never seen")[:-40],
            "other.docx": files.archive({"nothing.txt": "at all"}),
            "odd.xyz": "of no known format",
            "latin.txt": "caf\u00e9 au lait".encode("latin-1"),
            "empty.txt": "",
        }
    )
    source = knowledge.s3_source(control, base, name)
    started = knowledge.start(control, base, source)
    ended = knowledge.end(control, base, source, started)
    assert ended["status"] == "COMPLETE"
    told = knowledge.documents(control, base, source)
    statuses = {uri.rsplit("/", 1)[1]: status for uri, (status, _) in told.items()}
    assert statuses["good.txt"] == "INDEXED"
    for broken in ("loop.pdf", "torn.pdf", "torn.docx", "other.docx", "odd.xyz", "empty.txt"):
        status, reason = told[f"s3://{name}/{broken}"]
        assert status == "FAILED" and len(reason) > 10, (broken, status, reason)
    failed = sum(status == "FAILED" for status in statuses.values())
    assert ended["statistics"]["numberOfDocumentsFailed"] == failed
    assert any("torn.pdf" in reason for reason in ended["failureReasons"]), ended["failureReasons"]
    assert knowledge.key(knowledge.retrieve(runtime, base, "heron", 1)[0]) == "good.txt"


def test_a_bomb_fails_and_the_server_stays_small(control, base, bucket, knowing):
    name, _ = bucket({"bomb.docx": files.bomb(), "good.txt": LINES[0]})
    source = knowledge.s3_source(control, base, name)
    before = knowing.rss_kib()
    assert knowledge.ingest(control, base, source) == {"scanned": 2, "new": 1, "failed": 1}
    assert knowledge.documents(control, base, source)[f"s3://{name}/bomb.docx"][0] == "FAILED"
    assert knowing.rss_kib() - before < 64 * 1024


def test_a_bucket_that_is_not_there(control, base):
    source = knowledge.s3_source(control, base, "no-such-bucket")
    ended = knowledge.end(control, base, source, knowledge.start(control, base, source))
    assert ended["status"] == "FAILED"
    assert any("no-such-bucket" in reason for reason in ended["failureReasons"])


def test_one_job_at_a_time(control, base, bucket, embedder):
    # A text of its own: vectors are kept, and one that is there already is not asked for.
    name, _ = bucket({"a.txt": f"Only {agents.unique('here')} is asked for."})
    source = knowledge.s3_source(control, base, name)
    embedder.hold()
    started = knowledge.start(control, base, source)
    embedder.wait()
    with pytest.raises(ClientError) as refused:
        knowledge.start(control, base, source)
    assert refused.value.response["Error"]["Code"] == "ConflictException"
    control.stop_ingestion_job(knowledgeBaseId=base, dataSourceId=source, ingestionJobId=started)
    embedder.release()
    assert knowledge.end(control, base, source, started)["status"] == "STOPPED"
    assert knowledge.ingest(control, base, source)["scanned"] == 1
    listed = control.list_ingestion_jobs(
        knowledgeBaseId=base, dataSourceId=source,
        filters=[{"attribute": "STATUS", "operator": "EQ", "values": ["STOPPED"]}],
    )["ingestionJobSummaries"]
    assert [one["ingestionJobId"] for one in listed] == [started]


def test_documents_given_one_by_one(control, runtime, base):
    source = knowledge.source(control, base, {"type": "CUSTOM"})
    place = {"knowledgeBaseId": base, "dataSourceId": source}

    def settled(*identifiers):
        wanted = [{"dataSourceType": "CUSTOM", "custom": {"id": one}} for one in identifiers]

        def status():
            details = control.get_knowledge_base_documents(**place, documentIdentifiers=wanted)["documentDetails"]
            passing = {"STARTING", "PENDING", "IN_PROGRESS", "DELETING", "DELETE_IN_PROGRESS"}
            statuses = [detail["status"] for detail in details]
            return "PENDING" if passing & set(statuses) else statuses

        return agents.settle(status, passing=("PENDING",))

    given = [knowledge.custom("heron", LINES[0], kind="bird", year=2024), knowledge.custom("otter", LINES[1])]
    answer = control.ingest_knowledge_base_documents(**place, documents=given)["documentDetails"]
    assert {one["identifier"]["custom"]["id"] for one in answer} == {"heron", "otter"}
    assert settled("heron", "otter") == ["INDEXED", "INDEXED"]
    best = knowledge.retrieve(runtime, base, "heron reed", 1)[0]
    assert best["location"] == {"type": "CUSTOM", "customDocumentLocation": {"id": "heron"}}
    assert (best["metadata"]["kind"], best["metadata"]["year"]) == ("bird", 2024.0)
    # The same id again takes the place of what was there.
    control.ingest_knowledge_base_documents(**place, documents=[knowledge.custom("heron", "The heron sleeps.")])
    assert settled("heron") == ["INDEXED"]
    texts = [one["content"]["text"] for one in knowledge.retrieve(runtime, base, "heron reed", 10)]
    assert "The heron sleeps." in texts and LINES[0] not in texts
    gone = [{"dataSourceType": "CUSTOM", "custom": {"id": "heron"}}]
    control.delete_knowledge_base_documents(**place, documentIdentifiers=gone)
    assert settled("heron", "otter") == ["NOT_FOUND", "INDEXED"]
    assert list(knowledge.documents(control, base, source)) == ["otter"]
    found = [knowledge.uri(one) for one in knowledge.retrieve(runtime, base, "heron otter", 10)]
    assert found == ["otter"]


def test_what_is_deleted_is_gone(control, runtime, base, bucket):
    name, _ = bucket({"a.txt": LINES[0]})
    source = knowledge.s3_source(control, base, name)
    other = knowledge.s3_source(control, base, bucket({"b.txt": LINES[1]})[0])
    for one in (source, other):
        knowledge.ingest(control, base, one)
    assert len(knowledge.retrieve(runtime, base, "heron otter", 10)) == 2
    control.delete_data_source(knowledgeBaseId=base, dataSourceId=source)

    def status():
        try:
            found = control.get_data_source(knowledgeBaseId=base, dataSourceId=source)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return found["dataSource"]["status"]

    assert agents.settle(status, passing=("DELETING", "AVAILABLE")) == "ResourceNotFoundException"
    found = [knowledge.key(one) for one in knowledge.retrieve(runtime, base, "heron otter", 10)]
    assert found == ["b.txt"]
    control.delete_knowledge_base(knowledgeBaseId=base)
    with pytest.raises(ClientError):
        knowledge.retrieve(runtime, base, "otter")


def test_a_file_of_fifty_megabytes_and_one_above(control, base, bucket):
    limit = 50 * 1024 * 1024
    whole = files.pdf("A page among much else.", padding=limit - 2000)
    name, _ = bucket({"large.pdf": whole, "larger.txt": b"word " * (limit // 5 + 1)})
    source = knowledge.s3_source(control, base, name)
    ended = knowledge.ingest(control, base, source)
    told = knowledge.documents(control, base, source)
    status, reason = told[f"s3://{name}/larger.txt"]
    assert status == "FAILED" and "50" in reason, reason
    assert told[f"s3://{name}/large.pdf"][0] == "INDEXED", told
    assert ended == {"scanned": 2, "new": 1, "failed": 1}


def test_a_linked_bucket_needs_a_folder(knowing):
    url = f"{knowing.url}/_outcrop/v1/buckets/{agents.unique('bucket')}"
    status, _, body = request("PUT", url, {"folder": "/no/such/folder"})
    assert status == 400 and b"no folder" in body
