"""Several calls in one step, some the caller's, some Lambda's, some to be confirmed, and their results.

What Lambda has answered is kept until the caller has answered too, whatever happens to the server meanwhile.
Results that do not fit are refused with the name of what was expected, and the calls still wait.
"""

import re

import pytest
from botocore.exceptions import ClientError
from test_return_control import UUID, function_result, give_back

from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.turn import invoke

TEXT = {"type": "string", "required": True}


def described(name, parameter, **more):
    return {"name": name, "description": f"{name} of an order.", "parameters": {parameter: TEXT}, **more}


CONFIRM = {"requireConfirmation": "ENABLED"}
GROUPS = {
    "Books": ({"lambda": agents.LAMBDA}, [described("look_up", "order_id"), described("cancel", "order_id", **CONFIRM)]),
    "Desk": (
        {"customControl": "RETURN_CONTROL"},
        [described("show", "page"), described("print", "page", **CONFIRM), described("open", "date")],
    ),
}
OPERATIONS = """
openapi: 3.0.0
info: {title: Refunds, version: "1"}
paths:
  /refunds/{order_id}:
    post:
      operationId: refund
      description: Refunds an order.
      x-requireConfirmation: ENABLED
      parameters:
        - {name: order_id, in: path, required: true, description: The order., schema: {type: string}}
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [amount]
              properties: {amount: {type: number, description: How much.}}
      responses: &said {"200": {description: Done., content: {application/json: {schema: {type: object}}}}}
    get:
      operationId: refunded
      description: Tells what was refunded.
      parameters:
        - {name: order_id, in: path, required: true, description: The order., schema: {type: string}}
      responses: *said
"""


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def agent(control, made):
    """One agent with a group of each kind, and one more of operations that the caller runs."""
    if "agent" not in made:
        agent = agents.create(control)
        for name, (executor, functions) in GROUPS.items():
            agents.add_group(control, agent, name, executor, functions)
        agents.add_group(
            control, agent, "Refunds", {"customControl": "RETURN_CONTROL"}, apiSchema={"payload": OPERATIONS}
        )
        agents.add_group(
            control, agent, "Bank", {"lambda": agents.LAMBDA}, apiSchema={"payload": OPERATIONS}
        )
        agents.prepare(control, agent)
        made["agent"] = agent
    return made["agent"]


def calls(*wanted):
    """A model's step that makes these calls: (tool, arguments)."""
    return [{"content": [{"tool": tool, "input": arguments} for tool, arguments in wanted]}]


def asked(turn):
    """(name, why it is asked) of each input that was handed over."""
    found = []
    for member in turn.control["invocationInputs"]:
        (_, call), = member.items()
        found.append((call.get("function") or call["apiPath"], call["actionInvocationType"]))
    return found


def operation_result(turn, body, index=0, key="application/json", **more):
    """The result of one returned operation."""
    call = turn.control["invocationInputs"][index]["apiInvocationInput"]
    return {
        "apiResult": {
            "actionGroup": call["actionGroup"], "apiPath": call["apiPath"], "httpMethod": call["httpMethod"],
            "responseBody": {key: {"body": body}}, **more,
        }
    }


def refused(call, *arguments, **more):
    """The message with which results are refused, over HTTP."""
    with pytest.raises(ClientError) as error:
        call(*arguments, **more)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error.value.response["Error"]["Message"]


def results(stub):
    """The tool results that the model got last."""
    return [
        block["text"]
        for block in stub.model_calls()[-1]["messages"][-1]["content"]
        if block["kind"] == "tool_result"
    ]


ALL_KINDS = calls(
    ("look_up", {"order_id": "A-1"}), ("show", {"page": "3"}), ("cancel", {"order_id": "A-2"}), ("print", {"page": "4"})
)


def test_every_kind_in_one_step(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=ALL_KINDS, tool=[{"text": "A-1 is shipped"}, {"text": "A-2 is cancelled"}])
    first = invoke(runtime, agent, session, "Do it all.").ok()
    assert asked(first) == [("show", "RESULT"), ("cancel", "USER_CONFIRMATION"), ("print", "USER_CONFIRMATION_AND_RESULT")]
    assert re.fullmatch(UUID + "-uc-result", first.control["invocationId"])
    assert [event["function"] for event in stub.tool_events()] == ["look_up"]
    # Lambda's call is told at once; what is handed over is told without an observation.
    assert first.order.count("invocationInput(ACTION_GROUP)") == 4
    assert first.observations == ["A-1 is shipped"]
    second = give_back(
        runtime, agent, session, first,
        function_result(first, "page 3 is shown"),
        function_result(first, "", 1, confirmationState="CONFIRM"),
        function_result(first, "page 4 is printed", 2, confirmationState="CONFIRM"),
    ).ok()
    assert [event["function"] for event in stub.tool_events()] == ["look_up", "cancel"]
    assert results(stub) == ["A-1 is shipped", "page 3 is shown", "A-2 is cancelled", "page 4 is printed"]
    assert second.observations == ["A-2 is cancelled"]
    assert "A-2 is cancelled" in second.text


def test_results_in_another_order_than_asked(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=calls(("show", {"page": "1"}), ("open", {"date": "today"})))
    first = invoke(runtime, agent, session, "Show and open.").ok()
    give_back(
        runtime, agent, session, first, function_result(first, "opened", 1), function_result(first, "shown")
    ).ok()
    assert results(stub) == ["shown", "opened"]


def test_one_confirmed_and_one_denied(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=calls(("cancel", {"order_id": "A-1"}), ("refund", {"order_id": "A-1", "amount": 5})))
    first = invoke(runtime, agent, session, "Cancel and refund.").ok()
    assert asked(first) == [("cancel", "USER_CONFIRMATION"), ("/refunds/{order_id}", "USER_CONFIRMATION_AND_RESULT")]
    second = give_back(
        runtime, agent, session, first,
        function_result(first, "", confirmationState="CONFIRM"),
        operation_result(first, "never mind this", 1, confirmationState="DENY"),
    ).ok()
    assert len(stub.tool_events()) == 1
    assert "never mind this" not in str(stub.model_calls()[-1])
    assert "denied" in results(stub)[1].lower()
    assert second.text


@pytest.mark.parametrize("state", ["CONFIRM", "DENY"])
def test_an_operation_of_lambdas_is_confirmed(runtime, agent, stub, state):
    session = agents.session_id()
    tool = "POST__Bank__refund"
    stub.script(model=calls((tool, {"order_id": "A-1", "amount": 5})), tool=[{"text": "refunded"}])
    first = invoke(runtime, agent, session, "Refund it.").ok()
    assert asked(first) == [("/refunds/{order_id}", "USER_CONFIRMATION")]
    assert re.fullmatch(UUID + "-uc", first.control["invocationId"])
    input_, = first.control["invocationInputs"]
    assert input_["apiInvocationInput"]["requestBody"]["content"]["application/json"]["properties"] == [
        {"name": "amount", "type": "number", "value": "5"}
    ]
    assert stub.tool_events() == []
    second = give_back(runtime, agent, session, first, operation_result(first, "", confirmationState=state)).ok()
    if state == "CONFIRM":
        event, = stub.tool_events()
        assert (event["apiPath"], event["httpMethod"]) == ("/refunds/{order_id}", "POST")
        assert event["parameters"] == [{"name": "order_id", "type": "string", "value": "A-1"}]
        assert event["requestBody"]["content"]["application/json"]["properties"][0]["value"] == "5"
        assert event["inputText"] == "Refund it."
        assert second.observations == ["refunded"]
    else:
        assert stub.tool_events() == []
        assert "denied" in results(stub)[0].lower()
        assert second.text


@pytest.mark.parametrize("key", ["application/json", "TEXT"])
def test_both_keys_of_an_operations_result(runtime, agent, stub, key):
    session = agents.session_id()
    stub.script(model=calls(("GET__Refunds__refunded", {"order_id": "A-1"})))
    first = invoke(runtime, agent, session, "What was refunded?").ok()
    assert asked(first) == [("/refunds/{order_id}", "RESULT")]
    second = give_back(
        runtime, agent, session, first, operation_result(first, "five", key=key, httpStatusCode=200)
    ).ok()
    assert results(stub) == ["five"]
    assert "five" in second.text


def test_the_method_may_be_in_lower_case(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=calls(("GET__Refunds__refunded", {"order_id": "A-1"})))
    first = invoke(runtime, agent, session, "What was refunded?").ok()
    assert give_back(runtime, agent, session, first, operation_result(first, "five", httpMethod="get")).ok().text


def test_attributes_come_with_results(runtime, agent, stub):
    session = agents.session_id()
    stub.script(
        model=[*calls(("show", {"page": "1"})), *calls(("look_up", {"order_id": "A-1"}))], tool=[{"text": "shipped"}]
    )
    first = invoke(
        runtime, agent, session, "Show it.", sessionState={"sessionAttributes": {"tenant": "acme"}}
    ).ok()
    more = {"sessionAttributes": {"desk": "7"}, "promptSessionAttributes": {"day": "Monday"}}
    give_back(runtime, agent, session, first, function_result(first, "shown"), state=more).ok()
    event, = stub.tool_events()
    assert event["sessionAttributes"] == {"tenant": "acme", "desk": "7"}
    assert event["promptSessionAttributes"] == {"day": "Monday"}


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_what_lambda_answered_outlives_the_server(server, connect, stub, made, agent, times):
    clients = connect(server)
    session = agents.session_id()
    stub.script(model=ALL_KINDS, tool=[{"text": "A-1 is shipped"}, {"text": "A-2 is cancelled"}])
    first = invoke(clients.runtime, agent, session, "Do it all.").ok()
    for _ in range(times):
        server.kill()
        server.start()
    second = give_back(
        clients.runtime, agent, session, first,
        function_result(first, "page 3 is shown"),
        function_result(first, "", 1, confirmationState="CONFIRM"),
        function_result(first, "", 2, confirmationState="DENY"),
    ).ok()
    assert [event["function"] for event in stub.tool_events()] == ["look_up", "cancel"]
    assert results(stub)[:3] == ["A-1 is shipped", "page 3 is shown", "A-2 is cancelled"]
    assert "denied" in results(stub)[3].lower()
    assert second.text


@pytest.fixture
def waiting(runtime, agent, stub):
    """A session in which two calls wait, and how to see that they still do."""
    session = agents.session_id()
    stub.script(model=calls(("show", {"page": "1"}), ("cancel", {"order_id": "A-1"})), tool=[{"text": "cancelled"}])
    first = invoke(runtime, agent, session, "Show and cancel.").ok()
    yield session, first
    give_back(runtime, agent, session, first, *fitting(first)).ok()
    assert results(stub) == ["shown", "cancelled"]


def fitting(first):
    return [function_result(first, "shown"), function_result(first, "", 1, confirmationState="CONFIRM")]


def misfits(first):
    """Results that do not fit, by what is wrong with them: (results, what the message must name)."""
    shown, cancelled = fitting(first)
    operation = {"actionGroup": "Desk", "apiPath": "/show", "httpMethod": "GET"}
    return {
        "another group": ([function_result(first, "x", actionGroup="Others"), cancelled], ["Others", "Desk", "show"]),
        "another function": ([function_result(first, "x", function="hide"), cancelled], ["hide", "Desk", "show"]),
        "an operation": ([{"apiResult": operation}, cancelled], ["/show", "Desk", "show"]),
        "a part": ([shown], ["Books", "cancel"]),
        "another part": ([cancelled], ["Desk", "show"]),
        "one twice": ([shown, shown, cancelled], ["Desk", "show"]),
        "one too many": ([shown, cancelled, function_result(first, "x", function="open")], ["open"]),
        "no confirmation": ([shown, function_result(first, "", 1)], ["confirmationState", "cancel"]),
    }


WRONG = (
    "another group", "another function", "an operation", "a part", "another part", "one twice", "one too many",
    "no confirmation",
)


@pytest.mark.parametrize("wrong", WRONG)
def test_results_that_do_not_fit(runtime, agent, waiting, wrong):
    session, first = waiting
    given, named = misfits(first)[wrong]
    message = refused(give_back, runtime, agent, session, first, *given)
    for word in named:
        assert word in message, (word, message)


def test_another_invocation_id(runtime, agent, waiting):
    session, first = waiting
    state = {
        "invocationId": "3f0c7a52-0a37-4b57-9e3a-2d7f1a9f6c11",
        "returnControlInvocationResults": fitting(first),
    }
    message = refused(invoke, runtime, agent, session, sessionState=state)
    assert "3f0c7a52-0a37-4b57-9e3a-2d7f1a9f6c11" in message
    assert first.control["invocationId"] in message, message


def test_no_invocation_id(runtime, agent, waiting):
    session, first = waiting
    state = {"returnControlInvocationResults": fitting(first)}
    assert "invocationId" in refused(invoke, runtime, agent, session, sessionState=state)


def test_another_sessions_results(runtime, agent, waiting):
    _, first = waiting
    refused(give_back, runtime, agent, agents.session_id(), first, *fitting(first))


def test_results_come_once(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=calls(("show", {"page": "1"})))
    first = invoke(runtime, agent, session, "Show it.").ok()
    result = function_result(first, "shown")
    give_back(runtime, agent, session, first, result).ok()
    for _ in range(2):
        assert first.control["invocationId"] in refused(give_back, runtime, agent, session, first, result)
    assert "Hello." in invoke(runtime, agent, session, "Hello.").ok().text


def test_an_abandoned_call(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=ALL_KINDS, tool=[{"text": "A-1 is shipped"}])
    first = invoke(runtime, agent, session, "Do it all.").ok()
    second = invoke(runtime, agent, session, "Never mind. Hello.").ok()
    assert "Hello." in second.text
    # What Lambda had done is not forgotten; what nobody did is said to be undone.
    said = [text for _, text in texts(stub.model_calls()[-1])]
    assert "A-1 is shipped" in said
    assert len(stub.tool_events()) == 1
    late = [
        function_result(first, "shown"), function_result(first, "", 1, confirmationState="CONFIRM"),
        function_result(first, "printed", 2, confirmationState="CONFIRM"),
    ]
    assert first.control["invocationId"] in refused(give_back, runtime, agent, session, first, *late)
    assert len(stub.tool_events()) == 1, "an abandoned call must not run"
    assert "Bye." in invoke(runtime, agent, session, "Bye.").ok().text


def test_a_second_question_hands_over_again(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=[*calls(("show", {"page": "1"})), *calls(("show", {"page": "2"}))])
    first = invoke(runtime, agent, session, "Show page 1.").ok()
    second = invoke(runtime, agent, session, "No, page 2.").ok()
    assert first.control["invocationId"] != second.control["invocationId"]
    refused(give_back, runtime, agent, session, first, function_result(first, "page 1"))
    give_back(runtime, agent, session, second, function_result(second, "page 2")).ok()
    assert results(stub) == ["page 2"]


def test_more_calls_than_one_event_holds(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=calls(*(("show", {"page": str(page)}) for page in range(7))))
    turn = invoke(runtime, agent, session, "Show seven pages.").ok()
    shown = []
    rounds = 0
    while turn.control:
        given = turn.control["invocationInputs"]
        assert 1 <= len(given) <= 5, "the service model allows five"
        pages = [call["functionInvocationInput"]["parameters"][0]["value"] for call in given]
        shown += pages
        back = [function_result(turn, f"page {page}", index) for index, page in enumerate(pages)]
        turn = give_back(runtime, agent, session, turn, *back).ok()
        rounds += 1
    assert shown == [str(page) for page in range(7)]
    assert rounds == 2
    assert results(stub) == [f"page {page}" for page in range(7)]


def test_a_confirmed_lambda_that_fails(runtime, agent, stub):
    session = agents.session_id()
    stub.script(model=calls(("cancel", {"order_id": "A-1"})), tool=[{"function_error": "Unhandled"}])
    first = invoke(runtime, agent, session, "Cancel it.").ok()
    second = give_back(runtime, agent, session, first, function_result(first, "", confirmationState="CONFIRM"))
    assert second.error_code == "dependencyFailedException"
    assert len(stub.tool_events()) == 1
    refused(give_back, runtime, agent, session, first, function_result(first, "", confirmationState="CONFIRM"))
    assert "Hello." in invoke(runtime, agent, session, "Hello.").ok().text
