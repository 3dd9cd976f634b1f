"""OpenInference's Bedrock instrumentation makes of our streams what it makes of AWS's.

The oracle is the recording itself: the same instrumentation reads the recorded response, served by a few lines
of HTTP, and the response of ours to the same turn. Both trees of spans must be the same: kinds, names, parents,
order, status, and every attribute but those that quote the prompt or name the model.
"""

import pytest
from conftest import config

from outcrop_e2e import recordings, spans
from outcrop_e2e.scenarios import SCENARIOS, Player, played

LACKING = recordings.missing()
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))


@pytest.fixture(scope="module")
def server(stub, launch):
    return launch(config(stub, "bedrock"))


@pytest.fixture(scope="module")
def replay():
    replay = spans.Replay()
    yield replay
    replay.stop()


@pytest.fixture
def collector():
    with spans.Collector().listening() as collector:
        yield collector


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_spans_are_those_of_the_recording(collector, replay, connect, server, stub, name):
    recording, _ = played(Player(connect(server), stub), name)
    ours = collector.take()
    replay.play(replay.client(), recording)
    theirs = collector.take()
    assert theirs
    problems = spans.differences(theirs, ours)
    assert not problems, "\n".join(problems)
