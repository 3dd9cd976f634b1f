"""Real boto3 clients that check everything they receive.

Each response is checked against the service model before botocore parses it, and each agent stream is
kept as raw bytes and given to the acceptance check when it has been read to its end.
"""

import importlib.util
import logging
import os

import boto3
import botocore.session
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import create_loader

from . import strict

STREAM_OPERATIONS = ("InvokeAgent", "InvokeInlineAgent")

# Reads each service model once; a new client would otherwise spend a quarter of a second on it.
LOADER = create_loader()

# The operations of each service whose successful answers were checked in this run.
SUCCEEDED = {
    service: set() for service in ("bedrock", "bedrock-agent", "bedrock-agent-runtime", "bedrock-runtime", "lambda")
}


def acceptance_check():
    """The acceptance check's function, or None without `OUTCROP_ACCEPTANCE`."""
    path = os.environ.get("OUTCROP_ACCEPTANCE")
    if not path or not os.path.exists(path):
        return None
    spec = importlib.util.spec_from_file_location("check_stream", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.check


class Watch(logging.Handler):
    """Collects whatever is wrong with what came back, for a test to fail on."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.errors = []
        self.streams = 0
        self.last_stream = b""
        self.check = acceptance_check()

    def emit(self, record):
        self.errors.append(f"botocore warns: {record.getMessage()}")

    def before_parse(self, operation_model, response_dict, customized_response_dict, **_):
        """Looks at a response before botocore does."""
        status, headers, body = (response_dict[name] for name in ("status_code", "headers", "body"))
        if status < 300:
            SUCCEEDED[operation_model.service_model.service_name].add(operation_model.name)
        if status >= 300:
            found = strict.check_error(operation_model, status, headers, body)
        elif operation_model.has_event_stream_output:
            found = self.stream_headers(operation_model, headers)
            response_dict["body"] = Tee(body, lambda data: self.stream(operation_model, headers, data))
        else:
            found = strict.check_output(operation_model, status, headers, body)
        self.errors += [f"{operation_model.name}: {error}" for error in found]

    def stream_headers(self, operation, headers):
        """The errors in an event stream's response headers."""
        exact = {"content-type": "application/vnd.amazon.eventstream"}
        present = ["x-amzn-requestid"]
        if operation.name in STREAM_OPERATIONS:
            exact["x-amzn-bedrock-agent-content-type"] = "application/json"
            present.append("x-amz-bedrock-agent-session-id")
        errors = [f"{name} is {headers.get(name)!r}" for name, value in exact.items() if headers.get(name) != value]
        return errors + [f"no {name}" for name in present if not headers.get(name)]

    def stream(self, operation, headers, data):
        """Checks a stream that was read to its end."""
        self.streams += 1
        self.last_stream = data
        buffer = EventStreamBuffer()
        buffer.add_data(data)
        for event in buffer:
            if event.headers.get(":message-type") != "event":
                continue
            found = strict.check_event(operation, event.headers[":event-type"], event.payload)
            self.errors += [f"{operation.name}: {error}" for error in found]
        if self.check and operation.name in STREAM_OPERATIONS:
            self.errors += [f"acceptance: {error}" for error in self.check(data)]


class Tee:
    """A raw stream whose bytes are kept until it ends."""

    def __init__(self, raw, done):
        self._raw = raw
        self._done = done
        self._kept = []

    def stream(self, *args, **kwargs):
        for chunk in self._raw.stream(*args, **kwargs):
            self._kept.append(chunk)
            yield chunk
        self._done(b"".join(self._kept))

    def __getattr__(self, name):
        return getattr(self._raw, name)


class Clients:
    """The clients of one endpoint, with one watch over all."""

    def __init__(self, url, access_key="AKIDEXAMPLE", secret="any-secret", region="us-west-2", checked=True):
        core = botocore.session.get_session()
        core.register_component("data_loader", LOADER)
        session = boto3.session.Session(
            aws_access_key_id=access_key, aws_secret_access_key=secret, region_name=region, botocore_session=core
        )
        # No retries: a test wants to see each failure. Long reads: a test may hold a call.
        config = Config(
            retries={"total_max_attempts": 1},
            read_timeout=60,
            connect_timeout=5,
            max_pool_connections=64,
            parameter_validation=checked,
            ignore_configured_endpoint_urls=True,
        )
        self.watch = Watch()
        self.control = session.client("bedrock-agent", endpoint_url=url, config=config)
        self.runtime = session.client("bedrock-agent-runtime", endpoint_url=url, config=config)
        self.functions = session.client("lambda", endpoint_url=url, config=config)
        for client in (self.control, self.runtime, self.functions):
            client.meta.events.register("before-parse", self.watch.before_parse)
        self._make = lambda service: session.client(service, endpoint_url=url, config=config)
        self._made = {}
        logging.getLogger("botocore").addHandler(self.watch)

    @property
    def models(self):
        """The client of models, which few tests call."""
        return self._lazily("bedrock-runtime")

    @property
    def guardrails(self):
        """The client of guardrails, which few tests call."""
        return self._lazily("bedrock")

    def _lazily(self, service):
        if service not in self._made:
            self._made[service] = self._make(service)
            self._made[service].meta.events.register("before-parse", self.watch.before_parse)
        return self._made[service]

    def close(self):
        """Ends the clients; fails if anything that came back was wrong."""
        logging.getLogger("botocore").removeHandler(self.watch)
        self.control.close()
        self.runtime.close()
        self.functions.close()
        for client in self._made.values():
            client.close()
        assert not self.watch.errors, "\n".join(self.watch.errors)
