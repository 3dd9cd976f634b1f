"""Ingestion under kill -9, and two servers that share a job: the index holds what the bucket does, once."""

import collections
import random
import time

import pytest
from conftest import config

from outcrop_e2e import agents, knowledge

# Enough that a job is still at work when the server dies.
FILES = 150
KILLS = 4
# Long enough for a dead server's lease to pass.
WITHIN_S = 60


@pytest.fixture
def clients(knowing, connect, embedder):
    embedder.reset()
    return connect(knowing)


def documents(count):
    """Texts of their own: vectors are kept, and those that are there already are not asked for."""
    herd = agents.unique("herd")
    return {f"{number:03}.txt": f"Animal {number} of {herd} rests." for number in range(count)}


def check(control, runtime, base, source, name, files):
    """The index holds exactly these files, each once, and the Store says so too."""
    told = knowledge.documents(control, base, source)
    assert {uri.removeprefix(f"s3://{name}/"): status for uri, (status, _) in told.items()} == dict.fromkeys(
        files, "INDEXED"
    )
    # The vectors of the tests are made of words, so that a text's nearest chunk is its own.
    found = collections.Counter()
    for number in range(0, len(files), 50):
        only = {"orAll": [
            {"startsWith": {"key": "x-amz-bedrock-kb-source-uri", "value": f"s3://{name}/{part:02}"}}
            for part in range(number // 10, number // 10 + 5)
        ]}
        results = knowledge.retrieve(runtime, base, "animal", 100, kind="SEMANTIC", filter=only)
        found.update((knowledge.key(one), one["content"]["text"]) for one in results)
    assert found == collections.Counter(files.items())


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment(knowing, connect, embedder, bucket, seed):
    moment = random.Random(seed)
    embedder.reset()
    control, runtime = connect(knowing).control, None
    files = documents(FILES)
    name, folder = bucket(files)
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, name)
    started = knowledge.start(control, base, source)
    for _ in range(KILLS):
        time.sleep(moment.uniform(0.0, 0.3))
        knowing.kill()
        knowing.start()
        control = connect(knowing).control
    ended = knowledge.end(control, base, source, started, WITHIN_S)
    assert ended["status"] == "COMPLETE", ended.get("failureReasons")
    runtime = connect(knowing).runtime
    check(control, runtime, base, source, name, files)

    # The next job changes, adds and removes, and is killed too.
    changes = {f"{number:03}.txt": None for number in range(0, FILES, 7)}
    changes.update({f"{number:03}.txt": f"Animal {number} has changed." for number in range(1, FILES, 7)})
    knowledge.write(folder, changes)
    files = {key: changes.get(key, text) for key, text in files.items() if changes.get(key, text) is not None}
    started = knowledge.start(control, base, source)
    for _ in range(KILLS):
        time.sleep(moment.uniform(0.0, 0.15))
        knowing.kill()
        knowing.start()
        control = connect(knowing).control
    ended = knowledge.end(control, base, source, started, WITHIN_S)
    assert ended["status"] == "COMPLETE", ended.get("failureReasons")
    check(control, connect(knowing).runtime, base, source, name, files)


def test_killed_while_a_document_is_embedded(knowing, connect, embedder, bucket):
    """The one position that is always there: some documents are done, one is not."""
    embedder.reset()
    control = connect(knowing).control
    files = documents(5)
    name, _ = bucket(files)
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, name)
    embedder.hold()
    started = knowledge.start(control, base, source)
    embedder.wait()
    knowing.kill()
    embedder.release()
    knowing.start()
    clients = connect(knowing)
    assert knowledge.end(clients.control, base, source, started, WITHIN_S)["status"] == "COMPLETE"
    check(clients.control, clients.runtime, base, source, name, files)


def test_documents_api_survives_a_kill(knowing, connect, embedder):
    """What was accepted is indexed after a restart, without being given again."""
    embedder.reset()
    control = connect(knowing).control
    base = knowledge.create(control)
    source = knowledge.source(control, base, {"type": "CUSTOM"})
    embedder.hold()
    herd = agents.unique("herd")
    given = [knowledge.custom(f"d{number}", f"Document {number} of {herd} waits.") for number in range(3)]
    control.ingest_knowledge_base_documents(knowledgeBaseId=base, dataSourceId=source, documents=given)
    embedder.wait()
    knowing.kill()
    embedder.release()
    knowing.start()
    clients = connect(knowing)
    deadline = time.monotonic() + WITHIN_S
    while (told := knowledge.documents(clients.control, base, source)) != {
        f"d{number}": ("INDEXED", "") for number in range(3)
    }:
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    found = knowledge.retrieve(clients.runtime, base, "document waits", 10, kind="SEMANTIC")
    assert sorted(knowledge.uri(one) for one in found) == ["d0", "d1", "d2"]


def test_two_servers_on_one_database(stub, launch, connect, embedder, database, tmp_path):
    """A job begun on one server is finished by the other when the first one dies."""
    embedder.reset()
    env = {"OUTCROP_DATABASE_URL": database(), "OUTCROP_LIMITS_SESSION_LEASE_S": "2"}
    files = documents(12)
    folder = knowledge.write(tmp_path / "shared", files)
    servers = []
    for _ in range(2):
        server = launch(config(stub) + knowledge.embeddings(embedder.url), env)
        knowledge.link(server, "shared", folder)
        servers.append(server)
    first, second = (connect(server) for server in servers)
    base = knowledge.create(first.control)
    source = knowledge.s3_source(first.control, base, "shared")
    embedder.hold()
    started = knowledge.start(first.control, base, source)
    embedder.wait()
    # Whichever took it: one of the two dies, and the other one is left.
    servers[0].kill()
    embedder.release()
    ended = knowledge.end(second.control, base, source, started, WITHIN_S)
    reasons = ended.get("failureReasons", [])
    if any("(pgvector)" in reason for reason in reasons):
        pytest.skip(f"the PostgreSQL of the tests has no pgvector: {reasons}")
    assert ended["status"] == "COMPLETE", reasons
    check(second.control, second.runtime, base, source, "shared", files)
    servers[0].start()
    again = connect(servers[0])
    check(again.control, again.runtime, base, source, "shared", files)
