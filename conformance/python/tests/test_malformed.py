"""What no SDK would send: broken bodies, unknown routes, floods. Clear refusals, no panic, bounded memory."""

import json
import socket
import time

import pytest

from outcrop_e2e import agents
from outcrop_e2e.process import request

JSON = {"content-type": "application/json"}


def refusal(server, method, path, body=None, headers=JSON):
    """(status, exception, message) of a request that must be refused."""
    status, answered, data = request(method, server.url + path, body, headers)
    assert 400 <= status < 500, (status, data[:300])
    name = (answered.get("x-amzn-errortype") or "").partition(":")[0]
    assert name, "no x-amzn-errortype"
    assert answered.get("x-amzn-requestid")
    return status, name, json.loads(data)["message"]


def raw(server, data, timeout=10, half_close=False):
    """The answer to bytes sent as they are."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        answer = b""
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it had read everything
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


def alive(server):
    """The server still answers."""
    return request("GET", server.url + "/_outcrop/health")[0] == 200


@pytest.mark.parametrize(
    "body",
    [b"{", b"not json", b'"a string"', b"[1,2]", b'{"agentName": "x"', b"\xff\xfe\x00", b'{"agentName":"x"}{', b"null"],
)
def test_bodies_that_are_no_object(server, body):
    status, name, message = refusal(server, "PUT", "/agents/", body)
    assert status == 400
    assert name in ("SerializationException", "ValidationException")
    assert message


@pytest.mark.parametrize(
    "body",
    [
        {"agentName": 7},
        {"agentName": ["x"]},
        {"agentName": {"x": 1}},
        {"agentName": "x", "idleSessionTTLInSeconds": "many"},
        {"agentName": "x", "idleSessionTTLInSeconds": 60.5},
        {"agentName": "x", "idleSessionTTLInSeconds": 10**30},
        {"agentName": "x", "tags": ["a"]},
        {"agentName": "x", "tags": {"a": 1}},
        {"agentName": "x", "memoryConfiguration": "no"},
        {"agentName": "x", "customOrchestration": {"executor": {"lambda": 5}}},
    ],
    ids=str,
)
def test_wrong_types(server, body):
    status, name, message = refusal(server, "PUT", "/agents/", body)
    assert status == 400
    assert name in ("SerializationException", "ValidationException")
    assert message


def test_deep_nesting(server):
    body = b'{"agentName":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}"
    assert refusal(server, "PUT", "/agents/", body)[0] == 400
    body = b"[" * 200_000
    assert refusal(server, "PUT", "/agents/", body)[0] == 400
    assert alive(server)


@pytest.mark.parametrize("length", [101, 10_000, 1_000_000])
def test_over_long_strings(server, length):
    status, name, message = refusal(server, "PUT", "/agents/", {"agentName": "x" * length})
    assert (status, name) == (400, "ValidationException")
    assert "agentName" in message
    # The value is quoted in the message, but a megabyte of it helps nobody.
    assert len(message) < 20_000


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/no/such/route"),
        ("DELETE", "/agents/"),
        ("PATCH", "/agents/ABCDEFGHIJ/"),
        ("POST", "/agents/a/b/c/d/e/f/g"),
        ("GET", "/agents//"),
        ("GET", "/agents/%00/"),
        ("GET", "/agents/%ff%fe/"),
        ("GET", "/" + "a/" * 2000),
        ("GET", "/_outcrop/no-such-page"),
    ],
)
def test_unknown_routes(server, method, path):
    status, _, data = request(method, server.url + path, b"{}" if method in ("PUT", "POST", "PATCH") else None, JSON)
    assert 400 <= status < 500, (status, data[:300])


def test_bad_query_values(server):
    agent = "ABCDEFGHIJ"
    refusal(server, "DELETE", f"/agents/{agent}/?skipResourceInUseCheck=maybe")
    refusal(server, "POST", "/agents/", {"maxResults": -1})
    refusal(server, "POST", "/agents/", {"maxResults": 10_000})


def test_truncated_bodies(server):
    head = b"PUT /agents/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    answer = raw(server, head + b'{"agentName":"x"', half_close=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    chunked = (
        b"PUT /agents/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        b"10\r\n{\"agentName\":\"x\"\r\nzz\r\n"
    )
    answer = raw(server, chunked, half_close=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert alive(server)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 64,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-a: b\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 600_000 + b"\r\n\r\n",
        b"PUT /agents/ HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"PUT /agents/ HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        bytes(range(256)) * 64,
    ],
    ids=["zeros", "no target", "version", "long target", "many headers", "long header", "negative", "two lengths", "bytes"],
)
def test_broken_http(server, data):
    answer = raw(server, data, timeout=3, half_close=True)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:200]
    assert alive(server)


def test_ten_megabytes_of_garbage(server):
    before = server.rss_kib()
    garbage = bytes(range(1, 256)) * 40_000
    invoke = f"/agents/ABCDEFGHIJ/agentAliases/TSTALIASID/sessions/{agents.session_id()}/text"
    for _ in range(5):
        for method, path in (("PUT", "/agents/"), ("POST", invoke)):
            head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
            answer = raw(server, f"{head}content-length: {len(garbage)}\r\n\r\n".encode() + garbage)
            assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    raw(server, garbage, timeout=3)
    assert alive(server)
    assert server.rss_kib() - before < 150_000


def test_a_body_without_end_is_cut_off(server):
    """A client that promises much and sends ever more is refused at the limit, not stored."""
    before = server.rss_kib()
    head = b"PUT /agents/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    block = b"%x\r\n%s\r\n" % (1 << 20, b"a" * (1 << 20))
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            connection.sendall(head)
            while sent < 256:
                connection.sendall(block)
                sent += 1
        except OSError:
            pass
    assert sent < 256, "256 MiB were taken"
    assert server.rss_kib() - before < 200_000
    assert alive(server)


def test_a_thousand_idle_connections(server):
    before = server.rss_kib()
    idle = []
    try:
        for _ in range(1000):
            idle.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        began = time.monotonic()
        assert alive(server)
        assert time.monotonic() - began < 2
        assert server.rss_kib() - before < 100_000
    finally:
        for connection in idle:
            connection.close()
    assert alive(server)


def test_unmodelled_members_are_ignored(server):
    name = agents.unique("extra")
    status, _, data = request("PUT", server.url + "/agents/", {"agentName": name, "noSuchMember": {"a": 1}}, JSON)
    assert status == 202, data


def test_both_slash_forms_are_served(server):
    status, _, data = request("PUT", server.url + "/agents", {"agentName": agents.unique("slash")}, JSON)
    assert status == 202, data
    agent = json.loads(data)["agent"]["agentId"]
    for path in (f"/agents/{agent}", f"/agents/{agent}/"):
        assert request("GET", server.url + path)[0] == 200
