"""`outcrop function`: one call of a handler, with the event of a turn and the judgement of a turn."""

import json
import subprocess

import pytest
from conftest import EXAMPLE, binary, config

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

HANDLER = '''
import json

def reply(event, **changes):
    response = {"actionGroup": event["actionGroup"]}
    body = json.dumps(event["parameters"])
    if "function" in event:
        response["function"] = event["function"]
        response["functionResponse"] = {"responseBody": {"TEXT": {"body": body}}}
    else:
        response.update(apiPath=event["apiPath"], httpMethod=event["httpMethod"], httpStatusCode=200)
        response["responseBody"] = {"application/json": {"body": body}}
    return {"messageVersion": "1.0", "response": {**response, **changes}}

def echo(event, context):
    print("called for", event["inputText"])
    return reply(event)

def wrong(event, context):
    return reply(event, functionResponse={"responseBody": {"JSON": {"body": "{}"}}})

def raises(event, context):
    raise KeyError("order_id")
'''

SCHEMA = (EXAMPLE / "buckets" / "my-agent-schemas" / "order-tools" / "openapi.yaml").read_text()


@pytest.fixture(scope="module")
def local(stub, launch, tmp_path_factory):
    """A server whose functions are the handlers above."""
    code = tmp_path_factory.mktemp("code")
    (code / "app.py").write_text(HANDLER)
    entries = "".join(
        f'[[functions]]\nmatch = "{match}"\nruntime = "python"\nhandler = "app.{name}"\ncode = "{code}"\n'
        for match, name in (("order-tools", "echo"), ("wrong", "wrong"), ("raises", "raises"))
    )
    return launch(config(stub, functions=entries))


@pytest.fixture
def call(local):
    def run(*arguments, code=0):
        ended = subprocess.run(
            [binary("outcrop", "OUTCROP_BIN"), "function", *map(str, arguments), "--endpoint", local.url],
            env={**local.env, "NO_COLOR": "1"}, cwd=local.folder, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended

    return run


def test_the_event_is_that_of_a_turn(local, connect, call):
    clients = connect(local)
    agent = agents.order_agent(clients.control)
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert "A-482" in turn.text
    shown = call("invoke", "order-tools", "--agent", agent, "--action", "get_order_status", "--param", "order_id=A-482",
                 "--session-attribute", "tenant=acme", "--input-text", "Where is it?", "--dry-run")
    event = json.loads(shown.stdout)
    assert list(event)[:4] == ["messageVersion", "agent", "sessionId", "inputText"]
    assert event["agent"]["id"] == agent and event["agent"]["alias"] == "TSTALIASID"
    assert event["actionGroup"] == "OrderTools" and event["function"] == "get_order_status"
    assert event["parameters"] == [{"name": "order_id", "type": "string", "value": "A-482"}]
    assert event["sessionAttributes"] == {"tenant": "acme"}


def test_a_reply_that_keeps_the_contract(call):
    ended = call("invoke", "order-tools", "--action", "find", "--param", "id=7", "--param", 'tags=["a", "b"]',
                 "--input-text", "hello", "--show-event")
    reply = json.loads(ended.stdout)
    assert json.loads(reply["response"]["functionResponse"]["responseBody"]["TEXT"]["body"]) == [
        {"name": "id", "type": "integer", "value": "7"},
        {"name": "tags", "type": "array", "value": "[a, b]"},
    ]
    assert "called for hello" in ended.stderr
    assert "the reply keeps the contract" in ended.stderr
    assert '"messageVersion": "1.0"' in ended.stderr


def test_an_operation_by_its_id_and_by_its_path(local, connect, call):
    clients = connect(local)
    agent = agents.create(clients.control)
    agents.add_group(
        clients.control, agent, "Api", {"lambda": agents.LAMBDA}, apiSchema={"payload": SCHEMA},
    )
    agents.prepare(clients.control, agent)
    path, item = next(iter(__import__("yaml").safe_load(SCHEMA)["paths"].items()))
    method, operation = next((name, value) for name, value in item.items() if isinstance(value, dict))
    events = [
        json.loads(call("invoke", "order-tools", "--agent", agent, "--action", action, "--dry-run",
                        "--param", "order_id=A-482").stdout)
        for action in (operation["operationId"], f"{method} {path}")
    ]
    assert events[0] == events[1]
    assert events[0]["apiPath"] == path and events[0]["httpMethod"] == method.upper()


@pytest.mark.parametrize(
    ("name", "said"), [("wrong", "TEXT"), ("raises", "KeyError")], ids=["a wrong reply", "an exception"]
)
def test_what_would_end_a_turn_is_told(call, name, said):
    ended = call("invoke", name, "--action", "find", code=1)
    assert "refused: " in ended.stderr and said in ended.stderr


def test_what_makes_no_sense(local, connect, call):
    agent = agents.order_agent(connect(local).control)
    ended = call("invoke", "order-tools", "--agent", agent, "--action", "no_such", code=1)
    assert "There is no action no_such" in ended.stderr and "get_order_status" in ended.stderr
    ended = call("invoke", "order-tools", "--agent", agent, "--action", "get_order_status", code=1)
    assert "the required parameter 'order_id' is missing" in ended.stderr
    assert "no-such" in call("invoke", "no-such", "--action", "x", code=1).stderr
    call("invoke", "order-tools", code=2)


def test_an_event_from_a_file(call, tmp_path):
    event = {"messageVersion": "1.0", "actionGroup": "G", "function": "f", "parameters": [], "inputText": "from a file"}
    (tmp_path / "event.json").write_text(json.dumps(event))
    ended = call("invoke", "order-tools", "--event", tmp_path / "event.json", "--json")
    outcome = json.loads(ended.stdout)
    assert outcome["reply"]["verdict"]["kind"] == "accepted"
    assert "from a file" in outcome["reply"]["logTail"]


def test_the_list_names_what_runs_here(call):
    listed = call("list").stdout
    assert "order-tools" in listed and "app.echo in " in listed
