"""The leaderboard's columns: which there are, and what a task may not be called for their sake."""

from __future__ import annotations

from collections.abc import Iterable

from bfpo_bench.errors import UserError
from bfpo_bench.scoring.aggregate import CELLS

TEXT = (
    "model",
    "suite",
    "partial",
    "comparability_key",
    "engine",
    "judges",
    "date",
    "base",
    "training",
    "missing",
)
LATER = ("base", "training")
"""Columns that a leaderboard of an earlier version may lack."""
IDENTITY = ("model", "suite", "partial", "comparability_key")
CELL_COLUMNS = {cell: cell.replace("/", "_") for cell in CELLS}
AGGREGATES = ("helpfulness", "harmlessness", *CELL_COLUMNS.values(), "over_refusal")
INTERVAL = ("_ci_low", "_ci_high")
SPREAD = ("harmlessness_judge_low", "harmlessness_judge_high")
LENGTH_CONTROLLED = "_length_controlled"
SCORES = tuple(f"{a}{end}" for a in AGGREGATES for end in ("", *INTERVAL))
_ENDS = ("", *INTERVAL, "_judge_low", "_judge_high", LENGTH_CONTROLLED)


def check_columns(tasks: Iterable[str]) -> None:
    """Raises UserError for a task whose name gives it a column that has another meaning."""
    taken = {f"{column}{end}" for column in (*TEXT, "rank", *AGGREGATES) for end in _ENDS}
    for task in tasks:
        mine = {f"{task}{end}" for end in _ENDS}
        if clash := sorted(mine & taken):
            raise UserError(
                f"Task {task} cannot have a row: the leaderboard's column {clash[0]} is taken "
                "already: rename the task."
            )
        taken |= mine


def scored(columns: Iterable[str]) -> list[str]:
    """The columns that have an interval beside them: aggregates and tasks, in their order."""
    have = set(columns)
    return [c for c in columns if all(f"{c}{end}" in have for end in INTERVAL)]


def tasks(columns: Iterable[str]) -> list[str]:
    """The tasks that have a column, in its order."""
    return [c for c in scored(list(columns)) if c not in SCORES]
