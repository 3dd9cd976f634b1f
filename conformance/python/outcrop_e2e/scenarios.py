"""Recorded turns, taken again on a server of ours.

Each scenario makes the agents it needs, lets the stub say what the recorded model and functions said, and gives
the exact bytes of our response. What is done with them is the test's business.
"""

import base64
import json
from dataclasses import dataclass

from . import agents, cast
from .recordings import Recording
from .turn import Turn

SCENARIOS = {}

# The model that judges for guardrails.
CLASSIFIER = "classifier"

# What a server needs besides what every test gives it.
SETTINGS = f'\n[guardrails]\nclassifier = "{CLASSIFIER}"\n'

# What the user's program answered in the recorded returns of control; the second call's argument shows it.
ASSET_VALUE = "100K"


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
        # The last turn.
        self.turn = None

    def cast(self, recording, helpers=(), **more):
        """The agent and the alias that the recording's first agent is; `helpers` are never called."""
        parts = cast.parts_of(recording)
        first = next(iter(parts.values()))
        for name in helpers:
            parts[name] = cast.Part(name)
            first.helpers[name] = name
        agent, alias = cast.make(self.control, parts, first, **more)
        drafted = recording.traces and recording.traces[0].get("agentAliasId") == "TSTALIASID"
        return agent, "TSTALIASID" if drafted else alias

    def prompt(self, recording):
        """Tells the stub what the recorded model and functions said."""
        self.stub.script(model=recording.script(), tool=[{"text": text} for text in recording.tool_texts()])

    def guardrail(self, **policies):
        """A guardrail with these policies, as an agent names it."""
        messages = {"blockedInputMessaging": "Not that.", "blockedOutputsMessaging": "Not this."}
        made = self.clients.guardrails.create_guardrail(name=agents.unique("guardrail"), **messages | policies)
        return {"guardrailIdentifier": made["guardrailId"], "guardrailVersion": made["version"]}

    def invoke(self, agent, alias, session=None, **request):
        """One InvokeAgent, read to its end; gives the bytes of the response."""
        answer = self.runtime.invoke_agent(
            agentId=agent, agentAliasId=alias, sessionId=session or agents.session_id(), **request
        )
        return self._read(answer)

    def invoke_inline(self, session=None, **request):
        """One InvokeInlineAgent, read to its end; gives the bytes of the response."""
        return self._read(self.runtime.invoke_inline_agent(sessionId=session or agents.session_id(), **request))

    def _read(self, answer):
        before = self.clients.watch.streams
        self.turn = Turn(answer).ok()
        assert self.clients.watch.streams == before + 1, "the response was not seen"
        return self.clients.watch.last_stream


def played(player, name):
    """Takes a scenario again: the recording, and the bytes of ours."""
    found = SCENARIOS[name]
    recording = Recording(found.recording)
    player.prompt(recording)
    data = found.take(player, recording)
    calls = sum(call["model"] != CLASSIFIER for call in player.stub.model_calls())
    if recording.traces:
        assert calls == len(recording.script()), f"{calls} model calls in place of {len(recording.script())}"
    return recording, data


@scenario(
    "oi-py-tool-lambda-params", "oi-py-tool-lambda-noparams", "oi-js-codeinterpreter", "oi-py-preprocessing",
    "oi-py-postprocessing", "oi-hist-pre-orch-post-async", "oi-py-multiagent-supervisor-3level",
    "oi-py-multiagent-router-routed-reasoning",
)
def straight(player, recording):
    """An agent that exists is asked what the recorded one was."""
    agent, alias = player.cast(recording)
    return player.invoke(agent, alias, **recording.request)


@scenario("oi-py-multiagent-router-undecidable")
def undecided(player, recording):
    """The classifier leaves it to the supervisor, who answers alone; whom it could have asked was not recorded."""
    agent, alias = player.cast(recording, helpers=("agentaws",))
    return player.invoke(agent, alias, **recording.request)


@scenario("a plain answer", recording="oi-py-inline-plain")
def plain(player, recording):
    """What a recorded inline agent was asked, asked of an agent that exists."""
    agent, alias = player.cast(recording)
    return player.invoke(agent, alias, inputText=recording.request["inputText"], enableTrace=True)


@scenario("oi-py-guardrail-input-blocked")
def blocked(player, recording):
    """A guardrail stops the input: a classifier is as sure of an attack as the recorded one was."""
    (envelope,) = recording.traces
    (assessment,) = envelope["trace"]["guardrailTrace"]["inputAssessments"]
    (found,) = assessment["contentPolicy"]["filters"]
    chunk = recording.events[-1][1]
    guardrail = player.guardrail(
        blockedInputMessaging=base64.b64decode(chunk["bytes"]).decode(),
        contentPolicyConfig={
            "filtersConfig": [{"type": found["type"], "inputStrength": "HIGH", "outputStrength": "NONE"}]
        },
    )
    verdict = json.dumps({"content": {found["type"]: found["confidence"]}})
    player.stub.script(model=[{"for_model": CLASSIFIER, "content": [{"text": verdict}]}])
    agent, alias = player.cast(recording, guardrailConfiguration=guardrail)
    return player.invoke(agent, alias, **recording.request)


@scenario("oi-py-streaming-guardrail")
def guarded_stream(player, recording):
    """An answer goes out window by window, each one judged; the model's tokens fall as they did."""
    guardrail = player.guardrail(wordPolicyConfig={"wordsConfig": [{"text": "a word that nobody says"}]})
    agent, alias = player.cast(recording, guardrailConfiguration=guardrail)
    windows = [
        base64.b64decode(payload["bytes"]).decode() for kind, payload in recording.events if kind == "chunk"
    ]
    (step,) = recording.script()
    (said,) = step["content"]
    answer = "".join(windows)
    before, _, after = said["text"].partition(answer)
    interval = recording.request["streamingConfigurations"]["applyGuardrailInterval"]
    # A window ends with the piece that fills it.
    pieces = [piece for window in windows for piece in (window[: interval - 1], window[interval - 1:])]
    step["content"] = [{"pieces": [f"<thinking>{before}", *pieces, after]}]
    player.stub.reset()
    player.stub.script(model=[step])
    return player.invoke(agent, alias, **recording.request)


@scenario("oi-py-inline-plain")
def inline(player, recording):
    """An agent that is all in the request."""
    return player.invoke_inline(**recording.request)


@scenario("nb-inline-agents-roc-8b363b-c12")
def inline_return_of_control(player, recording):
    """Two calls of an inline agent that the caller makes; the recording ends with the second."""
    calls = [returned["invocationInputs"][0]["functionInvocationInput"] for returned in recording.returned()]
    group = calls[0]["actionGroup"]
    described = {call["function"]: {one["name"]: one["type"] for one in call["parameters"]} for call in calls}
    session = agents.session_id()
    request = {
        "foundationModel": agents.MODEL, "instruction": cast.INSTRUCTION,
        "actionGroups": [{
            "actionGroupName": group, "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
            "functionSchema": {"functions": cast.functions(described)},
        }],
    }
    player.stub.script(model=[
        {"content": [{
            "tool": f"{group}__{call['function']}",
            "input": {one["name"]: one["value"] for one in call["parameters"]},
        }]}
        for call in calls
    ])
    data = player.invoke_inline(session, inputText="what is the asset value and mortgage rate?", **request)
    state = answered(player, calls[0])
    return data + player.invoke_inline(session, inlineSessionState=state, **request)


def answered(player, call):
    """The state that answers the last return of control as the recorded program did."""
    result = {
        "actionGroup": call["actionGroup"], "function": call["function"],
        "responseBody": {"TEXT": {"body": ASSET_VALUE}},
    }
    return {
        "invocationId": player.turn.control["invocationId"],
        "returnControlInvocationResults": [{"functionResult": result}],
    }


@scenario("nb-bedrock-agents-roc-033dd5-c10")
def return_of_control(player, recording):
    """Two calls that the caller makes, one after the other; the recording ends with the second."""
    agent, alias = player.cast(recording)
    first, _ = recording.returned()
    session = agents.session_id()
    data = player.invoke(
        agent, alias, session, inputText="what is my mortgage rate for id AVC-1234", enableTrace=True
    )
    (called,) = first["invocationInputs"]
    state = answered(player, called["functionInvocationInput"])
    return data + player.invoke(agent, alias, session, sessionState=state, enableTrace=True)


@scenario(
    "nb-11-1-create-agent-with-function-definition-and-u-54dc5e-c48",
    "nb-11-2-create-agent-with-function-definition-roc-a-1f9db0-c35",
    "nb-11-3-create-agent-with-api-schema-and-user-confi-257ab9-c48",
    "nb-12-create-agent-with-user-confirmation-b15243-c35",
)
def user_confirmation(player, recording):
    """A call that the user has to confirm; only the question to the user was recorded."""
    (returned,) = recording.returned()
    (called,) = returned["invocationInputs"]
    agent, alias, tool, arguments = cast.confirming(player.control, called)
    player.stub.script(model=[{"content": [{"tool": tool, "input": arguments}]}])
    return player.invoke(agent, alias, inputText="Please do it.")
