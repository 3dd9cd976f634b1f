"""The exact stream of a turn: its events, their order, their ids, and how they stand on the wire."""

import json
import re

import pytest
from botocore.eventstream import EventStreamBuffer
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.process import request
from outcrop_e2e.turn import Background, await_event, invoke

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")

ONE_TOOL = [
    "modelInvocationInput",
    "modelInvocationOutput",
    "rationale",
    "invocationInput(ACTION_GROUP)",
    "observation(ACTION_GROUP)",
    "modelInvocationInput",
    "modelInvocationOutput",
    "rationale",
    "observation(FINISH)",
    "chunk",
]


@pytest.fixture(scope="module", params=["openai", "anthropic", "bedrock"])
def server(request, stub, launch):
    return launch(config(stub, request.param))


@pytest.fixture
def agent(control):
    return agents.order_agent(control)


def test_a_turn_with_one_tool(runtime, agent, stub):
    session = agents.session_id()
    turn = invoke(runtime, agent, session, "Where is order A-482?").ok()
    assert turn.order == ONE_TOOL
    assert turn.session_id == session
    assert turn.content_type == "application/json"
    ids = [part["traceId"] for _, part in turn.parts]
    assert ids == [f"{turn.request_id}-0"] * 5 + [f"{turn.request_id}-1"] * 4
    parts = turn.parts
    assert parts[2][1]["text"] == "The user asks about order A-482, so I look it up first."
    assert parts[3][1]["actionGroupInvocationInput"] == {
        "actionGroupName": "OrderTools",
        "executionType": "LAMBDA",
        "function": "get_order_status",
        "parameters": [{"name": "order_id", "type": "string", "value": "A-482"}],
    }
    assert turn.observations == ['{"eta":"2026-04-28","order_id":"A-482","status":"shipped"}']
    final = parts[8][1]["finalResponse"]
    assert final["text"] == turn.text
    assert "A-482" in turn.text and "<" not in turn.text
    assert set(final["metadata"]) == {"startTime", "endTime", "operationTotalTimeMs"}
    assert len(stub.requests("model")) == 2
    assert len(stub.requests("tool")) == 1


def test_what_the_trace_says_of_a_model_call(runtime, agent):
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    asked, told = turn.parts[0][1], turn.parts[1][1]
    assert asked["type"] == "ORCHESTRATION"
    assert asked["foundationModel"] == agents.MODEL
    prompt = json.loads(asked["text"])
    assert agents.INSTRUCTION in prompt["system"]
    assert "Where is order A-482?" in asked["text"]
    assert told["metadata"]["usage"] == {"inputTokens": 120, "outputTokens": 30}
    assert told["metadata"]["clientRequestId"]
    assert told["metadata"]["totalTimeMs"] >= 0
    assert "get_order_status" in told["rawResponse"]["content"]


def test_the_envelope_names_the_agent(runtime, agent):
    session = agents.session_id()
    turn = invoke(runtime, agent, session, "Where is order A-482?").ok()
    for envelope in turn.traces:
        assert envelope["agentId"] == agent
        assert envelope["agentAliasId"] == "TSTALIASID"
        assert envelope["agentVersion"] == "DRAFT"
        assert envelope["sessionId"] == session
        assert envelope["callerChain"] == [
            {"agentAliasArn": f"arn:aws:bedrock:us-west-2:111111111111:agent-alias/{agent}/TSTALIASID"}
        ]
    called, observed = turn.traces[3], turn.traces[4]
    assert called["eventTime"] == observed["eventTime"]


def test_without_trace_there_is_one_chunk_and_nothing_else(runtime, agent):
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?", trace=False).ok()
    assert turn.order == ["chunk"]


def test_a_plain_answer(runtime, agent):
    turn = invoke(runtime, agent, agents.session_id(), "Hello.").ok()
    assert turn.order == ["modelInvocationInput", "modelInvocationOutput", "observation(FINISH)", "chunk"]
    assert turn.text.strip().endswith("Hello.")


def test_a_final_answer_without_thinking_has_no_rationale(runtime, agent, stub):
    stub.script(model=[{}, {"content": [{"text": "<answer>It has shipped.</answer>"}]}])
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert turn.order == ONE_TOOL[:7] + ONE_TOOL[8:]
    assert turn.text.strip() == "It has shipped."


def test_a_bare_tool_call_has_no_rationale(runtime, agent, stub):
    stub.script(model=[{"content": [{"tool": "get_order_status", "input": {"order_id": "A-482"}}]}])
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert turn.order == ONE_TOOL[:2] + ONE_TOOL[3:]


def test_an_answer_without_tags_is_the_answer(runtime, agent, stub):
    stub.script(model=[{"content": [{"text": "Just words, naïve ones: 日本語."}]}])
    turn = invoke(runtime, agent, agents.session_id(), "Say something.").ok()
    assert turn.text.strip() == "Just words, naïve ones: 日本語."


def test_several_tools_in_one_message(runtime, agent, stub):
    stub.script(
        model=[
            {
                "content": [
                    {"text": "<thinking>Two orders.</thinking>"},
                    {"tool": "get_order_status", "input": {"order_id": "A-482"}},
                    {"tool": "get_order_status", "input": {"order_id": "B-203"}},
                ]
            }
        ]
    )
    turn = invoke(runtime, agent, agents.session_id(), "Where are A-482 and B-203?").ok()
    pair = ["invocationInput(ACTION_GROUP)", "observation(ACTION_GROUP)"]
    assert turn.order[3:7] == pair * 2
    assert [json.loads(text)["order_id"] for text in turn.observations] == ["A-482", "B-203"]
    assert {part["traceId"] for _, part in turn.parts[:7]} == {f"{turn.request_id}-0"}


def test_several_tools_run_at_the_same_time(runtime, agent, stub):
    two = [{"tool": "get_order_status", "input": {"order_id": order}} for order in ("A-482", "B-203")]
    stub.script(model=[{"content": two}], tool=[{"hold": "first"}, {"hold": "second"}])
    call = Background(invoke, runtime, agent, agents.session_id(), "Where are A-482 and B-203?")
    stub.wait(held="first")
    stub.wait(held="second")
    stub.release("second")
    stub.release("first")
    turn = call.join().ok()
    # Listed in the order of the calls, whichever ended first.
    assert [json.loads(text)["order_id"] for text in turn.observations] == ["A-482", "B-203"]


def test_a_streamed_answer(runtime, agent, stub):
    """What the model has written so far is with the client while the model is still writing."""
    words = "The order is on its way. " * 20
    stub.script(
        model=[{}, {"content": [{"text": f"<thinking>So.</thinking><answer>{words}</answer>"}], "hold_middle": "half"}]
    )
    seen = []
    call = Background(
        invoke, runtime, agent, agents.session_id(), "Where is order A-482?", seen=seen,
        streamingConfigurations={"streamFinalResponse": True},
    )
    await_event(seen, "chunk")
    assert not any("FINISH" in str(event) for event in seen)
    stub.release("half")
    turn = call.join().ok()
    assert len(turn.chunks) > 1
    final = next(part for name, part in turn.parts if name == "observation" and part["type"] == "FINISH")
    assert final["finalResponse"]["text"] == turn.text
    assert turn.text.strip() == words.strip()


def test_the_raw_bytes(server, agent):
    """Compact JSON with sorted keys, three headers in AWS's order, nine digits of a second."""
    path = f"/agents/{agent}/agentAliases/TSTALIASID/sessions/{agents.session_id()}/text"
    status, headers, data = request(
        "POST", server.url + path, {"inputText": "Where is order A-482?", "enableTrace": True},
        {"content-type": "application/json"},
    )
    assert status == 200
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    times = []
    for event in buffer:
        assert list(event.headers) == [":event-type", ":content-type", ":message-type"]
        text = event.payload.decode()
        assert text == json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        times += re.findall(r'"(?:eventTime|startTime|endTime)":"([^"]*)"', text)
    assert len(times) > 10
    assert all(TIME.match(time) for time in times)


def test_all_streams_met_the_acceptance_check(clients, runtime, agent):
    """The watch checks each stream; here, that it really saw one."""
    invoke(runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert clients.watch.streams == 1


def test_a_server_can_stream_to_clients_that_do_not_ask(stub, launch, connect):
    server = launch("stream_final_response = true\n" + config(stub))
    clients = connect(server)
    agent = agents.order_agent(clients.control)
    answer = {"content": [{"text": "<answer>" + "The order is on its way. " * 20 + "</answer>"}]}
    stub.script(model=[{}, {**answer, "hold_middle": "half"}])
    seen = []
    question = (clients.runtime, agent, agents.session_id(), "Where is order A-482?")
    call = Background(invoke, *question, seen=seen)
    await_event(seen, "chunk")
    stub.release("half")
    assert len(call.join().ok().chunks) > 1
    stub.script(model=[{}, answer])
    turn = invoke(*question, streamingConfigurations={"streamFinalResponse": False}).ok()
    assert len(turn.chunks) == 1
