"""AWS's public notebook about inline agents, its own client code and its handler unchanged.

The notebook's helper makes the calls and reads the streams; a scripted model stands for the one on AWS. What
the helper writes to a terminal with `termcolor` and `rich` is written plainly.
"""

import json
import os
from datetime import datetime

import pytest
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.samples import clones
from outcrop_e2e.samples.reading import Reading, cells

LACKING = clones.missing()
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))

FOLDERS = {
    "agent-samples": "examples/agents/inline_agent",
    "samples": "agents-and-function-calling/bedrock-agents/features-examples/15-invoke-inline-agents",
}
FUNCTION = "arn:aws:lambda:us-west-2:111111111111:function:hr-inlineagent-lambda"


def notebook(repository):
    return clones.read(repository, f"{FOLDERS[repository]}/inline-agent-api-usage.ipynb")


def helper(repository):
    """The notebook's function that calls InvokeInlineAgent and prints what comes."""
    (source,) = [cell for cell in cells(notebook(repository)) if "def invoke_inline_agent_helper" in cell]
    names = {"colored": lambda text, *_: text, "datetime": datetime, "json": json, "os": os}
    exec(compile(source, "inline-agent-api-usage.ipynb", "exec"), names)  # noqa: S102 - a pinned, public sample
    return names["invoke_inline_agent_helper"]


@pytest.fixture(scope="module", params=["relaxed", "strict"])
def world(request, stub, launch, tmp_path_factory):
    """A server with the notebook's function."""
    folder = tmp_path_factory.mktemp("pto")
    (folder / "lambda_function.py").write_text(
        clones.read("agent-samples", f"{FOLDERS['agent-samples']}/pto_lambda/lambda_function.py")
    )
    functions = (
        '[[functions]]\nmatch = "hr-inlineagent-lambda"\nruntime = "python"\n'
        f'handler = "lambda_function.lambda_handler"\ncode = "{folder}"\ntimeout_s = 20\n'
    )
    return launch(config(stub, top=f'aws_limits = "{request.param}"\n', functions=functions))


@pytest.mark.parametrize("repository", FOLDERS)
def test_the_notebook(world, connect, stub, repository, capsys):
    names = Reading.of_notebook(notebook(repository)).names
    request = {
        "instruction": names["agent_instruction"],
        "foundationModel": names["model_id"],
        "sessionId": agents.session_id(),
        "endSession": names["endSession"],
        "enableTrace": names["enableTrace"],
        "actionGroups": [names["code_interpreter_tool"]],
        "inputText": "what is the time right now in pacific timezone?",
    }
    ask = helper(repository)
    runtime = connect(world).runtime
    stub.script(model=[{"content": [{"text": "<answer>It is noon.</answer>"}]}])
    assert ask(runtime, request) == "It is noon."

    # The next cell gives the agent another tool in the same session.
    request["actionGroups"].append({**names["apply_vacation_tool"], "actionGroupExecutor": {"lambda": FUNCTION}})
    request["inputText"] = "I will be out of office from 2024/11/28 for the next 3 days"
    stub.script(
        model=[
            {"content": [{"tool": "processVacation", "input": {"action": "apply", "days": 3}}]},
            {"content": [{"text": "<answer>Enjoy your days off.</answer>"}]},
        ]
    )
    assert ask(runtime, request) == "Enjoy your days off."
    printed = capsys.readouterr().out
    assert "Using tool: /vacation with these inputs:" in printed
    assert "approved" in printed
    assert "Agent made a total of 2 LLM calls" in printed
    said = [text for _, text in texts(stub.model_calls()[-1])]
    assert "It is noon." in str(said), "the session goes on"
