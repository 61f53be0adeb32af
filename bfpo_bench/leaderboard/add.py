"""Rows of finished runs, and their places in leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.columns import IDENTITY
from bfpo_bench.leaderboard.keys import add_key
from bfpo_bench.leaderboard.rows import add_row, neutral, read_leaderboard, row
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.scoring.finished import FinishedRun


@dataclass(frozen=True)
class Added:
    """A row that was added. `replaced`: a row of the same identity had been there."""

    run: str
    leaderboard: str
    model: str
    suite: str
    key: str
    partial: bool
    replaced: bool

    def dump(self) -> dict[str, Any]:
        return asdict(self)


class _Answer(msgspec.Struct):
    engine: str


def run_row(run: FinishedRun) -> dict[str, Any]:
    """The row of the run's scores as they are stored, with the engines that answered, and of when they
    were made: of a run that is being scored anew, when that began."""
    dates = [str(s.get("finished") or s.get("started") or "") for s in run.manifest.sessions]
    engines = " ".join(_engines(run.folder))
    return row(run.scores, engines, max(dates, default=""), run.manifest.training)


def add_runs(runs: Sequence[FinishedRun], leaderboard: Path | None) -> list[Added]:
    """Put the rows of `runs` into the CSV, and what their keys stand for beside it.

    Without `leaderboard` each goes to `leaderboards/SUITE.csv`. Raises UserError, before anything is
    written, for runs that would have one row, and for one whose scoring was broken off.
    """
    for run in runs:
        if not any("finished" in session for session in run.manifest.sessions):
            raise UserError(
                f"{run.folder.path} was stopped while it was scored: give its command again."
            )
    rows = [run_row(run) for run in runs]
    homes = [leaderboard or Path("leaderboards") / f"{r.scores.suite}.csv" for r in runs]
    _check_distinct(runs, rows)
    before = {home: _identities(home) for home in homes}
    for run, found, home in zip(runs, rows, homes, strict=True):
        add_row(home, found)
        add_key(home, run.scores.comparability_key, run.manifest.comparability)
    return [
        Added(
            run=str(run.folder.path),
            leaderboard=str(home),
            model=found["model"],
            suite=found["suite"],
            key=found["comparability_key"],
            partial=found["partial"],
            replaced=_identity(found) in before[home],
        )
        for run, found, home in zip(runs, rows, homes, strict=True)
    ]


def _check_distinct(runs: Sequence[FinishedRun], rows: Sequence[dict[str, Any]]) -> None:
    seen: dict[tuple[Any, ...], FinishedRun] = {}
    for run, found in zip(runs, rows, strict=True):
        other = seen.setdefault(_identity(found), run)
        if other is not run:
            raise UserError(
                f"{other.folder.path} and {run.folder.path} are both runs of {run.name} with the "
                f"comparability key {run.scores.comparability_key}, which have one row: give one."
            )


def _identities(leaderboard: Path) -> set[tuple[Any, ...]]:
    return {_identity(r) for r in read_leaderboard(leaderboard).to_dict("records")}


def _identity(found: Any) -> tuple[Any, ...]:
    cells = (found[c] for c in IDENTITY)
    return tuple(neutral(c) if isinstance(c, str) else c for c in cells)


def _engines(folder: RunFolder) -> list[str]:
    """All that answered, by name."""
    files = (folder.responses_file, folder.likelihoods_file)
    return sorted({line.engine for file in files for line in jsonl.read_as(file, _Answer)})
