"""The helpfulness-harmlessness plane: what each model of a block gives of the one for the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.charts.points import STATES, Point, frame_of, points_of
from bfpo_bench.leaderboard.charts.theme import SMALL, finished, theme, wrapped
from bfpo_bench.leaderboard.notes import UNLIKE
from bfpo_bench.leaderboard.view import drawn, lack_the_same, measured

WIDTH, HEIGHT = 560, 420
NAMED = 12
"""Up to so many points bear their names; more bear numbers, with the names beside the plane."""


def plane(
    block_rows: pd.DataFrame,
    *,
    dark: bool = False,
    links: Mapping[str, str] | None = None,
    title: Sequence[str] = (),
    width: int = WIDTH,
    height: int = HEIGHT,
    joined: str = "",
) -> dict[str, Any]:
    """A Vega-Lite specification with its data inline: a point a row, with its 95 % intervals.

    `block_rows` are those of one `view.Block`: only comparable rows have a common Pareto front.
    `links`: model -> address that a click on its point follows. `title`: the title, then lines of
    subtitle. `width` and `height` are of the axes, in pixels. A point's datum has the fields of
    `points.Point`. Models without a point are named below the plane. `joined`: what the rows are in the
    order of, where a line is to join their points in it.
    """
    import altair as alt

    from bfpo_bench.leaderboard.charts import marks

    look = theme(dark)
    points = points_of(block_rows, links or {})
    frame = frame_of(points, width, height)
    numbered = len(points) > NAMED
    texts = [str(p.number) if numbered else p.name for p in points]
    layers = (
        *marks.front(points, frame, look),
        *(marks.path(points, frame, look) if joined else ()),
        *marks.intervals(points, frame, look),
        *marks.arrows(points, frame, look),
        marks.dots(points, frame, look, linked=bool(links)),
        *marks.names(points, texts, frame, look, joined=bool(joined)),
    )
    below = [
        line for text in _notes(block_rows, points, joined) for line in wrapped(text, SMALL, width)
    ]
    caption = alt.TitleParams(
        below, orient="bottom", fontSize=SMALL, fontWeight="normal", color=look.muted
    )
    chart: Any = alt.layer(*layers).properties(width=width, height=height, title=caption)
    if numbered:
        chart = alt.hconcat(chart, marks.key(points, look, height), spacing=24)
    else:
        chart = alt.hconcat(chart)
    return finished(chart, look, title, _description(points))


def undrawn(block_rows: pd.DataFrame) -> list[str]:
    """Models that lack helpfulness or harmlessness: they have no point. The null engine's are not
    among them, for they are never drawn."""
    return [str(m) for m in block_rows.loc[~drawn(block_rows) & measured(block_rows), "model"]]


def _notes(rows: pd.DataFrame, points: Sequence[Point], joined: str) -> list[str]:
    told = [
        "Bars are 95 % intervals. Up and to the right is better; nothing beats the Pareto front."
    ]
    if joined:
        told.append(f"The line joins the points in the order of {joined}.")
    if not lack_the_same(rows):
        told.append(UNLIKE)
    models = {p.model for p in points}
    if any(p.base in models and p.base != p.model for p in points):
        told.append("Arrows lead from a base model to what was trained from it.")
    if lacking := undrawn(rows):
        told.append(f"Not drawn, for want of a score: {', '.join(lacking)}.")
    if not measured(rows).all():
        told.append("Not drawn: the null engine's rows, which measure nothing.")
    return told


def _description(points: Sequence[Point]) -> str:
    """What a reader who cannot see the chart hears of it."""
    best = ", ".join(p.model for p in points if p.state == STATES[0])
    return (
        f"Scatter plot of helpfulness (across) and harmlessness (up) of {len(points)} models. "
        f"On the Pareto front: {best or 'none'}."
    )
