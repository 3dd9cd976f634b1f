"""Event streams recorded from AWS: what they hold, the model replies in them, and a form that two streams can be
compared in.

`OUTCROP_RECORDINGS` names a folder with `NAME.jsonl` (the events, one a line) and, for recordings of exact bytes,
`NAME.request.json`. They are read there and never kept here. Recordings named `nb-` are what a notebook printed of
the events, after boto3 had parsed them: order and members only.
"""

import base64
import json
import os
import re
from pathlib import Path

from botocore.eventstream import EventStreamBuffer

from .eventstream import encoded

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ALIAS_ARN = re.compile(r"arn:aws:bedrock:[\w-]+:\d+:agent-alias/(\w+)/(\w+)")
# Members whose values are times, or texts that each service words for itself.
TIMES = ("eventTime", "startTime", "endTime", "totalTimeMs", "operationTotalTimeMs")
# Ids that both services use as they are.
CONSTANT_IDS = ("TSTALIASID", "INLINE_AGENT")


def missing():
    """Why the recordings cannot be read, or None when they can."""
    folder = os.environ.get("OUTCROP_RECORDINGS")
    if not folder:
        return "OUTCROP_RECORDINGS names no folder of recordings"
    return None if Path(folder).is_dir() else f"OUTCROP_RECORDINGS: there is no folder {folder}"


class Recording:
    """One recorded response, and of some the request."""

    def __init__(self, name, ours=None):
        """`ours` is a file of our own events for the same turn, in place of the recorded ones."""
        folder = Path(os.environ["OUTCROP_RECORDINGS"]) if ours is None else ours.parent
        self.name = name
        self.events = []
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            entry = json.loads(line)
            self.events.append((entry["event"], entry["payload"]))
        if name.startswith("nb-") and ours is None:
            self.events = returned_last(self.events)
        request = folder / f"{name}.request.json"
        body = json.loads(request.read_text())["body"] if request.exists() else {}
        self.request = json.loads(body) if isinstance(body, str) else body
        self.exact = folder / f"{name}.response.eventstream.bin"

    @property
    def traces(self):
        """The trace envelopes, in order."""
        return [payload for kind, payload in self.events if kind == "trace"]

    def parts(self, wanted):
        """Each part of this name with its envelope, in order."""
        found = []
        for envelope in self.traces:
            (trace,) = envelope["trace"].values()
            if wanted in trace:
                found.append((envelope, trace[wanted]))
        return found

    def outputs(self):
        """The model's replies, each once: one recording shows the same call in two traces."""
        seen, found = set(), []
        for _, output in self.parts("modelInvocationOutput"):
            call = output["metadata"].get("clientRequestId", len(seen))
            if call not in seen:
                seen.add(call)
                found.append(output)
        return found

    def script(self):
        """What the stub's model shall reply, call by call."""
        return [step(output) for output in self.outputs()]

    def responses(self):
        """The bytes of each response, the exact ones where there are any; a return of control ends a response."""
        if self.exact.exists():
            return [self.exact.read_bytes()]
        found = [[]]
        for event in self.events:
            found[-1].append(event)
            if event[0] == "returnControl":
                found.append([])
        return [encoded(events) for events in found if events]

    def returned(self):
        """The returns of control, in order."""
        return [payload for kind, payload in self.events if kind == "returnControl"]

    def tool_texts(self):
        """What the tools replied, call by call."""
        return [
            observation["actionGroupInvocationOutput"]["text"]
            for _, observation in self.parts("observation")
            if observation["type"] == "ACTION_GROUP"
        ]


def returned_last(events):
    """Puts each return of control behind its traces, where the wire had it: notebooks print it before them."""
    found, waiting = [], []
    for event in events:
        if event[0] == "returnControl":
            found, waiting = found + waiting, [event]
        else:
            found.append(event)
    return found + waiting


def step(output):
    """The stub's step for one modelInvocationOutput."""
    usage = output["metadata"]["usage"]
    pieces, reason = said(output["rawResponse"]["content"])
    return {
        "content": pieces,
        "stop_reason": reason,
        "usage": {"input": usage["inputTokens"], "output": usage["outputTokens"]},
    }


def said(raw):
    """The pieces of a raw reply and why it stopped: a Claude message, a Converse reply, or bare text."""
    try:
        reply = json.loads(raw)
    except ValueError:
        return [{"text": raw}], "stop_sequence"
    if not isinstance(reply, dict):
        return [{"text": raw}], "stop_sequence"
    if "output" in reply:
        return [converse_piece(block) for block in reply["output"]["message"]["content"]], reply["stopReason"]
    return [claude_piece(block) for block in reply["content"]], reply.get("stop_reason", "end_turn")


def converse_piece(block):
    """A content block of Converse, nulls and all."""
    if block.get("toolUse"):
        use = block["toolUse"]
        return {"tool": use["name"], "input": use["input"], "id": use["toolUseId"]}
    if block.get("reasoningContent"):
        return {"reasoning": block["reasoningContent"]["reasoningText"]["text"]}
    return {"text": block["text"]}


def claude_piece(block):
    """A content block of a Claude message."""
    if block.get("type") == "tool_use":
        return {"tool": block["name"], "input": block["input"], "id": block["id"]}
    return {"text": block["text"]}


def is_bare_text(raw):
    """Whether a raw reply is text with calls in XML, as of the models before tool use."""
    try:
        return not isinstance(json.loads(raw), dict)
    except ValueError:
        return True


def events_of(data):
    """The events of a response's bytes."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(event.headers[":event-type"], json.loads(event.payload)) for event in buffer]


class Names:
    """Gives ids names by the order in which they are first met, so that those of two streams are comparable."""

    def __init__(self):
        self._names = {}

    def of(self, kind, value):
        if value in CONSTANT_IDS:
            return value
        return self._names.setdefault((kind, value), f"{kind}#{sum(key[0] == kind for key in self._names)}")

    def known(self, kind, value):
        """The name of an id, if it has been met."""
        return self._names.get((kind, value))

    def within(self, text):
        """A text with each UUID in it named."""
        return UUID.sub(lambda found: self.of("request", found.group()), text)


def flat(value, names, path=""):
    """All leaves of an event by their paths; lists keep their order."""
    if isinstance(value, dict) and value:
        found = {}
        for name, inner in sorted(value.items()):
            # AWS's serializer leaves this in some objects; no SDK knows it.
            if name != "__type":
                found |= flat(inner, names, f"{path}.{name}" if path else name)
        return found or {path: {}}
    if isinstance(value, list) and value:
        if path.endswith((".parameters", ".properties")):
            # AWS lists them in no order; ours stand by name.
            value = sorted(value, key=lambda parameter: parameter["name"])
        found = {}
        for index, inner in enumerate(value):
            found |= flat(inner, names, f"{path}[{index}]")
        return found
    return {path: leaf(path.rpartition(".")[2], value, path, names)}


def leaf(name, value, path, names):
    """A leaf without what no two runs can have in common."""
    if name in TIMES:
        return "a time"
    if name == "agentVersion":
        return value if value == "DRAFT" else "a number"
    if name in ("agentId", "agentAliasId", "sessionId"):
        return names.of(name, value)
    if name in ("agentAliasArn", "agentCollaboratorAliasArn"):
        agent, alias = ALIAS_ARN.fullmatch(value).groups()
        return f"{names.of('agentId', agent)}/{names.of('agentAliasId', alias)}"
    if name in ("traceId", "invocationId"):
        return names.within(value)
    if name == "clientRequestId":
        # Some are the id of a request that the stream shows elsewhere.
        return names.known("request", value) or "of its own"
    if name in ("knowledgeBaseId", "x-amz-bedrock-kb-data-source-id"):
        return names.of(name, value)
    if path.endswith("modelInvocationInput.text") or path.endswith("rawResponse.content"):
        return "a text"
    return value


class Row:
    """One event: its kind and place in a line, and its leaves."""

    def __init__(self, kind, payload, names, before):
        self.kind = kind
        self.leaves = flat(payload, names)
        self.line = kind
        if kind == "chunk":
            given = payload.get("bytes_decoded_from_log")
            self.leaves.pop("bytes_decoded_from_log", None)
            self.leaves["bytes"] = base64.b64decode(payload["bytes"]).decode() if given is None else given
        if kind != "trace":
            return
        (trace_kind, trace), = payload["trace"].items()
        chain = payload.get("callerChain", [])
        line = [trace_kind]
        if len(chain) > 1:
            line.insert(0, f"[{len(chain)} {payload.get('collaboratorName')}]")
        if "traceId" in trace:
            trace_id = trace["traceId"]
        else:
            (part, detail), = trace.items()
            about = detail.get("invocationType") or detail.get("type")
            line.append(f"{part}({about})" if about else part)
            trace_id = detail["traceId"]
        line.append(names.within(trace_id))
        self.line = " ".join(line)
        self.event_time = payload.get("eventTime")
        # A call of a tool is told once the tool has answered, that of an agent or a search before it.
        if "observation" in trace and before is not None and "invocationInput" in before.line and self.event_time:
            self.leaves["eventTime"] = "its call's" if before.event_time == self.event_time else "later"


def rows(events):
    """The events of a stream, ready to be compared."""
    names, found = Names(), []
    for kind, payload in events:
        found.append(Row(kind, payload, names, found[-1] if found and found[-1].kind == "trace" else None))
    return found
