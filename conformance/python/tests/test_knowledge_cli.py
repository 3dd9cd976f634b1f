"""`outcrop kb`: a folder becomes a knowledge base in one line, is kept in step, searched and measured."""

import json
import os
import pty
import subprocess

import pytest
from conftest import binary, config

from outcrop_e2e import agents, files, knowledge

POLICIES = {
    "leave/parental.md": "# Parental leave\n\nParents take sixteen weeks of leave.\n",
    "travel.md": "# Travel\n\nTrips are booked a fortnight ahead by the travel desk.\n",
    "travel.md.metadata.json": '{"metadataAttributes": {"department": "finance", "year": 2021}}',
    "handbook.pdf": files.pdf("Badges are worn at all times.", "Coffee is free on all floors."),
}


@pytest.fixture
def kb(knowing):
    def run(*arguments, code=0, server=knowing):
        ended = subprocess.run(
            [binary("outcrop", "OUTCROP_BIN"), "kb", *map(str, arguments), "--endpoint", server.url],
            env={**server.env, "NO_COLOR": "1"}, cwd=server.folder, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120, check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended

    return run


@pytest.fixture
def policies(tmp_path):
    return knowledge.write(tmp_path / "policies", POLICIES)


def test_the_life_of_a_knowledge_base(kb, policies, knowing, connect):
    name = agents.unique("hr")
    made = kb("create", name, policies, "--description", "Policies.")
    base = made.stdout.strip()
    assert f"{policies} is bucket kb-{name}" in made.stderr
    assert "COMPLETE: 3 scanned, 3 new, 0 failed, 1 metadata files scanned" in made.stderr
    assert f"{base}  ACTIVE  {name}\n" in kb("list").stdout
    shown = connect(knowing).control.get_knowledge_base(knowledgeBaseId=base)["knowledgeBase"]
    assert shown["description"] == "Policies."

    # A name works where an id does; the folder is the bucket.
    for named in (name, base):
        found = kb("search", named, "weeks of parental leave").stdout
        first, second = found.splitlines()[:2]
        assert first.split()[0] == "1" and first.endswith(f"s3://kb-{name}/leave/parental.md")
        assert "sixteen weeks" in found
    assert "handbook.pdf  page 1" in kb("search", name, "coffee free floors").stdout
    (policies / "leave" / "parental.md").write_text("# Parental leave\n\nParents take twenty weeks of leave.\n")
    (policies / "travel.md").unlink()
    told = kb("ingest", name).stderr
    assert "COMPLETE: 2 scanned, 1 modified, 1 deleted, 0 failed" in told, told
    assert "twenty weeks" in kb("search", name, "weeks of parental leave").stdout

    assert kb("delete", name, "--yes").stdout == f"{base} is deleted\n"
    assert kb("search", name, "leave", code=1).stderr == f"error: there is no knowledge base {name}\n"
    # The folder stays, and its name can be used again.
    assert (policies / "handbook.pdf").exists()
    kb("create", name, policies, "--no-ingest")


def test_searches(kb, policies):
    name = agents.unique("hr")
    kb("create", name, policies)
    wanted = json.dumps({"equals": {"key": "department", "value": "hr"}})
    told = kb("search", name, "travel desk trips", "--filter", wanted, "--number", "2").stdout
    assert told.startswith("nothing was found\nthe filter removed\n")
    assert f"s3://kb-{name}/travel.md" in told
    assert 'department equals "hr", but the document has "finance"' in told
    assert 'department equals "hr", but the document has no such attribute' in told
    given = policies.parent / "filter.json"
    given.write_text(json.dumps({"greaterThan": {"key": "year", "value": 2020}}))
    answer = json.loads(kb("search", name, "travel desk trips", "--filter", f"@{given}", "--json").stdout)
    assert [knowledge.key(one) for one in answer["retrievalResults"]] == ["travel.md"]
    assert all(one["reasons"] for one in answer["removedByFilter"])
    for kind, count in (("--semantic", 3), ("--hybrid", 3), ("--text", 1)):
        answer = json.loads(kb("search", name, "fortnight", kind, "--json").stdout)
        assert knowledge.key(answer["retrievalResults"][0]) == "travel.md"
        assert len(answer["retrievalResults"]) == count, kind
    assert "the filter cannot be read" in kb("search", name, "x", "--filter", "{", code=2).stderr
    assert "--number: expected 1 to 100" in kb("search", name, "x", "--number", "0", code=2).stderr


def test_measuring(kb, policies):
    name = agents.unique("hr")
    kb("create", name, policies)
    questions = policies.parent / "questions.jsonl"
    lines = [
        {"question": "weeks of parental leave", "relevant": ["leave/parental.md"]},
        {"question": "who books trips", "relevant": [{"source": "travel.md", "text": "the travel desk"}]},
        {"question": "coffee", "relevant": ["nowhere.md"]},
    ]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = kb("eval", name, questions).stdout
    assert "missed: coffee\n  wanted: nowhere.md\n" in told
    assert "3 questions, 2 whole\n" in told
    assert "recall@1   0.667\n" in told and "recall@10  0.667\n" in told and "MRR        0.667\n" in told
    report = json.loads(kb("eval", name, questions, "--number", "3", "--search", "text", "--json").stdout)
    assert report["questions"] == 3 and set(report["recall"]) == {"1", "3"}
    assert report["outcomes"][0]["ranks"] == [1]
    kb("eval", name, questions, "--fail-under", "0.9", code=1)
    questions.write_text('{"question": "a"}\n')
    assert "line 1: missing field `relevant`" in kb("eval", name, questions, code=2).stderr


def test_what_fails_is_named(kb, policies):
    (policies / "torn.docx").write_bytes(b"PK\x03\x04 is no archive")
    name = agents.unique("hr")
    told = kb("create", name, policies, code=1).stderr
    assert "4 scanned, 3 new, 1 failed" in told and f"failed: s3://kb-{name}/torn.docx: " in told
    # A job that finds the same file again says so again.
    answer = json.loads(kb("ingest", name, "--json", code=1).stdout)
    (job,) = answer["jobs"]
    assert job["ingestionJob"]["status"] == "COMPLETE"
    assert [one["document"] for one in job["failedDocuments"]] == [f"s3://kb-{name}/torn.docx"]
    assert kb("ingest", name, "--no-wait").stdout.strip()


def test_names_and_folders_that_do_not_go(kb, policies):
    name = agents.unique("hr")
    assert "is no folder" in kb("create", name, policies / "nowhere", code=2).stderr
    kb("create", name, policies, "--no-ingest")
    other = knowledge.write(policies.parent / "other", {"a.txt": "a"})
    assert "name another with --bucket" in kb("create", name, other, code=1).stderr
    # The same folder is the same bucket; the knowledge base's name is taken.
    assert "already exists" in kb("create", name, policies, code=1).stderr


def test_a_server_that_takes_no_folders(kb, stub, launch, embedder, policies):
    """The files are copied; later ones are copied with `ingest --from`."""
    server = launch(config(stub, top="register_functions = false").replace(
        "[s3]\nroot", "[s3]\n# The default root, in the data folder.\n# root") + knowledge.embeddings(embedder.url))
    name = agents.unique("hr")
    told = kb("create", name, policies, server=server).stderr
    assert "the files are copied, since the server says" in told
    assert "4 files copied" in told and "3 scanned, 3 new, 0 failed" in told
    (policies / "new.md").write_text("The canteen opens at noon.")
    told = kb("ingest", name, "--from", policies, server=server).stderr
    assert "5 files copied" in told and "4 scanned, 1 new" in told, told
    assert "canteen" in kb("search", name, "canteen noon", server=server).stdout
    assert "the copied files stay" in kb("delete", name, "--yes", server=server).stderr


def test_progress_on_a_terminal(knowing, policies):
    """A bar that is drawn over itself and taken away at the end."""
    name = agents.unique("hr")
    master, slave = pty.openpty()
    run = subprocess.Popen(
        [binary("outcrop", "OUTCROP_BIN"), "kb", "create", name, str(policies), "--endpoint", knowing.url],
        env={**knowing.env, "TERM": "xterm"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert run.wait() == 0
    os.close(master)
    text = shown.decode()
    assert "of 3 documents" in text and "\r\x1b[K" in text, text
    assert "COMPLETE: 3 scanned, 3 new" in text
