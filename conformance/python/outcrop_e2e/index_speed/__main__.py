"""Makes vectors, asks each index the same questions one after another, and prints Markdown tables.

    python -m outcrop_e2e.index_speed --measure target/release/examples/measure

`cargo xtask bench --index` builds that program, installs `requirements-index-speed.txt` and runs this.
Recall is against exact search in numpy. Linux only: memory is read from `/proc`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from outcrop_e2e.index_speed import vectors


def main():
    parser = argparse.ArgumentParser(prog="index_speed", description=__doc__)
    parser.add_argument("--measure", required=True, type=Path, help="Outcrop's program that measures its index")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        vectors.make(folder, given.vectors, given.questions)
        peer = [sys.executable, "-m", "outcrop_e2e.index_speed.peers"]
        runs = {
            "Outcrop, with texts and attributes": facts([given.measure, folder]),
            "FAISS HNSW, in memory": facts([*peer, "faiss", folder]),
            "LanceDB HNSW_SQ": facts([*peer, "lancedb", folder]),
        }
    report(runs)


def facts(command):
    """What a program prints, an object a line."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def report(runs):
    print("| | vectors put in and indexed | memory | on disk | search, p50 | p99 | recall@10 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    searches = {name: {fact["share"]: fact for fact in run if fact["what"] == "vectors"} for name, run in runs.items()}
    for name, run in runs.items():
        (build,) = (fact for fact in run if fact["what"] == "build")
        plain = searches[name][1]
        cells = (
            f"{build['build_s']:.0f} s",
            f"{build['memory_mib']} MiB",
            f"{build['disk_mib']} MiB",
            f"{plain['p50_ms']:.2f} ms",
            f"{plain['p99_ms']:.2f} ms",
            f"{plain['recall']:.4f}",
        )
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n| a filter lets through | {' | '.join(f'{name}: p50 | recall@10' for name in runs)} |")
    print(f"|---{'|---:|---:' * len(runs)}|")
    for share in vectors.SHARES[1:]:
        cells = (f"{run[share]['p50_ms']:.2f} ms | {run[share]['recall']:.4f}" for run in searches.values())
        print(f"| {100 * share:g} % | {' | '.join(cells)} |")
    for fact in next(iter(runs.values())):
        match fact["what"]:
            case "open":
                print(f"\nOutcrop's first search after opening the index took {fact['ms']:.0f} ms.", end=" ")
            case "words":
                print(
                    f"Searches for 8 to 12 words took {fact['p50_ms']:.2f} ms (p50) and {fact['p99_ms']:.2f} ms (p99); "
                    f"after all searches the process held {fact['memory_mib']} MiB more than before, mapped files "
                    "included."
                )


if __name__ == "__main__":
    main()
