"""SigV4: with credentials configured every request must verify; without, only loopback is served."""

import subprocess
from datetime import datetime, timedelta

import botocore.auth
import botocore.compat
import pytest
from botocore.exceptions import ClientError
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.process import Outcrop, request
from outcrop_e2e.turn import invoke

KEY, SECRET = "AKIDOUTCROPEXAMPLE", "a-secret-only-for-tests"


@pytest.fixture(scope="module")
def server(stub, launch):
    text = config(stub) + f'\n[[credentials]]\naccess_key_id = "{KEY}"\nsecret_env = "OUTCROP_SECRET"\n'
    return launch(text, {"OUTCROP_SECRET": SECRET})


def refused(clients):
    """(status, code) of a call that must not pass."""
    with pytest.raises(ClientError) as error:
        clients.control.list_agents()
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_the_right_key_passes(server, connect):
    clients = connect(server, access_key=KEY, secret=SECRET)
    agent = agents.order_agent(clients.control, tags={"a b": "c/d=e"})
    arn = clients.control.get_agent(agentId=agent)["agent"]["agentArn"]
    # Paths with encoded slashes and colons, and queries, are where canonical requests go wrong.
    assert clients.control.list_tags_for_resource(resourceArn=arn)["tags"] == {"a b": "c/d=e"}
    clients.control.untag_resource(resourceArn=arn, tagKeys=["a b"])
    turn = invoke(clients.runtime, agent, "session:with.dots_and-more", "Where is order A-482? Grüße!").ok()
    assert "A-482" in turn.text
    clients.control.delete_agent(agentId=agent, skipResourceInUseCheck=True)


def test_a_wrong_secret_is_refused(server, connect):
    clients = connect(server, access_key=KEY, secret="another secret")
    assert refused(clients) == (403, "InvalidSignatureException")


def test_an_unknown_key_is_refused(server, connect):
    clients = connect(server, access_key="AKIDNOBODYKNOWS", secret=SECRET)
    assert refused(clients) == (403, "UnrecognizedClientException")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_off_is_refused(server, connect, monkeypatch, minutes):
    now = botocore.compat.get_current_datetime

    def skewed(remove_tzinfo=True):
        return now(remove_tzinfo) + timedelta(minutes=minutes)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", skewed)
    clients = connect(server, access_key=KEY, secret=SECRET)
    status, code = refused(clients)
    assert status == 403
    assert code in ("InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed")


def test_no_signature_is_refused(server):
    status, headers, _ = request("POST", server.url + "/agents/", {})
    assert status == 403
    assert headers["x-amzn-errortype"].partition(":")[0] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-west-2/bedrock/aws4_request, SignedHeaders=host, Signature=00",
        "Basic dXNlcjpwYXNz",
        "AWS4-HMAC-SHA256 " + "x" * 5000,
    ],
)
def test_broken_signatures_are_refused(server, authorization):
    date = datetime.now().strftime("%Y%m%dT%H%M%SZ")
    status, _, _ = request(
        "POST", server.url + "/agents/", {}, {"authorization": authorization, "x-amz-date": date}
    )
    assert status in (400, 403)


def test_a_changed_body_is_refused(server, connect):
    clients = connect(server, access_key=KEY, secret=SECRET)

    def tamper(request, **_):
        request.body = request.body.replace(b'"maxResults":5', b'"maxResults":6').replace(
            b'"maxResults": 5', b'"maxResults": 6'
        )

    clients.control.meta.events.register("before-send", tamper)
    with pytest.raises(ClientError) as error:
        clients.control.list_agents(maxResults=5)
    assert error.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_health_needs_no_signature(server):
    assert request("GET", server.url + "/_outcrop/health")[0] == 200


def test_any_signature_passes_on_loopback_without_credentials(stub, launch, connect):
    clients = connect(launch(config(stub)), access_key="AKIDANYBODY", secret="anything")
    clients.control.list_agents()


def test_other_listeners_need_credentials(stub, tmp_path, server):
    (tmp_path / "outcrop.toml").write_text(config(stub))
    ended = subprocess.run(
        [server.binary, "serve", "--config", "outcrop.toml", "--listen", "0.0.0.0:0", "--data-dir", "data"],
        cwd=tmp_path, env=server.env, capture_output=True, timeout=20, check=False,
    )
    assert ended.returncode != 0
    assert b"credentials" in ended.stderr + ended.stdout


def test_an_unknown_setting_is_an_error_with_a_suggestion(stub, tmp_path, server):
    (tmp_path / "outcrop.toml").write_text('lissten = "127.0.0.1:0"\n')
    ended = subprocess.run(
        [server.binary, "serve", "--config", "outcrop.toml"],
        cwd=tmp_path, env=server.env, capture_output=True, timeout=20, check=False,
    )
    assert ended.returncode != 0
    assert b"lissten" in ended.stderr and b"`listen`" in ended.stderr.replace(b"'", b"`").replace(b'"', b"`")


def test_no_secret_and_no_prompt_is_logged(stub, launch, connect):
    text = config(stub) + f'\n[[credentials]]\naccess_key_id = "{KEY}"\nsecret_env = "OUTCROP_SECRET"\n'
    server = launch(text, {"OUTCROP_SECRET": SECRET, "STUB_API_KEY": "a-very-secret-key"})
    clients = connect(server, access_key=KEY, secret=SECRET)
    agent = agents.order_agent(clients.control)
    invoke(clients.runtime, agent, agents.session_id(), "My password is swordfish. Where is A-482?").ok()
    server.stop()
    log = server.log.read_text()
    assert log
    for secret in (SECRET, "a-very-secret-key", "swordfish", "helpful customer support"):
        assert secret not in log
    assert isinstance(server, Outcrop)
