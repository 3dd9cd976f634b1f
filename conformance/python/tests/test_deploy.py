"""`outcrop deploy`, `diff` and `delete` with real templates, a real Python function and a real kill."""

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import EXAMPLE, ROOT, config

from outcrop_e2e import agents
from outcrop_e2e.process import request
from outcrop_e2e.turn import invoke

TEMPLATES = ROOT / "crates" / "deploy" / "tests" / "templates"


@pytest.fixture(scope="module")
def server(stub, launch):
    """A server that knows no function but those that are deployed."""
    return launch(config(stub, functions=""))


@pytest.fixture
def run(server):
    """Runs a command of `outcrop` against the module's server."""

    def call(*arguments, code=0, url=None):
        ended = subprocess.run(
            [server.binary, *map(str, arguments), "--endpoint", url or server.url],
            env={**server.env, "NO_COLOR": "1"}, cwd=server.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return call


@pytest.fixture
def guide(tmp_path):
    """The guide's template in a folder of its own, its function beside it."""
    shutil.copytree(EXAMPLE / "functions", tmp_path / "functions")
    text = (TEMPLATES / "guide.yaml").read_text()
    template = tmp_path / "support.yaml"
    template.write_text(text)
    return template


def edit(template, old, new):
    text = template.read_text()
    assert old in text
    template.write_text(text.replace(old, new))


def found(control, name):
    """The agent of this name, or None."""
    summaries = control.list_agents()["agentSummaries"]
    ids = [one["agentId"] for one in summaries if one["agentName"] == name]
    return ids[0] if ids else None


def routed(control, agent, name="PROD"):
    """The version an alias of this name serves."""
    aliases = control.list_agent_aliases(agentId=agent)["agentAliasSummaries"]
    return [one["routingConfiguration"][0]["agentVersion"] for one in aliases if one["agentAliasName"] == name][0]


def test_the_guides_template_from_nothing_to_nothing(run, guide, control, runtime):
    shown = run("diff", guide)
    assert "+ SupportAgent AWS::Bedrock::Agent" in shown
    assert found(control, "support-bot") is None

    shown = run("deploy", guide, "--yes")
    assert ". AgentRole AWS::IAM::Role (not applicable here)" in shown
    agent = found(control, "support-bot")
    role = control.get_agent(agentId=agent)["agent"]["agentResourceRoleArn"]
    assert role == "arn:aws:iam::111111111111:role/AgentRole"
    assert routed(control, agent) == "1"

    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?", alias="PROD")
    assert turn.error_code is None, turn.error_message
    assert "A-482" in turn.text

    # Nothing changed: nothing is done.
    assert "nothing changes" in run("deploy", guide, "--yes")
    assert routed(control, agent) == "1"

    # A changed instruction is a text diff, and cuts the version that the alias moves to.
    edit(guide, "the HR knowledge base for policy questions.", "the HR knowledge base for nothing else.")
    shown = run("diff", guide)
    assert "-for order lookups and the HR knowledge base for policy questions." in shown
    assert "+for order lookups and the HR knowledge base for nothing else." in shown
    assert routed(control, agent) == "1"
    shown = run("deploy", guide, "--yes")
    assert "-> version 2" in shown
    assert routed(control, agent) == "2"
    assert found(control, "support-bot") == agent

    # A changed handler is a change too, and no old worker serves it.
    handler = guide.parent / "functions" / "order-tools" / "app.py"
    handler.write_text(handler.read_text().replace('"shipped"', '"lost at sea"'))
    shown = run("deploy", guide, "--yes")
    assert "~ OrderToolsFn" in shown and routed(control, agent) == "2"
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?", alias="PROD")
    assert "lost at sea" in turn.text

    shown = run("delete", "support", "--yes")
    assert found(control, "support-bot") is None
    assert "there is no stack support here" in run("delete", "support", "--yes", code=1)
    status, _, body = request("GET", f"{_url(run)}/_outcrop/v1/functions")
    assert status == 200 and json.loads(body)["functions"] == {}


def _url(run):
    """The server's address, out of the fixture's closure."""
    names = run.__code__.co_freevars
    return run.__closure__[names.index("server")].cell_contents.url


def test_a_failed_update_is_rolled_back(run, guide, control):
    edit(guide, "support-bot", "rolled-bot")
    run("deploy", guide, "--yes", "--stack", "rolled")
    agent = found(control, "rolled-bot")
    before = control.get_agent(agentId=agent)["agent"]["instruction"]
    # The agent is updated before its alias, which no server takes with this name.
    edit(guide, "You are a helpful", "You are a changed and helpful")
    edit(guide, "AgentAliasName: PROD", "AgentAliasName: not a name!")
    shown = run("deploy", guide, "--yes", "--stack", "rolled", code=1)
    assert "update SupportAgent: " in shown
    assert "rolling back" in shown and "restore SupportAgent: done" in shown
    assert control.get_agent(agentId=agent)["agent"]["instruction"] == before
    assert routed(control, agent) == "1"
    run("delete", "rolled", "--yes")


def test_everything_unsupported_is_named_before_anything_is_done(run, guide, control):
    text = guide.read_text().replace("AgentName: support-bot", "AgentName: !Cidr [x]")
    guide.write_text(text + "  Queue:\n    Type: AWS::SQS::Queue\n")
    shown = run("deploy", guide, "--yes", code=2)
    assert re.search(r"line \d+: the intrinsic Fn::Cidr is not supported", shown)
    assert re.search(r"line \d+: the resource type AWS::SQS::Queue is not supported", shown)
    assert found(control, "support-bot") is None


def test_what_cdk_synth_writes(run, tmp_path, control, runtime):
    out = tmp_path / "cdk.out"
    out.mkdir()
    template = out / "SupportStack.template.json"
    text = (TEMPLATES / "cdk.template.json").read_text()
    template.write_text(text)
    asset = out / re.search(r'"aws:asset:path": "([^"]+)"', text).group(1)
    asset.mkdir()
    source = (EXAMPLE / "functions" / "order-tools" / "app.py").read_text()
    (asset / "app.py").write_text(source + "\n\nhandler = lambda_handler\n")
    shown = run("deploy", template, "--yes", "--env", "dev")
    assert "stack SupportStack-dev" in shown
    outputs = dict(re.findall(r"^  (\w+) = (\S+)$", shown, re.M))
    agent = found(control, "cdk-support")
    assert outputs["AgentId"] == agent
    turn = invoke(runtime, agent, agents.session_id(), "Where is order A-482?", alias=outputs["AliasId"])
    assert turn.error_code is None, turn.error_message
    run("delete", "SupportStack", "--env", "dev", "--yes")
    assert found(control, "cdk-support") is None


def test_exports_hold_a_stack(run, tmp_path):
    giver = tmp_path / "giver.yaml"
    giver.write_text(
        "Resources:\n  B: {Type: AWS::S3::Bucket, Properties: {BucketName: given-bucket}}\n"
        "Outputs:\n  B: {Value: !Ref B, Export: {Name: the-bucket}}\n"
    )
    taker = tmp_path / "taker.yaml"
    taker.write_text(
        "Parameters:\n  Name: {Type: String, Default: taken}\nResources:\n  B:\n    Type: AWS::S3::Bucket\n    "
        "Properties:\n      BucketName: !Sub ['${Name}-${B}', {B: !ImportValue the-bucket}]\n"
        "Outputs:\n  B: {Value: !Ref B}\n"
    )
    assert "no stack of this server exports the-bucket" in run("deploy", taker, "--yes", code=2)
    run("deploy", giver, "--yes")
    giver.write_text(giver.read_text() + "  C: {Value: also, Export: {Name: another}}\n")
    assert "only outputs change" in run("deploy", giver, "--yes")
    assert "nothing changes" in run("deploy", giver, "--yes")
    (tmp_path / "parameters.dev.toml").write_text('Name = "dev"\n')
    assert "B = dev-given-bucket" in run("deploy", taker, "--yes", "--env", "dev")
    assert "B = x-given-bucket" in run("deploy", taker, "--yes", "--parameter", "Name=x")
    assert "is in use by the stack taker" in run("delete", "giver", "--yes", code=1)
    for name in ("taker", "taker-dev", "giver"):
        run("delete", name, "--yes")


def test_a_deployment_that_is_killed_is_gone_on_with(run, guide, control, server):
    edit(guide, "support-bot", "killed-bot")
    for lines in range(6, 14):
        process = subprocess.Popen(
            [server.binary, "deploy", str(guide), "--yes", "--stack", "killed", "--endpoint", server.url],
            env=server.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        )
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        run("deploy", guide, "--yes", "--stack", "killed")
        agent = found(control, "killed-bot")
        assert routed(control, agent) == "1"
        groups = control.list_agent_action_groups(agentId=agent, agentVersion="DRAFT")["actionGroupSummaries"]
        assert [group["actionGroupName"] for group in groups] == ["OrderTools"]
        run("delete", "killed", "--yes")
        assert found(control, "killed-bot") is None


def test_functions_are_registered_on_loopback_or_by_leave(stub, launch, guide, run):
    refusing = launch(config(stub, top="register_functions = false", functions=""))
    shown = run("deploy", guide, "--yes", url=refusing.url, code=1)
    assert "AccessDeniedException" in shown and "register_functions = true" in shown


def test_own_endpoints_are_signed_when_keys_are_configured(stub, launch):
    closed = launch(
        config(stub, functions="", top='[[credentials]]\naccess_key_id = "AKIDEXAMPLE"\nsecret_env = "THE_SECRET"\n'),
        {"THE_SECRET": "any-secret"},
    )
    for path in ("identity", "stacks", "functions", "exports"):
        status, _, _ = request("GET", f"{closed.url}/_outcrop/v1/{path}")
        assert status == 403, path


def test_a_guardrail_is_deployed_with_its_version(server, clients, run):
    guardrails = clients.guardrails
    template = TEMPLATES / "guardrail.yaml"
    said = run("deploy", template, "--yes", "--stack", "watch")
    arn = re.search(r"arn:aws:bedrock:us-west-2:111111111111:guardrail/\w+", said).group()
    seen = guardrails.get_guardrail(guardrailIdentifier=arn, guardrailVersion="1")
    assert seen["description"] == "the first" and seen["topicPolicy"]["tier"] == {"tierName": "CLASSIC"}
    assert guardrails.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "team", "value": "orders"}]
    agent = found(clients.control, "watched")
    turn = invoke(clients.runtime, agent, agents.session_id(), "This is forbidden.")
    assert turn.text == "You cannot ask that."
    run("deploy", template, "--yes", "--stack", "watch", "--parameter", "Word=banned")
    words = guardrails.get_guardrail(guardrailIdentifier=arn)["wordPolicy"]["words"]
    assert [word["text"] for word in words] == ["banned"]
    run("delete", "watch", "--yes")
    ids = [one["arn"] for one in guardrails.list_guardrails()["guardrails"]]
    assert arn not in ids and not found(clients.control, "watched")
