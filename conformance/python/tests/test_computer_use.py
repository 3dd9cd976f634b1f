"""ANTHROPIC.Computer, Bash and TextEditor: control returned, and images given back."""

import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

PNG = b"\x89PNG\r\n\x1a\n not really"
SCREEN = {"type": "computer_20250124", "display_height_px": "768", "display_width_px": "1024", "display_number": "1"}


@pytest.fixture(scope="module", params=["openai", "anthropic", "bedrock"])
def server(request, stub, launch):
    server = launch(config(stub, request.param))
    server.provider = request.param
    return server


@pytest.fixture
def agent(control):
    agent = agents.create(control)
    for name, signature, params in (
        ("Screen", "ANTHROPIC.Computer", SCREEN),
        ("Shell", "ANTHROPIC.Bash", {"type": "bash_20250124"}),
        ("Editor", "ANTHROPIC.TextEditor", {"type": "text_editor_20250124"}),
    ):
        control.create_agent_action_group(
            agentId=agent, agentVersion="DRAFT", actionGroupName=name,
            parentActionGroupSignature=signature, parentActionGroupSignatureParams=params,
        )
    agents.prepare(control, agent)
    return agent


def result(turn, content, **more):
    """A result for the one returned call, as AWS's sample gives it."""
    call = turn.control["invocationInputs"][0]["functionInvocationInput"]
    given = {"actionGroup": call["actionGroup"], "function": call["function"], "agentId": call["agentId"]}
    return {
        "invocationId": turn.control["invocationId"],
        "returnControlInvocationResults": [{"functionResult": {**given, "responseBody": content, **more}}],
    }


def images(*images):
    """An IMAGES result."""
    return {"IMAGES": {"images": [{"format": "png", "source": {"bytes": data}} for data in images]}}


def calls(stub, tool, input):
    stub.script(model=[
        {"content": [{"tool": tool, "input": input}]}, {"content": [{"text": "<answer>Done.</answer>"}]}
    ])


def test_a_screenshot_goes_to_the_model(runtime, agent, stub, server):
    calls(stub, "computer", {"action": "left_click", "coordinate": [512, 384]})
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Click.").ok()
    assert first.order[-2:] == ["invocationInput(ACTION_GROUP)", "returnControl"]
    assert first.control["invocationInputs"] == [{
        "functionInvocationInput": {
            "actionGroup": "Screen", "actionInvocationType": "RESULT", "agentId": agent, "function": "computer",
            "parameters": [
                {"name": "action", "type": "string", "value": "left_click"},
                {"name": "coordinate", "type": "array", "value": "[512, 384]"},
            ],
        }
    }]
    invoke(runtime, agent, session, sessionState=result(first, images(PNG), responseState="REPROMPT")).ok()
    sent = str(stub.requests("model")[-1]["raw"])
    assert "iVBORw0KGgo" in sent
    assert "is_error" not in sent and "'error'" not in sent


def test_anthropic_gets_its_own_definitions(runtime, agent, stub, server):
    stub.script(model=[{"content": [{"text": "<answer>Hi.</answer>"}]}])
    invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    record = stub.requests("model")[-1]
    if server.provider == "anthropic":
        assert record["raw"]["tools"] == [
            {"type": "computer_20250124", "name": "computer",
             "display_width_px": 1024, "display_height_px": 768, "display_number": 1},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "text_editor_20250124", "name": "str_replace_editor"},
        ]
    else:
        names = [tool["name"] for tool in record["transcript"]["tools"]]
        assert names == ["computer", "bash", "str_replace_editor"]


def test_text_is_a_result_too(runtime, agent, stub):
    calls(stub, "bash", {"command": "ls"})
    session = agents.session_id()
    first = invoke(runtime, agent, session, "List.").ok()
    invoke(runtime, agent, session, sessionState=result(first, {"TEXT": {"body": "a.txt"}})).ok()
    assert "a.txt" in str(stub.model_calls()[-1]["messages"][-1])


def test_a_wrong_image_leaves_the_call_answerable(runtime, agent, stub):
    calls(stub, "computer", {"action": "screenshot"})
    session = agents.session_id()
    first = invoke(runtime, agent, session, "Look.").ok()
    for content, message in (
        (images(PNG, PNG), "expected exactly one image in responseBody.IMAGES.images, got 2."),
        ({**images(PNG), "TEXT": {"body": "x"}}, "expected responseBody to have one of TEXT and IMAGES, got both."),
        ({"IMAGES": {"body": "x"}}, "responseBody.IMAGES.images is required."),
        (images(b"x" * 3_750_001), "expected an image of at most 3750000 bytes"),
    ):
        with pytest.raises(ClientError) as error:
            invoke(runtime, agent, session, sessionState=result(first, content))
        assert error.value.response["Error"]["Code"] == "ValidationException"
        assert message in error.value.response["Error"]["Message"]
    invoke(runtime, agent, session, sessionState=result(first, images(PNG))).ok()


def test_a_wrong_parameter_is_refused(control):
    agent = agents.create(control)
    with pytest.raises(ClientError) as error:
        control.create_agent_action_group(
            agentId=agent, agentVersion="DRAFT", actionGroupName="Screen",
            parentActionGroupSignature="ANTHROPIC.Computer",
            parentActionGroupSignatureParams={"type": "computer_20250124", "display_width_px": "wide"},
        )
    assert "display_width_px: expected a whole number from 1 to 16384, got wide" in str(error.value)
