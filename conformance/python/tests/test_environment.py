"""What decides the models when the configuration names none, and settings given by variables."""

from conftest import EXAMPLE

from outcrop_e2e import agents
from outcrop_e2e.turn import invoke

BASE = f'region = "us-west-2"\naccount_id = "111111111111"\n[s3]\nroot = "{EXAMPLE / "buckets"}"\n'


def test_an_anthropic_key_decides(stub, launch, connect):
    clients = connect(launch(BASE, {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": stub.url}))
    agent = agents.create(clients.control)
    agents.prepare(clients.control, agent)
    assert invoke(clients.runtime, agent, agents.session_id(), "Hello.").ok().text
    assert [record["protocol"] for record in stub.requests("model")] == ["anthropic"]
    assert stub.requests("model")[0]["headers"]["x-api-key"] == "k"


def test_an_openai_key_decides(stub, launch, connect):
    clients = connect(launch(BASE, {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{stub.url}/v1"}))
    agent = agents.create(clients.control, foundationModel="openai.gpt-oss-20b-1:0")
    agents.prepare(clients.control, agent)
    assert invoke(clients.runtime, agent, agents.session_id(), "Hello.").ok().text
    assert stub.requests("model")[0]["protocol"] == "openai"
    assert stub.requests("model")[0]["headers"]["authorization"] == "Bearer k"


def test_a_model_under_another_name(stub, launch, connect):
    text = BASE + (
        f'[[models]]\nmatch = "anthropic.*"\nprovider = "openai"\nbase_url = "{stub.url}/v1"\n'
        'upstream_model = "qwen3:8b"\n'
    )
    clients = connect(launch(text))
    for model in (
        agents.MODEL,
        "us.anthropic.claude-sonnet-4-20250514-v1:0",
        f"arn:aws:bedrock:us-west-2::foundation-model/{agents.MODEL}",
        "arn:aws:bedrock:us-west-2:111111111111:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
    ):
        agent = agents.create(clients.control, foundationModel=model)
        agents.prepare(clients.control, agent)
        turn = invoke(clients.runtime, agent, agents.session_id(), "Hello.").ok()
        assert turn.parts[0][1]["foundationModel"] == model
    assert {call["model"] for call in stub.model_calls()} == {"qwen3:8b"}
