"""One run's scores: its tasks with their intervals, and what became of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bfpo_bench.leaderboard.charts.labels import short_tasks
from bfpo_bench.leaderboard.charts.theme import finished, theme
from bfpo_bench.scoring.scores import Scores, TaskScore

WIDTH = 720
_GAP = 18
_LONGEST = 40

Labelled = Mapping[str, tuple[str, TaskScore]]
"""Label -> name and score of a task."""


def tasks(
    scores: Scores, *, dark: bool = False, title: Sequence[str] = (), width: int = WIDTH
) -> dict[str, Any] | None:
    """Every task that has a score, by cell: a dot and its 95 % interval, a tick where guessing would be.

    Hollow dots are of tasks that are measured and not weighted. None where no task has a score.
    """
    import altair as alt

    from bfpo_bench.leaderboard.charts.dots import Dot, dot_panel, label_room

    groups = _by_cell(scores, lambda task: task.value is not None)
    if not groups:
        return None
    look = theme(dark)
    across = width - label_room([label for group in groups.values() for label in group])
    panels = []
    for cell, group in groups.items():
        dots = [
            Dot(label, name, t.value, t.ci_low, t.ci_high, chance=t.chance, hollow=not t.weighted)
            for label, (name, t) in group.items()
            if t.value is not None and t.ci_low is not None and t.ci_high is not None
        ]
        panels.append(dot_panel(dots, list(group), look, across, [cell.replace("/", ", ")]))
    told = f"Dot plot of the task scores of {scores.model}, in percent with 95 % intervals."
    return finished(alt.vconcat(*panels, spacing=_GAP), look, title, told)


def outcomes(
    scores: Scores, *, dark: bool = False, title: Sequence[str] = (), width: int = WIDTH
) -> dict[str, Any] | None:
    """Generative tasks: outcomes as shares of the judged responses, and beside them, as a bar of its
    own, the share of all responses that is unjudged. None where no task has outcomes."""
    import altair as alt

    from bfpo_bench.leaderboard.charts.bars import UNJUDGED_WIDTH, outcome_bars
    from bfpo_bench.leaderboard.charts.dots import label_room

    groups = _by_cell(scores, lambda task: task.outcomes is not None)
    if not groups:
        return None
    look = theme(dark)
    room = label_room([label for group in groups.values() for label in group])
    across = width - room - UNJUDGED_WIDTH - _GAP
    rows = []
    for cell, group in groups.items():
        counts = {label: t.outcomes for label, (_, t) in group.items() if t.outcomes is not None}
        rows.append(outcome_bars(counts, look, across, _GAP, cell.replace("/", ", ")))
    told = f"Bar chart of the outcomes of the responses of {scores.model}, in percent by task."
    return finished(alt.vconcat(*rows, spacing=_GAP), look, title, told)


def _by_cell(scores: Scores, wanted: Callable[[TaskScore], bool]) -> dict[str, Labelled]:
    """Cell -> its tasks that are wanted; only cells that have such."""
    found = {name: task for name, task in scores.tasks.items() if wanted(task)}
    labels = dict(zip(found, short_tasks(list(found), _LONGEST), strict=True))
    return {
        cell: {labels[n]: (n, t) for n, t in found.items() if t.cell == cell}
        for cell in dict.fromkeys(task.cell for task in found.values())
    }
