"""kill -9 at each position of a turn's journal, then a restart on the same data folder.

Wherever the server dies: finished turns are kept, the session is not wedged, nothing finished runs
again, a pending return of control can still be answered, and the model learns of an action whose
outcome nobody knows.
"""

import random
import time

import pytest

from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.turn import Background, invoke

# Where the turn is stopped: the script that stops it there, and the name under which it is held.
POSITIONS = {
    "before the first reply": ({"model": [{"hold": "here"}]}, 0),
    "in the middle of the first reply": ({"model": [{"hold_middle": "here"}]}, 0),
    "while the tool runs": ({"tool": [{"hold": "here"}]}, 1),
    "before the second reply": ({"model": [{}, {"hold": "here"}]}, 1),
    "in the middle of the second reply": ({"model": [{}, {"hold_middle": "here"}]}, 1),
    "while one of two tools runs": (
        {
            "model": [
                {
                    "content": [
                        {"tool": "get_order_status", "input": {"order_id": "A-482"}},
                        {"tool": "get_order_status", "input": {"order_id": "B-203"}},
                    ]
                }
            ],
            "tool": [{}, {"hold": "here"}],
        },
        2,
    ),
}


@pytest.fixture
def prepared(server, connect):
    """(clients, agent, session) with one finished turn."""
    clients = connect(server)
    agent = agents.order_agent(clients.control)
    session = agents.session_id()
    turn = invoke(clients.runtime, agent, session, "Where is order Z-001?").ok()
    assert "Z-001" in turn.text
    return clients, agent, session


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_killed(server, stub, prepared, position, streamed):
    clients, agent, session = prepared
    script, tool_calls = POSITIONS[position]
    stub.reset()
    stub.script(**script)
    more = {"streamingConfigurations": {"streamFinalResponse": True}} if streamed else {}
    call = Background(invoke, clients.runtime, agent, session, "Where is order A-482?", **more)
    stub.wait(held="here")
    stub.wait(tool=tool_calls)
    if position == "while one of two tools runs":
        # The stub has answered the first call; give the server a moment to write that down.
        time.sleep(0.2)
    server.kill()
    assert call.failed() is not None
    stub.wait(cancelled=1)
    ran = [record["raw"]["parameters"] for record in stub.requests("tool")]
    stub.reset()

    server.start()
    # A restart alone runs nothing.
    assert stub.requests() == []
    stub.script(model=[{"content": [{"text": "<answer>Yes.</answer>"}]}])
    turn = invoke(clients.runtime, agent, session, "Are you there?").ok()
    assert turn.text.strip() == "Yes."
    assert stub.requests("tool") == [], "a restart must not run an action again"
    seen = stub.model_calls()[0]
    said = "\n".join(text for _, text in texts(seen))
    # The finished turn is there, with its tool's result.
    assert "Where is order Z-001?" in said
    assert '"order_id":"Z-001"' in said
    assert "Are you there?" in said
    if position == "while the tool runs":
        assert "unknown" in results(seen)[-1].lower(), results(seen)
    if position == "before the second reply":
        assert "A-482" in results(seen)[-1], "a finished action's result is kept"
    if position == "while one of two tools runs":
        assert len(ran) == 2
        # The two run at once; the one that reached the stub first was answered.
        answered = "A-482" if "A-482" in str(ran[0]) else "B-203"
        assert any(answered in result for result in results(seen))
        assert any("unknown" in result.lower() for result in results(seen))
    # And the session goes on as ever.
    assert "B-777" in invoke(clients.runtime, agent, session, "Where is order B-777?").ok().text


def results(call):
    """The tool results in a conversation, oldest first."""
    return [
        block["text"]
        for message in call["messages"]
        for block in message["content"]
        if block["kind"] == "tool_result"
    ]


def test_killed_while_control_is_returned(server, connect, stub):
    clients = connect(server)
    agent = agents.create(clients.control)
    agents.add_group(clients.control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    agents.add_group(
        clients.control, agent, "ClientSideTools", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS
    )
    agents.prepare(clients.control, agent)
    session = agents.session_id()
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
    first = invoke(clients.runtime, agent, session, "Both, please.").ok()
    # Preparing again and the restart must not change what the pending turn runs on.
    agents.prepare(clients.control, agent)
    server.kill()
    server.start()
    stub.reset()
    state = {
        "invocationId": first.control["invocationId"],
        "returnControlInvocationResults": [
            {
                "functionResult": {
                    "actionGroup": "ClientSideTools",
                    "function": "open_calendar",
                    "responseBody": {"TEXT": {"body": "the calendar is open"}},
                }
            }
        ],
    }
    # Killed once more, while the resumed turn waits for its model.
    stub.script(model=[{"hold": "here"}])
    call = Background(invoke, clients.runtime, agent, session, sessionState=state)
    stub.wait(held="here")
    server.kill()
    assert call.failed() is not None
    stub.reset()
    server.start()
    turn = invoke(clients.runtime, agent, session, "Go on.").ok()
    assert turn.text
    assert stub.requests("tool") == []
    said = results(stub.model_calls()[0])
    assert any("shipped" in result for result in said)
    assert any("the calendar is open" in result for result in said)


def test_killed_right_after_an_answer(server, connect, stub):
    """What a client has read whole is never lost, however soon the server dies."""
    clients = connect(server)
    agent = agents.order_agent(clients.control)
    sessions = [agents.session_id() for _ in range(5)]
    for session in sessions:
        invoke(clients.runtime, agent, session, "Where is order A-482?").ok()
        server.kill()
        server.start()
    for session in sessions:
        stub.reset()
        invoke(clients.runtime, agent, session, "Thank you.").ok()
        assert any("A-482" in text for text in results(stub.model_calls()[0]))


def test_killed_while_many_turns_run(server, connect, stub):
    clients = connect(server)
    agent = agents.order_agent(clients.control)
    sessions = [agents.session_id() for _ in range(16)]
    stub.script(tool=[{"hold": "here"}] * 8)
    calls = [Background(invoke, clients.runtime, agent, session, "Where is order A-482?") for session in sessions]
    stub.wait(held="here", tool=16)
    server.kill()
    ended = [call for call in calls if call.failure is None and call.result is not None]
    stub.reset()
    server.start()
    for session in sessions:
        assert "A-482" in invoke(clients.runtime, agent, session, "Where is order A-482?").ok().text
    assert len(ended) <= 8


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment(server, connect, stub, seed):
    """Turns run as fast as they can on several sessions until the server dies under them."""
    moment = random.Random(seed)
    clients = connect(server)
    agent = agents.order_agent(clients.control)
    answered = {agents.session_id(): 0 for _ in range(6)}

    def talk(session):
        while True:
            turn = invoke(clients.runtime, agent, session, f"Where is order A-{100 + answered[session]}?")
            turn.ok()
            answered[session] += 1

    calls = [Background(talk, session) for session in answered]
    time.sleep(moment.uniform(0.02, 0.4))
    server.kill()
    for call in calls:
        call.failed()
    stub.reset()
    server.start()
    assert stub.requests() == []
    for session, count in answered.items():
        stub.reset()
        assert invoke(clients.runtime, agent, session, "Are you there?").ok().text
        said = "\n".join(text for _, text in texts(stub.model_calls()[0]))
        assert all(f"A-{100 + number}" in said for number in range(count)), "a finished turn is gone"


def test_a_second_server_on_the_same_folder_is_refused(server, launch, stub):
    import subprocess

    if server.on_database:
        pytest.skip("a database is shared")
    text = server.config.read_text()
    other = server.folder / "second.toml"
    other.write_text(text)
    ended = subprocess.run(
        [server.binary, "serve", "--config", str(other), "--listen", "127.0.0.1:0", "--data-dir", str(server.data)],
        env=server.env, cwd=server.folder, capture_output=True, timeout=20, check=False,
    )
    assert ended.returncode != 0
    assert str(server.data).encode() in ended.stderr + ended.stdout


def test_a_graceful_stop_finishes_the_turn(stub, launch, connect):
    from conftest import config

    server = launch(config(stub))
    clients = connect(server)
    agent = agents.order_agent(clients.control)
    stub.script(model=[{"hold": "here"}])
    call = Background(invoke, clients.runtime, agent, agents.session_id(), "Where is order A-482?")
    stub.wait(held="here")
    server.process.terminate()
    stub.release("here")
    assert "A-482" in call.join().ok().text
    assert server.process.wait(15) == 0
    server.process = None
