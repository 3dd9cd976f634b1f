"""Action groups that no Lambda function runs: the real REST API, and tools of an MCP server."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from conftest import binary, config

from outcrop_e2e import agents, mcp_tools_path
from outcrop_e2e.process import free_port, request
from outcrop_e2e.rest import CLIENT_ID, CLIENT_SECRET, RestApi
from outcrop_e2e.turn import Background, invoke

SCHEMA = {
    "openapi": "3.0.0",
    "info": {"title": "Orders", "version": "1"},
    "paths": {
        "/orders/{order_id}/status": {
            "get": {
                "operationId": "getStatus",
                "description": "Status of an order.",
                "parameters": [
                    {"name": "order_id", "in": "path", "required": True, "description": "Which.",
                     "schema": {"type": "string"}},
                    {"name": "fields", "in": "query", "description": "Which fields.",
                     "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "X-Trace", "in": "header", "description": "A mark.", "schema": {"type": "string"}},
                ],
                "responses": {"200": {"description": "OK"}},
            }
        },
        "/orders": {
            "post": {
                "operationId": "createOrder",
                "description": "Creates an order.",
                "requestBody": {"required": True, "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["item"],
                    "properties": {
                        "item": {"type": "string"},
                        "count": {"type": "integer"},
                        "gift": {"type": "boolean"},
                        "address": {"type": "object", "properties": {"zip": {"type": "integer"}}},
                    },
                }}}},
                "responses": {"200": {"description": "OK"}},
            }
        },
        "/search": {
            "post": {
                "operationId": "search",
                "description": "Searches.",
                "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {
                    "type": "object", "properties": {"q": {"type": "string"}, "tags": {"type": "array"}},
                }}}},
                "responses": {"200": {"description": "OK"}},
            }
        },
    },
}


@pytest.fixture(scope="module")
def rest():
    api = RestApi()
    yield api
    api.stop()


@pytest.fixture(scope="module")
def mcp_http(tmp_path_factory):
    """A running MCP server over streamable HTTP that wants a fixed token; gives its URL."""
    port = free_port()
    log = open(tmp_path_factory.mktemp("mcp") / "log", "wb")
    env = {**os.environ, "WANTS": "Bearer mcp-token"}
    process = subprocess.Popen(
        [sys.executable, mcp_tools_path(), "http", str(port)], stdout=log, stderr=log, env=env
    )
    deadline = time.monotonic() + 20
    while True:
        try:
            request("GET", f"http://127.0.0.1:{port}/seen", timeout=2)
            break
        except OSError:
            assert time.monotonic() < deadline and process.poll() is None, "the MCP server did not start"
            time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait()
    log.close()


def functions(rest, mcp_http, waiting):
    """The `[[functions]]` of every test here."""
    return f"""
[[functions]]
match = "orders-api"
runtime = "openapi"
base_url = "{rest.url}/v1"
headers = {{ X-Api-Key = {{ env = "REST_KEY", prefix = "Key " }} }}
timeout_s = 5
max_reply_bytes = 20000
[[functions]]
match = "tokens-api"
runtime = "openapi"
base_url = "http://localhost:{rest.port}/v1"
[functions.oauth2]
token_url = "{rest.url}/token"
client_id = "{CLIENT_ID}"
client_secret_env = "REST_SECRET"
[[functions]]
match = "wrong-secret-api"
runtime = "openapi"
base_url = "{rest.url}/v1"
oauth2 = {{ token_url = "{rest.url}/token", client_id = "{CLIENT_ID}", client_secret_env = "REST_KEY" }}
[[functions]]
match = "down-api"
runtime = "openapi"
base_url = "http://127.0.0.1:9"
[[functions]]
match = "metadata-api"
runtime = "openapi"
base_url = "http://169.254.169.254"
[[functions]]
match = "tools-stdio"
runtime = "mcp"
command = "{sys.executable}"
args = ["{mcp_tools_path()}", "stdio"]
timeout_s = 20
[[functions]]
match = "tools-slow"
runtime = "mcp"
command = ["{sys.executable}", "{mcp_tools_path()}", "stdio"]
timeout_s = 6
writable = ["{waiting}"]
[[functions]]
match = "tools-http"
runtime = "mcp"
url = "{mcp_http}"
headers = {{ Authorization = {{ env = "MCP_TOKEN", prefix = "Bearer " }} }}
[[functions]]
match = "tools-broken"
runtime = "mcp"
command = ["{sys.executable}", "-c", "import sys; sys.exit('cannot start: no licence')"]
"""


@pytest.fixture(scope="module")
def env():
    return {"REST_KEY": "k3y", "REST_SECRET": CLIENT_SECRET, "MCP_TOKEN": "mcp-token"}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """A folder that a tool may write, whichever user it runs as."""
    folder = tmp_path_factory.mktemp("waiting")
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="module")
def server(stub, launch, rest, mcp_http, waiting, env):
    return launch(config(stub, functions=functions(rest, mcp_http, waiting)), env)


@pytest.fixture(autouse=True)
def clean_rest(rest):
    rest.reset()


def arn(name):
    return f"arn:aws:lambda:us-west-2:111111111111:function:{name}"


def api_agent(control, function="orders-api", schema=None):
    agent = agents.create(control)
    schema = {"payload": json.dumps(schema or SCHEMA)}
    agents.add_group(control, agent, "Orders", {"lambda": arn(function)}, apiSchema=schema)
    agents.prepare(control, agent)
    return agent


def call(runtime, agent, stub, tool, arguments, times=1):
    """A turn in which the model calls one tool and then answers."""
    step = {"content": [{"tool": tool, "input": arguments}]}
    stub.script(model=[step] * times + [{"content": [{"text": "<answer>Fine.</answer>"}]}])
    return invoke(runtime, agent, agents.session_id(), "Do it.")


def test_an_operation_calls_the_api(control, runtime, stub, rest):
    agent = api_agent(control)
    arguments = {"order_id": "A/482 ?", "fields": ["a", "b&c"], "X-Trace": "t-1"}
    turn = call(runtime, agent, stub, "getStatus", arguments).ok()
    (seen,) = rest.requests
    assert seen["method"] == "GET"
    assert seen["target"] == "/v1/orders/A%2F482%20%3F/status?fields=a&fields=b%26c"
    assert seen["headers"]["x-trace"] == "t-1"
    assert seen["headers"]["x-api-key"] == "Key k3y"
    assert "idempotency-key" not in seen["headers"]
    assert json.loads(turn.observations[0])["status"] == "shipped"
    # The trace is the one of a Lambda call.
    (given,) = [part for name, part in turn.parts if name == "invocationInput"]
    group = given["actionGroupInvocationInput"]
    assert group["apiPath"] == "/orders/{order_id}/status"
    assert group["verb"].upper() == "GET"
    assert turn.order[-1] == "chunk"


def test_bodies_keep_their_types(control, runtime, stub, rest):
    agent = api_agent(control)
    arguments = {"item": "cup", "count": "3", "gift": "true", "address": {"zip": "8001"}}
    call(runtime, agent, stub, "createOrder", arguments).ok()
    call(runtime, agent, stub, "search", {"q": "a b&c", "tags": ["x", "y"]}).ok()
    created, searched = rest.requests
    assert json.loads(created["body"]) == {"item": "cup", "count": 3, "gift": True, "address": {"zip": 8001}}
    assert created["headers"]["idempotency-key"]
    assert searched["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert searched["body"] == "q=a+b%26c&tags=x&tags=y"


def test_hostile_arguments_are_explained_to_the_model(control, runtime, stub, rest):
    agent = api_agent(control)
    for arguments, said in (
        ({"order_id": ".."}, "stands in the path"),
        ({"order_id": "A", "X-Trace": "a\r\nX-Admin: 1"}, "travels in a header"),
    ):
        turn = call(runtime, agent, stub, "getStatus", arguments).ok()
        assert said in turn.observations[0]
    assert rest.requests == []


def test_client_errors_go_to_the_model_and_server_errors_end_the_turn(control, runtime, stub, rest):
    agent = api_agent(control)
    path = "/v1/orders/A-1/status"
    rest.answers[path] = (404, {"content-type": "application/json"}, b'{"error": "no such order"}')
    turn = call(runtime, agent, stub, "getStatus", {"order_id": "A-1"}).ok()
    assert turn.observations == ['{"error": "no such order"}']
    for answer, sentence, cause in (
        (
            (503, {"content-type": "text/plain"}, b"down for repairs"),
            "Received failed response from API execution. Retry the request later.",
            "answered 503 Service Unavailable",
        ),
        ((302, {"location": "http://169.254.169.254/x?y"}, b""), "", "redirects are not followed"),
        ((200, {"content-type": "application/pdf"}, b"%PDF"), "", "4 bytes of application/pdf, which is not text"),
        ((200, {"content-type": "text/plain"}, b"x" * 30_000), "", "longer than 20000 bytes (max_reply_bytes"),
    ):
        rest.answers[path] = answer
        turn = call(runtime, agent, stub, "getStatus", {"order_id": "A-1"})
        assert turn.error_code == "dependencyFailedException"
        assert sentence in turn.error_message and cause in turn.error_message, turn.error_message
        assert f"GET {rest.url}{path}" in turn.error_message, turn.error_message
        stub.reset()


def test_tokens_are_kept_and_replaced_once_refused(control, runtime, stub, rest):
    rest.wants_token = True
    agent = api_agent(control, "tokens-api")
    before = rest.tokens
    for _ in range(2):
        call(runtime, agent, stub, "getStatus", {"order_id": "A-1"}).ok()
    assert rest.tokens == before + 1
    rest.refused.add(f"token-{rest.tokens}")
    call(runtime, agent, stub, "getStatus", {"order_id": "A-1"}).ok()
    assert rest.tokens == before + 2
    # A token that is refused anew is the API's answer, and the model's business.
    rest.refused.update(f"token-{number}" for number in range(100))
    call(runtime, agent, stub, "getStatus", {"order_id": "A-1"}).ok()
    assert rest.tokens == before + 3


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        ("wrong-secret-api", "it answered 401: invalid_client"),
        ("down-api", "GET http://127.0.0.1:9/orders/A-1/status"),
        ("metadata-api", "the address of a metadata service, which is not called unless it is listed"),
    ],
)
def test_what_cannot_be_called_says_why(control, runtime, stub, rest, function, cause):
    agent = api_agent(control, function)
    turn = call(runtime, agent, stub, "getStatus", {"order_id": "A-1"})
    assert turn.error_code == "dependencyFailedException"
    assert f"Lambda function {arn(function)} could not be invoked." in turn.error_message
    assert cause in turn.error_message, turn.error_message
    assert CLIENT_SECRET not in turn.error_message and "k3y" not in turn.error_message
    assert rest.requests == []


FUNCTIONS = [
    {"name": "get_order_status", "parameters": {"order_id": {"type": "string", "required": True}}},
    {"name": "add", "parameters": {"a": {"type": "integer", "required": True}, "b": {"type": "integer"}}},
    {"name": "orders_refuse", "parameters": {"reason": {"type": "string", "required": True}}},
    {"name": "picture"},
    {"name": "die"},
    {"name": "wait", "parameters": {"file": {"type": "string", "required": True}}},
    {"name": "grow"},
    {"name": "grown"},
    {"name": "no_such_tool"},
]


def tools_agent(control, function):
    return agents.order_agent(control, FUNCTIONS, {"lambda": arn(function)})


@pytest.mark.parametrize("function", ["tools-stdio", "tools-http"])
def test_functions_are_tools_of_an_mcp_server(control, runtime, stub, function):
    agent = tools_agent(control, function)
    for tool, arguments, observed in (
        ("get_order_status", {"order_id": "A-482"}, "order A-482 is shipped"),
        ("add", {"a": "20", "b": 22}, "42"),
        ("orders_refuse", {"reason": "closed"}, "no: closed"),
        ("picture", {}, "[8 bytes of image/png, not shown]"),
    ):
        turn = call(runtime, agent, stub, tool, arguments).ok()
        shown = [part for name, part in turn.parts if name == "observation"]
        assert observed in str(shown), shown
    turn = call(runtime, agent, stub, "no_such_tool", {})
    assert turn.error_code == "dependencyFailedException"
    assert "it has no tool no_such_tool; it has get_order_status, add, book" in turn.error_message
    stub.reset()
    call(runtime, agent, stub, "grow", {}).ok()
    turn = call(runtime, agent, stub, "grown", {}).ok()
    assert turn.observations == ["grown"]


def test_a_group_without_a_schema_gets_the_tools_of_its_server(control, runtime, stub):
    agent = agents.create(control)
    agents.add_group(control, agent, "Stays", {"lambda": arn("tools-http")})
    agents.prepare(control, agent)
    arguments = {"guest": {"name": "Ada", "nights": "2"}, "board": "full", "tags": ["x"]}
    turn = call(runtime, agent, stub, "book", arguments).ok()
    assert json.loads(turn.observations[0]) == {
        "guest": {"name": "Ada", "nights": 2}, "board": "full", "tags": ["x"]
    }
    with pytest.raises(ClientError, match="Try providing either apiSchema or functionSchema"):
        agents.add_group(control, agent, "Other", {"lambda": arn("orders-api")})


def test_an_operation_calls_the_tool_of_its_id(control, runtime, stub):
    schema = {
        "openapi": "3.0.0",
        "info": {"title": "t", "version": "1"},
        "paths": {"/add": {"post": {
            "operationId": "add", "description": "Adds.",
            "requestBody": {"content": {"application/json": {"schema": {
                "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}}},
            "responses": {"200": {"description": "OK"}},
        }}},
    }
    agent = api_agent(control, "tools-stdio", schema)
    assert call(runtime, agent, stub, "add", {"a": 1, "b": 2}).ok().observations == ["3"]


def test_a_server_that_dies_is_told_of_and_started_again(control, runtime, stub):
    agent = tools_agent(control, "tools-stdio")
    call(runtime, agent, stub, "add", {"a": 1}).ok()
    turn = call(runtime, agent, stub, "die", {})
    assert turn.error_code == "dependencyFailedException"
    assert "MCP server tools-stdio: tool die:" in turn.error_message
    assert "dying now" in turn.error_message
    stub.reset()
    assert call(runtime, agent, stub, "add", {"a": 1}).ok().observations == ["2"]


def test_a_server_that_cannot_start_says_why_and_is_not_tried_at_once(control, runtime, stub):
    agent = tools_agent(control, "tools-broken")
    turn = call(runtime, agent, stub, "add", {"a": 1})
    assert turn.error_code == "dependencyFailedException"
    assert "no licence" in turn.error_message
    stub.reset()
    turn = call(runtime, agent, stub, "add", {"a": 1})
    assert "the next attempt is made in" in turn.error_message


def test_a_call_that_takes_too_long_is_cancelled_at_the_server(control, runtime, stub, waiting):
    agent = tools_agent(control, "tools-slow")
    call(runtime, agent, stub, "add", {"a": 1}).ok()
    file = waiting / "file"
    turn = call(runtime, agent, stub, "wait", {"file": str(file)})
    assert turn.error is not None, turn.observations
    assert "did not end within 6 s and was cancelled" in turn.error_message
    deadline = time.monotonic() + 5
    while file.read_text() != "cancelled":
        assert time.monotonic() < deadline, "the tool was never told"
        time.sleep(0.01)


@pytest.mark.parametrize("form", ["functions", "cloudformation", "openapi", "raw"])
def test_the_tools_are_printed_as_a_schema(server, stub, control, runtime, env, form, rest, mcp_http):
    done = subprocess.run(
        [binary("outcrop", "OUTCROP_BIN"), "mcp", "tools", "tools-stdio", "--form", form, "--config", server.config],
        env={**server.env, **env}, capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    if form == "functions":
        assert "note: tool orders.refuse is called orders_refuse" in done.stderr
        assert "parameter guest of book is no plain value" in done.stderr
        # AWS's own constraints take it.
        agent = agents.order_agent(control, printed["functions"], {"lambda": arn("tools-stdio")})
        arguments = {"guest": '{"name": "Ada", "nights": 2}'}
        turn = call(runtime, agent, stub, "book", arguments).ok()
        assert json.loads(turn.observations[0])["guest"] == {"name": "Ada", "nights": 2}
    if form == "openapi":
        agent = api_agent(control, "tools-stdio", printed)
        arguments = {"guest": {"name": "Ada", "nights": 2}}
        turn = call(runtime, agent, stub, "book", arguments).ok()
        assert json.loads(turn.observations[0])["guest"] == {"name": "Ada", "nights": 2}
