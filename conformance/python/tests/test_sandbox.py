"""Hostile handlers: each fails its own turn, in time and with a clear cause, and nobody else notices.

One server, one handler that does what its input says, as `hostile` with the network on and as `offline`
with it off.
"""

import os
import signal
import time
from pathlib import Path

import pytest
from conftest import config

from outcrop_e2e import agents
from outcrop_e2e.clients import Clients
from outcrop_e2e.turn import invoke

TIMEOUT_S = 2
# A turn may take the handler's timeout and some.
LIMIT_S = TIMEOUT_S + 4

HANDLER = '''
import json, os, signal, socket, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))

def forever(_):
    while True:
        pass

def fork_bomb(_):
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            pass

def print_100_mb(_):
    line = "x" * 1023
    for _ in range(100 * 1024):
        print(line)
    return "printed"

def return_50_mb(_):
    return "y" * (50 * 1024 * 1024)

def shell(command):
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    return done.stdout + done.stderr

def leave(_):
    os._exit(3)

def segfault(_):
    os.kill(os.getpid(), signal.SIGSEGV)

def memory(_):
    held = []
    while True:
        held.append(bytearray(b"z") * (16 * 1024 * 1024))
        time.sleep(0.02)

def write(path):
    try:
        with open(path, "w") as file:
            file.write("was here")
        return "written"
    except OSError as error:
        return "refused: " + error.strerror

def read(path):
    try:
        if os.path.isdir(path):
            return "read: " + repr(os.listdir(path))
        with open(path, "rb") as file:
            return "read: " + repr(file.read(200))
    except OSError as error:
        return "refused: " + error.strerror

def environment(_):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % pid, "rb") as file:
                found.append(file.read().decode(errors="replace"))
        except OSError:
            pass
    return "secret" if any("stub-secret" in text or "STUB_API_KEY" in text for text in found) else "nothing"

def admin(port):
    try:
        with socket.create_connection(("127.0.0.1", int(port)), 2) as connection:
            connection.sendall(b"POST /agents/ HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 2\\r\\n\\r\\n{}")
            return "answered: " + connection.recv(200).decode(errors="replace").split("\\r\\n")[0]
    except OSError as error:
        return "refused: " + str(error)

def kill(pid):
    try:
        os.kill(int(pid), signal.SIGKILL)
        return "killed"
    except OSError as error:
        return "refused: " + error.strerror

def daemon(mark):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", mark])
        os._exit(0)
    os.wait()
    return "left one"

def fill(_):
    try:
        with open("/tmp/big", "wb") as file:
            for _ in range(700):
                file.write(bytes(1024 * 1024))
        return "filled"
    except OSError as error:
        os.remove("/tmp/big")
        return "refused: " + error.strerror

def handler(event, context):
    arguments = {one["name"]: one["value"] for one in event["parameters"]}
    result = globals()[arguments["attack"]](arguments.get("target", ""))
    return {
        "messageVersion": "1.0",
        "response": {
            "actionGroup": event["actionGroup"],
            "function": event["function"],
            "functionResponse": {"responseBody": {"TEXT": {"body": result}}},
        },
    }
'''


class World:
    """A server, its clients, and an agent for each hostile function."""

    def __init__(self, server, stub, functions):
        self.server, self.stub = server, stub
        self.clients = Clients(server.url)
        self.agents = {name: self.prepared(name) for name in functions}

    def attack(self, attack, target="", function="hostile", within=LIMIT_S):
        """The turn in which a function attacks."""
        arguments = {"attack": attack, "target": str(target)}
        self.stub.reset()
        self.stub.script(
            model=[
                {"content": [{"tool": "attack", "input": arguments}]},
                {"content": [{"text": "<answer>Done.</answer>"}]},
            ]
        )
        began = time.monotonic()
        turn = invoke(self.clients.runtime, self.agents[function], agents.session_id(), "Go.")
        assert time.monotonic() - began < within, f"{attack} held the turn"
        return turn

    def says(self, attack, target="", function="hostile"):
        """What the function answers."""
        (text,) = self.attack(attack, target, function).ok().observations
        return text

    def prepared(self, function):
        control = self.clients.control
        agent = agents.create(control)
        parameter = {"type": "string", "required": False}
        schema = {
            "name": "attack",
            "description": "Attacks.",
            "parameters": {"attack": parameter, "target": parameter},
        }
        control.create_agent_action_group(
            agentId=agent,
            agentVersion="DRAFT",
            actionGroupName="attacks",
            actionGroupExecutor={"lambda": agents.LAMBDA.replace("order-tools", function)},
            functionSchema={"functions": [schema]},
        )
        control.prepare_agent(agentId=agent)
        assert agents.agent_status(control, agent) == "PREPARED"
        return agent


def functions(code, names=("hostile", "offline")):
    return "".join(
        f'[[functions]]\nmatch = "{name}"\nruntime = "python"\nhandler = "app.handler"\ncode = "{code}"\n'
        f"timeout_s = {TIMEOUT_S}\nmemory_mb = 256\nnetwork = {str(name != 'offline').lower()}\n"
        for name in names
    )


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "app.py").write_text(HANDLER)
    return folder


@pytest.fixture(scope="module")
def world(stub, launch, code):
    made = World(launch(config(stub, functions=functions(code))), stub, ["hostile", "offline"])
    # The environment of the functions may have to be made first, which no turn waits for.
    made.attack("environment", within=120)
    yield made
    made.clients.close()


@pytest.mark.parametrize(
    "attack, cause",
    [
        ("forever", "Task timed out after 2.00 seconds"),
        # By its time or by its memory, whichever it uses up first.
        ("fork_bomb", ""),
        ("leave", "Runtime exited with error: exit status 3"),
        ("segfault", "Runtime exited with error: signal: segmentation fault"),
        ("return_50_mb", "413"),
        ("memory", "its memory is 256 MB"),
    ],
)
def test_the_turn_fails_with_its_cause(world, attack, cause):
    turn = world.attack(attack)
    assert turn.error_code == "dependencyFailedException", turn.observations
    if attack == "return_50_mb":
        # AWS's own client raises when it may not send its answer; either text names the size.
        assert any(text in turn.error_message for text in ("exceeded maximum allowed payload", "413", "Unhandled"))
    else:
        assert cause in turn.error_message
    # Another function, and this one again, answer at once.
    for function in ("offline", "hostile"):
        assert world.says("environment", function=function) == "nothing"


def test_a_flood_of_output_is_cut(world):
    turn = world.attack("print_100_mb", within=2 * LIMIT_S)
    assert turn.error is not None or turn.observations == ["printed"]
    assert world.server.rss_kib() < 400 * 1024
    assert world.says("environment") == "nothing"


@pytest.mark.parametrize("function", ["hostile", "offline"])
def test_files_are_out_of_reach(world, code, tmp_path, function):
    secret = tmp_path / "secret.txt"
    secret.write_text("another's")
    server = world.server
    for path in ["/etc/shadow", "/etc/hostname", Path.home() / ".profile", secret, tmp_path, server.config, server.log, server.data]:
        assert world.says("read", path, function).startswith("refused: "), path
    # What it was given it reads, though only root may.
    private = code / "private.txt"
    private.write_text("own")
    private.chmod(0o600)
    assert world.says("read", private, function) == "read: b'own'"
    database = next(iter(server.data.iterdir()), None)
    if database is not None:
        assert world.says("read", database, function).startswith("refused: ")
    for path in [code / "app.py", code / "new.txt", "/usr/new.txt", "/new.txt", server.data / "new", secret]:
        assert world.says("write", path, function).startswith("refused: "), path
    assert secret.read_text() == "another's"
    assert world.says("write", "/tmp/own.txt", function) == "written"


@pytest.mark.parametrize("function", ["hostile", "offline"])
def test_the_server_is_out_of_reach(world, function):
    pid = world.server.process.pid
    assert world.says("environment", function=function) == "nothing"
    assert world.says("read", f"/proc/{pid}/environ", function).startswith("refused: ")
    assert world.says("read", f"/proc/{pid}/mem", function).startswith("refused: ")
    assert world.says("kill", pid, function).startswith("refused: ")
    answer = world.says("admin", world.server.port, function)
    assert answer.startswith("refused: ") or "403" in answer, answer
    if function == "offline":
        assert world.says("admin", world.stub.url.rpartition(":")[2], function).startswith("refused: ")
    assert world.server.process.poll() is None


def test_the_private_folder_has_a_size(world):
    assert world.says("fill").startswith("refused: ")
    assert world.says("environment") == "nothing"


def processes(mark):
    """Who has this among its arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def test_kill_9_of_the_server_leaves_nothing(stub, launch, code):
    world = World(launch(config(stub, functions=functions(code))), stub, ["hostile"])
    mark = f"left-by-{os.getpid()}-{time.monotonic_ns()}"
    try:
        assert world.attack("daemon", mark, within=120).ok().observations == ["left one"]
        assert processes(mark)
        workers = descendants(world.server.process.pid)
        assert workers
    finally:
        world.clients.close()
        os.kill(world.server.process.pid, signal.SIGKILL)
        world.server.process.wait()
        world.server.process = None
    deadline = time.monotonic() + 5
    while processes(mark) or any(is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "something outlived the server"
        time.sleep(0.01)


def descendants(pid):
    """All processes below one."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    # Whoever has to reap it may be somebody else.
    return state not in "ZX"
