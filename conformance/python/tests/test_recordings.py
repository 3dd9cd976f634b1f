"""Turns recorded on AWS, taken again: the same model replies and tool results must give the same stream.

For each recording an agent is made that can do what the recorded one did. The stub's model says what the
recorded model said, its Lambda what the recorded function said, and the stream that comes of it is compared with
the recording event by event: kinds, order, nesting, trace ids, the members of every part, and all values that do
not depend on when and where it ran. `DIFFERENCES` lists what is meant to differ, and COMPAT.md tells of it.
"""

import re
from pathlib import Path

import pytest
from conftest import ROOT, config

from outcrop_e2e import difference, recordings
from outcrop_e2e.difference import Difference
from outcrop_e2e.recordings import events_of, rows
from outcrop_e2e.scenarios import SCENARIOS, SETTINGS, Player, played

LACKING = recordings.missing()
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))

# Recorded before returns of control named their agent.
UNNAMED = (
    "nb-11-2-create-agent-with-function-definition-roc-a-1f9db0-c35",
    "nb-12-create-agent-with-user-confirmation-b15243-c35",
    "nb-bedrock-agents-roc-033dd5-c10",
)

# Recorded with models that write their calls as XML.
WITH_XML = (
    "oi-js-codeinterpreter", "oi-py-multiagent-supervisor-3level", "nb-bedrock-agents-roc-033dd5-c10",
)


def same_error(theirs, ours):
    """Whether two tracebacks end in the same exception."""
    return theirs.strip().splitlines()[-1] == ours.strip().splitlines()[-1]


def but_for_escapes(theirs, ours):
    """Whether two texts differ only in how line breaks are written."""
    return theirs.replace("\\n", "\n").strip() == ours


def same_thoughts(theirs, ours):
    """Whether ours are the thoughts of theirs without what stands between them."""
    thoughts = re.split(r"</thinking>.*?<thinking>", theirs, flags=re.DOTALL)
    return len(thoughts) > 1 and " ".join(thoughts).split() == ours.split()


# What a default prompt asks of a model is shown in its traces.
PARAMETERS = r"\.inferenceConfiguration\.(stopSequences\[\d\]|maximumLength|temperature|topK|topP)$"

DIFFERENCES = [
    Difference(r"\.functionInvocationInput\.agentId$", "ours", "AWS sends it since 2024-10", only=UNNAMED),
    Difference(
        r"\.reasoningContent\.reasoningText$", "aws", "empty where the model does not think",
        "`reasoningContent` in traces",
    ),
    Difference(
        r"^(callerChain\[0\]\.agentAliasArn|eventTime)$|\.metadata\.|\.foundationModel$", "ours",
        "recorded before AWS sent it", only=("nb-bedrock-agents-roc-033dd5-c10",),
    ),
    Difference(
        r"\.promptCreationMode$", "ours",
        "the prompt with calls in XML is the agent's own here, and was the model's default there", only=WITH_XML,
    ),
    Difference(
        r"\.modelInvocationOutput\.reasoningContent\.", "ours", "AWS shows it in the raw response alone",
        "`reasoningContent` in traces",
    ),
    Difference(
        r"\.preProcessingTrace\.modelInvocationOutput\.parsedResponse\.rationale$", "value",
        "AWS shows line breaks as they stand in the reply's JSON",
        "line breaks in the rationale of pre-processing", alike=but_for_escapes,
    ),
    Difference(
        r"\.rationale\.text$", "value", "AWS shows what stands between the thoughts as well",
        "several thoughts in one reply", alike=same_thoughts,
    ),
    Difference(
        r"\.executionError$", "value", "the traceback names files of AWS's own machines", alike=same_error,
    ),
    *(
        Difference(
            PARAMETERS, side, "default prompts are Outcrop's own", "`inferenceConfiguration` of default prompts"
        )
        for side in ("aws", "ours", "value")
    ),
    Difference(
        r"^(agentId|agentAliasId|agentVersion|callerChain\[0\]\.agentAliasArn|.*\.inferenceConfiguration\..*)$",
        "ours", "the recorded agent is inline, ours is not", only=("a plain answer",),
    ),
    Difference(
        r"^callerChain\[0\]\.agentAliasArn$", "value", "the recorded agent is inline, ours is not",
        only=("a plain answer",),
    ),
]


# The differences that each recording has shown.
MET = {}


@pytest.fixture(scope="module")
def server(stub, launch):
    return launch(config(stub, "bedrock") + SETTINGS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_stream_is_the_recorded_one(clients, stub, name):
    recording, data = played(Player(clients, stub), name)
    problems, met = difference.compare(name, rows(recording.events), rows(events_of(data)), DIFFERENCES)
    assert not problems, "\n".join(problems)
    MET[name] = met


def test_differences_are_told():
    """What is meant to differ in the product stands in COMPAT.md."""
    compat = Path(ROOT / "COMPAT.md").read_text()
    untold = [one.compat for one in DIFFERENCES if one.compat != "-" and one.compat not in compat]
    assert not untold


def test_differences_are_met():
    """What is said to differ does differ, somewhere; a list of excuses must not grow old."""
    if len(MET) < len(SCENARIOS):
        pytest.skip("not every recording was played")
    met = set().union(*MET.values())
    unmet = [f"{one.path} ({one.side})" for one in DIFFERENCES if one not in met]
    assert not unmet
