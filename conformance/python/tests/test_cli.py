"""`outcrop invoke`: the trace and the answer in a terminal, and return of control answered at the prompt."""

import json
import subprocess

import pytest

from outcrop_e2e import agents, team


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


def test_a_supervisor_and_its_collaborators(control, stub, run):
    """Each on its own level under its own name; what one of them asks for is asked in its name."""
    calendar = ("ClientSideTools", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS)
    office = team.worker(control, "office", [calendar])
    desk = team.worker(control, "desk", collaborators=[office])
    lead = team.worker(control, "lead", collaborators=[desk])
    stub.script(
        model=[
            team.asks("lead", ("desk", "Open her calendar.")),
            team.asks("desk", ("office", "Open it on Monday.")),
            team.calls("office", "open_calendar", date="2026-04-27"),
            team.says("office", "It is open."),
            team.says("desk", "Done."),
            team.says("lead", "Your calendar is open."),
        ]
    )
    ended = run("--agent", lead["id"], "--alias", lead["alias"], "Open my calendar.", stdin="opened\n")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "Your calendar is open."
    for line in (
        "step 1    model.lead",
        "  asks      desk: Open her calendar.",
        "    step 1    desk  model.desk",
        "      asks      office: Open it on Monday.",
        "        step 1    office  model.office",
        "the collaborator office asks you to call ClientSideTools.open_calendar(date: 2026-04-27)",
        "      answers   office: It is open.",
        "  answers   desk: Done.",
    ):
        assert line in ended.stderr, f"{line!r} is not in\n{ended.stderr}"


def test_an_agent_that_is_not_there(run):
    ended = run("--agent", "no-such-agent", "Hello.")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
