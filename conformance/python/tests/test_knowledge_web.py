"""A WEB data source: a site on this machine is crawled, found in, and crawled again."""

import http.server
import threading

import pytest

from conftest import config
from outcrop_e2e import knowledge

LINK = '<a href="{0}">{0}</a>'


class Site:
    """Pages by path; one that is a number is that status, one that begins with `->` is elsewhere.

    What is not there is answered with 404; what was asked for is noted.
    """

    def __init__(self):
        self.pages = {}
        self.asked = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                page = site.pages.get(self.path, site.pages.get("*", 404))
                moved = isinstance(page, str) and page.startswith("->")
                body = b"" if moved else str(page).replace("$path", self.path).encode()
                self.send_response(302 if moved else page if isinstance(page, int) else 200)
                if moved:
                    self.send_header("location", page[2:])
                self.send_header("content-type", "text/plain" if self.path.endswith(".txt") else "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site():
    made = Site()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def crawling(stub, launch, embedder):
    """A server that may crawl this machine."""
    return launch(config(stub) + knowledge.embeddings(embedder.url) + '[crawler]\nallow = ["127.0.0.1"]\n')


@pytest.fixture
def clients(crawling, connect, embedder):
    embedder.reset()
    return connect(crawling)


def web(site, path="/", **crawler):
    """A data source's configuration that begins at a page."""
    seeds = {"urlConfiguration": {"seedUrls": [{"url": site.url + path}]}}
    return {"type": "WEB", "webConfiguration": {"sourceConfiguration": seeds, "crawlerConfiguration": crawler}}


def test_a_site_is_crawled_and_crawled_again(control, runtime, site):
    base = knowledge.create(control)
    site.pages = {
        "/robots.txt": "User-agent: *\nDisallow: /private\n",
        "/": "<h1>Zoo</h1><p>Welcome to the zoo.</p>" + "".join(map(LINK.format, ["/heron", "/otter", "/private"])),
        "/heron": "<p>The heron nests in the reed beds.</p>" + LINK.format("/"),
        "/otter": "<p>The otter sleeps in a holt by the river.</p>",
        "/private": "<p>The safe is behind the badger.</p>",
    }
    source = knowledge.source(control, base, web(site, scope="HOST_ONLY"))
    assert knowledge.ingest(control, base, source) == {"scanned": 3, "new": 3}
    assert site.asked[0] == "/robots.txt" and "/private" not in site.asked
    best = knowledge.retrieve(runtime, base, "where does the heron nest in the reed beds", number=1)[0]
    assert "reed beds" in best["content"]["text"]
    assert best["location"] == {"type": "WEB", "webLocation": {"url": f"{site.url}/heron"}}
    assert best["metadata"]["x-amz-bedrock-kb-source-uri"] == f"{site.url}/heron"

    site.pages["/otter"] = "<p>The otter has moved to the sea.</p>"
    site.pages["/"] = "<h1>Zoo</h1><p>Welcome to the zoo.</p>" + LINK.format("/otter")
    assert knowledge.ingest(control, base, source) == {"scanned": 2, "modified": 2, "deleted": 1}
    found = knowledge.retrieve(runtime, base, "heron reed beds otter sea", number=5)
    assert not any("reed beds" in result["content"]["text"] for result in found)


def test_traps_end(control, site):
    base = knowledge.create(control)
    site.pages = {
        "/robots.txt": 404,
        "/": "".join(map(LINK.format, ["/ring", "/moved", "/away", "/broken"])),
        "/ring": "->/ring2",
        "/ring2": "->/ring",
        "/moved": "->/there#part",
        "/there": "<p>The marten climbs the old spruce.</p>",
        "/away": "->http://localhost:1/",
        "/broken": 410,
    }
    source = knowledge.source(control, base, web(site, scope="HOST_ONLY"))
    assert knowledge.ingest(control, base, source) == {"scanned": 2, "new": 2}

    site.pages = {"/robots.txt": 404, "*": LINK.format("$path1/") + LINK.format("$path2/")}
    limits = {"maxPages": 3, "rateLimit": 300}
    source = knowledge.source(control, base, web(site, scope="HOST_ONLY", crawlerLimits=limits))
    ended = knowledge.end(control, base, source, knowledge.start(control, base, source))
    assert ended["status"] == "FAILED"
    assert "more pages than its limit of 3" in ended["failureReasons"][0]


def test_a_host_that_is_not_allowed_fails_the_job(control, knowing, connect, site):
    site.pages = {"/": "<p>Nobody reads this.</p>"}
    control = connect(knowing).control
    base = knowledge.create(control)
    source = knowledge.source(control, base, web(site))
    ended = knowledge.end(control, base, source, knowledge.start(control, base, source))
    assert ended["status"] == "FAILED"
    assert "allow in [crawler]" in ended["failureReasons"][0]
    assert site.asked == []
