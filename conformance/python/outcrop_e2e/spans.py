"""Spans that OpenInference's Bedrock instrumentation makes of a response, as a tree that can be compared."""

import difflib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import botocore.session
from botocore.config import Config
from openinference.instrumentation.bedrock import BedrockInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from .clients import LOADER
from .difference import short


class Collector:
    """Every span of the clients that are made while it listens."""

    def __init__(self):
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @contextmanager
    def listening(self):
        instrumentor = BedrockInstrumentor()
        instrumentor.instrument(tracer_provider=self._provider)
        try:
            yield self
        finally:
            instrumentor.uninstrument()

    def take(self):
        """The spans since they were last taken, as trees of `Node`s; one a response."""
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        nodes = {span.context.span_id: Node(span) for span in spans}
        roots = []
        for span in spans:
            parent = span.parent and nodes.get(span.parent.span_id)
            (parent.children if parent else roots).append(nodes[span.context.span_id])
        for siblings in (roots, *(node.children for node in nodes.values())):
            siblings.sort(key=lambda node: node.started)
        return roots


class Node:
    """One span."""

    def __init__(self, span):
        # Which operation was asked is no news.
        self.name = span.name if span.parent else "(the request)"
        self.started = span.start_time
        self.status = span.status.status_code.name
        self.attributes = dict(span.attributes)
        self.kind = self.attributes.get("openinference.span.kind")
        self.is_root = span.parent is None
        self.children = []

    def lines(self, depth=0):
        """The tree in words: kind, name and status of each span, below its parent."""
        found = [f"{'  ' * depth}{self.kind} {self.name} {self.status}"]
        for child in self.children:
            found += child.lines(depth + 1)
        return found

    def walk(self):
        """It and all below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


class Replay:
    """Serves one recorded response to whoever asks, so that the instrumentation can be shown what AWS sent."""

    def __init__(self):
        replay = self
        self.body = b""

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(200)
                for name, value in (
                    ("content-type", "application/vnd.amazon.eventstream"),
                    ("x-amzn-bedrock-agent-content-type", "application/json"),
                    ("x-amz-bedrock-agent-session-id", "recorded"),
                    ("x-amzn-requestid", "recorded"),
                    ("content-length", str(len(replay.body))),
                ):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(replay.body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def client(self):
        """A client of it; made while a collector listens, it is instrumented."""
        core = botocore.session.get_session()
        core.register_component("data_loader", LOADER)
        session = boto3.session.Session(
            aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="any", region_name="us-west-2",
            botocore_session=core,
        )
        return session.client(
            "bedrock-agent-runtime", endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True),
        )

    def play(self, client, recording):
        """Lets the client read a recorded response to its end."""
        for self.body in recording.responses():
            answer = client.invoke_agent(
                agentId="A" * 10, agentAliasId="B" * 10, sessionId="recorded", inputText="What was asked.",
                enableTrace=True,
            )
            for _ in answer["completion"]:
                pass


# What a span takes from the prompt or from the request, and a model's own name for itself.
OWN = re.compile(r"input\.|llm\.model_name$|llm\.invocation_parameters$")


def told(node):
    """What a span says that both services must say alike."""
    found = {}
    for name, value in node.attributes.items():
        if OWN.match(name) or (node.kind == "LLM" and name.startswith(("llm.input_messages.", "output."))):
            # What a model call put out stands in its messages; `output.value` is the rationale, or the raw reply.
            continue
        found[name] = plain(name, value)
    found.pop("metadata", None)
    return found


def plain(name, value):
    """A value without what is meant to differ (COMPAT.md): the order of arguments, how line breaks are written in a
    rationale, the files in a traceback. Nova's replies go on from a thought that AWS's prompt has begun."""
    if name.endswith(("function.arguments", "tool.parameters", "document.metadata")):
        arguments = json.loads(value)
        if isinstance(arguments, list):
            arguments.sort(key=lambda argument: argument["name"])
        return json.dumps(arguments, sort_keys=True)
    if not isinstance(value, str):
        return value
    if value.startswith("Traceback"):
        return value.strip().splitlines()[-1]
    # Ids of knowledge bases and of search results are drawn anew each time.
    value = re.sub(r"x_amz_knowledgebase_\w{10}__", "x_amz_knowledgebase_ID__", value)
    value = re.sub(r"<source>\w+</source>", "<source>ID</source>", value)
    return value.replace("\\n", "\n").removeprefix("<thinking>").strip()


def metadata(node):
    """Which metadata a span has; less than a millisecond is no time to the instrumentation."""
    return set(json.loads(node.attributes.get("metadata", "{}"))) - {"totalTimeMs", "operationTotalTimeMs"}


def by_name(roots):
    """Puts siblings into the order of their names: a span whose times were not recorded stands anywhere."""
    for root in roots:
        for node in root.walk():
            node.children.sort(key=lambda child: (child.name, child.started))
    return roots


def differences(theirs, ours):
    """Where the trees of two takes differ, in words. Ours may have metadata that AWS did not send yet."""
    lines = [[line for root in roots for line in root.lines()] for roots in (theirs, ours)]
    if lines[0] != lines[1]:
        return ["the spans differ:\n" + "\n".join(difflib.unified_diff(*lines, lineterm="", n=9))]
    found = []
    pairs = zip(*([node for root in roots for node in root.walk()] for roots in (theirs, ours)), strict=True)
    for node, our in pairs:
        left, right = told(node), told(our)
        for name in sorted(left.keys() | right.keys()):
            if left.get(name) != right.get(name):
                found.append(
                    f"{node.kind} {node.name}: {name}: AWS: {short(left.get(name))}, ours: {short(right.get(name))}"
                )
        lacking = metadata(node) - metadata(our)
        if lacking:
            found.append(f"{node.kind} {node.name}: metadata lacks {sorted(lacking)}")
    return found
