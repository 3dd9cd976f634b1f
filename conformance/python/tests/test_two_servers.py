"""Two servers on one PostgreSQL database: the same agents, the same sessions, one turn at a time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from conftest import config
from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.turn import Background, invoke

# How long a dead server's sessions stay closed here, seconds.
LEASE_S = 3


class Pair:
    """Two servers on one database, with a client each."""

    def __init__(self, launch, stub, connect, url):
        env = {"OUTCROP_DATABASE_URL": url, "OUTCROP_LIMITS_SESSION_LEASE_S": str(LEASE_S)}
        self.servers = [launch(config(stub), env) for _ in range(2)]
        self.connect = connect

    @property
    def clients(self):
        return [self.connect(server) for server in self.servers]


@pytest.fixture(scope="module")
def pair_of_servers(launch, stub, database):
    return Pair(launch, stub, None, database())


@pytest.fixture
def pair(pair_of_servers, connect):
    pair_of_servers.connect = connect
    return pair_of_servers


def code(error):
    return error.response["Error"]["Code"]


def test_what_one_server_answered_the_other_knows(pair, stub):
    a, b = pair.clients
    agent = agents.order_agent(a.control)
    session = agents.session_id
    assert "A-482" in invoke(b.runtime, agent, session(), "Where is order A-482?").ok().text
    # Back and forth: each update is served by the other server from the next request on.
    for number, (here, there) in enumerate([(a, b), (b, a)] * 3):
        manner = f"Speak in manner number {number}, as the customers like it."
        agents_now = here.control.get_agent(agentId=agent)["agent"]
        here.control.update_agent(
            agentId=agent, agentName=agents_now["agentName"], foundationModel=agents.MODEL,
            agentResourceRoleArn=agents.ROLE, instruction=manner,
        )
        assert there.control.get_agent(agentId=agent)["agent"]["instruction"] == manner
        agents.prepare(here.control, agent)
        stub.reset()
        invoke(there.runtime, agent, session(), "Hello.").ok()
        assert manner in stub.model_calls()[0]["system"]


def test_an_alias_moved_on_one_server_is_moved_on_the_other(pair, stub):
    a, b = pair.clients
    agent = agents.order_agent(a.control)

    def manner(text):
        name = a.control.get_agent(agentId=agent)["agent"]["agentName"]
        a.control.update_agent(
            agentId=agent, agentName=name, foundationModel=agents.MODEL,
            agentResourceRoleArn=agents.ROLE, instruction=text,
        )
        agents.prepare(a.control, agent)

    manner("Speak in the first manner, as it was meant to be.")
    made = a.control.create_agent_alias(agentId=agent, agentAliasName="live")["agentAlias"]["agentAliasId"]
    agents.alias_status(a.control, agent, made)
    manner("Speak in the second manner, better than the first.")
    for server, expected in ((b, "first manner"), (a, "first manner")):
        stub.reset()
        invoke(server.runtime, agent, agents.session_id(), "Hello.", alias=made).ok()
        assert expected in stub.model_calls()[0]["system"]
    a.control.update_agent_alias(agentId=agent, agentAliasId=made, agentAliasName="live")
    agents.alias_status(b.control, agent, made)
    stub.reset()
    invoke(b.runtime, agent, agents.session_id(), "Hello.", alias=made).ok()
    assert "second manner" in stub.model_calls()[0]["system"]


def test_a_session_goes_on_at_the_other_server(pair, stub):
    a, b = pair.clients
    agent = agents.order_agent(a.control)
    session = agents.session_id()
    for number, server in enumerate([a, b, b, a, b]):
        stub.reset()
        invoke(server.runtime, agent, session, f"Where is order A-{number}?").ok()
        said = "\n".join(text for _, text in texts(stub.model_calls()[0]))
        assert all(f"A-{earlier}" in said for earlier in range(number)), said


def test_a_session_ended_and_begun_again_elsewhere_is_a_new_one(pair, stub):
    a, b = pair.clients
    agent = agents.order_agent(a.control)
    session = agents.session_id()
    invoke(a.runtime, agent, session, "Where is order OLD-1?").ok()
    invoke(b.runtime, agent, session, endSession=True)
    invoke(b.runtime, agent, session, "Where is order NEW-1?").ok()
    stub.reset()
    invoke(a.runtime, agent, session, "And now?").ok()
    said = "\n".join(text for _, text in texts(stub.model_calls()[0]))
    assert "NEW-1" in said
    assert "OLD-1" not in said


def test_control_returned_by_one_server_is_answered_at_the_other(pair, stub):
    a, b = pair.clients
    agent = agents.control_agent(a.control)
    session = agents.session_id()
    stub.script(model=[{"content": [{"tool": "open_calendar", "input": {"date": "2026-04-27"}}]}])
    control = invoke(a.runtime, agent, session, "Open it.").ok().control
    state = {
        "invocationId": control["invocationId"],
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
    assert invoke(b.runtime, agent, session, sessionState=state).ok().text
    said = "\n".join(text for _, text in texts(stub.model_calls()[-1]))
    assert "the calendar is open" in said
    with pytest.raises(ClientError) as refused:
        invoke(a.runtime, agent, session, sessionState=state)
    assert code(refused.value) == "ValidationException"


def test_two_turns_at_once_in_one_session(pair, stub):
    agent = agents.order_agent(pair.clients[0].control)
    for _ in range(8):
        session = agents.session_id()
        stub.reset()
        stub.script(model=[{"hold": "here"}])
        together = threading.Barrier(2)

        def turn(clients):
            together.wait()
            return invoke(clients.runtime, agent, session, "Where is order A-482?").ok()

        calls = [Background(turn, clients) for clients in pair.clients]
        stub.wait(held="here")
        # The first is held at its model until the other has been told off.
        deadline = time.monotonic() + 10
        while not any(call.failure for call in calls):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        stub.release("here")
        ended = [call.failure or call.join() for call in calls]
        refused = [end for end in ended if isinstance(end, ClientError)]
        assert [code(error) for error in refused] == ["ConflictException"]
        assert sum("A-482" in end.text for end in ended if not isinstance(end, ClientError)) == 1


def test_a_session_cannot_be_ended_under_the_other_servers_turn(pair, stub):
    a, b = pair.clients
    agent = agents.order_agent(a.control)
    session = agents.session_id()
    stub.script(model=[{"hold": "here"}])
    call = Background(invoke, a.runtime, agent, session, "Where is order A-482?")
    stub.wait(held="here")
    with pytest.raises(ClientError) as refused:
        invoke(b.runtime, agent, session, endSession=True)
    assert code(refused.value) == "ConflictException"
    stub.release("here")
    assert "A-482" in call.join().ok().text


def test_a_turn_longer_than_its_lease_keeps_its_session(pair, stub):
    a, b = pair.clients
    agent = agents.order_agent(a.control)
    session = agents.session_id()
    stub.script(model=[{"hold": "here"}])
    call = Background(invoke, a.runtime, agent, session, "Where is order A-482?")
    stub.wait(held="here")
    end = time.monotonic() + LEASE_S + 1
    while time.monotonic() < end:
        with pytest.raises(ClientError) as refused:
            invoke(b.runtime, agent, session, "Hello?")
        assert code(refused.value) == "ConflictException"
        time.sleep(0.2)
    stub.release("here")
    assert "A-482" in call.join().ok().text


def test_killed_on_one_server_and_continued_on_the_other(pair, stub):
    a, b = pair.clients
    agent = agents.order_agent(a.control)
    session = agents.session_id()
    invoke(a.runtime, agent, session, "Where is order Z-001?").ok()
    stub.reset()
    stub.script(tool=[{"hold": "here"}])
    call = Background(invoke, a.runtime, agent, session, "Where is order A-482?")
    stub.wait(held="here", tool=1)
    pair.servers[0].kill()
    killed = time.monotonic()
    assert call.failed() is not None
    stub.reset()
    with pytest.raises(ClientError) as refused:
        invoke(b.runtime, agent, session, "Are you there?")
    assert code(refused.value) == "ConflictException"
    turn = None
    while turn is None:
        try:
            turn = invoke(b.runtime, agent, session, "Are you there?").ok()
        except ClientError as error:
            assert code(error) == "ConflictException"
            assert time.monotonic() < killed + LEASE_S + 5, "the lease never lapses"
            time.sleep(0.1)
    said = "\n".join(text for _, text in texts(stub.model_calls()[0]))
    assert "Z-001" in said
    assert stub.requests("tool") == [] or "A-482" not in str(stub.tool_events()), "nothing runs again by itself"
    results = [
        block["text"]
        for message in stub.model_calls()[0]["messages"]
        for block in message["content"]
        if block["kind"] == "tool_result"
    ]
    assert "unknown" in results[-1].lower(), results
    pair.servers[0].start()
    assert invoke(pair.clients[0].runtime, agent, session, "Where is order B-777?").ok().text


def test_200_writers_on_one_agent(pair):
    """No write that was answered is lost, and whoever came too late hears ConflictException, never a 500."""
    clients = pair.clients
    agent = agents.order_agent(clients[0].control)
    arn = clients[0].control.get_agent(agentId=agent)["agent"]["agentArn"]
    refused = []

    def write(number):
        control = clients[number % 2].control
        # Two fifths update; an agent may have fifty action groups.
        kind = min(number // 2 % 5, 3)
        for _ in range(200):
            try:
                if kind == 0:
                    control.tag_resource(resourceArn=arn, tags={f"key-{number}": "1"})
                elif kind == 1:
                    agents.add_group(
                        control, agent, f"Group{number}", {"customControl": "RETURN_CONTROL"},
                        [{"name": f"function_{number}"}], actionGroupState="DISABLED",
                    )
                elif kind == 2:
                    control.create_agent_alias(agentId=agent, agentAliasName=f"alias-{number}")
                else:
                    name = control.get_agent(agentId=agent)["agent"]["agentName"]
                    control.update_agent(
                        agentId=agent, agentName=name, foundationModel=agents.MODEL,
                        agentResourceRoleArn=agents.ROLE, instruction=agents.INSTRUCTION,
                        description=f"of writer {number}",
                    )
                return kind, number
            except ClientError as error:
                refused.append(code(error))
                assert code(error) == "ConflictException", error
                time.sleep(0.01)
        raise AssertionError("refused two hundred times")

    with ThreadPoolExecutor(max_workers=64) as writers:
        done = list(writers.map(write, range(200)))
    of_kind = [[number for kind, number in done if kind == wanted] for wanted in range(4)]
    for reader in clients:
        control = reader.control
        assert {f"key-{number}" for number in of_kind[0]} <= set(control.list_tags_for_resource(resourceArn=arn)["tags"])
        groups = control.get_paginator("list_agent_action_groups").paginate(agentId=agent, agentVersion="DRAFT")
        names = {group["actionGroupName"] for page in groups for group in page["actionGroupSummaries"]}
        assert {f"Group{number}" for number in of_kind[1]} <= names
        aliases = control.get_paginator("list_agent_aliases").paginate(agentId=agent)
        found = [alias for page in aliases for alias in page["agentAliasSummaries"]]
        assert {f"alias-{number}" for number in of_kind[2]} <= {alias["agentAliasName"] for alias in found}
        # Each alias cut a version of its own.
        routed = [
            alias["routingConfiguration"][0]["agentVersion"]
            for alias in found
            if alias["agentAliasName"].startswith("alias-")
        ]
        assert len(routed) == len(set(routed)) == len(of_kind[2])
        description = control.get_agent(agentId=agent)["agent"]["description"]
        assert description in {f"of writer {number}" for number in of_kind[3]}
