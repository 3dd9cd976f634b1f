"""The two processes a test talks to: the stub and `outcrop serve`.

Both listen on free loopback ports. Their output goes to files, so that a failed test can show it.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

# How long a server may take to answer its first health check.
START_S = 20
# How long a server may take to end after SIGTERM.
STOP_S = 15


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(method, url, body=None, headers=None, timeout=30):
    """One plain HTTP call; returns (status, headers, bytes) and never raises for a status."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    call = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(call, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


class Stub:
    """The stub of models and Lambda."""

    def __init__(self, binary, folder):
        self.log = Path(folder) / "stub.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([binary], stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        self.url = line.rpartition(" ")[2].strip()
        assert self.url.startswith("http://"), line

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def _call(self, method, path, body=None):
        status, _, data = request(method, f"{self.url}/_stub/{path}", body)
        return status, json.loads(data)

    def reset(self):
        """Forgets requests and scripts, and lets go whoever is held."""
        assert self._call("POST", "reset", {})[0] == 200

    def script(self, model=(), tool=()):
        """Adds steps for the next model and tool calls."""
        status, answer = self._call("POST", "script", {"model": list(model), "tool": list(tool)})
        assert status == 200, answer

    def release(self, name):
        """Lets go the call held under this name."""
        assert self._call("POST", "release", {"name": name})[0] == 200

    def wait(self, **conditions):
        """Waits until the conditions hold; fails with all records when they do not in time."""
        status, answer = self._call("GET", "wait?" + urllib.parse.urlencode(conditions))
        assert status == 200, f"the stub never saw {conditions}: {json.dumps(answer)[:4000]}"

    def requests(self, kind=None):
        """All requests so far, oldest first."""
        return self._call("GET", "requests" + (f"?kind={kind}" if kind else ""))[1]

    def model_calls(self):
        """The conversations the model received, in order."""
        return [record["transcript"] for record in self.requests("model")]

    def tool_events(self):
        """The events the tools received, in order."""
        return [record["raw"] for record in self.requests("tool")]


def texts(transcript):
    """All text of a conversation, tool results included, as (role, text) pairs."""
    found = []
    for message in transcript["messages"]:
        for block in message["content"]:
            if block["kind"] in ("text", "tool_result"):
                found.append((message["role"], block["text"]))
    return found


class Outcrop:
    """One `outcrop serve` with a data folder that outlives it."""

    def __init__(self, binary, folder, config, env=None):
        self.binary = binary
        self.folder = Path(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = self.folder / "data"
        self.config = self.folder / "outcrop.toml"
        self.config.write_text(config)
        self.log = self.folder / "outcrop.log"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OUTCROP_", "AWS_"))},
            # The stub takes any of these; the SDKs refuse to start without some.
            "AWS_ACCESS_KEY_ID": "AKIDSTUB",
            "AWS_SECRET_ACCESS_KEY": "stub-secret",
            "AWS_REGION": "us-west-2",
            "AWS_EC2_METADATA_DISABLED": "true",
            "STUB_API_KEY": "stub-key",
            **(env or {}),
        }
        self.process = None
        # On a database a killed server's sessions are free again only when its lease has passed.
        self.lease_s = int(self.env.get("OUTCROP_LIMITS_SESSION_LEASE_S", 30)) if self.on_database else 0
        self.killed_at = None

    @property
    def on_database(self):
        """Whether the store is a database, which other servers may use too."""
        return "OUTCROP_DATABASE_URL" in self.env

    def start(self):
        if self.killed_at is not None:
            time.sleep(max(0, self.killed_at + self.lease_s - time.monotonic()))
            self.killed_at = None
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [
                    self.binary, "serve",
                    "--config", str(self.config),
                    "--listen", f"127.0.0.1:{self.port}",
                    "--data-dir", str(self.data),
                ],
                cwd=self.folder, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"outcrop ended with {self.process.returncode} at start:\n{self.tail()}")
            try:
                if request("GET", f"{self.url}/_outcrop/health", timeout=2)[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"outcrop did not answer its health check:\n{self.tail()}")

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.killed_at = time.monotonic()

    def stop(self):
        """A graceful end; its exit code must be zero."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"outcrop did not end within {STOP_S} s of SIGTERM:\n{self.tail()}") from None
        self.process = None
        assert code == 0, f"outcrop ended with {code} after SIGTERM:\n{self.tail()}"

    def tail(self, lines=40):
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def rss_kib(self):
        """Resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")
