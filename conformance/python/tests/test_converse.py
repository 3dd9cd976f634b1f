"""Models called directly: Converse and ConverseStream over every provider, with fallbacks and limits."""

import json
import time

import pytest
from botocore.exceptions import ClientError, EventStreamError
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.turn import Background, invoke

PROTOCOLS = ["openai", "anthropic", "bedrock"]
MODEL = "anthropic.claude-sonnet-4-20250514-v1:0"
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": "get_order_status",
                "description": "Looks an order up",
                "inputSchema": {"json": {"type": "object", "properties": {"order_id": {"type": "string"}}}},
            }
        }
    ]
}
# One pixel, which nobody looks at.
PNG = b"\x89PNG\r\n\x1a\n"


def entry(stub, match, more=""):
    """A `[[models]]` entry of the stub's."""
    return (
        f'[[models]]\nmatch = "{match}"\nprovider = "openai"\nbase_url = "{stub.url}/v1"\n'
        f'api_key_env = "STUB_API_KEY"\n{more}\n'
    )


@pytest.fixture(scope="module")
def servers(stub, launch):
    """A server over each protocol, started when it is first asked for."""
    started = {}

    def get(protocol):
        if protocol not in started:
            started[protocol] = launch(config(stub, protocol))
        return started[protocol]

    return get


@pytest.fixture(scope="module")
def chained(stub, launch):
    """A server whose models have others behind them, or limits."""
    text = (
        entry(stub, "first", 'fallback = ["second", "third"]')
        + entry(stub, "second")
        + entry(stub, "third")
        + entry(stub, "narrow", "max_concurrency = 1\nqueue_max = 1")
        + entry(stub, "hasty", "max_concurrency = 1\nqueue_timeout_s = 1")
    )
    return launch(config(stub, top=text))


def user(*content):
    return {"role": "user", "content": [{"text": part} if isinstance(part, str) else part for part in content]}


def ask(client, text="Hello.", model=MODEL, **more):
    return client.converse(modelId=model, messages=[user(text)], **more)


def kinds(stream):
    """The names of a stream's events, repetitions as one."""
    names = [next(iter(event)) for event in stream]
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer(stub, servers, connect, protocol):
    models = connect(servers(protocol)).models
    answer = ask(
        models,
        system=[{"text": "Be kind."}],
        inferenceConfig={"maxTokens": 99, "temperature": 0.5, "stopSequences": ["###"]},
        requestMetadata={"team": "x"},
    )
    text = "<answer>This conversation has 1 messages; the last one says: Hello.</answer>"
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": text}]}
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {"inputTokens": 120, "outputTokens": 30, "totalTokens": 150}
    assert answer["metrics"]["latencyMs"] >= 0
    (call,) = stub.model_calls()
    assert call["system"] == "Be kind."
    assert "99" in json.dumps(call["inference"]) and "###" in json.dumps(call["inference"])
    assert not call["streamed"] and call["cache_points"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_streamed_answer(servers, connect, protocol):
    models = connect(servers(protocol)).models
    stream = list(models.converse_stream(modelId=MODEL, messages=[user("Where is A-482?")], toolConfig=TOOLS)["stream"])
    assert kinds(stream) == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    (start,) = [event["contentBlockStart"] for event in stream if "contentBlockStart" in event]
    assert start["contentBlockIndex"] == 1 and start["start"]["toolUse"]["name"] == "get_order_status"
    assert stream[-2]["messageStop"]["stopReason"] == "tool_use"
    assert stream[-1]["metadata"]["usage"]["totalTokens"] == 150


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_tool_is_called_and_answered(servers, connect, protocol):
    models = connect(servers(protocol)).models
    question = user("Where is A-482?")
    asked = models.converse(modelId=MODEL, messages=[question], toolConfig=TOOLS)
    assert asked["stopReason"] == "tool_use"
    call = asked["output"]["message"]["content"][-1]["toolUse"]
    assert call["name"] == "get_order_status" and call["input"] == {"order_id": "A-482"}
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"status": "shipped"}}]}}
    answer = models.converse(
        modelId=MODEL, messages=[question, asked["output"]["message"], user(result)], toolConfig=TOOLS
    )
    assert answer["stopReason"] == "end_turn"
    assert '{"status":"shipped"}' in answer["output"]["message"]["content"][0]["text"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_images_documents_and_thoughts_pass(stub, servers, connect, protocol):
    models = connect(servers(protocol)).models
    stub.script(model=[{"content": [{"reasoning": "A picture."}, {"text": "I see."}]}])
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    document = {"document": {"format": "pdf", "name": "paper", "source": {"bytes": b"%PDF"}}}
    answer = models.converse(modelId=MODEL, messages=[user("Look.", image, document)])
    thought, text = answer["output"]["message"]["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"] == "A picture."
    assert text == {"text": "I see."}
    raw = json.dumps(stub.requests("model")[0]["raw"])
    assert "iVBORw0KGgo" in raw and "JVBERg==" in raw


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cached_tokens_are_counted(stub, servers, connect, protocol):
    models = connect(servers(protocol)).models
    usage = {"input": 20, "output": 5, "cache_read": 100, "cache_write": 0 if protocol == "openai" else 7}
    stub.script(model=[{"content": [{"text": "Hi."}], "usage": usage}] * 2)
    usage = ask(models)["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["cacheReadInputTokens"]) == (20, 5, 100)
    if protocol != "openai":
        assert usage["cacheWriteInputTokens"] == 7 and usage["totalTokens"] == 132
    stream = list(models.converse_stream(modelId=MODEL, messages=[user("Hello.")])["stream"])
    assert stream[-1]["metadata"]["usage"]["cacheReadInputTokens"] == 100


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        ({"status": 429}, 429, "ThrottlingException"),
        ({"status": 401}, 403, "AccessDeniedException"),
        ({"status": 400, "message": "max_tokens is too large"}, 400, "ValidationException"),
        ({"status": 404}, 404, "ResourceNotFoundException"),
        ({"status": 408}, 408, "ModelTimeoutException"),
        ({"status": 500}, 503, "ServiceUnavailableException"),
        ({"status": 503, "message": "Loading model"}, 429, "ModelNotReadyException"),
        ({"disconnect": "before"}, 503, "ServiceUnavailableException"),
        ({"garbage": "data: {\n\n"}, 424, "ModelErrorException"),
    ],
)
def test_errors(stub, servers, connect, step, status, code):
    models = connect(servers("openai")).models
    stub.script(model=[step, step])
    for call in (models.converse, models.converse_stream):
        with pytest.raises(ClientError) as raised:
            call(modelId=MODEL, messages=[user("Hello.")])
        error = raised.value.response
        assert error["Error"]["Code"] == code
        assert error["ResponseMetadata"]["HTTPStatusCode"] == status
        assert step.get("message", "") in error["Error"]["Message"]
    assert len(stub.requests("model")) == 2, "nothing is asked twice"


@pytest.mark.parametrize(
    ("protocol", "step", "code"),
    [
        ("openai", {"hold_middle": "half", "disconnect": "middle"}, "modelStreamErrorException"),
        ("bedrock", {"exception": "throttlingException"}, "throttlingException"),
    ],
)
def test_an_answer_that_breaks_off(stub, servers, connect, protocol, step, code):
    models = connect(servers(protocol)).models
    stub.script(model=[step])
    seen = []
    with pytest.raises(EventStreamError) as raised:
        for event in models.converse_stream(modelId=MODEL, messages=[user("Hello.")])["stream"]:
            seen.append(next(iter(event)))
            if "hold_middle" in step and seen[-1] == "contentBlockDelta":
                stub.release("half")
    assert seen[:2] == ["messageStart", "contentBlockDelta"] and "messageStop" not in seen
    assert raised.value.response["Error"]["Code"] == code


def test_what_is_not_there_is_said(servers, connect):
    models = connect(servers("openai")).models
    with pytest.raises(ClientError, match="InvokeModel is not supported by Outcrop"):
        models.invoke_model(modelId=MODEL, body=b"{}")
    with pytest.raises(ClientError, match="A conversation must start with a user message"):
        models.converse(modelId=MODEL, messages=[{"role": "assistant", "content": [{"text": "Hi"}]}])


def test_a_guardrail_on_both_sides(stub, servers, connect):
    clients = connect(servers("openai"))
    created = clients.guardrails.create_guardrail(
        name="g",
        blockedInputMessaging="not this",
        blockedOutputsMessaging="not that",
        wordPolicyConfig={"wordsConfig": [{"text": "forbidden"}]},
    )
    guard = {"guardrailIdentifier": created["guardrailId"], "guardrailVersion": "DRAFT", "trace": "enabled"}
    answer = ask(clients.models, "A forbidden thing.", guardrailConfig=guard)
    assert answer["output"]["message"]["content"] == [{"text": "not this"}]
    assert answer["stopReason"] == "guardrail_intervened"
    assessment = answer["trace"]["guardrail"]["inputAssessment"][created["guardrailId"]]
    assert assessment["wordPolicy"]["customWords"][0]["match"] == "forbidden"
    assert not stub.requests("model")
    stub.script(model=[{"content": [{"text": "Here is what is forbidden."}]}])
    stream = list(
        clients.models.converse_stream(modelId=MODEL, messages=[user("Hello.")], guardrailConfig=guard)["stream"]
    )
    assert "".join(event["contentBlockDelta"]["delta"]["text"] for event in stream if "contentBlockDelta" in event) == (
        "not that"
    )
    assert stream[-2]["messageStop"]["stopReason"] == "guardrail_intervened"
    assert stream[-1]["metadata"]["trace"]["guardrail"]["outputAssessments"]
    clients.guardrails.delete_guardrail(guardrailIdentifier=created["guardrailId"])


@pytest.mark.parametrize("streamed", [False, True])
def test_another_model_answers(stub, chained, connect, streamed):
    models = connect(chained).models
    stub.script(model=[{"for_model": "first", "status": 503}, {"for_model": "second", "status": 404}])
    if streamed:
        stream = list(models.converse_stream(modelId="first", messages=[user("Hello.")])["stream"])
        trace = stream[-1]["metadata"]["trace"]
    else:
        trace = ask(models, model="first")["trace"]
    assert trace == {"promptRouter": {"invokedModelId": "third"}}
    assert [call["model"] for call in stub.model_calls()] == ["first", "second", "third"]
    # What the request itself is refused for, no other model is asked.
    stub.reset()
    stub.script(model=[{"for_model": "first", "status": 400, "message": "too long"}])
    with pytest.raises(ClientError, match="too long"):
        ask(models, model="first")
    assert [call["model"] for call in stub.model_calls()] == ["first"]


def test_another_model_answers_an_agent(stub, chained, connect):
    clients = connect(chained)
    agent = agents.order_agent(clients.control, foundationModel="first")
    stub.script(model=[{"for_model": "first", "status": 429}])
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    assert "A-482" in turn.text
    assert [call["model"] for call in stub.model_calls()] == ["first", "second", "first"]
    raw = [part["rawResponse"]["content"] for name, part in turn.parts if name == "modelInvocationOutput"]
    assert [json.loads(text).get("trace") for text in raw] == [{"promptRouter": {"invokedModelId": "second"}}, None]


def test_calls_queue_and_the_queue_ends(stub, chained, connect):
    models = connect(chained).models
    stub.script(model=[{"hold": "answer"}])
    first = Background(ask, models, "one", model="narrow")
    stub.wait(held="answer")
    # One of them may wait; which one is theirs to find out.
    others = [Background(ask, models, "two", model="narrow") for _ in range(3)]
    refused = first_errors(others, 2)
    assert [error.response["Error"]["Code"] for error in refused] == ["ThrottlingException"] * 2
    assert all("queue_max" in str(error) for error in refused)
    stub.release("answer")
    assert first.join()["stopReason"] == "end_turn"
    (waited,) = [call for call in others if call.failure not in refused]
    assert waited.join()["stopReason"] == "end_turn"
    assert len(stub.requests("model")) == 2


def first_errors(calls, count, limit_s=10):
    """The errors of the first calls that fail, of calls in the background."""
    deadline = time.monotonic() + limit_s
    while len(errors := [call.failure for call in calls if call.failure]) < count:
        assert time.monotonic() < deadline, f"only {len(errors)} calls failed"
        time.sleep(0.005)
    return errors


def test_a_wait_in_the_queue_ends(stub, chained, connect):
    models = connect(chained).models
    stub.script(model=[{"hold": "answer"}])
    first = Background(ask, models, "one", model="hasty")
    stub.wait(held="answer")
    with pytest.raises(ClientError, match="queue_timeout_s"):
        ask(models, "two", model="hasty")
    stub.release("answer")
    first.join()
    assert len(stub.requests("model")) == 1


def test_thoughts_go_back_as_they_were_signed(stub, servers, connect):
    """Within a turn that calls tools the vendor wants its thoughts back, and the trace shows them."""
    clients = connect(servers("anthropic"))
    agent = agents.order_agent(clients.control, foundationModel=MODEL)
    call = {"tool": "get_order_status", "input": {"order_id": "A-482"}}
    stub.script(model=[{"content": [{"reasoning": "I should look."}, call]}])
    turn = invoke(clients.runtime, agent, agents.session_id(), "Where is order A-482?").ok()
    raw = json.dumps(stub.requests("model")[1]["raw"])
    assert "I should look." in raw and '"signature"' in raw
    outputs = [part for name, part in turn.parts if name == "modelInvocationOutput"]
    thought = outputs[0]["reasoningContent"]["reasoningText"]
    assert thought["text"] == "I should look." and thought["signature"]
    assert "reasoningContent" not in outputs[1]


def unmarked(value):
    """A part of a request without its cache points."""
    if isinstance(value, dict):
        return {name: unmarked(member) for name, member in value.items() if name != "cache_control"}
    if isinstance(value, list):
        return [unmarked(item) for item in value if not (isinstance(item, dict) and "cachePoint" in item)]
    return value


@pytest.mark.parametrize("protocol", ["anthropic", "bedrock"])
def test_an_agents_prompts_begin_alike(stub, servers, connect, protocol):
    """From step to step and from turn to turn, all up to the point that was cached comes again as it was."""
    clients = connect(servers(protocol))
    agent = agents.order_agent(clients.control, foundationModel=MODEL)
    session = agents.session_id()
    for question in ("Where is order A-482?", "And what of B-100?"):
        invoke(clients.runtime, agent, session, question).ok()
    calls = stub.requests("model")
    assert [call["transcript"]["cache_points"] for call in calls] == [3, 4, 4, 4]
    system, tools = ("system", "tools") if protocol == "anthropic" else ("system", "toolConfig")
    for earlier, later in zip(calls, calls[1:]):
        one, two = unmarked(earlier["raw"]), unmarked(later["raw"])
        assert json.dumps([one[system], one[tools]]) == json.dumps([two[system], two[tools]])
        assert json.dumps(one["messages"]) == json.dumps(two["messages"][: len(one["messages"])])
