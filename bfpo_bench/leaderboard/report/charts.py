"""The page's charts: specifications in both themes, and what is to be seen in them in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bfpo_bench.leaderboard.charts.cells import cells as cells_spec
from bfpo_bench.leaderboard.charts.curve import TOGETHER, Line, Point
from bfpo_bench.leaderboard.charts.curve import curve as curve_spec
from bfpo_bench.leaderboard.charts.grid import drawn_cells
from bfpo_bench.leaderboard.charts.grid import grid as grid_spec
from bfpo_bench.leaderboard.charts.plane import plane as plane_spec
from bfpo_bench.leaderboard.charts.plane import undrawn
from bfpo_bench.leaderboard.charts.run import outcomes as outcomes_spec
from bfpo_bench.leaderboard.charts.run import tasks as tasks_spec
from bfpo_bench.leaderboard.columns import CELL_COLUMNS
from bfpo_bench.leaderboard.report.headline import headline, told
from bfpo_bench.leaderboard.report.model import (
    BlockView,
    Chart,
    Curve,
    Facts,
    Interval,
    Row,
    RunView,
    Standing,
)
from bfpo_bench.leaderboard.report.rows import interval
from bfpo_bench.names import of_null_engine
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.started import Started
from bfpo_bench.scoring.started import curves as started_curves

_AXES = ("helpfulness", "harmlessness")
_NARROW = 220
"""Of the plane's sides on a phone, in pixels: 320 less margins and the axis."""

_Maker = Callable[[bool], dict[str, Any] | None]


def standing(block: BlockView, runs: Sequence[FinishedRun] = ()) -> Standing:
    """A block with its sentences and its charts, as far as its rows have the scores for them. Those of
    `runs` that have the block's key say how many tokens its tasks start answers with."""
    return Standing(
        block=block,
        headline=headline(block),
        plane=_plane(block),
        cells=_cells(block),
        curves=_curves(block, runs),
        undrawn=undrawn(block.frame),
        levels=_levels(block),
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


def _levels(block: BlockView) -> Chart | None:
    """None where no model has two pairs of levels with both scores."""
    cells = drawn_cells(block.levelled)
    if not cells:
        return None
    points = "; ".join(
        f"{c.model} at {c.levels}: {c.helpful[0]:.1f}, {c.harmless[0]:.1f}"
        for c in cells
        if c.helpful and c.harmless
    )
    return _chart(
        f"levels-{block.anchor}",
        "Helpfulness and harmlessness of what is written, in percent, by the levels of helpfulness,safety "
        f"that were asked for. {points}",
        lambda dark: grid_spec(cells, dark=dark),
        lambda dark: grid_spec(cells, dark=dark, side=_NARROW),
    )


def _curves(block: BlockView, runs: Sequence[FinishedRun]) -> list[Curve]:
    # What a task is, is part of the key: what one run says of it holds for every row
    mine = [run.scores for run in runs if run.scores.comparability_key == block.key]
    found = started_curves(task for scores in mine for task in scores.tasks.items())
    drawn = [_curve(block, one, f"curve-{block.anchor}-{n}") for n, one in enumerate(found, 1)]
    return [one for one in drawn if one is not None]


def _curve(block: BlockView, started: Started, name: str) -> Curve | None:
    """None where scores at more than one number of tokens are missing. The null engine's rows, which
    measure nothing, have no line."""
    cells = zip(block.rows, block.frame.to_dict("records"), strict=True)
    scores = {
        row.label: {tokens: interval(mine, task) for tokens, task in started.tasks.items()}
        for row, mine in cells
        if not of_null_engine(row.model)
    }
    lines = [line for label, mine in scores.items() if (line := _line(label, mine)).points]
    if len({point.tokens for line in lines for point in line.points}) < 2:
        return None
    rows = {line.model: scores[line.model] for line in lines}
    points = "; ".join(
        f"{label}: {', '.join(f'{told(score)} after {tokens}' for tokens, score in mine.items())}"
        for label, mine in rows.items()
    )
    chart = _chart(
        name,
        f"{started.measure.capitalize()}, in percent, by the number of tokens that the answers were "
        f"started with. {points}",
        lambda dark: curve_spec(lines, started.measure, dark=dark),
        lambda dark: curve_spec(lines, started.measure, dark=dark, width=_NARROW, height=_NARROW),
    )
    caption = (
        "Percent with 95 % intervals, by how many of each model's own tokens its answer was started "
        "with."
    )
    if 1 < len(lines) <= TOGETHER:
        caption += " Points at one number stand a little apart."
    tokens = list(started.tasks)
    return Curve(started.name, started.measure, caption, tokens, rows, chart) if chart else None


def _line(label: str, scores: Mapping[int, Interval]) -> Line:
    points = [
        Point(tokens, s.value, s.low, s.high)
        for tokens, s in scores.items()
        if s.value is not None and s.low is not None and s.high is not None
    ]
    return Line(label, points)


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
