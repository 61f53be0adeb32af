"""What a report is made of: the runs and the leaderboard that its command names, or finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.keys import read_keys
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.runs.parts import merge_command, run_of_shard
from bfpo_bench.scoring.finished import FinishedRun, find_runs, read_finished

RUNS = Path("runs")
LEADERBOARD = Path("leaderboards") / "bfpo.csv"


@dataclass(frozen=True)
class Sources:
    """`baseline` is one of `runs`. `table` has the leaderboard's rows, `keys` what stands behind its
    comparability keys. `notes` say what was found and left out."""

    runs: Sequence[FinishedRun]
    baseline: FinishedRun | None
    table: pd.DataFrame
    keys: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str]


def read_sources(paths: Sequence[Path], leaderboard: Path | None, baseline: Path | None) -> Sources:
    """The runs in `paths`, the baseline before them, and the rows of `leaderboard`.

    Where neither paths nor a leaderboard are given: the folder runs and leaderboards/bfpo.csv, as far
    as they are there. Raises UserError where there is nothing to show, and for what cannot be read.
    """
    if leaderboard is not None and not leaderboard.exists():
        raise UserError(f"There is no leaderboard {leaderboard}: give another --leaderboard.")
    if not paths and leaderboard is None:
        paths = [RUNS] if any(_inside([RUNS])) else []
        leaderboard = LEADERBOARD if LEADERBOARD.exists() else None
    runs = find_runs(paths)
    compared = None
    if baseline is not None:
        compared = read_finished(baseline)
        same = [r for r in runs if r.folder.path.resolve() == baseline.resolve()]
        compared = same[0] if same else compared
        runs = runs if same else [compared, *runs]
    if not runs and leaderboard is None:
        raise UserError(
            f"There is nothing to report: no run in {RUNS} and no {LEADERBOARD}: run a model first, "
            "or name runs or --leaderboard FILE."
        )
    empty = Path("nothing.csv") if leaderboard is None else leaderboard
    return Sources(runs, compared, read_leaderboard(empty), read_keys(empty), list(_notes(paths)))


def _inside(paths: Sequence[Path]) -> Iterator[Path]:
    """The runs that lie in the folders of runs among `paths`, finished or not."""
    for path in paths:
        if path.is_dir() and not (path / "manifest.json").exists():
            yield from (p for p in sorted(path.iterdir()) if (p / "manifest.json").exists())


def _notes(paths: Sequence[Path]) -> Iterator[str]:
    unscored = {p: run_of_shard(p) for p in _inside(paths) if not (p / "scores.json").exists()}
    if begun := [p.name for p, run in unscored.items() if run is None]:
        yield (
            f"Not here, since not scored yet: {', '.join(begun)}. The command that began a run "
            "finishes it."
        )
    shards = [(p.parent, run) for p, run in unscored.items() if run is not None]
    if apart := [(out, run) for out, run in shards if not (out / run / "scores.json").exists()]:
        names = ", ".join(dict.fromkeys(run for _, run in apart))
        merge = " and ".join(dict.fromkeys(f"`{merge_command(out)}`" for out, _ in apart))
        yield f"Not here, since not merged yet: {names}. Runs are made of their shards by {merge}."
