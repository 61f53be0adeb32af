"""Task scores side by side: one table a cell, a row a task, a column a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bfpo_bench.leaderboard.report.model import RunView
from bfpo_bench.scoring.scores import TaskScore


@dataclass(frozen=True)
class TaskRow:
    """One task in every run of the page that was asked it: (run, its score)."""

    name: str
    weighted: bool
    scores: Sequence[tuple[RunView, TaskScore]]


@dataclass(frozen=True)
class Cell:
    """A cell of the grid with the tasks that any run was asked of it."""

    name: str
    tasks: Sequence[TaskRow]


def by_cell(runs: Sequence[RunView]) -> list[Cell]:
    """The cells that have tasks, in the order of the scores; a task under the cell that its first run
    gives it."""
    cells = list(dict.fromkeys(cell for view in runs for cell in view.run.scores.cells))
    placed: dict[str, str] = {}
    for view in runs:
        for name, task in view.run.scores.tasks.items():
            placed.setdefault(name, task.cell)
    return [
        Cell(cell, [_row(name, runs) for name, at in placed.items() if at == cell])
        for cell in dict.fromkeys((*cells, *placed.values()))
        if cell in placed.values()
    ]


def _row(name: str, runs: Sequence[RunView]) -> TaskRow:
    scores = [(v, v.run.scores.tasks[name]) for v in runs if name in v.run.scores.tasks]
    return TaskRow(name, scores[0][1].weighted, scores)
