"""What a handler must answer, and what its caller is told when it does not.

Every row of the failures that AWS documents, through boto3: for functions and operations, for a local
Python function and a container, under strict and relaxed limits. AWS's sentence comes first, to the letter;
then what is really wrong: the member, what was expected, what came. Nothing is tried twice, and the session
goes on.
"""

import re
import shutil

import pytest
from conftest import config

from outcrop_e2e import agents, answers
from outcrop_e2e.emulator import Emulator
from outcrop_e2e.turn import invoke

REQUEST = r"[Rr]equest id:? [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
PROCESSING = (
    "The server encountered an error processing the Lambda response. Check the Lambda response and retry the request"
)
NO_JSON = (
    "The server encountered an error processing the Lambda response. The response body from Bedrock agent must be of "
    "type 'application/json', but 'null' was returned."
)
FAILED = "Received failed response from API execution. Retry the request later."


def echo(label):
    return (
        f"{label} in Lambda response doesn't match input. Check that the {label} in the input and response match "
        "and retry the request."
    )


def unhandled(arn):
    return (
        f"Your request couldn't be completed. Lambda function {arn} encountered a problem while processing "
        "request.The error message from the Lambda function is Unhandled. Check the Lambda function log for error "
        "details, then try your request again after fixing the error."
    )


BODY = {"function": "response.functionResponse.responseBody", "operation": "response.responseBody"}

# (sentence, cause) of what both forms share; `{body}` is where the form keeps its body.
BOTH = {
    "a string": (PROCESSING, 'the reply: expected an object, got "just text"'),
    "a list": (PROCESSING, 'the reply: expected an object, got [{"messageVersion":"1.0"'),
    "null": (PROCESSING, "the reply: expected an object, got null"),
    "version": (PROCESSING, 'messageVersion: expected "1.0", got "2.0"'),
    "a number as version": (PROCESSING, 'messageVersion: expected "1.0", got 1.0'),
    "no response": (PROCESSING, "response: expected an object, got nothing"),
    "a string as response": (PROCESSING, 'response: expected an object, got "well"'),
    "nested attribute": (PROCESSING, 'sessionAttributes.cart: expected a string, got {"items":2}'),
    "a list of attributes": (PROCESSING, 'sessionAttributes: expected an object of strings, got ["cart"]'),
    "nested prompt attribute": (PROCESSING, "promptSessionAttributes.day: expected a string, got 1"),
    "group": (echo("ActionGroup"), 'response.actionGroup: expected "Orders", got "Others"'),
    "no group": (echo("ActionGroup"), 'response.actionGroup: expected "Orders", got nothing'),
    "failure": (FAILED, "responseState is FAILURE"),
    "an unknown state": (PROCESSING, 'responseState: expected FAILURE or REPROMPT, got "SUCCESS"'),
}
FORMS = {
    "function": {
        **BOTH,
        "function": (echo("Function"), 'response.function: expected "getStatus", got "other"'),
        "no body": (PROCESSING, "{body}: expected the key TEXT, got none"),
        "html": (PROCESSING, "{body}: expected the key TEXT, got text/html"),
        "an object as body": (PROCESSING, '{body}.TEXT.body: expected a string, got {"well":true}'),
        "no text": (PROCESSING, "{body}.TEXT.body: expected a string, got nothing"),
    },
    "operation": {
        **BOTH,
        "path": (
            echo("APIPath"),
            'response.apiPath: expected "/orders/{order_id}/status", got "/orders/A-1/status"',
        ),
        "as a function": (
            echo("APIPath"), 'response.apiPath: expected "/orders/{order_id}/status", got nothing',
        ),
        "method": (echo("HttpMethod"), 'response.httpMethod: expected "GET", got "PUT"'),
        "no body": (NO_JSON, '{body}: expected the key "application/json", got nothing'),
        "html": (NO_JSON, '{body}: expected the key "application/json", got "text/html"'),
        "charset": (NO_JSON, '{body}: expected the key "application/json", got "application/json; charset=utf-8"'),
        "no text": (PROCESSING, "{body}.application/json.body: expected a string, got nothing"),
        "500": (FAILED, "response.httpStatusCode is 500"),
        "503": (FAILED, "response.httpStatusCode is 503"),
        "words as status": (PROCESSING, 'response.httpStatusCode: expected a status from 100 to 599, got "fine"'),
    },
}

FUNCTIONS = [{"name": "getStatus", "description": "Looks up the status of an order."}]
DOCUMENT = """
openapi: 3.0.0
info: {title: Orders, version: "1"}
paths:
  /orders/{order_id}/status:
    get:
      operationId: getStatus
      description: Looks up the status of an order.
      parameters:
        - {name: order_id, in: path, required: true, description: The order., schema: {type: string}}
      responses:
        "200":
          description: The status.
          content:
            application/json:
              schema: {type: object, properties: {status: {type: string}}}
"""
SCHEMAS = {
    "function": {"functionSchema": {"functions": FUNCTIONS}},
    "operation": {"apiSchema": {"payload": DOCUMENT}},
}
ARGUMENTS = {"function": {}, "operation": {"order_id": "A-1"}}


@pytest.fixture(scope="module")
def emulator():
    emulator = Emulator(answers.handler)
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module", params=["relaxed", "strict"])
def limits(request):
    return request.param


@pytest.fixture(scope="module")
def world(stub, launch, emulator, limits, tmp_path_factory):
    """A server with the handler as a local function and in a container."""
    code = tmp_path_factory.mktemp("contract")
    shutil.copy(answers.__file__, code / "app.py")
    functions = (
        f'[[functions]]\nmatch = "local"\nruntime = "python"\nhandler = "app.handler"\ncode = "{code}"\n'
        f'timeout_s = 1\n[[functions]]\nmatch = "container"\nruntime = "http"\nurl = "{emulator.url}"\ntimeout_s = 1\n'
    )
    return launch(config(stub, top=f'aws_limits = "{limits}"\n', functions=functions))


@pytest.fixture(scope="module")
def made(world):
    """The agents of the module, made when first asked for: (runtime, form) to id."""
    return {}


@pytest.fixture(params=["local", "container"])
def runtime_kind(request):
    return request.param


class Caller:
    """Runs turns whose one action meets a case of the handler."""

    def __init__(self, clients, stub, made, kind):
        self.clients, self.stub, self.made, self.kind = clients, stub, made, kind
        self.arn = f"arn:aws:lambda:us-west-2:111111111111:function:{kind}"
        self.session = agents.session_id()

    def agent(self, form):
        if (self.kind, form) not in self.made:
            agent = agents.create(self.clients.control)
            agents.add_group(self.clients.control, agent, "Orders", {"lambda": self.arn}, **SCHEMAS[form])
            agents.prepare(self.clients.control, agent)
            self.made[self.kind, form] = agent
        return self.made[self.kind, form]

    def call(self, form, case):
        self.stub.script(model=[{"content": [{"tool": "getStatus", "input": ARGUMENTS[form]}]}])
        return invoke(self.clients.runtime, self.agent(form), self.session, case)

    def names_the_request(self, message):
        """Whether the function's own id of the call is told, which an emulator keeps to itself."""
        return self.kind == "container" or re.search(REQUEST, message)

    def goes_on(self, form):
        """The session is as good as before."""
        assert self.call(form, "well").ok().observations == ["all is well"]


@pytest.fixture
def caller(world, connect, stub, made, runtime_kind):
    return Caller(connect(world), stub, made, runtime_kind)


def failed(turn):
    """The message of a turn that a handler failed, which its trace gives too."""
    assert turn.error_code == "dependencyFailedException", turn.error or turn.text
    assert not turn.chunks
    kind, trace = turn.parts[-1]
    assert kind == "failureTrace"
    assert trace["failureReason"] == turn.error_message
    assert trace["failureCode"] == 424
    return turn.error_message


@pytest.mark.parametrize("form", FORMS)
def test_replies_that_break_the_contract(caller, emulator, form):
    wrong = []
    for case, (sentence, cause) in FORMS[form].items():
        before = emulator.calls
        cause = cause.replace("{body}", BODY[form])
        message = failed(caller.call(form, case))
        if not message.startswith(f"{sentence} Cause: {cause}") or not caller.names_the_request(message):
            wrong.append(f"{case}: {message}")
        if caller.kind == "container":
            assert emulator.calls == before + 1, "a failed action must not be tried again"
        caller.goes_on(form)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("form", FORMS)
def test_a_handler_that_raises(caller, emulator, form):
    before = emulator.calls
    message = failed(caller.call(form, "raises"))
    assert message.startswith(unhandled(caller.arn) + " Cause: ")
    assert "no order book" in message and "RuntimeError" in message
    assert caller.names_the_request(message), message
    if caller.kind == "container":
        assert emulator.calls == before + 1
    else:
        assert "the order book is locked" in message, "the log's tail"
    caller.goes_on(form)


def test_a_handler_that_does_not_answer_in_time(caller):
    message = failed(caller.call("function", "sleeps"))
    if caller.kind == "local":
        assert message.startswith(unhandled(caller.arn) + " Cause: ")
    assert caller.arn in message
    assert re.search("1(\\.00)? s", message), message
    caller.goes_on("function")


def test_a_handler_that_exits(caller):
    if caller.kind == "container":
        pytest.skip("it would be this process that exits")
    message = failed(caller.call("function", "exits"))
    assert message.startswith(unhandled(caller.arn) + " Cause: ")
    assert "exit status: 3" in message or "exited with 3" in message or "status 3" in message
    assert "leaving for good" in message
    caller.goes_on("function")


@pytest.mark.parametrize("form", FORMS)
def test_the_largest_reply(caller, limits, form):
    whole = caller.call(form, "25 KB").ok()
    assert set(whole.observations[0]) == {"x"}
    over = caller.call(form, "over 25 KB")
    if limits == "relaxed":
        assert len(over.ok().observations[0]) == len(whole.observations[0]) + 1
    else:
        assert failed(over).startswith(f"Lambda response exceeds maximum size 25KB: {25 * 1024 + 1}")
        caller.goes_on(form)


@pytest.mark.parametrize("form", FORMS)
def test_a_reply_beyond_lambdas_own_limit(caller, limits, form):
    message = failed(caller.call(form, "over 6 MB"))
    size = "25KB" if limits == "strict" else "6MB"
    if caller.kind == "container":
        assert message.startswith(f"Lambda response exceeds maximum size {size}: {6 * 1024 * 1024 + 1}")
    else:
        # Lambda itself refuses it, before Bedrock sees it.
        assert message.startswith(unhandled(caller.arn)) or message.startswith("Lambda response exceeds"), message
    caller.goes_on(form)


@pytest.mark.parametrize("case", ["404", "200 as text", "method in lower case"])
def test_what_an_operation_may_answer(caller, case):
    turn = caller.call("operation", case).ok()
    assert turn.observations == ["all is well"]


def test_an_operation_may_answer_with_json_itself(caller):
    """The guide asks for text, but AWS takes it, and one of its samples depends on it."""
    assert caller.call("operation", "an object as body").ok().observations == ['{"well":true}']


def test_json_in_place_of_text(caller, limits):
    turn = caller.call("function", "json")
    if limits == "relaxed":
        assert turn.ok().observations == ["all is well"]
    else:
        cause = f"{BODY['function']}: expected the key TEXT, got application/json"
        assert failed(turn).startswith(f"{PROCESSING} Cause: {cause}")
        caller.goes_on("function")


@pytest.mark.parametrize("form", FORMS)
def test_a_reprompt(caller, form):
    turn = caller.call(form, "reprompt").ok()
    observation = next(part for kind, part in turn.parts if kind == "observation")
    assert observation["type"] == "REPROMPT"
    assert observation["repromptResponse"] == {"source": "ACTION_GROUP", "text": "all is well"}
    assert "all is well" in turn.text


DENIED = "Access denied while invoking Lambda function {}. Check the permissions on the Lambda function and retry the request."


@pytest.mark.parametrize("form", FORMS)
def test_a_function_that_may_not_be_invoked(server, connect, stub, form):
    """Only a real Lambda refuses that; the stub's stands for it."""
    caller = Caller(connect(server), stub, {}, "order-tools")
    stub.script(tool=[{"status": 403}])
    message = failed(caller.call(form, "Where is it?"))
    assert message.startswith(DENIED.format(caller.arn))
    assert len(stub.requests("tool")) == 1
    assert caller.call(form, "Where is it?").ok().observations
