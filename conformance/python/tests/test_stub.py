"""The stub itself: a test tool that misreports proves nothing."""

import json
import socket
import urllib.request

import boto3
import pytest
from botocore.config import Config

from outcrop_e2e.process import request
from outcrop_e2e.turn import Background

TOOL = {
    "type": "function",
    "function": {"name": "OrderTools__get_order_status", "parameters": {"type": "object", "properties": {}}},
}


def ask(stub, text, **more):
    """One chat completion; returns (status, body)."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "tools": [TOOL], **more}
    status, _, data = request("POST", f"{stub.url}/v1/chat/completions", body)
    return status, data


def test_the_three_protocols_say_the_same(stub):
    status, data = ask(stub, "Where is A-482?")
    assert status == 200
    message = json.loads(data)["choices"][0]["message"]
    body = {
        "model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Where is A-482?"}],
        "tools": [{"name": "OrderTools__get_order_status", "input_schema": {"type": "object"}}],
    }
    _, _, data = request("POST", f"{stub.url}/v1/messages", body)
    anthropic = json.loads(data)["content"]
    bedrock = boto3.client(
        "bedrock-runtime", endpoint_url=stub.url, region_name="us-west-2",
        aws_access_key_id="a", aws_secret_access_key="b", config=Config(ignore_configured_endpoint_urls=True),
    )
    asked = {
        "modelId": "arn:aws:bedrock:us-west-2::foundation-model/x.y",
        "messages": [{"role": "user", "content": [{"text": "Where is A-482?"}]}],
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "OrderTools__get_order_status", "inputSchema": {"json": {"type": "object"}}}}]
        },
    }
    converse = bedrock.converse(**asked)["output"]["message"]["content"]
    stream = list(bedrock.converse_stream(**asked)["stream"])
    bedrock.close()
    text = "<thinking>The user asks about order A-482, so I look it up first.</thinking>"
    assert message["content"] == anthropic[0]["text"] == converse[0]["text"] == text
    pieces = [event["contentBlockDelta"]["delta"] for event in stream if "contentBlockDelta" in event]
    assert "".join(piece.get("text", "") for piece in pieces) == text
    streamed = json.loads("".join(piece["toolUse"]["input"] for piece in pieces if "toolUse" in piece))
    called = json.loads(message["tool_calls"][0]["function"]["arguments"])
    assert called == anthropic[1]["input"] == converse[1]["toolUse"]["input"] == streamed == {"order_id": "A-482"}
    assert [call["violations"] for call in stub.requests("model")] == [[]] * 4


def test_a_streamed_completion(stub):
    status, data = ask(stub, "Hello.", stream=True)
    assert status == 200
    lines = [line[6:] for line in data.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"])
    assert text == "<answer>This conversation has 1 messages; the last one says: Hello.</answer>"
    assert events[-1]["usage"]["total_tokens"] == 150


def test_hold_and_release(stub):
    stub.script(model=[{"hold": "here"}])
    call = Background(ask, stub, "Hello.")
    stub.wait(held="here")
    assert call.result is None
    stub.release("here")
    assert call.join()[0] == 200
    assert stub.requests()[0]["outcome"] == "finished"


@pytest.mark.parametrize("place", ["hold", "hold_middle"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_caller_who_leaves_is_seen(stub, place, streamed):
    stub.script(model=[{place: "here"}])
    host, port = stub.url.removeprefix("http://").split(":")
    body = json.dumps({"model": "m", "stream": streamed, "messages": [{"role": "user", "content": "Hello."}]})
    connection = socket.create_connection((host, int(port)))
    connection.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    )
    stub.wait(held="here")
    connection.close()
    stub.wait(cancelled=1)


def test_what_providers_refuse_is_refused(stub):
    status, data = ask(stub, " ")
    assert status == 400
    assert "blank text" in json.loads(data)["error"]["message"]
    stub.reset()


def test_errors_and_breaks(stub):
    stub.script(model=[{"status": 429, "headers": {"retry-after": "3"}}, {"disconnect": "before"}, {"disconnect": "middle"}])
    assert ask(stub, "Hello.")[0] == 429
    for _ in range(2):
        with pytest.raises(Exception):
            ask(stub, "Hello.")
    assert [record["outcome"] for record in stub.requests()] == ["failed"] * 3


def test_an_unknown_member_of_a_script_is_an_error(stub):
    with pytest.raises(AssertionError):
        stub.script(model=[{"stauts": 429}])


def test_the_health_endpoint(stub):
    with urllib.request.urlopen(f"{stub.url}/_stub/health", timeout=5) as answer:
        assert json.load(answer) == {"status": "ok"}
