"""`outcrop scaffold`: a handler whose own tests pass, and that answers a turn as it is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLE, binary, config

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

SCHEMA = EXAMPLE / "buckets" / "my-agent-schemas" / "order-tools" / "openapi.yaml"

# Every type there is, names that are none in Python, and defaults.
FUNCTIONS = {
    "functions": [
        {
            "name": "reserve",
            "description": 'Reserve "days".\nSeveral lines.',
            "parameters": {
                "start-date": {"type": "string", "description": "The first day.", "required": True},
                "days": {"type": "integer", "required": True},
                "share": {"type": "number"},
                "paid": {"type": "boolean"},
                "notes": {"type": "array"},
                "class": {"type": "string"},
            },
        },
        {"name": "import", "description": "A keyword of Python."},
    ]
}

NESTED = {
    "openapi": "3.0.0",
    "info": {"title": "Claims", "version": "1.0.0"},
    "paths": {
        "/claims/{claimId}": {
            "post": {
                "operationId": "notify",
                "description": "Tell the holder of a claim what is missing.",
                "parameters": [
                    {"name": "claimId", "in": "path", "required": True, "description": "The claim.",
                     "schema": {"type": "string"}},
                    {"name": "limit", "in": "query", "description": "At most.",
                     "schema": {"type": "integer", "default": 7}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {
                        "type": "object",
                        "required": ["kind"],
                        "properties": {
                            "kind": {"type": "string", "enum": ["photo", "invoice"]},
                            "documents": {"type": "array", "items": {
                                "type": "object",
                                "properties": {"id": {"type": "integer"}, "page-count": {"type": "number"},
                                               "tags": {"type": "array", "items": {"type": "string"}}},
                            }},
                            "holder": {"type": "object", "properties": {"name": {"type": "string"}}},
                            "urgent": {"type": "boolean"},
                        },
                    }}},
                },
                "responses": {"200": {"description": "Told.", "content": {"application/json": {"schema": {"type": "object"}}}}},
            }
        }
    },
}


def scaffold(*arguments, code=0, cwd=None, env=None):
    ended = subprocess.run(
        [binary("outcrop", "OUTCROP_BIN"), "scaffold", *map(str, arguments)], stdin=subprocess.DEVNULL, env=env,
        capture_output=True, text=True, timeout=60, check=False, cwd=cwd,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def run_tests(folder):
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], cwd=folder, capture_output=True,
        text=True, timeout=60, check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def write(folder, name, schema):
    path = folder / name
    path.write_text(json.dumps(schema))
    return path


@pytest.mark.parametrize("schema", ["example", "functions", "nested"])
@pytest.mark.parametrize("style", ["plain", "powertools"])
def test_its_own_tests_pass(tmp_path, schema, style):
    if style == "powertools":
        pytest.importorskip("aws_lambda_powertools")
    source = {
        "example": lambda: SCHEMA,
        "functions": lambda: write(tmp_path, "Vacations.json", FUNCTIONS),
        "nested": lambda: write(tmp_path, "Claims.json", NESTED),
    }[schema]()
    scaffold(source, "--into", tmp_path / "made", "--style", style)
    assert "passed" in run_tests(tmp_path / "made")


def test_arguments_are_read_as_aws_writes_them(tmp_path):
    scaffold(write(tmp_path, "Claims.json", NESTED), "--into", tmp_path / "made")
    check = """
import actions
event = {"parameters": [{"name": "claimId", "value": "c, 1"}], "requestBody": {"content": {"application/json": {"properties": [
    {"name": "kind", "value": "photo"}, {"name": "urgent", "value": "true"},
    {"name": "documents", "value": "[{id=6, page-count=1.5, tags=[a, b]}, {id=7}]"}]}}}}
read = actions.NotifyArguments.read(actions.Given(event))
assert read.claimId == "c, 1" and read.limit == 7 and read.urgent is True, read
assert read.documents == [{"id": 6, "page-count": 1.5, "tags": ["a", "b"]}, {"id": 7}], read
# The same as JSON, which is what a group with typed arguments is sent.
event["requestBody"]["content"]["application/json"]["properties"][2]["value"] = '[{"id": 6}]'
assert actions.NotifyArguments.read(actions.Given(event)).documents == [{"id": 6}]
for wrong in ({"name": "kind", "value": "letter"}, {"name": "documents", "value": "none"}):
    event["requestBody"]["content"]["application/json"]["properties"][0] = wrong
    try:
        actions.NotifyArguments.read(actions.Given(event))
    except actions.ArgumentError as error:
        assert "kind" in str(error) or "documents" in str(error)
    else:
        raise AssertionError(wrong)
"""
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path / "made", check=True, timeout=30)


def test_a_scaffolded_handler_answers_a_turn(stub, launch, connect, tmp_path):
    """Written from one server's agent, then run by another."""
    server = launch(config(stub))
    agent = agents.order_agent(connect(server).control)
    scaffold("--agent", agent, "--into", tmp_path / "made", "--endpoint", server.url, env=server.env)
    run_tests(tmp_path / "made")
    entry = f'[[functions]]\nmatch = "order-tools"\nruntime = "python"\nhandler = "handler.handle"\ncode = "{tmp_path / "made"}"\n'
    clients = connect(launch(config(stub, functions=entry)))
    agent = agents.order_agent(clients.control)
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert "get_order_status of OrderTools is a stub" in turn.text


def test_edited_files_stay(tmp_path):
    source = write(tmp_path, "Vacations.json", FUNCTIONS)
    made = tmp_path / "made"
    scaffold(source, "--into", made)
    handler = made / "handler.py"
    handler.write_text("# mine\n" + handler.read_text())
    changed = {"functions": [{**FUNCTIONS["functions"][0], "name": "book"}, *FUNCTIONS["functions"]]}
    said = scaffold(write(tmp_path, "Vacations.json", changed), "--into", made)
    assert "kept handler.py, which has been edited" in said
    assert handler.read_text().startswith("# mine\n") and "BookArguments" not in handler.read_text()
    assert "class BookArguments" in (made / "actions.py").read_text()
    assert (made / "events" / "Vacations.book.json").exists()


def test_what_cannot_be_scaffolded_is_told(tmp_path):
    said = scaffold(write(tmp_path, "odd.json", {"title": "x"}), "--into", tmp_path / "made", code=2)
    assert "is no OpenAPI schema" in said
    said = scaffold(tmp_path / "none.yaml", "--into", tmp_path / "made", code=2)
    assert "cannot be read" in said
    assert not Path(tmp_path / "made").exists()
