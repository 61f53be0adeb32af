"""The whole of an evaluation, generate and judge: ours against a stand-in for the original one.

    python benchmarks/official_path.py [--model ID] [--judge ID] [--engine transformers|vllm]
        [--prompts N] [--single N] [--new-tokens N]

The stand-in is written from a description of the BFPO paper's evaluation code: lm-eval's HF backend
(`HFLM.generate_until`) writes the answers at temperature 0.7, and a classifier on transformers judges
them one response a call, by a prompt with behaviour, context and answer, for one new token. lm-eval's
batch size is 1 unless told otherwise, so that row is the yardstick; beside it stands 8 (`--batch auto` searches for one first, which takes long).
Ours is the respond stage's generation and the judge stage, on each engine that is named.

Same models, same prompts without chat template, same budget of new tokens, float32, and only the
end-of-text token ends an answer. Every phase of every side runs in a process of its own, in turns,
and eight prompts warm it up. Loading is printed apart. A side with one prompt a call is measured on
`--single` of the prompts: its time per response does not depend on their number.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common import Ratio, command, parser, ratio_table, table, write_json
from benchmarks.official_sides import PHASES, Phase

YARDSTICK = "official, batch 1"
GOAL = ">= 10"
Found = dict[str, dict[str, list[dict[str, float]]]]
"""Side -> phase -> what each round's process told."""


def sides(options: argparse.Namespace) -> dict[str, tuple[str, str | None, int]]:
    """Name -> engine, lm-eval's batch size or None, and the number of prompts."""
    found: dict[str, tuple[str, str | None, int]] = {}
    for batch in options.batch or ["1", "8"]:
        count = options.single if batch == "1" else options.prompts
        found[f"official, batch {batch}"] = ("transformers", batch, min(count, options.prompts))
    for engine in options.engine or ["transformers"]:
        found[f"bfpo-bench, {engine}"] = (engine, None, options.prompts)
    return found


def run(phase: Phase, kind: str, apart: bool) -> dict[str, float]:
    """One phase, in a process of its own unless `apart` is false."""
    if not apart:
        return PHASES[phase.ours, kind](phase)
    asked = json.dumps({**asdict(phase), "answers": str(phase.answers)})
    done = subprocess.run(
        [sys.executable, __file__, "--phase", kind, asked],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{kind}: {done.stderr[-3000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(options: argparse.Namespace) -> Found:
    """Every side in turns."""
    listed = sides(options)
    found: Found = {name: {"generate": [], "judge": []} for name in listed}
    for seed in range(options.repeats):
        order = list(listed.items())
        for name, (engine, batch, count) in order if seed % 2 == 0 else reversed(order):
            with tempfile.TemporaryDirectory() as folder:
                phase = Phase(
                    model=options.model,
                    judge=options.judge or options.model,
                    engine=engine,
                    batch=batch,
                    prompts=count,
                    new_tokens=options.new_tokens,
                    seed=seed,
                    answers=Path(folder) / "answers",
                )
                for kind in ("generate", "judge"):
                    found[name][kind].append(run(phase, kind, options.apart))
    return found


def per_response(found: dict[str, list[dict[str, float]]], key: str) -> list[float]:
    """Each round's seconds to write a response and to have the model judge one: our judge does not
    ask its model about what a rule finds degenerate, the other side asks about everything.

    Raises SystemExit where the judge's model was asked about nothing.
    """
    if not all(told["responses"] for told in found["judge"]):
        raise SystemExit("The judge's model was asked about no response: take another --model.")
    rounds = zip(found["generate"], found["judge"], strict=True)
    return [g[key] / g["responses"] + j[key] / j["responses"] for g, j in rounds]


def tokens(found: dict[str, list[dict[str, float]]]) -> float:
    """New tokens a response, the median over the rounds."""
    return statistics.median(told["tokens"] / told["responses"] for told in found["generate"])


def ratio(found: Found, over: str, under: str, key: str = "seconds") -> float:
    """Median over the rounds of `over`'s time a response by `under`'s."""
    pairs = zip(per_response(found[over], key), per_response(found[under], key), strict=True)
    return statistics.median(a / b for a, b in pairs)


def ratios(found: Found) -> list[Ratio]:
    listed = []
    official = [name for name in found if name.startswith("official")]
    best = max(
        (name for name in found if name not in official),
        key=lambda name: ratio(found, official[0], name),
    )
    for mine in (name for name in found if name not in official):
        for theirs in official:
            goal = GOAL if theirs == YARDSTICK and mine == best else None
            listed.append(Ratio(f"{mine}: speed / {theirs}", ratio(found, theirs, mine), goal))
            worked = ratio(found, theirs, mine, "cpu_seconds")
            listed.append(Ratio(f"{mine}: per CPU second / {theirs}", worked))
            length = tokens(found[mine]) / tokens(found[theirs])
            listed.append(Ratio(f"{mine}: tokens a response / {theirs}", length))
    return listed


def show(found: Found, listed: Sequence[Ratio]) -> None:
    def middle(told: Sequence[dict[str, float]], key: str) -> float:
        return statistics.median(entry[key] for entry in told)

    rows = []
    for name, phases in found.items():
        write, judge = phases["generate"], phases["judge"]
        count = middle(write, "responses")
        rows.append(
            (
                name,
                int(count),
                tokens(phases),
                int(middle(judge, "responses")),
                1000 * middle(write, "seconds") / count,
                1000 * middle(judge, "seconds") / middle(judge, "responses"),
                1000 * statistics.median(per_response(phases, "cpu_seconds")),
                middle(write, "load_seconds") + middle(judge, "load_seconds"),
            )
        )
    columns = ["medians", "responses", "new tokens each", "judged by the model"]
    columns += ["ms to write one", "ms to judge one", "CPU ms for both", "loading, s"]
    table("Generate and judge, loading apart", columns, rows)
    ratio_table("Ratios of speed (responses a second, both phases) and of length", listed)


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--model", default="karpathy/stories260K-head64")
    made.add_argument("--judge", help="the judge's model; without it the same")
    made.add_argument("--engine", action="append", choices=["transformers", "vllm"], help="of ours")
    made.add_argument(
        "--batch", action="append", help="of lm-eval, a number or auto; 1 and 8 unless given"
    )
    made.add_argument("--prompts", type=int, default=256)
    made.add_argument("--single", type=int, default=32, help="prompts where a call has one")
    made.add_argument("--new-tokens", type=int, default=256)
    made.add_argument("--apart", action=argparse.BooleanOptionalAction, default=True)
    made.add_argument("--phase", nargs=2, help=argparse.SUPPRESS)
    options = made.parse_args(arguments)
    if options.phase is not None:
        kind, asked = options.phase[0], json.loads(options.phase[1])
        phase = Phase(**{**asked, "answers": Path(asked["answers"])})
        print(json.dumps(PHASES[phase.ours, kind](phase)))
        return
    found = measure(options)
    listed = ratios(found)
    show(found, listed)
    settings: dict[str, Any] = {k: getattr(options, k) for k in ("model", "judge", "new_tokens")}
    write_json(
        options.json, command(__file__, arguments), listed, {"settings": settings, "sides": found}
    )


if __name__ == "__main__":
    main()
