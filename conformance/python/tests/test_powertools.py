"""Functions written with Powertools for AWS Lambda, which reads AWS's events and writes AWS's replies."""

import json
import subprocess
import sys

import pytest
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.powertools import package
from outcrop_e2e.turn import invoke


def parameter(type_, required=True):
    return {"type": type_, "description": "A part of it.", "required": required}


FUNCTIONS = [
    {
        "name": "add", "description": "Adds two numbers.",
        "parameters": {
            "left": parameter("number"), "right": parameter("integer"), "loud": parameter("boolean", required=False),
        },
    },
    {"name": "remember", "description": "Remembers something.", "parameters": {"what": parameter("string")}},
    {"name": "recall", "description": "Recalls what was remembered."},
    {"name": "reject", "description": "Sends the model back."},
    {"name": "fail", "description": "Fails."},
    {"name": "stumble", "description": "Raises."},
]


@pytest.fixture(scope="module", params=["relaxed", "strict"])
def limits(request):
    return request.param


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The two functions' folders, with Powertools in each as its deployment package would have it."""
    return {name: package(tmp_path_factory.mktemp(name), name) for name in ("claims", "tools")}


@pytest.fixture(scope="module")
def world(stub, launch, limits, folders):
    functions = "".join(
        f'[[functions]]\nmatch = "{name}"\nruntime = "python"\nhandler = "{name}.handler"\ncode = "{folder}"\n'
        f'timeout_s = 20\nenvironment = {{ POWERTOOLS_SERVICE_NAME = "{name}" }}\n'
        for name, folder in folders.items()
    )
    return launch(config(stub, top=f'aws_limits = "{limits}"\n', functions=functions))


@pytest.fixture(scope="module")
def document(folders):
    """The schema that Powertools writes for the function."""
    return subprocess.run(
        [sys.executable, "claims.py"], cwd=folders["claims"], capture_output=True, check=True, text=True
    ).stdout


def function(name):
    return {"lambda": f"arn:aws:lambda:us-west-2:111111111111:function:{name}"}


@pytest.fixture(scope="module")
def made():
    return {}


class Caller:
    """Makes the model call one action after another in one session."""

    def __init__(self, clients, stub, agent, name):
        self.clients, self.stub, self.agent, self.name = clients, stub, agent, name
        self.session = agents.session_id()

    def call(self, tool, **arguments):
        return self.call_with({}, tool, **arguments)

    def call_with(self, state, tool, **arguments):
        self.stub.reset()
        self.stub.script(model=[{"content": [{"tool": tool, "input": arguments}]}])
        more = {"sessionState": state} if state else {}
        return invoke(self.clients.runtime, self.agent, self.session, f"Please {tool}.", **more)


def named(control, made, kind, limits, **schema):
    """The module's agent of a kind, and its name."""
    if (limits, kind) not in made:
        agent = agents.create(control)
        agents.add_group(control, agent, kind.capitalize(), function(kind), **schema)
        agents.prepare(control, agent)
        made[limits, kind] = agent, control.get_agent(agentId=agent)["agent"]["agentName"]
    return made[limits, kind]


def single_underscores(document):
    """Without the two in a row that Powertools makes of a path's parameter, and that AWS refuses."""
    document = json.loads(document)
    for item in document["paths"].values():
        for described in item.values():
            described["operationId"] = described["operationId"].replace("__", "_")
    return json.dumps(document)


@pytest.fixture
def claims(world, connect, stub, made, limits, document):
    clients = connect(world)
    schema = {"apiSchema": {"payload": document if limits == "relaxed" else single_underscores(document)}}
    return Caller(clients, stub, *named(clients.control, made, "claims", limits, **schema))


@pytest.fixture
def tools(world, connect, stub, made, limits):
    clients = connect(world)
    schema = {"functionSchema": {"functions": FUNCTIONS}}
    return Caller(clients, stub, *named(clients.control, made, "tools", limits, **schema))


def said(turn):
    body, = turn.ok().observations
    return json.loads(body)


def test_a_query(claims):
    state = {"sessionAttributes": {"tenant": "acme"}}
    answer = said(claims.call_with(state, "listClaims", holder="Ada", limit=3, settled=True))
    assert answer == {
        "holder": "Ada", "limit": 3, "settled": True, "agent": claims.name, "alias": "TSTALIASID",
        "session": claims.session, "asked": "Please listClaims.", "tenant": "acme",
    }
    answer = said(claims.call("listClaims", holder="Ada"))
    assert (answer["limit"], answer["settled"]) == (10, False)


def test_a_body(claims):
    assert said(claims.call("fileClaim", holder="Ada", amount=12.5, urgent=True)) == {
        "filed": {"holder": "Ada", "amount": 12.5, "urgent": True, "items": []}
    }


def test_a_validation_error_goes_to_the_model(claims):
    turn = claims.call("fileClaim", holder="A", amount=-1).ok()
    body, = turn.observations
    problems = json.loads(body)
    assert problems["statusCode"] == 422
    assert {tuple(problem["loc"]) for problem in problems["detail"]} == {("body", "holder"), ("body", "amount")}
    assert body in turn.text


def test_confirmation_comes_from_the_schema(claims):
    turn = claims.call("withdrawClaim", claim="claim-7").ok()
    asked = turn.control["invocationInputs"][0]["apiInvocationInput"]
    assert (asked["actionInvocationType"], asked["httpMethod"]) == ("USER_CONFIRMATION", "DELETE")
    result = {
        "actionGroup": "Claims", "apiPath": "/claims", "httpMethod": "DELETE", "confirmationState": "CONFIRM",
        "responseBody": {"TEXT": {"body": ""}},
    }
    state = {
        "invocationId": turn.control["invocationId"], "returnControlInvocationResults": [{"apiResult": result}],
    }
    done = invoke(claims.clients.runtime, claims.agent, claims.session, sessionState=state)
    assert said(done) == {"withdrawn": "claim-7"}


def test_attributes_of_an_operation(claims):
    state = {"sessionAttributes": {"tenant": "acme"}}
    assert said(claims.call_with(state, "openDesk", clerk="Grace")) == {"desk": "Grace"}
    # The next event has what the reply set.
    assert said(claims.call("listClaims", holder="Ada"))["tenant"] == "acme"


def test_an_operation_that_raises(claims):
    turn = claims.call("broken")
    assert turn.error_code == "dependencyFailedException"
    assert "the book of claims is lost" in turn.error_message
    assert said(claims.call("listClaims", holder="Ada"))["holder"] == "Ada"


def test_a_path_with_a_parameter(claims):
    claims.call("listClaims", holder="Ada").ok()
    offered = [tool["name"] for tool in claims.stub.model_calls()[0]["tools"]]
    tool, = [name for name in offered if "read_claim" in name]
    assert said(claims.call(tool, claim="claim-7")) == {"claim": "claim-7"}


def test_a_list_in_a_body(claims):
    """AWS writes it as Java does, which Powertools cannot read; the agent's tag makes JSON of it."""
    wanted = {"holder": "Ada", "amount": 12.5, "items": ["door", "roof"]}
    assert said(claims.call("fileClaim", **wanted))["statusCode"] == 422
    control = claims.clients.control
    arn = control.get_agent(agentId=claims.agent)["agent"]["agentArn"]
    control.tag_resource(resourceArn=arn, tags={"outcrop:typed-arguments": "Claims"})
    agents.prepare(control, claims.agent)
    assert said(claims.call("fileClaim", **wanted)) == {"filed": {**wanted, "urgent": False}}
    control.untag_resource(resourceArn=arn, tagKeys=["outcrop:typed-arguments"])
    agents.prepare(control, claims.agent)


def test_a_function_with_typed_arguments(tools):
    assert said(tools.call("add", left=1.5, right=2, loud=True)) == {
        "sum": 3.5, "loud": True, "types": ["float", "int", "bool"], "agent": tools.agent, "version": "DRAFT",
        "asked": "Please add.",
    }
    assert said(tools.call("add", left=1, right=2))["loud"] is False


def test_attributes_of_a_function(tools):
    assert said(tools.call("recall")) == "nothing"
    assert said(tools.call("remember", what="the key")) == "kept"
    assert said(tools.call("recall")) == "the key"


def test_states_of_a_function(tools):
    turn = tools.call("reject").ok()
    observation = next(part for kind, part in turn.parts if kind == "observation")
    assert observation["repromptResponse"]["text"] == '"ask for the order"'
    turn = tools.call("fail")
    assert turn.error_message.startswith("Received failed response from API execution. Retry the request later.")


def test_a_function_that_raises(tools):
    """Powertools itself makes an answer of it."""
    assert said(tools.call("stumble")) == "Error: RuntimeError: the ledger is lost"
