"""Many files and large ones, in bounded memory.

Always with hundreds of files; with OUTCROP_ALL=1 (`cargo xtask test --all`) with 10,000, and with a text of a
gigabyte.
"""

import os
import threading
import time

import pytest
from conftest import config

from outcrop_e2e import files, knowledge

MANY = 10_000 if os.environ.get("OUTCROP_ALL") else 600
# The test's own embedding model makes a few thousand vectors a second.
WITHIN_S = 600
# What the server may take above its idle size while it works, KiB: names, one window of documents, the
# index's buffers. A debug build with its index; 50 MB of a PDF are held once.
GROWTH_KIB = 400 * 1024


class Peak:
    """The most memory that a server has while a block runs."""

    def __init__(self, server):
        self.server = server
        self.kib = 0

    def __enter__(self):
        self.before = self.server.rss_kib()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.over.wait(0.02):
            self.kib = max(self.kib, self.server.rss_kib())

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    @property
    def growth(self):
        return self.kib - self.before


@pytest.fixture
def clients(knowing, connect, embedder):
    embedder.reset()
    return connect(knowing)


def test_many_small_files_and_a_large_one(control, runtime, knowing, bucket, embedder):
    small = {f"{number // 100:03}/{number:05}.txt": f"Item {number} lies on shelf {number % 97}." for number in range(MANY)}
    pages = ("Herons wait.", "Otters dive.", "Badgers dig at dusk.", "Martens climb.", "Lynxes listen.")
    large = files.pdf(*pages, padding=49_000_000)
    name, folder = bucket({**small, "large.pdf": large})
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, name)
    begun = time.monotonic()
    with Peak(knowing) as peak:
        counted = knowledge.ingest(control, base, source, WITHIN_S)
    print(f"{MANY} files in {time.monotonic() - begun:.1f} s, {peak.growth} KiB above idle")
    failed = {uri: told for uri, told in knowledge.documents(control, base, source).items() if told[0] != "INDEXED"}
    assert counted == {"scanned": MANY + 1, "new": MANY + 1}, failed
    assert peak.growth < GROWTH_KIB, f"{peak.growth} KiB"
    found = knowledge.retrieve(runtime, base, f"item {MANY - 1} shelf", 1, kind="HYBRID")[0]
    assert knowledge.key(found) == f"{(MANY - 1) // 100:03}/{MANY - 1:05}.txt"
    found = knowledge.retrieve(runtime, base, "badgers dig dusk", 1)[0]
    assert knowledge.key(found) == "large.pdf"
    # What is there is not read again.
    embedder.reset()
    assert knowledge.ingest(control, base, source, WITHIN_S) == {"scanned": MANY + 1}
    assert embedder.texts == []


@pytest.mark.skipif(not os.environ.get("OUTCROP_ALL"), reason="OUTCROP_ALL is not set: it writes a gigabyte")
def test_a_text_of_a_gigabyte(control, knowing, bucket):
    name, folder = bucket({"good.txt": "A good text."})
    with open(folder / "huge.txt", "wb") as huge:
        for _ in range(1024):
            huge.write(b"word " * ((1 << 20) // 5))
    base = knowledge.create(control)
    source = knowledge.s3_source(control, base, name)
    with Peak(knowing) as peak:
        assert knowledge.ingest(control, base, source) == {"scanned": 2, "new": 1, "failed": 1}
    status, reason = knowledge.documents(control, base, source)[f"s3://{name}/huge.txt"]
    assert status == "FAILED" and "50" in reason
    assert peak.growth < GROWTH_KIB


@pytest.mark.skipif(not os.environ.get("OUTCROP_ALL"), reason="OUTCROP_ALL is not set: it fetches a model's weights")
def test_the_embedded_model(stub, launch, connect, bucket):
    """The whole way with the model that a server has by itself."""
    server = launch(config(stub) + '[[embeddings]]\nmatch = "*"\nprovider = "local"\n')
    clients = connect(server)
    name, _ = bucket(
        {
            "leave.md": "# Parental leave\n\nEveryone who becomes a parent may stay at home for sixteen weeks.",
            "travel.md": "# Travel\n\nFlights are booked through the travel desk a fortnight ahead.",
            "laptops.md": "# Laptops\n\nMachines are replaced every three years.",
        },
        server,
    )
    base = knowledge.create(clients.control)
    source = knowledge.s3_source(clients.control, base, name)
    assert knowledge.ingest(clients.control, base, source, within=600) == {"scanned": 3, "new": 3}
    for question, key in (
        ("How long can I be with my newborn baby?", "leave.md"),
        ("Who reserves a plane ticket for me?", "travel.md"),
        ("When do I get another computer?", "laptops.md"),
    ):
        found = knowledge.retrieve(clients.runtime, base, question, 1, kind="SEMANTIC")
        assert knowledge.key(found[0]) == key
