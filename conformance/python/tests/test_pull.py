"""`outcrop pull`: an agent with all it refers to, from one real server to a folder and to other servers."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from conftest import EXAMPLE, binary, config

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

KEY, SECRET = "AKIDPULLEXAMPLE", "a-secret-only-for-tests"
ACCOUNT, REGION = "111111111111", "us-west-2"
CLAIMS = "arn:aws:lambda:us-west-2:111111111111:function:claims:live"

SCHEMA = {
    "openapi": "3.0.0",
    "info": {"title": "Claims", "version": "1.0.0"},
    "paths": {
        "/claims/{claimId}": {
            "post": {
                "operationId": "notify",
                "description": "Tell the holder of a claim what is missing.",
                "parameters": [
                    {
                        "name": "claimId", "in": "path", "required": True, "description": "The claim.",
                        "schema": {"type": "string", "default": "claim-006"},
                    }
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"urgent": {"type": "boolean"}, "kind": {"type": "string", "enum": ["photo"]}},
                            }
                        }
                    },
                },
                "responses": {
                    "200": {"description": "Told.", "content": {"application/json": {"schema": {"type": "object"}}}}
                },
            }
        }
    },
}

TEMPLATE = json.dumps(
    {
        "system": "$instruction$\nAnswer briefly.",
        "messages": [
            {"role": "user", "content": [{"text": "$question$"}]},
            {"role": "assistant", "content": [{"text": "$agent_scratchpad$"}]},
        ],
    }
)


@pytest.fixture(scope="module")
def source(stub, launch):
    return launch(config(stub))


@pytest.fixture
def outcrop(source):
    """Runs a command of `outcrop`."""

    def call(*arguments, code=0, env=None):
        ended = subprocess.run(
            [binary("outcrop", "OUTCROP_BIN"), *map(str, arguments)],
            env={**source.env, "NO_COLOR": "1", **(env or {})}, cwd=source.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return call


def files(folder):
    """All files below a folder, with their text."""
    found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def knowledge_base(control):
    base = control.create_knowledge_base(
        name=agents.unique("docs"), description="The manuals", roleArn=agents.ROLE,
        knowledgeBaseConfiguration={
            "type": "VECTOR",
            "vectorKnowledgeBaseConfiguration": {
                "embeddingModelArn": "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0"
            },
        },
        storageConfiguration={
            "type": "S3_VECTORS",
            "s3VectorsConfiguration": {"indexArn": "arn:aws:s3vectors:us-west-2:111111111111:bucket/docs/index/main"},
        },
        tags={"team": "docs"},
    )["knowledgeBase"]["knowledgeBaseId"]
    control.create_data_source(
        knowledgeBaseId=base, name="manuals", dataDeletionPolicy="RETAIN",
        dataSourceConfiguration={
            "type": "S3", "s3Configuration": {"bucketArn": "arn:aws:s3:::docs", "inclusionPrefixes": ["manuals/"]}
        },
        vectorIngestionConfiguration={
            "chunkingConfiguration": {
                "chunkingStrategy": "FIXED_SIZE",
                "fixedSizeChunkingConfiguration": {"maxTokens": 300, "overlapPercentage": 20},
            }
        },
    )
    return base


def alias(control, agent, name, **more):
    made = control.create_agent_alias(agentId=agent, agentAliasName=name, **more)["agentAlias"]["agentAliasId"]
    assert agents.alias_status(control, agent, made) == "PREPARED"
    return made


def update(control, agent, **changes):
    """UpdateAgent clears what it is not given, so everything is given again."""
    shown = control.get_agent(agentId=agent)["agent"]
    keep = (
        "agentName", "agentResourceRoleArn", "foundationModel", "instruction", "description", "memoryConfiguration",
        "idleSessionTTLInSeconds", "guardrailConfiguration", "agentCollaboration",
    )
    control.update_agent(agentId=agent, **{**{name: shown[name] for name in keep if name in shown}, **changes})


def worker(control):
    """A plain agent with an alias that another may ask."""
    agent = agents.create(control, name=agents.unique("worker"), tags={"role": "worker"})
    agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    agents.prepare(control, agent)
    return agent, alias(control, agent, "live", tags={"stage": "live"})


def supervisor(control):
    """An agent with one of everything, several versions and several aliases."""
    helper, helper_alias = worker(control)
    base = knowledge_base(control)
    prompt = control.create_prompt(
        name=agents.unique("tone"), defaultVariant="short", description="How to speak",
        variants=[
            {
                "name": "short", "templateType": "TEXT", "modelId": agents.MODEL,
                "templateConfiguration": {"text": {"text": "Be brief, {{name}}.\nAlways.", "inputVariables": [{"name": "name"}]}},
            }
        ],
    )
    version = control.create_prompt_version(promptIdentifier=prompt["id"], description="first")
    overrides = {
        "promptConfigurations": [
            {
                "promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN", "promptState": "ENABLED",
                "parserMode": "DEFAULT", "basePromptTemplate": TEMPLATE,
                "inferenceConfiguration": {"temperature": 0.5, "topP": 0.9, "maximumLength": 1000, "stopSequences": ["</x>"]},
            },
            {"promptType": "POST_PROCESSING", "promptState": "ENABLED", "foundationModel": version["arn"]},
        ]
    }
    agent = agents.create(
        control, name=agents.unique("boss"), description="knows: who # does 'what'",
        instruction="You are the boss.\n\n  Ask the worker about orders: always.\nNever guess.",
        agentCollaboration="SUPERVISOR", idleSessionTTLInSeconds=1800, promptOverrideConfiguration=overrides,
        memoryConfiguration={"enabledMemoryTypes": ["SESSION_SUMMARY"], "storageDays": 7},
        guardrailConfiguration={"guardrailIdentifier": "abc123def456", "guardrailVersion": "1"},
        tags={"team": "support", "a b": "c/d=e"},
    )
    agents.add_group(control, agent, "OrderTools", {"lambda": agents.LAMBDA}, agents.ORDER_FUNCTIONS)
    agents.add_group(control, agent, "Claims", {"lambda": CLAIMS}, apiSchema={"payload": json.dumps(SCHEMA)}, description="Claims: all")
    agents.add_group(control, agent, "Calendar", {"customControl": "RETURN_CONTROL"}, agents.CALENDAR_FUNCTIONS)
    control.create_agent_action_group(
        agentId=agent, agentVersion="DRAFT", actionGroupName="UserInputAction",
        parentActionGroupSignature="AMAZON.UserInput", actionGroupState="DISABLED",
    )
    control.associate_agent_knowledge_base(agentId=agent, agentVersion="DRAFT", knowledgeBaseId=base, description="Manuals")
    control.associate_agent_collaborator(
        agentId=agent, agentVersion="DRAFT", collaboratorName="worker", collaborationInstruction="Ask about orders.",
        agentDescriptor={"aliasArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:agent-alias/{helper}/{helper_alias}"},
        relayConversationHistory="TO_COLLABORATOR",
    )
    agents.prepare(control, agent)
    old = alias(control, agent, "old", description="as it was")
    update(control, agent, instruction="You are the second boss. Be fair to everybody.", promptOverrideConfiguration=overrides)
    agents.prepare(control, agent)
    live = alias(control, agent, "live", tags={"stage": "live"})
    gone = alias(control, agent, "gone")
    control.delete_agent_alias(agentId=agent, agentAliasId=gone)
    control.delete_agent_version(agentId=agent, agentVersion="3")
    update(control, agent, instruction="You are the fourth boss. Be fair to everybody.")
    agents.prepare(control, agent)
    paused = alias(control, agent, "paused")
    control.update_agent_alias(
        agentId=agent, agentAliasId=paused, agentAliasName="paused", aliasInvocationState="REJECT_INVOCATIONS",
        routingConfiguration=[{"agentVersion": "4"}],
    )
    update(control, agent, instruction="You are the boss of the draft. Be fair to everybody.", promptOverrideConfiguration=overrides)
    agents.prepare(control, agent)
    return agent, {"old": old, "live": live, "paused": paused}, helper, helper_alias, base


def routing(control, agent):
    """Aliases by name: id, version, state."""
    shown = control.list_agent_aliases(agentId=agent)["agentAliasSummaries"]
    return {
        one["agentAliasName"]: (
            one["agentAliasId"], one["routingConfiguration"][0]["agentVersion"], one.get("aliasInvocationState")
        )
        for one in shown
    }


def versions(control, agent):
    shown = control.list_agent_versions(agentId=agent)["agentVersionSummaries"]
    return sorted(one["agentVersion"] for one in shown)


def test_a_round_trip_is_identical(source, stub, launch, connect, outcrop, tmp_path):
    control = connect(source).control
    agent, aliases, helper, helper_alias, base = supervisor(control)
    first, second = tmp_path / "first", tmp_path / "second"
    outcrop("pull", "--agent", agent, "--endpoint", source.url, "--into", first)
    pulled = files(first)
    assert "functions/claims/handler.py" in pulled and "functions/order-tools/handler.py" in pulled
    event = json.loads(pulled["functions/claims/events/Claims.POST--claims--claimId.json"])
    assert event["apiPath"] == "/claims/{claimId}" and event["httpMethod"] == "POST"
    assert event["parameters"] == [{"name": "claimId", "type": "string", "value": "claim-006"}]
    assert json.loads(next(text for path, text in pulled.items() if path.startswith("schemas/"))) == SCHEMA
    assert TEMPLATE in pulled.values()

    there = launch(config(stub, functions=""))
    outcrop("deploy", first / "template.yaml", "--endpoint", there.url, "--yes")
    copy = connect(there).control
    assert routing(copy, agent) == routing(control, agent)
    assert versions(copy, agent) == versions(control, agent) == ["1", "2", "4", "DRAFT"]
    assert routing(copy, helper)["live"][0] == helper_alias
    assert copy.get_knowledge_base(knowledgeBaseId=base)["knowledgeBase"]["name"].startswith("docs-")
    for number in ("1", "2", "4"):
        read = [one.get_agent_version(agentId=agent, agentVersion=number)["agentVersion"] for one in (control, copy)]
        for shown in read:
            shown.pop("createdAt"), shown.pop("updatedAt")
        assert read[0] == read[1]

    outcrop("pull", "--agent", agent, "--endpoint", there.url, "--into", second)
    assert files(second) == pulled
    # And once more over the same folder: nothing changes, and an edited stub stays.
    stub_file = second / "functions" / "claims" / "handler.py"
    stub_file.write_text("mine")
    assert "kept functions/claims/handler.py" in outcrop("pull", "--agent", agent, "--endpoint", there.url, "--into", second)
    assert stub_file.read_text() == "mine"
    assert "nothing changes" in outcrop("deploy", first / "template.yaml", "--endpoint", there.url, "--yes")


def test_a_push_keeps_ids_and_answers_alike(source, stub, launch, connect, outcrop):
    here = connect(source)
    agent, alias_id = worker(here.control)
    update(here.control, agent, instruction="Another instruction, which the alias does not serve yet.")
    there = launch(config(stub))
    outcrop("pull", "--agent", agent, "--endpoint", source.url, "--push", there.url)
    copy = connect(there)
    answers = [
        invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?", alias=alias_id).ok().text
        for clients in (here, copy)
    ]
    assert answers[0] == answers[1] and "A-482" in answers[0]
    arn = copy.control.get_agent(agentId=agent)["agent"]["agentArn"]
    assert copy.control.list_tags_for_resource(resourceArn=arn)["tags"]["role"] == "worker"

    shown = outcrop("pull", "--agent", agent, "--endpoint", source.url, "--push", there.url)
    assert "nothing changes" in shown
    # What changes at the source changes in the copy, under the same ids.
    agents.prepare(here.control, agent)
    here.control.update_agent_alias(agentId=agent, agentAliasId=alias_id, agentAliasName="live")
    outcrop("pull", "--agent", agent, "--endpoint", source.url, "--push", there.url)
    assert routing(copy.control, agent) == routing(here.control, agent)
    shown = copy.control.get_agent_version(agentId=agent, agentVersion="2")["agentVersion"]
    assert shown["instruction"].startswith("Another instruction")


def test_a_push_of_what_two_agents_share(source, stub, launch, connect, outcrop):
    control = connect(source).control
    agent, aliases, helper, helper_alias, base = supervisor(control)
    there = launch(config(stub))
    # The worker first, alone; then the supervisor, which needs it.
    outcrop("pull", "--agent", helper, "--endpoint", source.url, "--push", there.url)
    outcrop("pull", "--agent", agent, "--endpoint", source.url, "--push", there.url)
    copy = connect(there).control
    assert routing(copy, agent) == routing(control, agent)
    assert {name: route[0] for name, route in routing(copy, agent).items() if name != "AgentTestAlias"} == aliases


def test_as_one_alias_serves_it(source, connect, outcrop, tmp_path):
    control = connect(source).control
    agent, alias_id = worker(control)
    update(control, agent, instruction="Another instruction, which the alias does not serve.")
    outcrop("pull", "--agent", agent, "--alias", "live", "--endpoint", source.url, "--into", tmp_path / "x")
    template = (tmp_path / "x" / "template.yaml").read_text()
    assert agents.INSTRUCTION in template and "Another instruction" not in template
    assert "Outcrop::" not in template and alias_id in template
    said = outcrop("pull", "--agent", agent, "--alias", "nobody", "--endpoint", source.url, code=1)
    assert "there is no alias with the id or name nobody" in said


def test_what_is_not_there_and_what_is_in_the_way(source, connect, outcrop, tmp_path):
    said = outcrop("pull", "--agent", "no-such-agent", "--endpoint", source.url, code=1)
    assert "there is no agent with the id or name no-such-agent" in said
    agent, _ = worker(connect(source).control)
    (tmp_path / "notes.txt").write_text("mine")
    said = outcrop("pull", "--agent", agent, "--endpoint", source.url, "--into", tmp_path, code=1)
    assert "it holds other files" in said


def test_a_profile_signs(stub, launch, connect, outcrop, tmp_path):
    text = config(stub) + f'\n[[credentials]]\naccess_key_id = "{KEY}"\nsecret_env = "OUTCROP_SECRET"\n'
    server = launch(text, {"OUTCROP_SECRET": SECRET})
    agent, _ = worker(connect(server, access_key=KEY, secret=SECRET).control)
    profiles = tmp_path / "config"
    profiles.write_text(
        f"[profile right]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\nregion = {REGION}\n"
        f"endpoint_url = {server.url}\n\n"
        f"[profile wrong]\naws_access_key_id = {KEY}\naws_secret_access_key = another\nregion = {REGION}\n"
        f"endpoint_url = {server.url}\n"
    )
    # The variables of the environment name somebody else; the profile wins.
    env = {"AWS_CONFIG_FILE": str(profiles), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    outcrop("pull", "--agent", agent, "--profile", "right", "--into", tmp_path / "a", env=env)
    outcrop("pull", "--agent", agent, "--profile", "right", "--endpoint", server.url, "--into", tmp_path / "b", env=env)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert SECRET not in "".join(files(tmp_path / "a").values())
    said = outcrop("pull", "--agent", agent, "--profile", "wrong", "--into", tmp_path / "c", code=1, env=env)
    assert "InvalidSignatureException" in said
    said = outcrop("pull", "--agent", agent, "--profile", "nobody", "--into", tmp_path / "c", code=1, env=env)
    assert "credentials" in said


class Bucket(BaseHTTPRequestHandler):
    """One bucket of S3, which checks signatures as S3 does."""

    def do_GET(self):
        given = self.headers["authorization"]
        names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        request = botocore.awsrequest.AWSRequest("GET", f"http://{self.headers['host']}{self.path}")
        for name in names:
            request.headers[name] = self.headers[name]
        request.context["timestamp"] = self.headers["x-amz-date"]
        auth = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("AKIDSTUB", "stub-secret"), "s3", REGION)
        signed = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        found = EXAMPLE / "buckets" / self.path.lstrip("/")
        status = 403 if f"Signature={signed}" not in given else 200 if found.is_file() else 404
        body = found.read_bytes() if status == 200 else b""
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_schema_in_s3(source, connect, outcrop, tmp_path):
    path = next(path for path in (EXAMPLE / "buckets").rglob("*") if path.is_file())
    bucket, _, key = str(path.relative_to(EXAMPLE / "buckets")).partition("/")
    control = connect(source).control
    agent = agents.create(control, name=agents.unique("s3"))
    agents.add_group(
        control, agent, "Api", {"lambda": agents.LAMBDA}, apiSchema={"s3": {"s3BucketName": bucket, "s3ObjectKey": key}}
    )
    outcrop("pull", "--agent", agent, "--endpoint", source.url, "--into", tmp_path / "without")
    report = (tmp_path / "without" / "REPORT.md").read_text()
    assert f"schema s3://{bucket}/{key}" in report
    assert "S3BucketName" in (tmp_path / "without" / "template.yaml").read_text()

    buckets = HTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=buckets.serve_forever, daemon=True).start()
    try:
        env = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{buckets.server_port}"}
        outcrop("pull", "--agent", agent, "--endpoint", source.url, "--into", tmp_path / "with", env=env)
    finally:
        buckets.shutdown()
        buckets.server_close()
    pulled = files(tmp_path / "with")
    assert path.read_text() in [text for name, text in pulled.items() if name.startswith("schemas/")]
    assert any(name.startswith("functions/order-tools/events/Api.") for name in pulled)
