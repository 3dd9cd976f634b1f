"""Turns recorded on AWS, taken again: the same model replies and tool results must give the same stream.

For each recording an agent is made that can do what the recorded one did. The stub's model says what the
recorded model said, its Lambda what the recorded function said, and the stream that comes of it is compared with
the recording event by event: kinds, order, nesting, trace ids, the members of every part, and all values that do
not depend on when and where it ran. `DIFFERENCES` lists what is meant to differ, and COMPAT.md tells of it.
"""

from pathlib import Path

import pytest
from conftest import ROOT, config

from outcrop_e2e import difference, recordings
from outcrop_e2e.difference import Difference
from outcrop_e2e.recordings import events_of, rows
from outcrop_e2e.scenarios import SCENARIOS, Player, played

LACKING = recordings.missing()
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))

# Recorded before returns of control named their agent.
UNNAMED = (
    "nb-11-2-create-agent-with-function-definition-roc-a-1f9db0-c35",
    "nb-12-create-agent-with-user-confirmation-b15243-c35",
    "nb-bedrock-agents-roc-033dd5-c10",
)

# What a default prompt asks of a model is shown in its traces.
PARAMETERS = r"\.inferenceConfiguration\.(stopSequences\[\d\]|maximumLength|temperature|topK|topP)$"

DIFFERENCES = [
    Difference(r"\.functionInvocationInput\.agentId$", "ours", "AWS sends it since 2024-10", only=UNNAMED),
    Difference(r"\.inferenceConfiguration\.__type$", "aws", "a trace of AWS's own serializer, which SDKs drop"),
    *(
        Difference(PARAMETERS, side, "default prompts are Outcrop's own", "`inferenceConfiguration` of default prompts")
        for side in ("aws", "value")
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


@pytest.fixture(scope="module")
def server(stub, launch):
    return launch(config(stub, "bedrock"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_stream_is_the_recorded_one(clients, stub, name):
    recording, data = played(Player(clients, stub), name)
    problems, _ = difference.compare(name, rows(recording.events), rows(events_of(data)), DIFFERENCES)
    assert not problems, "\n".join(problems)


def test_differences_are_told():
    """What is meant to differ in the product stands in COMPAT.md."""
    compat = Path(ROOT / "COMPAT.md").read_text()
    untold = [one.compat for one in DIFFERENCES if one.compat != "-" and one.compat not in compat]
    assert not untold
