"""AWS's public agent samples, their handlers and schemas unchanged.

Each sample's agent is made as the sample makes it, through boto3; a scripted model calls every action, and
the handler must get the event that AWS sends, no member more or less. What it answers must come back in
the trace and in the reply. Under strict limits as well, since all of this runs on AWS.
"""

import re

import pytest
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.process import texts
from outcrop_e2e.recorder import Recorder
from outcrop_e2e.samples import clones
from outcrop_e2e.samples.catalogue import RETURN_OF_CONTROL, SAMPLES
from outcrop_e2e.samples.sample import known
from outcrop_e2e.samples.staff import employee_database
from outcrop_e2e.turn import invoke

LACKING = clones.missing()
pytestmark = pytest.mark.skipif(LACKING is not None, reason=str(LACKING))

BUCKET = "sample-schemas"


def arn(sample):
    return f"arn:aws:lambda:us-west-2:111111111111:function:{sample.name}"


@pytest.fixture(scope="module")
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture(scope="module")
def functions(recorder, tmp_path_factory):
    """The `[[functions]]` entries of all samples, each in a folder as it would be zipped."""
    entries = []
    for sample in SAMPLES:
        folder = tmp_path_factory.mktemp(sample.name)
        module, code = sample.code()
        (folder / module).write_text(code)
        if sample.has_employees:
            employee_database(folder / "employee_database.db")
        handler, environment = recorder.install(folder, sample.handler)
        variables = ", ".join(f'{name} = "{value}"' for name, value in environment.items())
        entries.append(
            f'[[functions]]\nmatch = "{sample.name}"\nruntime = "python"\nhandler = "{handler}"\n'
            f'code = "{folder}"\ntimeout_s = 20\nenvironment = {{ {variables} }}\n'
        )
    return "".join(entries)


@pytest.fixture(scope="module")
def buckets(tmp_path_factory):
    """A bucket with the schemas that samples keep in S3, under the samples' names."""
    root = tmp_path_factory.mktemp("buckets")
    for sample in SAMPLES:
        if sample.schema:
            path = root / BUCKET / sample.name
            path.parent.mkdir(exist_ok=True)
            path.write_text(sample.read(sample.schema))
    return root


@pytest.fixture(scope="module", params=["relaxed", "strict"])
def limits(request):
    return request.param


@pytest.fixture(scope="module")
def world(stub, launch, functions, buckets, limits):
    """A server with every sample's function."""
    text = config(stub, top=f'aws_limits = "{limits}"\n', functions=functions)
    head, _, _ = text.rpartition("root = ")
    return launch(f'{head}root = "{buckets}"\n')


def define(control, sample):
    """Makes, prepares and publishes the sample's agent as the sample does; gives its id and its alias'."""
    described, groups = sample.define(sample)
    described = {**known(described), "agentResourceRoleArn": agents.ROLE}
    described.setdefault("foundationModel", agents.MODEL)
    described["agentName"] = agents.unique(described["agentName"])
    agent = control.create_agent(**described)["agent"]["agentId"]
    assert agents.agent_status(control, agent) == "NOT_PREPARED"
    for group in groups:
        schema = {"apiSchema": {"s3": {"s3BucketName": BUCKET, "s3ObjectKey": sample.name}}} if sample.schema else {}
        executor = known(group).get("actionGroupExecutor", {"lambda": arn(sample)})
        group = {**known(group), **schema, "actionGroupExecutor": executor}
        control.create_agent_action_group(**{**group, "agentId": agent, "agentVersion": "DRAFT"})
    agents.prepare(control, agent)
    alias = control.create_agent_alias(agentId=agent, agentAliasName="sample")["agentAlias"]["agentAliasId"]
    assert agents.alias_status(control, agent, alias) == "PREPARED"
    return agent, alias, described["agentName"], [group["actionGroupName"] for group in groups]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample(world, connect, stub, recorder, sample, limits):
    if limits == "strict" and not sample.fits_strict:
        pytest.skip("AWS would refuse its schema today")
    clients = connect(world)
    agent, alias, name, groups = define(clients.control, sample)
    called = {tool_name(groups, call) for call in sample.calls}
    for number, call in enumerate(sample.calls):
        session = agents.session_id()
        text = f"Please do number {number}."
        thought = {"text": "<thinking>This needs an action.</thinking>"}
        stub.script(model=[{"content": [thought, {"tool": tool_name(groups, call), "input": call.arguments}]}])
        state = {"sessionAttributes": call.session} if call.session else {}
        more = {"sessionState": state} if state else {}
        turn = invoke(clients.runtime, agent, session, text, alias=alias, **more)
        if call.confirm:
            turn = confirmed(clients.runtime, agent, alias, session, turn, groups[call.group], call)
        if number == 0:
            offered = {tool["name"] for tool in stub.model_calls()[0]["tools"]}
            assert offered - called == {f"POST__{groups[0]}__{name}" for name in sample.untried}
            assert called <= offered
        event, = recorder.take(sample.name)
        assert event == {
            "messageVersion": "1.0",
            "agent": {"name": name, "id": agent, "alias": alias, "version": "1"},
            "sessionId": session,
            "inputText": text,
            "actionGroup": groups[call.group],
            **call.event,
            "sessionAttributes": call.session,
            "promptSessionAttributes": {},
        }
        judge(turn, call, groups[call.group], stub)
        stub.reset()


@pytest.mark.parametrize("sample", RETURN_OF_CONTROL, ids=lambda sample: sample.name)
def test_a_sample_whose_caller_acts(world, connect, stub, sample):
    clients = connect(world)
    agent, alias, _, (group,) = define(clients.control, sample)
    call, = sample.calls
    stub.script(model=[{"content": [{"tool": tool_name([group], call), "input": call.arguments}]}])
    session = agents.session_id()
    first = invoke(clients.runtime, agent, session, "Book it.", alias=alias).ok()
    asked, = first.control["invocationInputs"]
    assert asked == {
        "functionInvocationInput": {
            "actionGroup": group, "agentId": agent, **call.event,
            "actionInvocationType": "USER_CONFIRMATION_AND_RESULT" if call.confirm else "RESULT",
        }
    }
    assert first.control["invocationId"].endswith("-uc-result") == call.confirm
    result = {
        "actionGroup": group, "function": call.tool, "responseBody": {"TEXT": {"body": call.says}},
        **({"confirmationState": "CONFIRM"} if call.confirm else {}),
    }
    state = {
        "invocationId": first.control["invocationId"], "returnControlInvocationResults": [{"functionResult": result}],
    }
    second = invoke(clients.runtime, agent, session, alias=alias, sessionState=state).ok()
    assert texts(stub.model_calls()[-1])[-1] == ("user", call.says)
    assert call.says in second.text


def tool_name(groups, call):
    """The name of an action's tool, as AWS makes it."""
    method = call.event.get("httpMethod")
    return "__".join([*([method] if method else []), groups[call.group], call.tool])


def judge(turn, call, group, stub):
    """Checks what came of a call: the trace, and the reply or the error."""
    if call.fails:
        assert turn.error_code == "dependencyFailedException"
        assert re.match(call.fails, turn.error_message, re.DOTALL), turn.error_message
        return
    turn.ok()
    observed = "REPROMPT" if call.corrects == "REPROMPT" else "ACTION_GROUP"
    acting = ["invocationInput(ACTION_GROUP)", f"observation({observed})"]
    planned = [] if call.confirm else ["modelInvocationInput", "modelInvocationOutput", "rationale"]
    assert turn.order == [
        *planned, *acting, "modelInvocationInput", "modelInvocationOutput", "rationale", "observation(FINISH)", "chunk",
    ]
    traced = next(part for kind, part in turn.parts if kind == "invocationInput")["actionGroupInvocationInput"]
    assert traced["actionGroupName"] == group
    assert traced["executionType"] == "LAMBDA"
    assert traced.get("function") == call.event.get("function")
    assert traced.get("apiPath") == call.event.get("apiPath")
    assert traced.get("parameters", []) == call.event["parameters"]
    observation = next(part for kind, part in turn.parts if kind == "observation")
    if observed == "REPROMPT":
        assert observation["repromptResponse"]["source"] == "ACTION_GROUP"
        body = observation["repromptResponse"]["text"]
    else:
        body = observation["actionGroupInvocationOutput"]["text"]
    assert re.fullmatch(call.says, body, re.DOTALL), body
    # The model got the body as it was, and the caller what the model made of it. This model's protocol has
    # no mark for errors but a word in front.
    said = f"Error:\n{body}" if call.corrects else body
    assert texts(stub.model_calls()[-1])[-1] == ("user", said)
    assert body in turn.text


def confirmed(runtime, agent, alias, session, turn, group, call):
    """Answers the question whether the action may run."""
    returned = turn.ok().control
    asked, = returned["invocationInputs"]
    (kind, asked), = asked.items()
    assert asked["actionInvocationType"] == "USER_CONFIRMATION"
    assert returned["invocationId"].endswith("-uc")
    assert asked["parameters"] == call.event["parameters"]
    names = [name for name in ("function", "apiPath", "httpMethod") if name in asked]
    assert {name: asked[name] for name in names} == {name: call.event[name] for name in names}
    body = "TEXT" if kind == "functionInvocationInput" else "application/json"
    result = {
        "actionGroup": group, **{name: asked[name] for name in names}, "agentId": agent,
        "confirmationState": "CONFIRM", "responseBody": {body: {"body": ""}},
    }
    state = {
        "invocationId": returned["invocationId"],
        "returnControlInvocationResults": [
            {"functionResult" if kind == "functionInvocationInput" else "apiResult": result}
        ],
    }
    return invoke(runtime, agent, session, alias=alias, sessionState=state)
