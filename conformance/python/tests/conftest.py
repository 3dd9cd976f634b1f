"""The fixtures: one stub and one server a module, checked clients, and a clean slate for each test."""

import itertools
import os
import warnings
from pathlib import Path

import pytest

from outcrop_e2e import agents, knowledge, postgres, recordings
from outcrop_e2e.clients import Clients, acceptance_check
from outcrop_e2e.embeddings import Embeddings
from outcrop_e2e.process import Outcrop, Stub
from outcrop_e2e.samples import clones
from outcrop_e2e.terraform import tools

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "support-agent"


def binary(name, variable):
    """The path of a built program."""
    path = os.environ.get(variable)
    if path:
        return path
    return str(target() / "debug" / name)


def target():
    """Cargo's target folder."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def pytest_addoption(parser):
    parser.addoption(
        "--store", choices=("sqlite", "postgres"), default="sqlite", help="what every server keeps its data in"
    )


def pytest_collection_modifyitems(config, items):
    """What judges the run comes last, and knows whether it is a whole one."""
    items.sort(key=lambda item: item.path.name == "test_coverage.py")
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    chosen = config.option.keyword or config.option.markexpr or "::" in " ".join(config.args)
    config.whole_run = not chosen and files == {item.path.name for item in items}


def pytest_report_header(config):
    found = "runs" if acceptance_check() else "is skipped: OUTCROP_ACCEPTANCE names no file"
    lacking = tools.missing()
    terraform = f"ARE SKIPPED: {lacking}" if lacking else "run"
    lacking = clones.missing()
    samples = f"ARE SKIPPED: {lacking}" if lacking else "run"
    lacking = recordings.missing()
    recorded = f"ARE SKIPPED: {lacking}" if lacking else "run"
    return [
        f"acceptance check of agent streams {found}",
        f"terraform tests {terraform}",
        f"tests of AWS's public samples {samples}",
        f"tests of recorded streams {recorded}",
        f"store: {config.getoption('--store')}",
    ]


def models(stub, provider):
    """The `[[models]]` entry that sends every model to the stub over one protocol."""
    base = {"openai": f"{stub.url}/v1", "anthropic": f"{stub.url}/v1", "bedrock": stub.url}[provider]
    key = "" if provider == "bedrock" else 'api_key_env = "STUB_API_KEY"\n'
    return f'[[models]]\nmatch = "*"\nprovider = "{provider}"\nbase_url = "{base}"\n{key}\n'


def config(stub, provider="openai", top="", functions=None):
    """A whole configuration. Without `functions`, every function is the stub's Lambda."""
    if functions is None:
        functions = f'[[functions]]\nmatch = "*"\nruntime = "lambda"\nendpoint = "{stub.url}"\ntimeout_s = 5\n'
    buckets = EXAMPLE / "buckets"
    return (
        'region = "us-west-2"\naccount_id = "111111111111"\n'
        f'{top}\n{models(stub, provider)}{functions}\n[s3]\nroot = "{buckets}"\n'
    )


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    stub = Stub(binary("stub-model", "OUTCROP_STUB_BIN"), tmp_path_factory.mktemp("stub"))
    yield stub
    stub.stop()


@pytest.fixture(autouse=True)
def clean_stub(request):
    """A fresh stub for each test; afterwards, no model call may have broken the protocols' rules."""
    if "stub" not in request.fixturenames and "server" not in request.fixturenames:
        yield
        return
    stub = request.getfixturevalue("stub")
    stub.reset()
    yield
    broken = [record["violations"] for record in stub.requests("model") if record["violations"]]
    stub.reset()
    assert not broken, f"the model was sent what providers refuse: {broken}"


@pytest.fixture(scope="session")
def database():
    """Gives the URL of a fresh schema on a PostgreSQL: the one of OUTCROP_TEST_POSTGRES_URL, else our own."""
    given = os.environ.get("OUTCROP_TEST_POSTGRES_URL")
    if given == "none":
        pytest.skip("OUTCROP_TEST_POSTGRES_URL says that there is no PostgreSQL")
    server = None if given else postgres.Server()
    url = given or server.url
    numbers = itertools.count(1)
    yield lambda: f"{url}{'&' if '?' in url else '?'}schema=e2e_{os.getpid()}_{next(numbers)}"
    if server:
        server.stop()


@pytest.fixture(scope="module")
def launch(request, tmp_path_factory):
    """Starts servers and ends them; a panic in any log fails the module."""
    servers = []

    def start(text, env=None):
        env = dict(env or {})
        if request.config.getoption("--store") == "postgres" and "OUTCROP_DATABASE_URL" not in env:
            env["OUTCROP_DATABASE_URL"] = request.getfixturevalue("database")()
            # Not the default, for a test that kills a server waits until its lease has passed.
            env.setdefault("OUTCROP_LIMITS_SESSION_LEASE_S", "2")
        server = Outcrop(binary("outcrop", "OUTCROP_BIN"), tmp_path_factory.mktemp("outcrop"), text, env)
        servers.append(server)
        return server.start()

    yield start
    problems = []
    for server in servers:
        try:
            server.stop()
        except AssertionError as error:
            problems.append(str(error))
        if "panicked" in server.log.read_text(errors="replace"):
            problems.append(f"outcrop panicked:\n{server.tail(200)}")
    assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def server(stub, launch):
    """The module's server, over the OpenAI protocol, with tools at the stub's Lambda."""
    return launch(config(stub))


@pytest.fixture(scope="module")
def embedder():
    """An embedding model whose calls a test can count, hold and refuse."""
    made = Embeddings()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def knowing(stub, launch, embedder):
    """A server with an embedding model, for knowledge bases."""
    return launch(config(stub) + knowledge.embeddings(embedder.url))


@pytest.fixture
def bucket(request, tmp_path):
    """Makes folders buckets of a server: files -> (the bucket's name, its folder)."""

    def make(files, server=None):
        server = server or request.getfixturevalue("knowing")
        name = agents.unique("bucket")
        folder = tmp_path / name
        folder.mkdir()
        knowledge.write(folder, files)
        knowledge.link(server, name, folder)
        return name, folder

    return make


@pytest.fixture
def connect():
    """Makes checked clients; what came back is judged at the end of the test."""
    made = []

    def make(server, **more):
        clients = Clients(server.url, **more)
        made.append(clients)
        return clients

    yield make
    for clients in made:
        clients.close()


@pytest.fixture
def clients(server, connect):
    return connect(server)


@pytest.fixture
def control(clients):
    return clients.control


@pytest.fixture
def runtime(clients):
    return clients.runtime


@pytest.fixture
def unchecked(server, connect):
    """Clients that send what the shapes forbid."""
    return connect(server, checked=False)


@pytest.fixture(autouse=True)
def no_warnings():
    """botocore must parse everything without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)
        yield
