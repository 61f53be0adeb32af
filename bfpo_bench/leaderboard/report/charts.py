"""The page's charts: specifications in both themes, and what is to be seen in them in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bfpo_bench.leaderboard.charts.cells import cells as cells_spec
from bfpo_bench.leaderboard.charts.plane import plane as plane_spec
from bfpo_bench.leaderboard.charts.plane import undrawn
from bfpo_bench.leaderboard.charts.run import outcomes as outcomes_spec
from bfpo_bench.leaderboard.charts.run import tasks as tasks_spec
from bfpo_bench.leaderboard.columns import CELL_COLUMNS
from bfpo_bench.leaderboard.report.headline import headline, told
from bfpo_bench.leaderboard.report.model import BlockView, Chart, Facts, Row, RunView, Standing
from bfpo_bench.names import of_null_engine
from bfpo_bench.scoring.finished import FinishedRun

_AXES = ("helpfulness", "harmlessness")
_NARROW = 220
"""Of the plane's sides on a phone, in pixels: 320 less margins and the axis."""

_Maker = Callable[[bool], dict[str, Any] | None]


def standing(block: BlockView) -> Standing:
    """A block with its sentences and its charts, as far as its rows have the scores for them."""
    return Standing(
        block=block,
        headline=headline(block),
        plane=_plane(block),
        cells=_cells(block),
        undrawn=undrawn(block.frame),
    )


def _plane(block: BlockView) -> Chart | None:
    asked = [r for r in block.rows if not of_null_engine(r.model)]
    drawn = [r for r in asked if all(r.scores[a].value is not None for a in _AXES)]
    if not drawn:
        return None
    points = "; ".join(f"{r.label}: {', '.join(told(r.scores[a]) for a in _AXES)}" for r in drawn)
    return _chart(
        f"plane-{block.anchor}",
        f"Helpfulness and harmlessness in percent. {points}",
        lambda dark: plane_spec(block.frame, dark=dark),
        lambda dark: plane_spec(block.frame, dark=dark, width=_NARROW, height=_NARROW),
    )


def _cells(block: BlockView) -> Chart | None:
    if all(r.scores[c].value is None for r in block.rows for c in CELL_COLUMNS.values()):
        return None
    return _chart(
        f"cells-{block.anchor}",
        "The four cells of the grid, with an interval for each model. The leaderboard's table has "
        "the numbers.",
        lambda dark: cells_spec(block.frame, dark=dark),
    )


def run_view(number: int, run: FinishedRun, row: Row, provenance: Sequence[Facts]) -> RunView:
    """A run with its charts, None where it has nothing to draw in one."""
    scores, label = run.scores, row.label
    return RunView(
        number=number,
        id=row.run_id or run.run_id,
        label=label,
        row=row.anchor,
        run=run,
        tasks=_chart(
            f"tasks-{number}",
            f"The task scores of {label} with 95 % intervals. The table beside it has the numbers.",
            lambda dark: tasks_spec(scores, dark=dark),
        ),
        outcomes=_chart(
            f"outcomes-{number}",
            f"The outcomes of {label}'s responses, task by task. The table beside it has the numbers.",
            lambda dark: outcomes_spec(scores, dark=dark),
        ),
        provenance=provenance,
    )


def _chart(
    name: str, summary: str, make: _Maker, make_narrow: _Maker | None = None
) -> Chart | None:
    light, dark = make(False), make(True)
    if light is None or dark is None:
        return None
    narrow = {"light": make_narrow(False), "dark": make_narrow(True)} if make_narrow else {}
    return Chart(name, summary, light, dark, narrow)
