"""Custom orchestration: a Lambda function plans for the agent, in the manner of AWS's own samples."""

import json
from pathlib import Path

import pytest
from conftest import config

import outcrop_e2e
from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.samples import clones
from outcrop_e2e.turn import invoke

ORCHESTRATORS = Path(outcrop_e2e.__file__).parent / "orchestrators"
HANDLERS = ("react", "plan_first", "stream", "broken", "client_tool")

LACKING = clones.missing()
SAMPLES = "examples/agents/custom_orchestration_agent"
# AWS's own functions: the file, its name here, what runs it.
AWS_FUNCTIONS = {
    "aws-react-py": ("custom_orchestrators_samples/lambda_react.py", "python", "lambda_handler"),
    "aws-react-js": ("custom_orchestrators_samples/lambda_react.js", "node", "handler"),
    "aws-rewoo-py": ("lambda_rewoo.py", "python", "lambda_handler"),
    "aws-rewoo-js": ("custom_orchestrators_samples/lambda_rewoo.js", "node", "handler"),
}


def function_arn(handler):
    return f"arn:aws:lambda:us-west-2:111111111111:function:plan-{handler.replace('_', '-')}"


@pytest.fixture(scope="module")
def server(stub, launch):
    """The functions that plan run here; the tools are the stub's."""
    functions = "".join(
        f'[[functions]]\nmatch = "{function_arn(handler).rpartition(":")[2]}"\nruntime = "python"\n'
        f'handler = "app.{handler}"\ncode = "{ORCHESTRATORS}"\n'
        for handler in HANDLERS
    )
    functions += f'[[functions]]\nmatch = "*"\nruntime = "lambda"\nendpoint = "{stub.url}"\ntimeout_s = 5\n'
    return launch(config(stub, functions=functions))


@pytest.fixture(scope="module")
def aws_server(stub, launch, tmp_path_factory):
    """The functions of AWS's samples, unchanged, each in a folder of its own."""
    functions, root = "", tmp_path_factory.mktemp("functions")
    for name, (path, runtime, handler) in AWS_FUNCTIONS.items():
        # One that others may read: functions run as another user.
        folder = root / name
        folder.mkdir()
        module = f"orchestrator{Path(path).suffix}"
        (folder / module).write_text(clones.read("agent-samples", f"{SAMPLES}/{path}"))
        functions += (
            f'[[functions]]\nmatch = "{name}"\nruntime = "{runtime}"\nhandler = "orchestrator.{handler}"\n'
            f'code = "{folder}"\ntimeout_s = 30\n'
        )
    functions += f'[[functions]]\nmatch = "*"\nruntime = "lambda"\nendpoint = "{stub.url}"\ntimeout_s = 5\n'
    return launch(config(stub, functions=functions))


def planned_by_aws(control, name):
    """A prepared agent with the order tools that one of AWS's functions plans for."""
    arn = f"arn:aws:lambda:us-west-2:111111111111:function:{name}"
    return agents.order_agent(
        control, orchestrationType="CUSTOM_ORCHESTRATION", customOrchestration={"executor": {"lambda": arn}}
    )


@pytest.fixture
def planned(control):
    """Makes a prepared agent that one of the functions plans for."""

    def make(handler, client_side=False):
        agent = agents.create(
            control,
            orchestrationType="CUSTOM_ORCHESTRATION",
            customOrchestration={"executor": {"lambda": function_arn(handler)}},
        )
        if client_side:
            agents.add_group(
                control, agent, "ClientSideTools", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS
            )
        else:
            agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
        agents.prepare(control, agent)
        return agent

    return make


def suffixes(turn):
    """Order of the traces, with the number at the end of each trace id."""
    return [f"{name} {part['traceId'].rpartition('-')[2]}" for name, part in turn.parts]


def test_think_and_act_over_two_turns(runtime, stub, planned):
    agent, session = planned("react"), agents.session_id()
    call = {"tool": "get_order_status", "input": {"order_id": "A-482"}, "id": "call-1"}
    stub.script(
        model=[
            {"content": [{"text": "I look it up."}, call]},
            {"content": [{"text": "It has shipped."}]},
            {"content": [{"text": "By truck."}]},
        ],
        tool=[{"text": "shipped"}],
    )
    first = invoke(runtime, agent, session, "Where is order A-482?").ok()
    assert first.chunks == ["It has shipped."]
    assert suffixes(first) == [
        "customOrchestrationTrace 0",
        "modelInvocationInput 0",
        "rationale 0",
        "modelInvocationOutput 0",
        "customOrchestrationTrace 1",
        "invocationInput 1",
        "observation 1",
        "customOrchestrationTrace 2",
        "modelInvocationInput 2",
        "rationale 2",
        "modelInvocationOutput 2",
        "customOrchestrationTrace 3",
    ]
    parts = dict(first.parts)
    assert parts["customOrchestrationTrace"]["event"] == {"text": "it has the answer"}
    assert parts["modelInvocationInput"]["inferenceConfiguration"] == {
        "maximumLength": 500, "stopSequences": [], "temperature": 0.0, "topP": pytest.approx(0.9),
    }
    prompt = json.loads(parts["modelInvocationInput"]["text"])
    assert prompt["messages"][-1]["content"][0]["toolResult"]["content"] == [{"text": "shipped"}]
    assert parts["modelInvocationOutput"]["metadata"].keys() == {"usage"}

    second = invoke(runtime, agent, session, "How?").ok()
    assert second.text == "By truck."
    told = [message["role"] for message in stub.model_calls()[-1]["messages"]]
    assert told == ["user", "assistant", "user", "assistant", "user"]


def test_a_restart_loses_no_step(server, runtime, stub, planned):
    agent, session = planned("react"), agents.session_id()
    call = {"tool": "get_order_status", "input": {"order_id": "A-482"}, "id": "call-1"}
    answers = [[call], [{"text": "It has shipped."}], [{"text": "By truck."}]]
    stub.script(model=[{"content": answer} for answer in answers], tool=[{"text": "shipped"}])
    invoke(runtime, agent, session, "Where is order A-482?").ok()
    server.kill()
    server.start()
    assert invoke(runtime, agent, session, "How?").ok().text == "By truck."
    told = [text for _, text in texts(stub.model_calls()[-1])]
    assert "shipped" in told
    assert "It has shipped." in told


def test_a_plan_first_then_one_tool_after_the_other(runtime, stub, planned):
    agent = planned("plan_first")
    stub.script(
        model=[{"content": [{"text": "A-1 A-2"}]}, {"content": [{"text": "One is lost."}]}],
        tool=[{"text": "shipped"}, {"text": "lost"}],
    )
    turn = invoke(
        runtime, agent, agents.session_id(), "Where are they?", sessionState={"sessionAttributes": {"tenant": "acme"}}
    ).ok()
    assert turn.text == "One is lost."
    assert turn.observations == ["shipped", "lost"]
    events = stub.tool_events()
    assert [event["parameters"][0]["value"] for event in events] == ["A-1", "A-2"]
    assert [event["sessionAttributes"]["tenant"] for event in events] == ["acme", "acme"]


def test_an_answer_in_pieces_needs_no_model(runtime, stub, planned):
    turn = invoke(runtime, planned("stream"), agents.session_id(), "Are you there?").ok()
    assert turn.chunks == ["I ", "am ", "here."]
    assert turn.traces == []
    assert stub.model_calls() == []


def test_control_is_returned_for_a_tool_of_the_client(runtime, stub, planned):
    agent, session = planned("client_tool", client_side=True), agents.session_id()
    first = invoke(runtime, agent, session, "What is on?").ok()
    call = first.control["invocationInputs"][0]["functionInvocationInput"]
    assert call["function"] == "open_calendar"
    assert call["parameters"] == [{"name": "date", "type": "string", "value": "2025-06-02"}]
    result = {
        "actionGroup": call["actionGroup"],
        "function": call["function"],
        "responseBody": {"TEXT": {"body": "nothing"}},
    }
    state = {
        "invocationId": first.control["invocationId"],
        "returnControlInvocationResults": [{"functionResult": result}],
    }
    assert invoke(runtime, agent, session, sessionState=state).ok().text == "It says: nothing"


def test_a_function_plans_for_an_inline_agent(runtime, stub):
    stub.script(model=[{"content": [{"text": "Hello."}]}])
    response = runtime.invoke_inline_agent(
        sessionId=agents.session_id(),
        inputText="Hello?",
        enableTrace=True,
        foundationModel=agents.MODEL,
        instruction=agents.INSTRUCTION,
        orchestrationType="CUSTOM_ORCHESTRATION",
        customOrchestration={"executor": {"lambda": function_arn("react")}},
    )
    events = list(response["completion"])
    assert events[-1]["chunk"]["bytes"] == b"Hello."
    (kind,) = events[0]["trace"]["trace"]
    assert kind == "customOrchestrationTrace"


def test_a_reply_that_cannot_be_read_names_what_is_wrong(runtime, planned):
    turn = invoke(runtime, planned("broken"), agents.session_id(), "Hello?")
    assert turn.error_code == "dependencyFailedException"
    assert turn.error_message.startswith("The server encountered an error processing the Lambda response.")
    assert "Cause: actionEvent: expected INVOKE_MODEL, INVOKE_TOOL, APPLY_GUARDRAIL, FINISH" in turn.error_message
    assert turn.order == ["failureTrace"]


@pytest.mark.skipif(LACKING is not None, reason=str(LACKING))
@pytest.mark.parametrize("name", ["aws-react-py", "aws-react-js"])
def test_aws_own_react_function(aws_server, connect, stub, name):
    clients = connect(aws_server)
    agent, session = planned_by_aws(clients.control, name), agents.session_id()
    call = {"tool": "get_order_status", "input": {"order_id": "A-482"}, "id": "call-1"}
    answers = [[{"text": "I look it up."}, call], [{"text": "It has shipped."}], [{"text": "By truck."}]]
    stub.script(model=[{"content": answer} for answer in answers], tool=[{"text": "shipped"}])
    first = invoke(clients.runtime, agent, session, "Where is order A-482?").ok()
    assert (first.text, first.observations) == ("It has shipped.", ["shipped"])
    assert invoke(clients.runtime, agent, session, "How?").ok().text == "By truck."


@pytest.mark.skipif(LACKING is not None, reason=str(LACKING))
@pytest.mark.parametrize("name", ["aws-rewoo-py", "aws-rewoo-js"])
def test_aws_own_rewoo_function(aws_server, connect, stub, name):
    clients = connect(aws_server)
    agent = planned_by_aws(clients.control, name)
    steps = "".join(
        f'<step_{number}>a=fn::OrderTools__get_order_status(order_id="A-{number}")</step_{number}>' for number in (1, 2)
    )
    stub.script(
        model=[{"content": [{"text": f"<plan>{steps}</plan>"}]}, {"content": [{"text": "Both."}]}],
        tool=[{"text": "shipped"}, {"text": "lost"}],
    )
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where are they?").ok()
    assert turn.observations == ["shipped", "lost"]
    # The sample quotes its answer once more, as AWS's recording of it shows.
    assert turn.text == '"Both."'


@pytest.mark.slow
@pytest.mark.skipif(LACKING is not None, reason=str(LACKING))
def test_aws_own_function_streams_its_answer(aws_server, connect):
    clients = connect(aws_server)
    agent = planned_by_aws(clients.control, "aws-react-js")
    turn = invoke(clients.runtime, agent, agents.session_id(), "send payload").ok()
    assert turn.text.startswith("I am custom orchestration.\nYou")
    assert len(turn.chunks) == 14
