"""What the methods of `demo --all` cost: trainings and decoding against plain DPO and the bare model.

    python benchmarks/methods.py [--steps N] [--repeats N] [--hidden N] [--layers N] [--only NAME ...]

A Llama with random weights, and the demo's pairs. Whatever the common table makes is made here as the demo
makes it, each in a process of its own, one after the other; each round begins with plain DPO anew. Printed
are medians over the rounds of what was measured in each, as a share of that round's plain DPO: tokens/s and
seconds a step (of as many pairs, but of as many tokens only where the method has them), both over the steps
after the first ones, and the peak memory of the process (of the GPU, where there is one). Merges, patches and
biases have seconds and that memory. Rows that are steered or defended answer the same prompts as the bare
model: printed is their throughput as a share of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.common import Ratio, command, parser, ratio_table, table, write_json
from benchmarks.made_suite import write_suite
from benchmarks.training import WARM_UP, build_model
from bfpo_bench.demo import compare
from bfpo_bench.demo.compare import HELPFULNESS, METHODS, SAFETY, SFT, Comparison, folder_name
from bfpo_bench.demo.methods.listed import MADE, ROWS
from bfpo_bench.demo.methods.make import make_all
from bfpo_bench.demo.methods.models import Conditioned, Iterated, Made, Trained
from bfpo_bench.demo.methods.places import places
from bfpo_bench.demo.methods.rows import Row, requests
from bfpo_bench.progress import Progress, Report

DPO = METHODS[0].name
# A model of random weights answers nothing that could be paired: rounds are left out
ALL: tuple[Made, ...] = (
    *(Trained(**vars(method)) for method in METHODS),
    *(entry for entry in MADE if not isinstance(entry, Iterated)),
)
DECODED = tuple(row for row in ROWS if row.name != row.model)
COMMAND = ["python", "benchmarks/methods.py"]
DECODE = "decode "
_TRAINING = {
    "tokens_per_second": "tokens/s",
    "step_seconds": "seconds a step",
    "peak_mib": "memory",
}


class Clock:
    """A Ui that notes when each training step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def note(self, text: str) -> None:
        return

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        def report(progress: Progress) -> None:
            if progress.phase == "steps":
                self.ends.append(time.perf_counter())

        yield report


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--steps", type=int, default=10, help="timed steps a training")
    made.add_argument("--pairs", type=int, default=4, help="half of a step's pairs")
    made.add_argument("--prompts", type=int, default=64, help="of the decoding rows")
    made.add_argument("--new-tokens", type=int, default=48, help="of each answer")
    made.add_argument("--hidden", type=int, default=256)
    made.add_argument("--layers", type=int, default=6)
    made.add_argument("--vocabulary", type=int, default=16_000)
    made.add_argument("--only", action="append", help="an entry or a row; repeatable")
    made.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--side", help=argparse.SUPPRESS)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = options_of(arguments)
    if options.side:
        with redirect_stdout(sys.stderr):
            found = side(options)
        print(json.dumps(found))
        return
    words = list(sys.argv[1:] if arguments is None else arguments)
    rounds = [one_round(options, words) for _ in range(options.repeats)]
    ratios = show(rounds)
    write_json(options.json, command(__file__, arguments), ratios, {"rounds": rounds})


def comparison(options: argparse.Namespace) -> Comparison:
    return Comparison(methods=(), steps=WARM_UP + options.steps, pairs=options.pairs)


def wanted(only: Sequence[str] | None) -> tuple[list[str], list[Row]]:
    """The entries to make, in their order and with all that they need, and the rows to decode."""
    rows = [row for row in DECODED if not only or row.name in only]
    names = {DPO, *(only or [entry.name for entry in ALL])}
    names |= {name for row in rows for name in (row.model, row.bias) if name is not None}
    for entry in reversed(ALL):
        if entry.name in names:
            names |= set(entry.needs)
    return [entry.name for entry in ALL if entry.name in names], rows


def one_round(options: argparse.Namespace, words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Every side once, in an empty cache."""
    names, rows = wanted(options.only)
    with tempfile.TemporaryDirectory() as cache:
        prepare(options, Path(cache))
        sides = [*names, *(f"{DECODE}{row.name}" for row in ([Row(SFT), *rows] if rows else []))]
        return {name: _child([*words, "--cache", cache, "--side", name]) for name in sides}


def _child(words: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.methods", *words],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    if done.returncode:
        sys.exit(f"{words[-1]}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def prepare(options: argparse.Namespace, cache: Path) -> None:
    """The supervised model's place with random weights in it, and the pairs beside it."""
    from bfpo_bench.demo.tokenizer import train_tokenizer
    from bfpo_bench.training.data.jsonl import write_pairs

    folder = cache / folder_name(comparison(options))
    pairs = {SAFETY: compare.safety_pairs(), HELPFULNESS: compare.helpfulness_pairs()}
    texts = [
        text for some in pairs.values() for pair in some for text in (pair.chosen, pair.rejected)
    ]
    tokenizer = train_tokenizer(texts, vocabulary=2048, context=2048)
    build_model(options, tokenizer).save_pretrained(folder / SFT)
    tokenizer.save_pretrained(folder / SFT)
    for name, some in pairs.items():
        write_pairs(folder / name, some)


def side(options: argparse.Namespace) -> dict[str, Any]:
    """What one process measures: an entry made, or a row's answers."""
    if options.side.startswith(DECODE):
        return decoded(options, options.side.removeprefix(DECODE))
    return entry_made(options, options.side)


def entry_made(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Make the entry, which alone is not there yet."""
    from bfpo_bench.training.train import finished

    names, _ = wanted(options.only)
    listed = [entry for entry in ALL if entry.name in names[: names.index(name) + 1]]
    clock, began = Clock(), time.perf_counter()
    found = make_all(options.cache, COMMAND, clock, comparison(options), listed)
    told: dict[str, Any] = {"seconds": time.perf_counter() - began, **memory()}
    if not isinstance(listed[-1], Trained | Conditioned):
        return told
    manifest = finished(found[name])
    assert manifest.steps is not None
    assert manifest.tokens is not None
    step = (clock.ends[-1] - clock.ends[WARM_UP - 1]) / options.steps
    tokens = manifest.tokens / manifest.steps / step
    return told | {"step_seconds": step, "tokens_per_second": tokens}


def memory() -> dict[str, float]:
    """Peak MiB of this process, or of its GPU."""
    import torch

    if torch.cuda.is_available():
        return {"peak_mib": torch.cuda.max_memory_allocated() / 2**20}
    return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def decoded(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Answer the prompts as the row of that name does."""
    from bfpo_bench.pipeline import execute
    from bfpo_bench.plan import make_plan
    from bfpo_bench.runs.folder import RunFolder

    names, rows = wanted(options.only)
    entries = [entry for entry in ALL if entry.name in names]
    found = places(options.cache.resolve(), comparison(options), entries)
    row = next(row for row in (Row(SFT), *rows) if row.name == name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        suite = write_suite(folder / "suite", options.prompts, 2, options.new_tokens)
        common = {
            "suite": str(suite),
            "engine": "transformers",
            "out": folder / "runs",
            "leaderboard": folder / "made.csv",
        }
        [(request, _)] = requests([row], found, common)
        plan = make_plan(request)
        execute(plan, COMMAND, Clock())
        run = RunFolder(plan.runs[0].folder)
        manifest = run.manifest()
        assert manifest is not None
        seconds = manifest.sessions[-1]["seconds"]["generate"]
        return {"seconds": seconds, "answers_per_second": options.prompts / seconds}


def show(rounds: Sequence[dict[str, dict[str, Any]]]) -> list[Ratio]:
    """Print the tables; returns the ratios."""

    def share(name: str, key: str, under: str) -> float:
        return statistics.median(found[name][key] / found[under][key] for found in rounds)

    def median(name: str, key: str) -> float:
        return statistics.median(found[name][key] for found in rounds)

    ratios: list[Ratio] = []
    rows: list[list[object]] = []
    for name, first in rounds[0].items():
        if "tokens_per_second" in first and name != DPO:
            rows.append([name, *(share(name, key, DPO) for key in _TRAINING)])
            ratios += [
                Ratio(f"{told}, {name} / DPO", share(name, key, DPO))
                for key, told in _TRAINING.items()
            ]
    if rows:
        table("Training, as shares of plain DPO", ["method", *_TRAINING.values()], rows)
    rows = [
        [name, median(name, "seconds"), median(name, "peak_mib")]
        for name, first in rounds[0].items()
        if "peak_mib" in first and "tokens_per_second" not in first
    ]
    if rows:
        table("Operations", ["entry", "seconds", "peak MiB"], rows)
        ratios += [Ratio(f"memory, {r[0]} / DPO", share(str(r[0]), "peak_mib", DPO)) for r in rows]
    bare = f"{DECODE}{SFT}"
    decoding = [name for name in rounds[0] if name.startswith(DECODE) and name != bare]
    ratios += [
        Ratio(
            f"throughput, {name.removeprefix(DECODE)} / bare",
            share(name, "answers_per_second", bare),
        )
        for name in decoding
    ]
    ratio_table("Ratios, medians over the rounds", ratios)
    return ratios


if __name__ == "__main__":
    main()
