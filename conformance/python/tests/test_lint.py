"""`outcrop lint`: what would fail is told before a call does, with its place, and nothing is run unasked."""

import json
import subprocess

import pytest
from conftest import EXAMPLE, binary, config

from outcrop_e2e import agents

TEMPLATE = """\
Resources:
  Tools:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: shop-tools
      Runtime: python3.12
      Handler: app.handle
      Code: code
      Timeout: 20
  Agent:
    Type: AWS::Bedrock::Agent
    Properties:
      AgentName: shop
      FoundationModel: anthropic.claude-opus-4-7
      Instruction: You help the customers of a small shop with their orders and nothing else.
      PromptOverrideConfiguration:
        PromptConfigurations:
          - PromptType: ORCHESTRATION
            PromptCreationMode: OVERRIDDEN
            PromptState: ENABLED
            BasePromptTemplate: |
              $instruction$
              $questoin$
      ActionGroups:
        - ActionGroupName: Orders
          ActionGroupExecutor:
            Lambda: !GetAtt Tools.Arn
          FunctionSchema:
            Functions:
              - Name: find_order
                Description: Looks an order up by its number.
                Parameters:
                  number:
                    Type: string
                    Description: The number.
                    Required: true
              - Name: an_order_function_with_a_name_that_is_longer_than_models_take
        - ActionGroupName: Claims
          ActionGroupExecutor:
            Lambda: !GetAtt Tools.Arn
          ApiSchema:
            Payload: !File claims.yaml
        - ActionGroupName: Elsewhere
          ActionGroupExecutor:
            Lambda: arn:aws:lambda:us-west-2:111111111111:function:nobody
          FunctionSchema:
            Functions:
              - Name: greet
                Description: Says hello to a customer in the language of the shop.
"""

CLAIMS = """\
openapi: 3.0.0
info: {title: Claims, version: 1.0.0}
paths:
  /claims/{id}:
    get:
      operationId: getClaim
      summary: Reads one claim of a customer.
      parameters:
        - name: id
          in: path
          required: true
          schema: {type: string}
      responses:
        "200": {description: The claim.}
"""

GOOD = """
def handle(event, context):
    response = {"actionGroup": event["actionGroup"]}
    if "function" in event:
        response["function"] = event["function"]
        response["functionResponse"] = {"responseBody": {"TEXT": {"body": "ok"}}}
    else:
        response.update(apiPath=event["apiPath"], httpMethod=event["httpMethod"], httpStatusCode=200)
        response["responseBody"] = {"application/json": {"body": "{}"}}
    return {"messageVersion": "1.0", "response": response}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "claims.yaml").write_text(CLAIMS)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(GOOD)
    return tmp_path


def lint(folder, *arguments, code=0, env=None):
    ended = subprocess.run(
        [binary("outcrop", "OUTCROP_BIN"), "lint", *map(str, arguments)], cwd=folder, stdin=subprocess.DEVNULL,
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def findings(text):
    return json.loads(text)["findings"]


def lines(found):
    return {(one["rule"], one.get("file"), one.get("line")) for one in found}


def line_of(text, needle):
    return next(number for number, line in enumerate(text.splitlines(), 1) if needle in line)


def test_findings_of_a_template_have_their_lines(project):
    found = findings(lint(project, "template.yaml", "--format", "json"))
    at = lines(found)
    long = line_of(TEMPLATE, "- Name: an_order_function")
    assert ("tool-name", "template.yaml", long) in at
    assert ("description", "template.yaml", long) in at
    assert ("prompt", "template.yaml", line_of(TEMPLATE, "$questoin$")) in at
    in_schema = [one for one in found if one.get("file") == "claims.yaml"]
    assert in_schema and all(one["line"] >= line_of(CLAIMS, "get:") for one in in_schema), found
    assert not any(one["severity"] == "error" for one in found), found


def test_warnings_count_when_asked(project):
    lint(project, "template.yaml", "--strict", code=1)


def test_text_reads_like_a_compilers(project):
    told = lint(project, "template.yaml")
    long = line_of(TEMPLATE, "- Name: an_order_function")
    assert f"template.yaml:{long}:" in told and "warning[tool-name]: shop: action group Orders" in told
    assert told.rstrip().splitlines()[-1].endswith(("notes", "note", "warnings", "warning"))


def test_a_function_that_nothing_runs(project):
    (project / "outcrop.toml").write_text('[[models]]\nmatch = "*"\nprovider = "openai"\nbase_url = "http://127.0.0.1:9"\n')
    found = findings(lint(project, "template.yaml", "--format", "json", code=1))
    unknown = [one for one in found if one["rule"] == "function"]
    assert len(unknown) == 1 and "nobody" in unknown[0]["problem"]
    assert unknown[0]["line"] == line_of(TEMPLATE, "ActionGroupName: Elsewhere")


def test_handlers_that_are_not_there(project):
    (project / "code" / "app.py").write_text("def other(event, context): pass\n")
    found = findings(lint(project, "template.yaml", "--format", "json"))
    assert [one["severity"] for one in found if one["rule"] == "handler"] == ["warning"]
    (project / "code" / "app.py").rename(project / "code" / "main.py")
    found = findings(lint(project, "template.yaml", "--format", "json", code=1))
    missing = next(one for one in found if one["rule"] == "handler")
    assert missing["severity"] == "error" and missing["line"] == line_of(TEMPLATE, "Handler: app.handle")


def test_a_template_that_is_none(project):
    (project / "template.yaml").write_text(TEMPLATE.replace("FoundationModel", "FoundatoinModel"))
    found = findings(lint(project, "template.yaml", "--format", "json", code=1))
    assert found[0]["rule"] == "template" and "did you mean FoundationModel" in found[0]["problem"]
    lint(project, "no-such.yaml", code=2)
    lint(project, code=2)


def test_handlers_are_run_only_on_request(project):
    trap = project / "called"
    (project / "code" / "app.py").write_text(f"{GOOD}\nopen({str(trap)!r}, 'w').close()\n")
    lint(project, "template.yaml")
    assert not trap.exists()
    (project / "code" / "app.py").write_text(GOOD.replace('"TEXT"', '"text"'))
    found = findings(lint(project, "template.yaml", "--dry-run-handlers", "--format", "json", code=1))
    replies = [one for one in found if one["rule"] == "reply"]
    assert len(replies) == 2 and all("TEXT" in one["problem"] for one in replies), replies


def test_an_agent_on_a_server(stub, launch, connect, tmp_path):
    (tmp_path / "app.py").write_text(GOOD.replace('"1.0"', '"2.0"'))
    entry = f'[[functions]]\nmatch = "order-tools"\nruntime = "python"\nhandler = "app.handle"\ncode = "{tmp_path}"\n'
    server = launch(config(stub, functions=entry))
    clients = connect(server)
    name = agents.unique("lint")
    agent = agents.order_agent(clients.control, name=name)
    agents.add_group(clients.control, agent, "Nobody", {"lambda": agents.LAMBDA.replace("order-tools", "nobody")},
                     agents.CALENDAR_FUNCTIONS)
    agents.add_group(clients.control, agent, "Api", {"customControl": "RETURN_CONTROL"},
                     apiSchema={"s3": {"s3BucketName": "my-agent-schemas", "s3ObjectKey": "order-tools/openapi.yaml"}})
    common = ("--agent", name, "--endpoint", server.url, "--format", "json")
    found = findings(lint(tmp_path, *common, env=server.env, code=1))
    assert [one["problem"].split(",")[0] for one in found if one["severity"] == "error"] == [
        f"no [[functions]] entry fits {agents.LAMBDA.replace('order-tools', 'nobody')}"
    ]
    assert any(one["rule"] == "description" and "order_id" in one["place"] for one in found)
    assert not any("was not looked at" in one["problem"] for one in found), "the server reads its own buckets"
    found = findings(lint(tmp_path, *common, "--dry-run-handlers", env=server.env, code=1))
    replies = [one for one in found if one["rule"] == "reply"]
    assert len(replies) == 2 and all("messageVersion" in one["problem"] for one in replies)


def test_the_example_is_clean(launch, stub, connect):
    """What the project shows others passes its own rules."""
    server = launch(config(stub))
    agent = agents.create(connect(server).control)
    agents.add_group(connect(server).control, agent, "Orders", {"lambda": agents.LAMBDA},
                     apiSchema={"payload": (EXAMPLE / "buckets/my-agent-schemas/order-tools/openapi.yaml").read_text()})
    found = findings(lint(server.folder, "--agent", agent, "--endpoint", server.url, "--format", "json", env=server.env))
    assert not any(one["severity"] == "error" for one in found), found
