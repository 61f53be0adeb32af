"""Ten thousand judgements through a local API server that fails one time in twenty.

    python benchmarks/api_faults.py [--judgements 10000] [--faults 0.05] [--concurrency 8] [--json]

Judge `rating` asks a real HTTP server in a process of its own, which gives each answer the grade that
the answer names. One response in twenty is a fault instead, eight kinds in turn by a fixed draw: 429
with and without Retry-After, 500, 503, a connection cut in the middle of the body, silence, broken
JSON, an empty list of choices. `right`: records with the grade that the answer names; `wrong`: with
any other; `unjudged`: with none. Waits between attempts are milliseconds, silence is given up after
half a second: times say what the client costs, not what a service would take.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from api_judging import QUICK, failing_server, judged, rated_items, work


def measure(judgements: int, faults: float, concurrency: int) -> dict[str, Any]:
    items = rated_items(judgements)
    with failing_server(faults) as url:
        patience = replace(QUICK, answering=0.5)
        job = work("rating=served", url, concurrency=concurrency, patience=patience)
        start, cpu = time.perf_counter(), time.process_time()
        found, description = judged(job, items)
        seconds, busy = time.perf_counter() - start, time.process_time() - cpu
    right = sum(f.score == i % 10 + 1 for i, f in enumerate(found))
    unjudged = sum(f.label == "unjudged" for f in found)
    return {
        "judgements": judgements,
        "right": right,
        "wrong": judgements - right - unjudged,
        "unjudged": unjudged,
        "requests": description["usage"]["requests"],
        "retries": description["usage"]["retries"],
        "seconds": round(seconds, 1),
        "client_cpu_seconds": round(busy, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judgements", type=int, default=10_000)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.judgements, asked.faults, asked.concurrency)
    if asked.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name.replace('_', ' '):<20}{value:>10,}")


if __name__ == "__main__":
    main()
