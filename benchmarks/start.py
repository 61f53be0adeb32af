"""How long the commands take that load no model.

    python benchmarks/start.py [--model ID_OR_PATH] [--profile]

Each command runs in a process of its own, once to warm the disk's cache and then in turns with the
others. Given a model, `plan` of the whole suite for it is among them (its first, untimed run fetches
what it reads); that needs a hub. CPU seconds stand beside the clock's, which a busy machine makes
longer. `--profile` prints the ten modules whose own import takes longest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.common import (
    Ratio,
    command,
    in_turns,
    medians,
    parser,
    quotient,
    ratio_table,
    table,
    write_json,
)

GOALS = {"--help": 0.5, "tasks": 1.0, "plan": 5.0}
"""Seconds, by the first word of a command."""
BARE = "python -c pass"
TOP = 10
BOARD = "board.csv"
ROWS = 20


def commands(model: str | None) -> dict[str, list[str]]:
    """What is measured: its name -> the words after `bfpo-bench`."""
    found = ["--help", "run --help", "tasks", "tasks --long", "judges list"]
    lines = {words: words.split() for words in found}
    lines["leaderboard show"] = ["leaderboard", "show", "--leaderboard", BOARD]
    if model is not None:
        lines["plan"] = ["plan", "--model", model, "--engine", "transformers"]
    return lines


def write_board(path: Path) -> None:
    """A leaderboard of made-up rows."""
    from bfpo_bench.leaderboard.rows import add_row, row
    from bfpo_bench.scoring.aggregate import CELLS
    from bfpo_bench.scoring.scores import Score, Scores

    for number in range(ROWS):
        score = Score(value=50 + number, ci_low=40 + number, ci_high=60 + number)
        made = Scores(
            model=f"made/model-{number}",
            suite="made",
            suite_version=1,
            partial=False,
            comparability_key="0123456789ab",
            judges=["refusal"],
            helpfulness=score,
            harmlessness=score,
            over_refusal=score,
            cells=dict.fromkeys(CELLS, score),
            families={},
            tasks={},
            missing=[],
        )
        add_row(path, row(made, "null", "2026-01-01", None))


def call(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run it in `folder`; stops at whatever does not end well."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "COLUMNS": "160"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.decode()[-2000:]}")
    return done


def imports(words: Sequence[str], folder: Path) -> list[tuple[str, float]]:
    """(module, milliseconds of its own import), the longest first."""
    done = call(["-X", "importtime", "-m", "bfpo_bench", *words], folder)
    lines = [
        line.removeprefix("import time:").split("|")
        for line in done.stderr.decode().splitlines()
        if line.startswith("import time:") and "self [us]" not in line
    ]
    found = [(name.strip(), int(own) / 1000) for own, _, name in lines]
    return sorted(found, key=lambda entry: -entry[1])


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__, repeats=5)
    made.add_argument("--model", help="for `plan`, which is left out without it")
    made.add_argument("--profile", action="store_true", help="the modules that take longest")
    options = made.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        measure(options, Path(name), command(__file__, arguments))


def measure(options: argparse.Namespace, folder: Path, told: str) -> None:
    lines = commands(options.model)
    write_board(folder / BOARD)

    def side(words: Sequence[str]) -> Callable[[], object]:
        return lambda: call(words, folder).returncode

    sides = {BARE: side(["-c", "pass"])}
    sides |= {name: side(["-m", "bfpo_bench", *words]) for name, words in lines.items()}
    laps = in_turns(sides, options.repeats, warm_up=True)
    middle = medians(laps)
    rows = [
        (name, found["seconds"], found["cpu_seconds"], GOALS.get(name))
        for name, found in middle.items()
    ]
    table("bfpo-bench ...", ["medians", "seconds", "CPU seconds", "goal, s"], rows)
    ratios = []
    for name, goal in GOALS.items():
        if name in middle:
            ratios += [
                Ratio(f"{name}: seconds / goal", middle[name]["seconds"] / goal, "<= 1"),
                Ratio(f"{name}: CPU seconds / goal", middle[name]["cpu_seconds"] / goal, "<= 1"),
            ]
    ratios.append(Ratio(f"--help: CPU time / {BARE}", quotient(laps, "--help", BARE, cpu=True)))
    ratio_table("Ratios, medians over the rounds", ratios)
    slow = {name: imports(words, folder)[:TOP] for name, words in lines.items() if options.profile}
    for name, modules in slow.items():
        table(f"{name}: modules whose own import takes longest", ["module", "ms"], modules)
    figures = {n: [[lap.seconds, lap.cpu_seconds] for lap in f] for n, f in laps.items()}
    write_json(options.json, told, ratios, {"medians": middle, "laps": figures, "imports": slow})


if __name__ == "__main__":
    main()
