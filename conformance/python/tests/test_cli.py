"""`outcrop invoke`: the trace and the answer in a terminal, and return of control answered at the prompt."""

import json
import subprocess

import pytest

from outcrop_e2e import agents


@pytest.fixture
def run(server):
    """Runs `outcrop invoke` against the module's server."""

    def call(*arguments, stdin=""):
        return subprocess.run(
            [server.binary, "invoke", "--endpoint", server.url, *arguments],
            env={**server.env, "NO_COLOR": "1"}, cwd=server.folder, input=stdin, capture_output=True, text=True,
            timeout=30, check=False,
        )

    return call


def test_the_trace_and_the_answer(control, run):
    name = agents.unique("cli")
    agents.order_agent(control, name=name)
    ended = run("--agent", name, "Where is order A-482?")
    assert ended.returncode == 0, ended.stderr
    shown = ended.stdout + ended.stderr
    assert "OrderTools.get_order_status" in shown
    assert "The user asks about order A-482" in shown
    assert "The tool says:" in ended.stdout
    assert "\x1b[" not in shown


def test_only_the_answer(control, run):
    agent = agents.order_agent(control)
    ended = run("--agent", agent, "--no-trace", "Where is order A-482?")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip().startswith("The tool says:")


def test_events_as_json(control, run):
    agent = agents.order_agent(control)
    ended = run("--agent", agent, "--json", "Where is order A-482?")
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(events) == 10


def test_return_of_control_at_the_prompt(control, run):
    agent = agents.control_agent(control)
    ended = run("--agent", agent, "Open my calendar.", stdin="the calendar is open\n")
    assert ended.returncode == 0, ended.stderr
    assert "the calendar is open" in ended.stdout + ended.stderr


def test_an_agent_that_is_not_there(run):
    ended = run("--agent", "no-such-agent", "Hello.")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
