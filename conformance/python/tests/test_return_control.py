"""Return of control and user confirmation: what is handed over, what is taken back, and what is refused."""

import re

import pytest
from botocore.exceptions import ClientError

from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.turn import invoke

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def function_result(turn, body, index=0, **more):
    """The result of one returned function call."""
    call = turn.control["invocationInputs"][index]["functionInvocationInput"]
    return {
        "functionResult": {
            "actionGroup": call["actionGroup"],
            "function": call["function"],
            "responseBody": {"TEXT": {"body": body}},
            **more,
        }
    }


def give_back(runtime, agent, session, turn, *results, **more):
    """Posts results for a turn's returned control."""
    state = {
        "invocationId": turn.control["invocationId"],
        "returnControlInvocationResults": list(results),
        **more.pop("state", {}),
    }
    return invoke(runtime, agent, session, sessionState=state, **more)


@pytest.fixture
def agent(control):
    return agents.control_agent(control)


def test_a_function_is_handed_over_and_its_result_taken_back(runtime, agent, stub):
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar for next Monday.").ok()
    assert first.order == [
        "modelInvocationInput",
        "modelInvocationOutput",
        "rationale",
        "invocationInput(ACTION_GROUP)",
        "returnControl",
    ]
    assert re.fullmatch(UUID, first.control["invocationId"])
    assert first.control["invocationInputs"] == [
        {
            "functionInvocationInput": {
                "actionGroup": "ClientSideTools",
                "actionInvocationType": "RESULT",
                "agentId": agent,
                "function": "open_calendar",
                "parameters": [{"name": "date", "type": "string", "value": "2026-04-27"}],
            }
        }
    ]
    called = first.parts[3][1]["actionGroupInvocationInput"]
    assert called["executionType"] == "RETURN_CONTROL"
    assert called["invocationId"] == first.control["invocationId"]

    second = give_back(runtime, agent, session, first, function_result(first, "opened at 2026-04-27")).ok()
    assert second.order[0] == "modelInvocationInput"
    assert second.order[-1] == "chunk"
    assert "observation(ACTION_GROUP)" not in second.order
    assert second.request_id != first.request_id
    assert second.parts[0][1]["traceId"] == f"{second.request_id}-0"
    assert "opened at 2026-04-27" in second.text
    said = texts(stub.model_calls()[-1])
    assert any("Open my calendar for next Monday." in text for _, text in said)
    assert any("opened at 2026-04-27" in text for _, text in said)


def test_without_trace_only_the_return_of_control_is_sent(runtime, agent):
    turn = invoke(runtime, agent, agents.session_id(), "Open my calendar.", trace=False).ok()
    assert turn.order == ["returnControl"]


def test_input_text_beside_results_is_ignored(runtime, agent, stub):
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar.").ok()
    second = give_back(
        runtime, agent, session, first, function_result(first, "opened"), inputText="Where is order A-482?"
    ).ok()
    assert "opened" in second.text
    assert "A-482" not in str(stub.model_calls()[-1])


def test_an_openapi_operation_is_handed_over(control, runtime):
    agent = agents.create(control)
    agents.add_group(
        control, agent, "OrderApi", {"customControl": "RETURN_CONTROL"},
        apiSchema={"s3": {"s3BucketName": "my-agent-schemas", "s3ObjectKey": "order-tools/openapi.yaml"}},
    )
    agents.prepare(control, agent)
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Where is order A-482?").ok()
    call = first.control["invocationInputs"][0]["apiInvocationInput"]
    assert call == {
        "actionGroup": "OrderApi",
        "actionInvocationType": "RESULT",
        "agentId": agent,
        "apiPath": "/orders/{order_id}/status",
        "httpMethod": "GET",
        "parameters": [{"name": "order_id", "type": "string", "value": "A-482"}],
    }
    traced = first.parts[3][1]["actionGroupInvocationInput"]
    assert traced["apiPath"] == "/orders/{order_id}/status"
    assert traced["verb"] == "get"
    result = {
        "apiResult": {
            "actionGroup": "OrderApi",
            "apiPath": "/orders/{order_id}/status",
            "httpMethod": "GET",
            "httpStatusCode": 200,
            "responseBody": {"application/json": {"body": '{"status":"shipped"}'}},
        }
    }
    assert "shipped" in give_back(runtime, agent, session, first, result).ok().text


def test_an_operation_with_a_body_is_handed_over(control, runtime, stub):
    schema = """{
      "openapi": "3.0.0", "info": {"title": "t", "version": "1"},
      "paths": {"/notify/{claimId}": {"post": {
        "description": "Send a reminder.", "operationId": "sendReminder",
        "parameters": [{"name": "claimId", "in": "path", "required": true, "description": "The claim.",
                        "schema": {"type": "string"}}],
        "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
          "properties": {"urgent": {"type": "boolean", "description": "Whether it is urgent."},
                         "note": {"type": "string", "description": "The text."}}, "required": ["note"]}}}},
        "responses": {"200": {"description": "ok", "content": {"application/json": {"schema": {"type": "object"}}}}}
      }}}}"""
    agent = agents.create(control)
    agents.add_group(control, agent, "Claims", {"customControl": "RETURN_CONTROL"}, apiSchema={"payload": schema})
    agents.prepare(control, agent)
    arguments = {"claimId": "claim-006", "note": "photos", "urgent": True}
    stub.script(model=[{"content": [{"tool": "sendReminder", "input": arguments}]}])
    first = invoke(runtime, agent, agents.session_id(), "Remind the holder of claim 6.").ok()
    call = first.control["invocationInputs"][0]["apiInvocationInput"]
    assert call["httpMethod"] == "POST"
    assert call["parameters"] == [{"name": "claimId", "type": "string", "value": "claim-006"}]
    assert call["requestBody"]["content"]["application/json"]["properties"] == [
        {"name": "note", "type": "string", "value": "photos"},
        {"name": "urgent", "type": "boolean", "value": "true"},
    ]


def two_at_once(stub):
    calls = [{"tool": "open_calendar", "input": {"date": date}} for date in ("2026-04-27", "2026-04-28")]
    stub.script(model=[{"content": calls}])


def test_two_calls_at_once(runtime, agent, stub):
    two_at_once(stub)
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open both days.").ok()
    assert first.order.count("returnControl") == 1
    dates = [
        call["functionInvocationInput"]["parameters"][0]["value"] for call in first.control["invocationInputs"]
    ]
    assert dates == ["2026-04-27", "2026-04-28"]
    second = give_back(
        runtime, agent, session, first, function_result(first, "monday open"), function_result(first, "tuesday open", 1)
    ).ok()
    assert "monday open tuesday open" in second.text


def test_a_part_of_the_results_is_refused_and_the_rest_can_still_be_given(runtime, agent, stub):
    two_at_once(stub)
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open both days.").ok()
    with pytest.raises(ClientError) as refused:
        give_back(runtime, agent, session, first, function_result(first, "monday open")).ok()
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    second = give_back(
        runtime, agent, session, first, function_result(first, "monday open"), function_result(first, "tuesday open", 1)
    ).ok()
    assert "tuesday open" in second.text


def test_a_lambda_call_beside_a_returned_one_runs_once(control, runtime, stub):
    agent = agents.create(control)
    agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    agents.add_group(
        control, agent, "ClientSideTools", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS
    )
    agents.prepare(control, agent)
    stub.script(
        model=[
            {
                "content": [
                    {"tool": "get_order_status", "input": {"order_id": "A-482"}},
                    {"tool": "open_calendar", "input": {"date": "2026-04-27"}},
                ]
            }
        ]
    )
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Where is A-482, and open my calendar.").ok()
    assert [list(call) for call in first.control["invocationInputs"]] == [["functionInvocationInput"]]
    assert len(stub.requests("tool")) == 1
    second = give_back(runtime, agent, session, first, function_result(first, "calendar open")).ok()
    assert "shipped" in second.text and "calendar open" in second.text
    assert len(stub.requests("tool")) == 1


@pytest.mark.parametrize(
    "change", [{"actionGroup": "OtherTools"}, {"function": "close_calendar"}], ids=["group", "function"]
)
def test_a_result_for_another_call_is_refused(runtime, agent, change):
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar.").ok()
    result = function_result(first, "opened", **change)
    with pytest.raises(ClientError) as refused:
        give_back(runtime, agent, session, first, result).ok()
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    message = refused.value.response["Error"]["Message"]
    assert "Unexpected actionGroup:" in message
    assert first.control["invocationId"] in message
    # The call still waits.
    assert "opened" in give_back(runtime, agent, session, first, function_result(first, "opened")).ok().text


def test_an_unknown_invocation_id_is_refused(runtime, agent):
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar.").ok()
    state = {
        "invocationId": "3f0c7a52-0a37-4b57-9e3a-2d7f1a9f6c11",
        "returnControlInvocationResults": [function_result(first, "opened")],
    }
    with pytest.raises(ClientError) as refused:
        invoke(runtime, agent, session, sessionState=state).ok()
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_results_are_taken_once(runtime, agent):
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar.").ok()
    give_back(runtime, agent, session, first, function_result(first, "opened")).ok()
    with pytest.raises(ClientError) as refused:
        give_back(runtime, agent, session, first, function_result(first, "opened")).ok()
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_results_when_nothing_is_pending_are_refused(runtime, agent):
    result = {
        "functionResult": {
            "actionGroup": "ClientSideTools",
            "function": "open_calendar",
            "responseBody": {"TEXT": {"body": "opened"}},
        }
    }
    state = {
        "invocationId": "3f0c7a52-0a37-4b57-9e3a-2d7f1a9f6c11",
        "returnControlInvocationResults": [result],
    }
    with pytest.raises(ClientError) as refused:
        invoke(runtime, agent, agents.session_id(), sessionState=state).ok()
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_new_input_abandons_a_pending_call(runtime, agent, stub):
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar.").ok()
    second = invoke(runtime, agent, session, "Never mind. Hello.").ok()
    assert "Hello." in second.text
    with pytest.raises(ClientError) as refused:
        give_back(runtime, agent, session, first, function_result(first, "opened")).ok()
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_reprompt_and_failure(runtime, agent):
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar.").ok()
    again = give_back(
        runtime, agent, session, first, function_result(first, "no such date", responseState="REPROMPT")
    ).ok()
    assert "no such date" in again.text
    third = invoke(runtime, agent, session, "Open my calendar.").ok()
    try:
        failed = give_back(
            runtime, agent, session, third, function_result(third, "broken", responseState="FAILURE")
        )
        code = failed.error_code
    except ClientError as error:
        code = error.response["Error"]["Code"]
    assert code in ("dependencyFailedException", "DependencyFailedException")
    assert "Hello." in invoke(runtime, agent, session, "Hello.").ok().text


def test_a_pending_call_survives_a_restart(server, connect):
    clients = connect(server)
    agent = agents.control_agent(clients.control)
    session = agents.session_id()
    first = invoke(clients.runtime, agent, session, "Open my calendar.").ok()
    server.kill()
    server.start()
    second = give_back(clients.runtime, agent, session, first, function_result(first, "opened after all")).ok()
    assert "opened after all" in second.text




CONFIRMED = [{**agents.ORDER_FUNCTIONS[0], "requireConfirmation": "ENABLED"}]
CONFIRMED_CALENDAR = [{**agents.CALENDAR_FUNCTIONS[0], "requireConfirmation": "ENABLED"}]


def confirmation(turn, state, body=""):
    return function_result(turn, body, confirmationState=state)


def test_confirm_lets_the_lambda_run(control, runtime, stub):
    agent = agents.order_agent(control, functions=CONFIRMED)
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Where is order A-482?").ok()
    call = first.control["invocationInputs"][0]["functionInvocationInput"]
    assert call["actionInvocationType"] == "USER_CONFIRMATION"
    assert re.fullmatch(UUID + "-uc", first.control["invocationId"])
    assert stub.requests("tool") == []
    second = give_back(runtime, agent, session, first, confirmation(first, "CONFIRM")).ok()
    assert len(stub.requests("tool")) == 1
    assert "shipped" in second.text


def test_deny_keeps_the_lambda_from_running(control, runtime, stub):
    agent = agents.order_agent(control, functions=CONFIRMED)
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Where is order A-482?").ok()
    second = give_back(runtime, agent, session, first, confirmation(first, "DENY")).ok()
    assert stub.requests("tool") == []
    assert second.text
    results = [
        block["text"]
        for message in stub.model_calls()[-1]["messages"]
        for block in message["content"]
        if block["kind"] == "tool_result"
    ]
    assert results and "den" in results[-1].lower()


def test_confirmation_and_result_in_one_round(control, runtime, stub):
    agent = agents.control_agent(control, functions=CONFIRMED_CALENDAR)
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Open my calendar.").ok()
    call = first.control["invocationInputs"][0]["functionInvocationInput"]
    assert call["actionInvocationType"] == "USER_CONFIRMATION_AND_RESULT"
    assert re.fullmatch(UUID + "-uc-result", first.control["invocationId"])
    second = give_back(runtime, agent, session, first, confirmation(first, "CONFIRM", "opened")).ok()
    assert "opened" in second.text
    third = invoke(runtime, agent, session, "Open my calendar.").ok()
    fourth = give_back(runtime, agent, session, third, confirmation(third, "DENY", "ignored words")).ok()
    assert "ignored words" not in str(stub.model_calls()[-1])
    assert fourth.text


def test_a_missing_confirmation_is_refused(control, runtime):
    agent = agents.order_agent(control, functions=CONFIRMED)
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Where is order A-482?").ok()
    with pytest.raises(ClientError) as refused:
        give_back(runtime, agent, session, first, function_result(first, "")).ok()
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert give_back(runtime, agent, session, first, confirmation(first, "CONFIRM")).ok().text
