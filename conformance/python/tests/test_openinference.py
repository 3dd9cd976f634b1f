"""OpenInference's Bedrock instrumentation makes of our streams what it makes of AWS's.

The oracle is the recording itself: the same instrumentation reads the recorded response, served by a few lines
of HTTP, and the response of ours to the same turn. Both trees of spans must be the same: kinds, names, parents,
order, status, and every attribute but those that quote the prompt or name the model.
"""

import pytest
from conftest import config, target

from outcrop_e2e import recordings, spans
from outcrop_e2e.clients import acceptance_check
from outcrop_e2e.recordings import Recording
from outcrop_e2e.scenarios import SCENARIOS, SETTINGS, Player, played

LACKING = recordings.missing()
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))


# What `crates/service/tests/recorded` has taken again in process.
IN_PROCESS = (
    "oi-hist-kb-with-orchestration", "oi-py-kb-single-shortcut", "nb-custom-orchestration-example-1dda33-c25",
    "nb-custom-orchestration-example-1dda33-c38",
)

# Its searches were recorded without times, so that their spans stand anywhere.
WITHOUT_TIMES = ("nb-custom-orchestration-example-1dda33-c38",)


@pytest.fixture(scope="module")
def server(stub, launch):
    return launch(config(stub, "bedrock") + SETTINGS)


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


@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_spans_of_turns_taken_in_process(collector, replay, name):
    kept = target() / "tmp" / "recorded" / f"{name}.jsonl"
    if not kept.exists():
        pytest.skip(f"crates/service/tests/recorded has not left {kept}")
    taken, check = Recording(name, kept), acceptance_check()
    faults = [check(data) for data in taken.responses()] if check else []
    assert not any(faults), faults
    client = replay.client()
    replay.play(client, Recording(name))
    theirs = collector.take()
    replay.play(client, taken)
    ours = collector.take()
    if name in WITHOUT_TIMES:
        theirs, ours = spans.by_name(theirs), spans.by_name(ours)
    problems = spans.differences(theirs, ours)
    assert not problems, "\n".join(problems)
