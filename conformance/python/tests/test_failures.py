"""What goes wrong around a turn, what the caller is told, and that the session goes on afterwards."""

import socket
import time

import pytest
from botocore.exceptions import ClientError
from conftest import EXAMPLE, config

from outcrop_e2e import agents
from outcrop_e2e.process import free_port
from outcrop_e2e.turn import Background, invoke

UNHANDLED = (
    f"Your request couldn't be completed. Lambda function {agents.LAMBDA} encountered a problem while processing "
    "request.The error message from the Lambda function is Unhandled. Check the Lambda function log for error "
    "details, then try your request again after fixing the error."
)
PROCESSING = (
    "The server encountered an error processing the Lambda response. Check the Lambda response and retry the request"
)
FAILED = "Received failed response from API execution. Retry the request later."
RATE = (
    "Your request rate is too high. Reduce the frequency of requests. Check your Bedrock model invocation quotas "
    "to find the acceptable frequency."
)
DENIED = "Access denied when calling Bedrock. Check your request permissions and retry the request."


@pytest.fixture
def agent(control):
    return agents.order_agent(control)


def failure(runtime, agent, session, text="Where is order A-482?", **more):
    """(code in lower camel case, message) of a turn that must fail, in the stream or before it."""
    try:
        turn = invoke(runtime, agent, session, text, **more)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return code[0].lower() + code[1:], error.response["Error"]["Message"]
    assert turn.error is not None, f"the turn did not fail: {turn.text}"
    assert not turn.chunks
    return turn.error_code, turn.error_message


def goes_on(runtime, agent, session):
    """The session answers again."""
    assert "A-482" in invoke(runtime, agent, session, "Where is order A-482?").ok().text


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "bedrock"])
def test_throttled_twice_then_fine(stub, launch, connect, protocol):
    clients = connect(launch(config(stub, protocol)))
    agent = agents.order_agent(clients.control)
    throttled = {"status": 429, "message": "Too many requests"}
    stub.script(model=[throttled, {**throttled, "headers": {"retry-after": "0"}}])
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert turn.order.count("modelInvocationInput") == 2
    assert turn.order.count("chunk") == 1
    assert len(stub.requests("model")) == 4


def test_throttled_for_good(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=[{"status": 429, "headers": {"retry-after": "0"}}] * 12)
    code, message = failure(runtime, agent, session)
    assert code == "throttlingException"
    assert message.startswith(RATE)
    stub.reset()
    goes_on(runtime, agent, session)


def test_a_server_fault_is_retried(runtime, agent, stub):
    stub.script(model=[{"status": 503}, {"disconnect": "before"}])
    invoke(runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert len(stub.requests("model")) == 4


def test_refused_credentials_are_not_retried(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=[{"status": 401, "message": "Incorrect API key provided"}])
    code, message = failure(runtime, agent, session)
    assert code == "accessDeniedException"
    assert message.startswith(DENIED)
    assert len(stub.requests("model")) == 1
    goes_on(runtime, agent, session)


def test_a_rejected_request_is_not_retried(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=[{"status": 400, "message": "max_tokens is too large"}])
    code, message = failure(runtime, agent, session)
    assert code in ("dependencyFailedException", "validationException")
    assert "max_tokens is too large" in message
    assert len(stub.requests("model")) == 1
    goes_on(runtime, agent, session)


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "bedrock"])
def test_model_down(stub, launch, connect, protocol):
    port = free_port()
    text = config(stub, protocol).replace(stub.url, f"http://127.0.0.1:{port}", 1)
    clients = connect(launch(text))
    agent = agents.order_agent(clients.control)
    began = time.monotonic()
    code, message = failure(clients.runtime, agent, agents.session_id())
    assert code in ("badGatewayException", "dependencyFailedException", "internalServerException")
    assert str(port) in message or "reach" in message
    assert time.monotonic() - began < 30


def test_a_broken_stream_ends_the_turn_once_output_has_begun(runtime, agent, stub):
    session = agents.session_id()
    stub.script(
        model=[{"content": [{"text": "<answer>" + "This is a long answer. " * 40 + "</answer>"}], "disconnect": "middle"}]
    )
    turn = invoke(
        runtime, agent, session, "Hello.", streamingConfigurations={"streamFinalResponse": True}
    )
    assert turn.error is not None
    assert turn.chunks
    assert len(stub.requests("model")) == 1
    goes_on(runtime, agent, session)


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "bedrock"])
def test_garbage_from_the_model(stub, launch, connect, protocol):
    clients = connect(launch(config(stub, protocol)))
    agent = agents.order_agent(clients.control)
    session = agents.session_id()
    stub.script(model=[{"garbage": "<html>this is no model</html>"}] * 4)
    code, message = failure(clients.runtime, agent, session)
    assert code in ("dependencyFailedException", "badGatewayException", "internalServerException")
    assert message
    stub.reset()
    goes_on(clients.runtime, agent, session)


def test_an_unmapped_model_names_the_setting(stub, launch, connect):
    text = config(stub).replace('match = "*"\nprovider', 'match = "other.*"\nprovider', 1)
    clients = connect(launch(text))
    try:
        agent = agents.order_agent(clients.control)
    except ClientError as error:
        refusal = error.response["Error"]
        code, message = refusal["Code"], refusal["Message"]
    else:
        code, message = failure(clients.runtime, agent, agents.session_id())
    assert code.lower() == "validationexception"
    assert "[[models]]" in message and agents.MODEL in message


TOOL_FAILURES = {
    "raised": ({"function_error": "Unhandled"}, UNHANDLED),
    "denied": (
        {"status": 403},
        f"Access denied while invoking Lambda function {agents.LAMBDA}. Check the permissions on the Lambda "
        "function and retry the request.",
    ),
    "a string": ({"payload": "just text"}, PROCESSING),
    "no json": ({"garbage": "not json at all"}, PROCESSING),
    "a null": ({"garbage": "null"}, PROCESSING),
    "version": ({"envelope": {"messageVersion": "2.0"}}, PROCESSING),
    "attributes": ({"envelope": {"sessionAttributes": {"a": {"b": 1}}}}, PROCESSING),
    "content type": ({"response": {"functionResponse": {"responseBody": {"text/html": {"body": "x"}}}}}, PROCESSING),
    "group": (
        {"response": {"actionGroup": "Other"}},
        "ActionGroup in Lambda response doesn't match input. Check that the ActionGroup in the input and response "
        "match and retry the request.",
    ),
    "function": (
        {"response": {"function": "other"}},
        "Function in Lambda response doesn't match input. Check that the Function in the input and response match "
        "and retry the request.",
    ),
    "failure": (
        {
            "response": {
                "functionResponse": {"responseState": "FAILURE", "responseBody": {"TEXT": {"body": "no"}}}
            }
        },
        FAILED,
    ),
}


@pytest.mark.parametrize("case", TOOL_FAILURES)
def test_a_tool_that_fails(runtime, agent, stub, case):
    step, text = TOOL_FAILURES[case]
    session = agents.session_id()
    stub.script(tool=[step])
    code, message = failure(runtime, agent, session)
    assert code == "dependencyFailedException"
    assert message.startswith(text)
    assert len(stub.requests("tool")) == 1
    goes_on(runtime, agent, session)


def test_an_operation_that_fails(control, runtime, stub):
    agent = agents.create(control)
    agents.add_group(
        control, agent, "OrderApi", {"lambda": agents.LAMBDA},
        apiSchema={"s3": {"s3BucketName": "my-agent-schemas", "s3ObjectKey": "order-tools/openapi.yaml"}},
    )
    agents.prepare(control, agent)
    session = agents.session_id()
    good = invoke(runtime, agent, session, "Where is order A-482?").ok()
    assert "shipped" in good.text
    event = stub.tool_events()[-1]
    assert (event["apiPath"], event["httpMethod"]) == ("/orders/{order_id}/status", "GET")
    assert "function" not in event and "requestBody" not in event
    for step, text in (
        (
            {"response": {"apiPath": "/orders"}},
            "APIPath in Lambda response doesn't match input. Check that the APIPath in the input and response match "
            "and retry the request.",
        ),
        (
            {"response": {"responseBody": {"text/plain": {"body": "x"}}}},
            "The server encountered an error processing the Lambda response. The response body from Bedrock agent "
            "must be of type 'application/json', but 'null' was returned.",
        ),
        ({"response": {"httpStatusCode": 503}}, FAILED),
    ):
        stub.script(tool=[step])
        code, message = failure(runtime, agent, session)
        assert code == "dependencyFailedException"
        assert message.startswith(text)
    # A 404 of the tool is for the model to read.
    stub.script(tool=[{"response": {"httpStatusCode": 404}, "text": "no such order"}])
    assert "no such order" in invoke(runtime, agent, session, "Where is order A-482?").ok().text


def test_a_tool_that_takes_too_long(stub, launch, connect):
    slow = config(stub).replace("timeout_s = 5", "timeout_s = 1")
    clients = connect(launch(slow))
    agent = agents.order_agent(clients.control)
    session = agents.session_id()
    stub.script(tool=[{"hold": "never"}])
    code, message = failure(clients.runtime, agent, session)
    assert code == "dependencyFailedException"
    assert agents.LAMBDA in message or "order-tools" in message
    goes_on(clients.runtime, agent, session)


def test_reprompt_goes_to_the_model(runtime, agent, stub):
    body = {"responseState": "REPROMPT", "responseBody": {"TEXT": {"body": "ask for the right id"}}}
    stub.script(tool=[{"response": {"functionResponse": body}}])
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert "ask for the right id" in turn.text


def test_an_unknown_function_names_the_setting(stub, launch, connect):
    clients = connect(launch(config(stub, functions='[[functions]]\nmatch = "other"\nruntime = "lambda"\n'
                                    f'endpoint = "{stub.url}"\n')))
    agent = agents.order_agent(clients.control)
    code, message = failure(clients.runtime, agent, agents.session_id())
    assert code in ("dependencyFailedException", "resourceNotFoundException")
    assert "order-tools" in message and "[[functions]]" in message


MODEL_MISTAKES = {
    "unknown tool": {"tool": "no_such_tool", "input": {}},
    "no json": {"tool": "get_order_status", "arguments": '{"order_id": '},
    "no object": {"tool": "get_order_status", "arguments": "[1, 2]"},
    "missing": {"tool": "get_order_status", "input": {}},
    "wrong type": {"tool": "get_order_status", "input": {"order_id": {"nested": True}}},
}


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "bedrock"])
def test_a_models_mistakes_go_back_to_it(stub, launch, connect, protocol):
    clients = connect(launch(config(stub, protocol)))
    agent = agents.order_agent(clients.control)
    for case, call in MODEL_MISTAKES.items():
        if protocol != "openai" and case in ("no json", "no object"):
            # Whole arguments travel as a JSON object there, so only a stream can carry these.
            continue
        stub.reset()
        stub.script(model=[{"content": [{"text": "<thinking>Hm.</thinking>"}, call]}])
        turn = invoke(clients.runtime, agent, agents.session_id(), "Do something.").ok()
        assert stub.requests("tool") == [], case
        assert turn.text, case
        last = stub.model_calls()[-1]["messages"][-1]["content"]
        assert [block["kind"] for block in last] == ["tool_result"], case
        assert len(last[0]["text"]) > 10, case


def test_a_model_that_never_stops_is_stopped(stub, launch, connect):
    text = config(stub) + "\n[limits]\nmodel_calls = 5\n"
    clients = connect(launch(text))
    agent = agents.order_agent(clients.control)
    session = agents.session_id()
    call = {"content": [{"tool": "get_order_status", "input": {"order_id": "A-1"}}]}
    stub.script(model=[call] * 20)
    code, message = failure(clients.runtime, agent, session)
    assert code == "serviceQuotaExceededException"
    assert "5" in message
    assert len(stub.requests("model")) == 5
    stub.reset()
    goes_on(clients.runtime, agent, session)


@pytest.mark.parametrize("place", ["hold", "hold_middle"])
def test_the_clients_disconnect_cancels_the_model_call(server, runtime, agent, stub, place):
    session = agents.session_id()
    stub.script(model=[{place: "model"}])
    leave(server, agent, session)
    stub.wait(held="model")
    assert stub.requests("model")[0]["outcome"] == {"held": "model"}
    CONNECTIONS.pop().close()
    stub.wait(cancelled=1)
    goes_on_soon(runtime, agent, session)


def test_the_clients_disconnect_cancels_the_tool(server, runtime, agent, stub):
    session = agents.session_id()
    stub.script(tool=[{"hold": "tool"}])
    leave(server, agent, session)
    stub.wait(held="tool")
    CONNECTIONS.pop().close()
    stub.wait(cancelled=1)
    goes_on_soon(runtime, agent, session)


CONNECTIONS = []


def leave(server, agent, session):
    """Starts a turn over a raw connection that the test can close at any time."""
    body = b'{"inputText":"Where is order A-482?","enableTrace":true,"streamingConfigurations":{"streamFinalResponse":true}}'
    connection = socket.create_connection(("127.0.0.1", server.port))
    path = f"/agents/{agent}/agentAliases/TSTALIASID/sessions/{session}/text"
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    CONNECTIONS.append(connection)


def goes_on_soon(runtime, agent, session):
    """The session is free again a moment after its client left."""
    deadline = time.monotonic() + 5
    while True:
        try:
            turn = invoke(runtime, agent, session, "Where is order A-482?")
            assert "A-482" in turn.ok().text
            return
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConflictException", error
            assert time.monotonic() < deadline, "the session is still taken after 5 s"
            time.sleep(0.02)


def test_a_python_handler_that_fails(stub, launch, connect, tmp_path):
    (tmp_path / "app.py").write_text(
        "import time\n"
        "def raises(event, context):\n"
        "    print('the order book is locked')\n"
        "    raise RuntimeError('no order book')\n"
        "def sleeps(event, context):\n"
        "    time.sleep(60)\n"
        "def exits(event, context):\n"
        "    import os\n"
        "    os._exit(3)\n"
    )
    functions = "".join(
        f'[[functions]]\nmatch = "{name}"\nruntime = "python"\nhandler = "app.{name}"\ncode = "{tmp_path}"\ntimeout_s = 1\n'
        for name in ("raises", "sleeps", "exits")
    )
    clients = connect(launch(config(stub, functions=functions)))
    for name in ("raises", "sleeps", "exits"):
        arn = f"arn:aws:lambda:us-west-2:111111111111:function:{name}"
        agent = agents.order_agent(clients.control, executor={"lambda": arn})
        session = agents.session_id()
        for _ in range(2):  # the second time over the same warm worker, or its successor
            code, message = failure(clients.runtime, agent, session)
            assert code == "dependencyFailedException", name
            assert message.startswith(UNHANDLED.replace(agents.LAMBDA, arn)), (name, message)
            if name == "raises":
                assert "the order book is locked" in message, "the handler's log tail"
                assert "no order book" in message


def test_the_guides_handler_over_a_warm_worker(stub, launch, connect):
    functions = (
        '[[functions]]\nmatch = "order-tools"\nruntime = "python"\nhandler = "app.lambda_handler"\n'
        f'code = "{EXAMPLE / "functions" / "order-tools"}"\n'
    )
    clients = connect(launch(config(stub, functions=functions)))
    agent = agents.order_agent(clients.control)
    session = agents.session_id()
    invoke(clients.runtime, agent, session, "Where is order A-482?").ok()
    began = time.monotonic()
    calls = [
        Background(invoke, clients.runtime, agent, agents.session_id(), f"Where is order A-{517 - n}?")
        for n in range(6)
    ]
    assert all("error" in call.join().ok().text or "processing" in call.join().ok().text for call in calls)
    assert time.monotonic() - began < 10
