"""Memory: what an agent remembers of sessions that have ended, over real boto3.

The stub's model summarises a session as what its user said, so that a summary tells what went into it.
"""

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from conftest import config
from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.turn import Turn, invoke

# How long a summary may take to appear. AWS's own sample looks every five seconds.
APPEAR_S = 20

# Sessions that end while the server is killed again and again; `cargo xtask test --all` takes them all.
ENDED_SESSIONS = 1_000 if os.environ.get("OUTCROP_ALL") else 60


def memory(days=30, recent=20):
    """A `memoryConfiguration`."""
    return {
        "enabledMemoryTypes": ["SESSION_SUMMARY"],
        "storageDays": days,
        "sessionSummaryConfiguration": {"maxRecentSessions": recent},
    }


def remembering_agent(control, **more):
    """A prepared agent with the order tools and a memory."""
    return agents.order_agent(control, memoryConfiguration=memory(), **more)


def remembered(runtime, agent, memory_id, alias="TSTALIASID"):
    """All summaries of a memory, the latest session first."""
    pages = runtime.get_paginator("get_agent_memory").paginate(
        agentId=agent, agentAliasId=alias, memoryId=memory_id, memoryType="SESSION_SUMMARY"
    )
    return [content["sessionSummary"] for page in pages for content in page["memoryContents"]]


def await_summaries(runtime, agent, memory_id, count, limit_s=APPEAR_S):
    """Looks until there are so many summaries."""
    deadline = time.monotonic() + limit_s
    while len(found := remembered(runtime, agent, memory_id)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} summaries after {limit_s} s"
        time.sleep(0.05)
    return found


def prompt(call):
    """All that a model was shown."""
    return call["system"] + "\n" + "\n".join(text for _, text in texts(call))


def test_two_sessions_as_in_awss_sample(control, runtime, stub):
    agent = remembering_agent(control)
    user = agents.unique("user")
    first = agents.session_id()
    response = runtime.invoke_agent(
        agentId=agent, agentAliasId="TSTALIASID", sessionId=first, memoryId=user,
        inputText="My order A-482 is a present for Ada.",
    )
    assert response["memoryId"] == user
    assert Turn(response).ok().text
    assert remembered(runtime, agent, user) == []
    ended = runtime.invoke_agent(
        agentId=agent, agentAliasId="TSTALIASID", sessionId=first, memoryId=user, inputText="end", endSession=True
    )
    assert Turn(ended).ok().text
    (summary,) = await_summaries(runtime, agent, user, 1)
    assert summary["memoryId"] == user and summary["sessionId"] == first
    assert "a present for Ada." in summary["summaryText"] and "end" in summary["summaryText"]
    assert (summary["sessionExpiryTime"] - summary["sessionStartTime"]).days == 30

    stub.reset()
    second = agents.session_id()
    invoke(runtime, agent, second, "What did we agree on last time?", memoryId=user).ok()
    assert "a present for Ada." in prompt(stub.model_calls()[0])
    invoke(runtime, agent, agents.session_id(), "Hello.", memoryId=agents.unique("user")).ok()
    assert "Ada" not in prompt(stub.model_calls()[-1])
    invoke(runtime, agent, second, endSession=True).ok()
    assert [found["sessionId"] for found in await_summaries(runtime, agent, user, 2)] == [second, first]


def test_memories_can_be_deleted(control, runtime):
    agent = remembering_agent(control)
    user = agents.unique("user")
    sessions = [agents.session_id() for _ in range(3)]
    for number, session in enumerate(sessions):
        invoke(runtime, agent, session, "Hello.", memoryId=user, endSession=True).ok()
        await_summaries(runtime, agent, user, number + 1)
    page = runtime.get_agent_memory(
        agentId=agent, agentAliasId="TSTALIASID", memoryId=user, memoryType="SESSION_SUMMARY", maxItems=2
    )
    assert [one["sessionSummary"]["sessionId"] for one in page["memoryContents"]] == [sessions[2], sessions[1]]
    where = {"agentId": agent, "agentAliasId": "TSTALIASID"}
    deleted = runtime.delete_agent_memory(**where, memoryId=user, sessionId=sessions[1])
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert [one["sessionId"] for one in remembered(runtime, agent, user)] == [sessions[2], sessions[0]]
    runtime.delete_agent_memory(**where, memoryId=user)
    assert remembered(runtime, agent, user) == []
    runtime.delete_agent_memory(**where)
    with pytest.raises(ClientError) as refused:
        runtime.delete_agent_memory(**where, sessionId=sessions[0])
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError) as gone:
        remembered(runtime, "NOSUCHAGNT", user)
    assert gone.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_parser_function_reads_the_summary(control, runtime, stub):
    agent = agents.create(
        control,
        memoryConfiguration=memory(),
        promptOverrideConfiguration={
            "overrideLambda": agents.LAMBDA,
            "promptConfigurations": [{
                "promptType": "MEMORY_SUMMARIZATION",
                "promptCreationMode": "OVERRIDDEN",
                "parserMode": "OVERRIDDEN",
                "basePromptTemplate": "Human: Say what this was about: $conversation$\n\nAssistant:",
                "inferenceConfiguration": {"temperature": 0.5, "maximumLength": 300},
            }],
        },
    )
    agents.prepare(control, agent)
    user = agents.unique("user")
    invoke(runtime, agent, agents.session_id(), "I like tea.", memoryId=user).ok()
    stub.script(
        model=[{}, {"content": [{"text": "tea, it seems"}]}],
        tool=[{
            "payload": {
                "messageVersion": "1.0",
                "promptType": "MEMORY_SUMMARIZATION",
                "memorySummarizationParsedResponse": {
                    "topicwiseSummaries": [
                        {"topic": "user goals", "summary": "Likes tea."},
                        {"topic": "assistant actions", "summary": "Took note."},
                    ]
                },
            }
        }],
    )
    invoke(runtime, agent, agents.session_id(), "Green tea.", memoryId=user, endSession=True).ok()
    (summary,) = await_summaries(runtime, agent, user, 1)
    assert summary["summaryText"] == "Likes tea.\nTook note."
    (event,) = stub.tool_events()
    assert event["promptType"] == "MEMORY_SUMMARIZATION" and event["overrideType"] == "OUTPUT_PARSER"
    assert "tea, it seems" in event["invokeModelRawResponse"]
    assert "Say what this was about: User: Green tea." in prompt(stub.model_calls()[-1])


def test_a_running_summary_is_there_before_the_end(stub, launch, connect):
    clients = connect(launch(config(stub) + "\n[memory]\nlive = true\n"))
    runtime = clients.runtime
    agent = remembering_agent(clients.control)
    user, session = agents.unique("user"), agents.session_id()

    def await_text(text):
        deadline = time.monotonic() + APPEAR_S
        while not (found := remembered(runtime, agent, user)) or text not in found[0]["summaryText"]:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        assert len(found) == 1

    for text in ("The first remark.", "The second remark."):
        invoke(runtime, agent, session, text, memoryId=user).ok()
        await_text(text)
    invoke(runtime, agent, session, "The last remark.", memoryId=user, endSession=True).ok()
    await_text("The last remark.")


class Ending:
    """Sessions that each have one turn and are ended, over a server that comes and goes."""

    # Memories, so that the pages of one are many.
    USERS = 4

    def __init__(self, clients, agent, count):
        self.clients = clients
        self.agent = agent
        self.sessions = {f"session-{number:05}": f"user-{number % self.USERS}" for number in range(count)}
        self.ended = 0

    def _until_done(self, call):
        """Makes a call until the server has answered it; each repeats without a further effect."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return call().ok()
            except Exception:  # noqa: BLE001 - the server dies at any moment of a call
                assert time.monotonic() < deadline, "a call never went through"
                time.sleep(0.02)

    def run(self, session):
        user = self.sessions[session]
        runtime = self.clients.runtime
        say = {"memoryId": user, "trace": False}
        self._until_done(lambda: invoke(runtime, self.agent, session, f"This is {session}.", **say))
        if int(session[-1]) % 2:
            try:
                invoke(runtime, self.agent, session, "end", endSession=True, **say)
            except Exception:  # noqa: BLE001 - whether it ended is for the next call to find out
                pass
        # Ending what has ended is no error, and begins nothing.
        self._until_done(lambda: invoke(runtime, self.agent, session, endSession=True, trace=False))
        self.ended += 1

    def check(self, limit_s):
        """Each session has exactly one summary, and it is of that session."""
        deadline = time.monotonic() + limit_s
        while True:
            found = [one for user in range(self.USERS) for one in remembered(self.clients.runtime, self.agent, f"user-{user}")]
            if len(found) >= len(self.sessions):
                break
            assert time.monotonic() < deadline, f"{len(found)} of {len(self.sessions)} summaries"
            time.sleep(0.2)
        assert sorted(one["sessionId"] for one in found) == sorted(self.sessions)
        for one in found:
            assert self.sessions[one["sessionId"]] == one["memoryId"]
            assert f"This is {one['sessionId']}." in one["summaryText"]


def test_sessions_that_end_while_the_server_is_killed_have_one_summary_each(stub, launch, connect):
    server = launch(config(stub))
    clients = connect(server)
    agent = remembering_agent(clients.control)
    ending = Ending(clients, agent, ENDED_SESSIONS)
    moments = random.Random(17)
    done = threading.Event()
    kills = 0
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(ending.run, session) for session in ending.sessions]
        threading.Thread(target=lambda: ([one.exception() for one in running], done.set()), daemon=True).start()
        while not done.wait(moments.uniform(0.05, 0.6)):
            server.kill()
            server.start()
            kills += 1
        for one in running:
            one.result()
    # And while only summaries are being made.
    for _ in range(3):
        server.kill()
        server.start()
        kills += 1
        time.sleep(moments.uniform(0.05, 0.3))
    ending.check(limit_s=60 + ENDED_SESSIONS / 10)
    calls = len(stub.requests("model"))
    server.kill()
    server.start()
    # Nothing is left to be done.
    time.sleep(1)
    assert len(stub.requests("model")) == calls
    ending.check(limit_s=1)
    print(f"{ENDED_SESSIONS} sessions, {kills} kills, {calls} model calls")


@pytest.fixture(scope="module")
def pair(stub, launch, database):
    """Two servers on one database."""
    env = {"OUTCROP_DATABASE_URL": database(), "OUTCROP_LIMITS_SESSION_LEASE_S": "2"}
    return [launch(config(stub), env) for _ in range(2)]


def test_a_slow_summary_is_not_made_twice(pair, connect, stub):
    """The claim is renewed for as long as the work goes on, here for more than two leases."""
    a, b = (connect(server) for server in pair)
    agent = remembering_agent(a.control)
    user = agents.unique("user")
    stub.script(model=[{}, {"hold": "here"}])
    invoke(a.runtime, agent, agents.session_id(), "Hello.", memoryId=user, endSession=True).ok()
    stub.wait(held="here")
    time.sleep(4.5)
    assert len(stub.requests("model")) == 2
    stub.release("here")
    await_summaries(b.runtime, agent, user, 1)
    assert len(stub.requests("model")) == 2


def test_two_servers_make_one_summary_and_take_over_from_each_other(pair, connect, stub):
    a, b = (connect(server) for server in pair)
    agent = remembering_agent(a.control)
    user = agents.unique("user")
    sessions = [agents.session_id() for _ in range(12)]
    for number, session in enumerate(sessions):
        invoke((a, b)[number % 2].runtime, agent, session, "Hello.", memoryId=user).ok()
        invoke((b, a)[number % 2].runtime, agent, session, endSession=True).ok()
    await_summaries(b.runtime, agent, user, len(sessions))
    # A server dies in the middle of a summary: the other makes it when the lease has passed.
    stub.reset()
    stub.script(model=[{}, {"hold": "here"}])
    last = agents.session_id()
    invoke(a.runtime, agent, last, "The last one.", memoryId=user, endSession=True).ok()
    stub.wait(held="here")
    pair[0].kill()
    found = await_summaries(b.runtime, agent, user, len(sessions) + 1)
    assert sorted(one["sessionId"] for one in found) == sorted([*sessions, last])
    stub.release("here")


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("OUTCROP_SLOW"), reason="waits a real idle TTL of 60 s; set OUTCROP_SLOW=1")
def test_an_idle_session_is_summarised_even_by_a_later_process(server, control, runtime):
    agent = remembering_agent(control, idleSessionTTLInSeconds=60)
    user = agents.unique("user")
    invoke(runtime, agent, agents.session_id(), "I will not come back.", memoryId=user).ok()
    server.kill()
    time.sleep(55)
    server.start()
    assert remembered(runtime, agent, user) == []
    (summary,) = await_summaries(runtime, agent, user, 1)
    assert "I will not come back." in summary["summaryText"]
