"""The Lambda API through boto3: functions are uploaded, called, changed, published, and called by agents."""

import base64
import json
import re
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from conftest import EXAMPLE, config

from outcrop_e2e import agents
from outcrop_e2e.archives import archive, code_sha256, folder
from outcrop_e2e.model import Model
from outcrop_e2e.process import request
from outcrop_e2e.turn import invoke

ROLE = "arn:aws:iam::111111111111:role/FunctionRole"
ECHO = """
import json, os

def handler(event, context):
    print("called with", json.dumps(event))
    if event.get("fail"):
        raise ValueError("as asked")
    client = context.client_context
    return {
        "event": event,
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "request": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "custom": client.custom if client else None,
        "greeting": os.environ.get("GREETING"),
    }
"""
ANSWERS = """
def handler(event, context):
    body = {"TEXT": {"body": "shipped"}}
    response = {key: event[key] for key in ("actionGroup", "function")} | {"functionResponse": {"responseBody": body}}
    return {"messageVersion": "1.0", "response": response}
"""


def returns(value):
    """A function that returns a value."""
    return archive({"app.py": f"def handler(event, context):\n    return {value!r}\n"})


@pytest.fixture(scope="module")
def server(stub, launch):
    """A server that knows functions only from uploads."""
    return launch(config(stub, functions=""))


@pytest.fixture
def functions(clients):
    return clients.functions


@pytest.fixture
def create(functions):
    """Makes functions and removes them after the test."""
    made = []

    def make(packed=None, name=None, **more):
        name = name or agents.unique("function")
        code = {"ZipFile": packed or returns(1)}
        arguments = {"Runtime": "python3.12", "Handler": "app.handler", "Role": ROLE, "Code": code, **more}
        answer = functions.create_function(FunctionName=name, **arguments)
        made.append(name)
        return answer

    yield make
    for name in made:
        try:
            functions.delete_function(FunctionName=name)
        except functions.exceptions.ResourceNotFoundException:
            pass


def call(functions, name, event=None, **more):
    """A call's answer: the payload, and the response without it."""
    response = functions.invoke(FunctionName=name, Payload=json.dumps(event or {}), **more)
    return json.loads(response.pop("Payload").read()), response


def refusal(call, **arguments):
    """Code and message of the error a call must end with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_function_is_made_shown_and_removed(functions, create, server):
    packed = archive({"app.py": ECHO})
    made = create(packed, Environment={"Variables": {"GREETING": "hello"}}, Tags={"team": "shop"})
    name = made["FunctionName"]
    arn = f"arn:aws:lambda:us-west-2:111111111111:function:{name}"
    expected = {
        "FunctionArn": arn,
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "Role": ROLE,
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "CodeSize": len(packed),
        "CodeSha256": code_sha256(packed),
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "Environment": {"Variables": {"GREETING": "hello"}},
    }
    assert {key: made[key] for key in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", made["LastModified"])
    shown = functions.get_function(FunctionName=arn)
    assert shown["Configuration"] == {key: value for key, value in made.items() if key != "ResponseMetadata"}
    assert shown["Tags"] == {"team": "shop"}
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    status, _, body = request("GET", shown["Code"]["Location"])
    assert (status, body) == (200, packed)
    tampered = shown["Code"]["Location"].replace(name, name + "x")
    assert request("GET", tampered)[0] == 403
    assert name in [listed["FunctionName"] for listed in functions.list_functions()["Functions"]]
    assert functions.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(functions.get_function, FunctionName=name) == (
        "ResourceNotFoundException", f"Function not found: {arn}"
    )
    assert request("GET", shown["Code"]["Location"])[0] == 404


def test_calls(functions, create):
    name = create(archive({"app.py": ECHO}), Environment={"Variables": {"GREETING": "hi"}}, MemorySize=256)["FunctionName"]
    reply, response = call(functions, name, {"a": 1}, LogType="Tail")
    assert reply["event"] == {"a": 1}
    assert (reply["name"], reply["version"], reply["greeting"], reply["memory"]) == (name, "$LATEST", "hi", "256")
    assert reply["request"] == response["ResponseMetadata"]["RequestId"]
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    assert 'called with {"a": 1}' in base64.b64decode(response["LogResult"]).decode()
    assert response["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"
    _, response = call(functions, name)
    assert "LogResult" not in response

    context = base64.b64encode(json.dumps({"custom": {"who": "Jürgen"}}).encode()).decode()
    assert call(functions, name, ClientContext=context)[0]["custom"] == {"who": "Jürgen"}

    reply, response = call(functions, name, {"fail": True})
    assert response["FunctionError"] == "Unhandled"
    assert (reply["errorType"], reply["errorMessage"]) == ("ValueError", "as asked")
    assert functions.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


def test_calls_that_are_refused(functions, create, server):
    name = create()["FunctionName"]
    code, message = refusal(functions.invoke, FunctionName=name, InvocationType="Event")
    assert code == "InvalidParameterValueException" and "Event is not supported by Outcrop" in message
    code, _ = refusal(functions.invoke, FunctionName=name, Payload=b"{no json")
    assert code == "InvalidRequestContentException"
    code, _ = refusal(functions.invoke, FunctionName=name, ClientContext="bm8=")
    assert code == "InvalidRequestContentException"
    code, _ = refusal(functions.invoke, FunctionName=name, Payload=b'"' + b"x" * (6 << 20) + b'"')
    assert code == "RequestTooLargeException"
    assert refusal(functions.invoke, FunctionName="nobody")[0] == "ResourceNotFoundException"
    assert refusal(functions.invoke, FunctionName=name, Qualifier="7")[0] == "ResourceNotFoundException"
    assert refusal(functions.invoke, FunctionName=f"{name}:1", Qualifier="7")[0] == "InvalidParameterValueException"


def test_what_cannot_be_made(functions, create):
    name = create()["FunctionName"]
    assert refusal(create, name=name) == ("ResourceConflictException", f"Function already exist: {name}")
    for more, expected in (
        ({"Code": {"ImageUri": "111111111111.dkr.ecr.us-west-2.amazonaws.com/a:b"}}, "ImageUri"),
        ({"PackageType": "Image"}, "PackageType"),
        ({"Runtime": "java21"}, "java21 is not supported by Outcrop"),
        ({"Handler": "handler"}, "is no handler"),
        ({"Layers": ["arn:aws:lambda:us-west-2:111111111111:layer:a:1"]}, "Layers is not supported by Outcrop"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved keys"),
        ({"Environment": {"Variables": {"BIG": "x" * 5000}}}, "4KB"),
        ({"Code": {"ZipFile": b"no zip"}}, "Could not unzip uploaded file"),
        ({"Code": {"ZipFile": archive({"../app.py": ""})}}, "plain relative path"),
        ({"Code": {}}, "Please provide a source"),
        ({"Code": {"S3Bucket": "my-agent-schemas", "S3Key": "absent.zip"}}, "NoSuchKey"),
    ):
        code, message = refusal(create, name=agents.unique("refused"), **more)
        assert code == "InvalidParameterValueException" and expected in message, (more, message)
    code, message = refusal(create, name="two words")
    assert code == "ValidationException"
    assert "Value 'two words' at 'functionName' failed to satisfy constraint" in message


def test_code_from_a_bucket(stub, launch, connect, tmp_path):
    (tmp_path / "deploys").mkdir()
    (tmp_path / "deploys" / "tools.zip").write_bytes(returns("from a bucket"))
    text = config(stub, functions="").rpartition("[s3]")[0]
    functions = connect(launch(f'{text}[s3]\nroot = "{tmp_path}"\n')).functions
    functions.create_function(
        FunctionName="tools", Runtime="python3.12", Handler="app.handler", Role=ROLE,
        Code={"S3Bucket": "deploys", "S3Key": "tools.zip"},
    )
    assert call(functions, "tools")[0] == "from a bucket"


def test_new_code_serves_the_next_call(functions, create):
    made = create(returns("old"))
    name = made["FunctionName"]
    assert call(functions, name)[0] == "old"
    packed = returns("new")
    trial = functions.update_function_code(FunctionName=name, ZipFile=packed, DryRun=True)
    assert trial["CodeSha256"] == code_sha256(packed)
    assert call(functions, name)[0] == "old"
    changed = functions.update_function_code(FunctionName=name, ZipFile=packed, RevisionId=made["RevisionId"])
    assert changed["CodeSha256"] == code_sha256(packed)
    assert changed["RevisionId"] != made["RevisionId"]
    assert call(functions, name)[0] == "new"
    code, _ = refusal(
        functions.update_function_code, FunctionName=name, ZipFile=packed, RevisionId=made["RevisionId"]
    )
    assert code == "PreconditionFailedException"


def test_calls_in_flight_end_whatever_is_deployed(functions, create):
    """Calls go on while the code changes four times: each is answered by one of the codes, none fails."""
    slow = "import time\ndef handler(event, context):\n    time.sleep(0.2)\n    return {}\n"
    name = create(archive({"app.py": slow.format(0)}), Timeout=30)["FunctionName"]
    call(functions, name)
    with ThreadPoolExecutor(8) as callers:
        calls = []
        for number in range(1, 5):
            calls += [callers.submit(call, functions, name) for _ in range(4)]
            functions.update_function_code(FunctionName=name, ZipFile=archive({"app.py": slow.format(number)}))
            assert call(functions, name)[0] == number
    answers = [each.result() for each in calls]
    assert all("FunctionError" not in response for _, response in answers)
    assert {reply for reply, _ in answers} <= {0, 1, 2, 3, 4}


def test_configuration_changes(functions, create):
    made = create(archive({"app.py": ECHO}), Environment={"Variables": {"GREETING": "hi"}})
    name = made["FunctionName"]
    changed = functions.update_function_configuration(
        FunctionName=name, Description="says hello", Timeout=9, MemorySize=512,
        Environment={"Variables": {"GREETING": "hello"}},
    )
    assert (changed["Description"], changed["Timeout"], changed["MemorySize"]) == ("says hello", 9, 512)
    reply, _ = call(functions, name)
    assert (reply["greeting"], reply["memory"]) == ("hello", "512")
    shown = functions.get_function_configuration(FunctionName=name)
    assert shown["RevisionId"] == changed["RevisionId"] != made["RevisionId"]
    without = functions.update_function_configuration(FunctionName=name, Environment={"Variables": {}})
    assert "Environment" not in without


def test_versions_and_aliases(functions, create):
    name = create(returns("one"))["FunctionName"]
    first = functions.publish_version(FunctionName=name, Description="the first")
    assert (first["Version"], first["Description"]) == ("1", "the first")
    assert first["FunctionArn"].endswith(f":{name}:1")
    assert functions.publish_version(FunctionName=name)["Version"] == "1"
    second = functions.update_function_code(FunctionName=name, ZipFile=returns("two"), Publish=True)
    assert second["Version"] == "2"
    listed = functions.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"]
    assert call(functions, name, Qualifier="1")[0] == "one"
    assert call(functions, f"{name}:2")[0] == "two"

    alias = functions.create_alias(FunctionName=name, Name="PROD", FunctionVersion="1")
    assert alias["AliasArn"].endswith(f":{name}:PROD")
    reply, response = call(functions, name, Qualifier="PROD")
    assert (reply, response["ExecutedVersion"]) == ("one", "1")
    changed = functions.update_alias(FunctionName=name, Name="PROD", FunctionVersion="2", RevisionId=alias["RevisionId"])
    assert call(functions, alias["AliasArn"])[0] == "two"
    assert functions.get_alias(FunctionName=name, Name="PROD")["RevisionId"] == changed["RevisionId"]
    routed = functions.update_alias(
        FunctionName=name, Name="PROD", RoutingConfig={"AdditionalVersionWeights": {"1": 1.0}}
    )
    assert routed["RoutingConfig"] == {"AdditionalVersionWeights": {"1": 1.0}}
    reply, response = call(functions, name, Qualifier="PROD")
    assert (reply, response["ExecutedVersion"]) == ("one", "1")
    assert [listed["Name"] for listed in functions.list_aliases(FunctionName=name)["Aliases"]] == ["PROD"]
    shown = functions.get_function_configuration(FunctionName=name, Qualifier="PROD")
    assert (shown["Version"], shown["FunctionArn"]) == ("2", alias["AliasArn"])

    assert refusal(functions.delete_function, FunctionName=name, Qualifier="2")[0] == "ResourceConflictException"
    assert refusal(functions.create_alias, FunctionName=name, Name="PROD", FunctionVersion="1")[0] == "ResourceConflictException"
    assert refusal(functions.create_alias, FunctionName=name, Name="NEXT", FunctionVersion="9")[0] == "ResourceNotFoundException"
    functions.delete_alias(FunctionName=name, Name="PROD")
    functions.delete_function(FunctionName=name, Qualifier="2")
    assert refusal(functions.get_alias, FunctionName=name, Name="PROD")[0] == "ResourceNotFoundException"
    assert call(functions, name, Qualifier="1")[0] == "one"
    assert call(functions, name)[0] == "two"


def test_pages(functions, create):
    names = sorted(create()["FunctionName"] for _ in range(3))
    pages = functions.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [listed["FunctionName"] for page in pages for listed in page["Functions"]]
    assert [name for name in listed if name in names] == names
    functions.publish_version(FunctionName=names[0])
    listed = functions.list_functions(FunctionVersion="ALL")["Functions"]
    assert [one["Version"] for one in listed if one["FunctionName"] == names[0]] == ["$LATEST", "1"]
    assert refusal(functions.list_functions, Marker="no marker")[0] == "InvalidParameterValueException"


def test_policies(functions, create):
    made = create()
    name = made["FunctionName"]
    assert refusal(functions.get_policy, FunctionName=name) == (
        "ResourceNotFoundException", "The resource you requested does not exist."
    )
    arguments = {
        "FunctionName": name, "StatementId": "bedrock", "Action": "lambda:InvokeFunction",
        "Principal": "bedrock.amazonaws.com", "SourceAccount": "111111111111",
        "SourceArn": "arn:aws:bedrock:us-west-2:111111111111:agent/*",
    }
    statement = json.loads(functions.add_permission(**arguments)["Statement"])
    assert statement == {
        "Sid": "bedrock",
        "Effect": "Allow",
        "Principal": {"Service": "bedrock.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": made["FunctionArn"],
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "111111111111"},
            "ArnLike": {"AWS:SourceArn": "arn:aws:bedrock:us-west-2:111111111111:agent/*"},
        },
    }
    policy = functions.get_policy(FunctionName=name)
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert refusal(functions.add_permission, **arguments)[0] == "ResourceConflictException"
    code, _ = refusal(functions.remove_permission, FunctionName=name, StatementId="bedrock", RevisionId="other")
    assert code == "PreconditionFailedException"
    functions.remove_permission(FunctionName=name, StatementId="bedrock", RevisionId=policy["RevisionId"])
    assert refusal(functions.remove_permission, FunctionName=name, StatementId="bedrock")[0] == "ResourceNotFoundException"


def test_tags_concurrency_and_signing(functions, create):
    made = create()
    name, arn = made["FunctionName"], made["FunctionArn"]
    functions.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    functions.untag_resource(Resource=arn, TagKeys=["a"])
    assert functions.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    assert "ReservedConcurrentExecutions" not in functions.get_function_concurrency(FunctionName=name)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert functions.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    assert refusal(functions.invoke, FunctionName=name)[0] == "TooManyRequestsException"
    functions.delete_function_concurrency(FunctionName=name)
    assert call(functions, name)[0] == 1
    assert not functions.get_function_code_signing_config(FunctionName=name)["CodeSigningConfigArn"]


def test_a_provided_runtime(functions, create):
    bootstrap = """#!/bin/sh
exec python3 - <<'END'
import http.client, os
while True:
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    body = event.read()
    where = f"/2018-06-01/runtime/invocation/{event.headers['lambda-runtime-aws-request-id']}/response"
    api.request("POST", where, b'{"got":' + body + b"}")
    api.getresponse().read()
    api.close()
END
"""
    name = create(archive({"bootstrap": bootstrap}), Runtime="provided.al2023", Handler="any", Timeout=20)["FunctionName"]
    assert call(functions, name, {"a": 1})[0] == {"got": {"a": 1}}


def test_uploaded_code_reaches_no_network_and_writes_nothing_of_its_own(functions, create, stub):
    probe = """
import os, socket

def handler(event, context):
    found = {}
    try:
        socket.create_connection((event["host"], event["port"]), 2).close()
        found["connected"] = True
    except OSError:
        found["connected"] = False
    try:
        open(os.path.join(os.environ["LAMBDA_TASK_ROOT"], "mark"), "w").close()
        found["wrote"] = True
    except OSError:
        found["wrote"] = False
    return found
"""
    name = create(archive({"app.py": probe}), Timeout=20)["FunctionName"]
    place = urllib.parse.urlsplit(stub.url)
    assert call(functions, name, {"host": place.hostname, "port": place.port})[0] == {"connected": False, "wrote": False}


def test_uploads_as_large_as_lambdas(functions, create):
    import random

    noise = random.Random(1).randbytes(26 << 20)
    packed = archive({"app.py": "import os\ndef handler(event, context):\n    return os.path.getsize('noise')\n", "noise": noise})
    made = create(packed, Timeout=20)
    assert made["CodeSize"] == len(packed) > 26 << 20
    assert call(functions, made["FunctionName"])[0] == len(noise)


def test_the_guides_handler_is_uploaded_and_an_agent_calls_it(clients, stub, create):
    create(folder(EXAMPLE / "functions" / "order-tools"), name="order-tools", Handler="app.lambda_handler", Timeout=30)
    agent = agents.order_agent(clients.control)
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert "shipped" in turn.observations[0]


def test_permission_is_needed_where_limits_are_strict(stub, launch, connect):
    clients = connect(launch(config(stub, top='aws_limits = "strict"', functions="")))
    functions = clients.functions
    # The guide's own handler answers under a key that strict limits refuse.
    made = functions.create_function(
        FunctionName="order-tools", Runtime="python3.12", Handler="app.handler", Role=ROLE,
        Code={"ZipFile": archive({"app.py": ANSWERS})}, Timeout=30,
    )
    agent = agents.order_agent(clients.control)
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?")
    assert turn.error_code == "dependencyFailedException"
    assert turn.error_message.startswith(
        f"Access denied while invoking Lambda function {made['FunctionArn']}. Check the permissions on the Lambda "
        "function and retry the request."
    )
    functions.add_permission(
        FunctionName="order-tools", StatementId="bedrock", Action="lambda:InvokeFunction",
        Principal="bedrock.amazonaws.com", SourceArn=f"arn:aws:bedrock:us-west-2:111111111111:agent/{agent}",
    )
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?")
    assert turn.ok().observations == ["shipped"]


def test_functions_outlive_the_server(stub, launch, connect):
    server = launch(config(stub, functions=""))
    functions = connect(server).functions
    functions.create_function(
        FunctionName="kept", Runtime="python3.12", Handler="app.handler", Role=ROLE, Code={"ZipFile": returns("kept")}
    )
    server.stop()
    server.start()
    assert call(connect(server).functions, "kept")[0] == "kept"


@pytest.mark.parametrize("name", Model("lambda").not_served)
def test_not_supported(server, name):
    operation = Model("lambda").operations[name]
    path = re.sub(r"\{[^}]*\}", "a", operation.uri)
    status, headers, body = request(operation.method, server.url + urllib.parse.quote(path))
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException"), body
    assert json.loads(body)["message"] == f"{name} is not supported by Outcrop"
