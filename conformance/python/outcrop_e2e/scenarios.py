"""Recorded turns, taken again on a server of ours.

Each scenario makes the agents it needs, lets the stub say what the recorded model and functions said, and gives
the exact bytes of our response. What is done with them is the test's business.
"""

from dataclasses import dataclass

from . import agents, cast
from .recordings import Recording
from .turn import Turn

SCENARIOS = {}


@dataclass(frozen=True)
class Scenario:
    """A recording and how it is taken again."""

    recording: str
    take: object


def scenario(*names, recording=None):
    """Registers a scenario under the name of its recording, or under a name of its own."""

    def register(function):
        for name in names:
            SCENARIOS[name] = Scenario(recording or name, function)
        return function

    return register


class Player:
    """Takes turns on a server. `runtime` is the client that is called; it need not be the clients' own."""

    def __init__(self, clients, stub, runtime=None):
        self.clients = clients
        self.control = clients.control
        self.runtime = runtime or clients.runtime
        self.stub = stub

    def cast(self, recording, **more):
        """The agent and the alias that the recording's first agent is."""
        parts = cast.parts_of(recording)
        return cast.make(self.control, parts, next(iter(parts.values())), **more)

    def prompt(self, recording):
        """Tells the stub what the recorded model and functions said."""
        self.stub.script(model=recording.script(), tool=[{"text": text} for text in recording.tool_texts()])

    def invoke(self, agent, alias, session=None, **request):
        """One InvokeAgent, read to its end; gives the bytes of the response."""
        answer = self.runtime.invoke_agent(
            agentId=agent, agentAliasId=alias, sessionId=session or agents.session_id(), **request
        )
        return self._read(answer)

    def _read(self, answer):
        before = self.clients.watch.streams
        Turn(answer).ok()
        assert self.clients.watch.streams == before + 1, "the response was not seen"
        return self.clients.watch.last_stream


def played(player, name):
    """Takes a scenario again: the recording, and the bytes of ours."""
    found = SCENARIOS[name]
    recording = Recording(found.recording)
    player.prompt(recording)
    asked = len(player.stub.model_calls())
    data = found.take(player, recording)
    calls = len(player.stub.model_calls()) - asked
    assert calls == len(recording.script()), f"{calls} model calls in place of {len(recording.script())}"
    return recording, data


@scenario("oi-py-tool-lambda-params", "oi-py-tool-lambda-noparams")
def straight(player, recording):
    """An agent that exists is asked what the recorded one was."""
    agent, alias = player.cast(recording)
    return player.invoke(agent, alias, **recording.request)


@scenario("a plain answer", recording="oi-py-inline-plain")
def plain(player, recording):
    """What a recorded inline agent was asked, asked of an agent that exists."""
    agent, alias = player.cast(recording)
    return player.invoke(agent, alias, inputText=recording.request["inputText"], enableTrace=True)
