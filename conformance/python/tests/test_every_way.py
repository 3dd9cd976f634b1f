"""One agent with an action group of every kind, in one conversation."""

import shutil
import sys

import pytest
from conftest import config
from test_return_control import function_result, give_back

from outcrop_e2e import agents, mcp_server, rest_api
from outcrop_e2e.turn import invoke

PYTHON = '''
def handler(event, context):
    values = {parameter["name"]: parameter["value"] for parameter in event["parameters"]}
    body = {"TEXT": {"body": f"order {values['order_id']} is shipped"}}
    return {"messageVersion": "1.0", "response": {
        "actionGroup": event["actionGroup"], "function": event["function"],
        "functionResponse": {"responseBody": body}}}
'''

NODE = '''
exports.handler = async (event) => {
  const { value } = event.parameters.find((parameter) => parameter.name === "amount");
  const body = { TEXT: { body: `${value} euros are ${Number(value) * 2} coins` } };
  return { messageVersion: "1.0", response: {
    actionGroup: event.actionGroup, function: event.function, functionResponse: { responseBody: body } } };
};
'''


def arn(name):
    return {"lambda": f"arn:aws:lambda:us-west-2:111111111111:function:{name}"}


def described(name, parameter, type_="string"):
    return [
        {
            "name": name, "description": f"{name} of something.",
            "parameters": {parameter: {"type": type_, "required": True, "description": "Which."}},
        }
    ]


@pytest.fixture(scope="module")
def api():
    api = rest_api.RestApi()
    yield api
    api.stop()


@pytest.fixture(scope="module")
def world(stub, launch, api, tmp_path_factory):
    """A server with a function in Python and in Node.js, a REST API and an MCP server."""
    if not shutil.which("node"):
        pytest.skip("there is no Node.js")
    folder = tmp_path_factory.mktemp("functions")
    for name, file, code in (("orders", "app.py", PYTHON), ("coins", "index.js", NODE)):
        (folder / name).mkdir()
        (folder / name / file).write_text(code)
    (folder / "words").mkdir()
    shutil.copy(mcp_server.__file__, folder / "words" / "server.py")
    functions = f"""
[[functions]]
match = "orders"
runtime = "python"
handler = "app.handler"
code = "{folder}/orders"

[[functions]]
match = "coins"
runtime = "node"
handler = "index.handler"
code = "{folder}/coins"

[[functions]]
match = "weather"
runtime = "openapi"
base_url = "{api.url}"
headers = {{ x-tenant = "acme" }}

[[functions]]
match = "words"
runtime = "mcp"
command = ["{sys.executable}", "server.py"]
code = "{folder}/words"

[egress]
allow = ["{api.url.removeprefix("http://")}"]
"""
    return launch(config(stub, functions=functions))


@pytest.fixture
def agent(world, connect):
    control = connect(world).control
    agent = agents.create(control)
    agents.add_group(control, agent, "Orders", arn("orders"), described("status", "order_id"))
    agents.add_group(control, agent, "Coins", arn("coins"), described("convert", "amount", "number"))
    agents.add_group(control, agent, "Weather", arn("weather"), apiSchema={"payload": rest_api.DOCUMENT})
    agents.add_group(control, agent, "Words", arn("words"), described("translate", "word"))
    agents.add_group(control, agent, "Desk", {"customControl": "RETURN_CONTROL"}, described("show", "page"))
    for signature in ("UserInput", "CodeInterpreter"):
        control.create_agent_action_group(
            agentId=agent, agentVersion="DRAFT", actionGroupName=f"{signature}Action",
            parentActionGroupSignature=f"AMAZON.{signature}",
        )
    agents.prepare(control, agent)
    return agent


def test_every_way_in_one_conversation(world, connect, stub, api, agent):
    runtime = connect(world).runtime
    session = agents.session_id()
    stub.script(
        model=[
            {
                "content": [
                    {"tool": "Orders__status", "input": {"order_id": "A-1"}},
                    {"tool": "Coins__convert", "input": {"amount": 4}},
                    {"tool": "GET__Weather__readWeather", "input": {"city": "São Paulo", "days": 2}},
                    {"tool": "Words__translate", "input": {"word": "star"}},
                    {"tool": "Desk__show", "input": {"page": "3"}},
                ]
            }
        ]
    )
    first = invoke(runtime, agent, session, "Do everything at once.").ok()
    order, coins, weather, word = first.observations
    assert order == "order A-1 is shipped"
    assert coins == "4 euros are 8 coins"
    assert '"asked":' in weather and "rain" in weather
    assert "star means rats" in word
    (method, path, headers), = api.seen
    assert (method, path) == ("GET", "/cities/S%C3%A3o%20Paulo/weather?days=2")
    assert headers["x-tenant"] == "acme"
    shown, = first.control["invocationInputs"]
    assert shown["functionInvocationInput"]["function"] == "show"

    stub.script(model=[{"content": [{"tool": "codeinterpreteraction__execute", "input": {"code": "print(6 * 7)"}}]}])
    second = give_back(runtime, agent, session, first, function_result(first, "page 3 is shown")).ok()
    run = next(
        part["codeInterpreterInvocationOutput"]
        for kind, part in second.parts
        if kind == "observation" and "codeInterpreterInvocationOutput" in part
    )
    assert run["executionOutput"].strip() == "42"
    assert "42" in second.text

    stub.script(model=[{"content": [{"tool": "user__askuser", "input": {"question": "Which page next?"}}]}])
    third = invoke(runtime, agent, session, "Show another page.").ok()
    assert third.text == "Which page next?"
    assert third.order[-2:] == ["observation(ASK_USER)", "chunk"]
    assert "page 4" in invoke(runtime, agent, session, "The page 4.").ok().text
