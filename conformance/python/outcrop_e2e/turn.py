"""One InvokeAgent call, read whole."""

import threading
import time

from botocore.exceptions import EventStreamError

PARTS = ("orchestrationTrace", "preProcessingTrace", "postProcessingTrace", "routingClassifierTrace")


class Turn:
    """What one call gave: its events in order, and the in-stream exception if it ended in one.

    `seen` is the list the events go to as they come, for a test that watches a turn from outside.
    """

    def __init__(self, response, seen=None):
        self.request_id = response["ResponseMetadata"]["RequestId"]
        self.session_id = response["sessionId"]
        self.content_type = response["contentType"]
        self.events = seen if seen is not None else []
        self.error = None
        try:
            for event in response["completion"]:
                self.events.append(event)
        except EventStreamError as error:
            self.error = error
        finally:
            response["completion"].close()

    @property
    def chunks(self):
        return [event["chunk"]["bytes"].decode() for event in self.events if "chunk" in event]

    @property
    def text(self):
        return "".join(self.chunks)

    @property
    def control(self):
        """The returnControl event, or None."""
        return next((event["returnControl"] for event in self.events if "returnControl" in event), None)

    @property
    def error_code(self):
        return self.error.response["Error"]["Code"] if self.error else None

    @property
    def error_message(self):
        return self.error.response["Error"]["Message"] if self.error else None

    @property
    def traces(self):
        """The trace envelopes, in order."""
        return [event["trace"] for event in self.events if "trace" in event]

    @property
    def parts(self):
        """(name of the part, the part) of each trace, in order."""
        found = []
        for envelope in self.traces:
            (kind, trace), = envelope["trace"].items()
            if kind in PARTS:
                (part, value), = trace.items()
                found.append((part, value))
            else:
                found.append((kind, trace))
        return found

    @property
    def order(self):
        """The stream's order in short words, as trace-order tables write it."""
        short = []
        for event in self.events:
            (kind, value), = event.items()
            if kind != "trace":
                short.append(kind)
                continue
            (trace_kind, trace), = value["trace"].items()
            (part, detail), = trace.items() if trace_kind in PARTS else ((trace_kind, trace),)
            if part == "observation":
                part = f"observation({detail['type']})"
            if part == "invocationInput":
                part = f"invocationInput({detail['invocationType']})"
            short.append(part)
        return short

    @property
    def observations(self):
        """The texts of the tools' observations."""
        return [
            value["actionGroupInvocationOutput"]["text"]
            for part, value in self.parts
            if part == "observation" and value["type"] == "ACTION_GROUP"
        ]

    def ok(self):
        """The turn itself, which must not have failed."""
        assert self.error is None, f"{self.error_code}: {self.error_message}"
        return self


def invoke(runtime, agent, session, text=None, alias="TSTALIASID", trace=True, seen=None, **more):
    """Calls InvokeAgent and reads it to its end."""
    arguments = {"agentId": agent, "agentAliasId": alias, "sessionId": session, "enableTrace": trace, **more}
    if text is not None:
        arguments["inputText"] = text
    return Turn(runtime.invoke_agent(**arguments), seen)


def await_event(seen, kind, limit_s=5):
    """Waits until an event of this kind has come."""
    deadline = time.monotonic() + limit_s
    while not any(kind in event for event in seen):
        assert time.monotonic() < deadline, f"no {kind} within {limit_s} s"
        time.sleep(0.005)


class Background:
    """A call in a thread of its own."""

    def __init__(self, function, *args, **kwargs):
        self.result = None
        self.failure = None

        def run():
            try:
                self.result = function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the test reads it
                self.failure = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self, timeout=30):
        """The result; raises what the call raised."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the call did not end"
        if self.failure is not None:
            raise self.failure
        return self.result

    def failed(self, timeout=30):
        """What the call raised."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the call did not end"
        assert self.failure is not None, "the call did not fail"
        return self.failure
