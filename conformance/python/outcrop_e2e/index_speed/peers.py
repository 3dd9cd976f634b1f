"""Other indexes on the same vectors, each in a process of its own: `python -m ….peers NAME FOLDER`.

Prints JSON objects a line, as Outcrop's own `measure` does. Both get two threads to build with and one
question at a time; FAISS keeps everything in memory, LanceDB on disk.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from outcrop_e2e.index_speed import vectors

# Neighbours and candidates of the graphs, Outcrop's own.
NEIGHBOURS, CANDIDATES, WIDTH = 16, 128, 128


def resident_mib():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def say(**fact):
    print(json.dumps(fact), flush=True)


def search(ask, questions, nearest, share):
    ask(questions[0])
    times, right = [], 0
    for question, exact in zip(questions, nearest):
        began = time.perf_counter()
        found = ask(question)
        times.append(1e3 * (time.perf_counter() - began))
        right += len(set(map(int, found)) & set(map(int, exact)))
    say(
        what="vectors",
        share=share,
        p50_ms=float(np.median(times)),
        p99_ms=float(np.quantile(times, 0.99)),
        recall=right / (len(times) * vectors.RESULTS),
    )


def faiss(folder):
    import faiss as library

    rows, questions, share, nearest = vectors.load(folder)
    before = resident_mib()
    index = library.IndexHNSWFlat(vectors.DIMENSIONS, NEIGHBOURS, library.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = CANDIDATES
    began = time.perf_counter()
    index.add(rows)
    built = time.perf_counter() - began
    path = folder / "faiss.index"
    library.write_index(index, str(path))
    say(what="build", build_s=built, memory_mib=resident_mib() - before, disk_mib=path.stat().st_size >> 20)
    library.omp_set_num_threads(1)
    for limit in vectors.SHARES:
        selector = None if limit == 1 else library.IDSelectorBatch(np.where(share < limit)[0])
        parameters = library.SearchParametersHNSW(sel=selector, efSearch=WIDTH)
        search(
            lambda question: index.search(question[None], vectors.RESULTS, params=parameters)[1][0],
            questions,
            nearest[limit],
            limit,
        )


def lancedb(folder):
    import lancedb as library
    import pyarrow

    rows, questions, share, nearest = vectors.load(folder)
    before = resident_mib()
    shutil.rmtree(folder / "lance", ignore_errors=True)
    database = library.connect(folder / "lance")
    columns = {
        "id": pyarrow.array(np.arange(len(rows))),
        "share": pyarrow.array(share),
        "vector": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.ravel()), vectors.DIMENSIONS),
    }
    began = time.perf_counter()
    table = database.create_table("vectors", pyarrow.table(columns))
    table.create_index(
        "vector",
        config=library.index.HnswSq(
            distance_type="cosine", num_partitions=1, m=NEIGHBOURS, ef_construction=CANDIDATES
        ),
    )
    built = time.perf_counter() - began
    disk = sum(path.stat().st_size for path in (folder / "lance").rglob("*") if path.is_file()) >> 20
    say(what="build", build_s=built, memory_mib=resident_mib() - before, disk_mib=disk)

    def ask(question, limit):
        asked = table.search(question).distance_type("cosine").limit(vectors.RESULTS).select(["id"])
        asked = asked.refine_factor(3).ef(WIDTH)
        if limit < 1:
            asked = asked.where(f"share < {limit}", prefilter=True)
        return asked.to_arrow()["id"].to_pylist()

    for limit in vectors.SHARES:
        search(lambda question: ask(question, limit), questions[:200], nearest[limit], limit)


if __name__ == "__main__":
    {"faiss": faiss, "lancedb": lancedb}[sys.argv[1]](Path(sys.argv[2]))
