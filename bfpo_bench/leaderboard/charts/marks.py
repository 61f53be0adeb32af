"""What the plane is drawn of, a layer each: Altair charts on the same axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import altair as alt

from bfpo_bench.leaderboard.charts.labels import Box, place, text_width
from bfpo_bench.leaderboard.charts.points import STATES, Frame, Point
from bfpo_bench.leaderboard.charts.theme import SIZE, Theme
from bfpo_bench.leaderboard.pareto import steps

_SIDES = ("left", "center", "right")
_GAP, _HEAD = 8, 7
"""Between an arrow and the middle of a mark, and from its tip to the middle of its head, in pixels."""


def values(rows: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Data(values=[dict(row) for row in rows])


def front(points: Sequence[Point], frame: Frame, look: Theme) -> list[Any]:
    """The Pareto front as a stepped line, and a tint on all that it beats."""
    left, bottom = frame.x[0], frame.y[0]
    corners = steps([(p.x, p.y) for p in points], left, bottom)
    rows = [{"x": x, "y": y, "order": i} for i, (x, y) in enumerate(corners)]
    strips = [
        {"x": x, "y": y, "x2": x2, "y2": bottom} for (x, y), (x2, _) in pairwise(corners) if x2 > x
    ]
    tint = alt.Chart(values(strips)).mark_rect(color=look.front, opacity=0.07, tooltip=None)
    line = alt.Chart(values(rows)).mark_line(
        color=look.front, strokeWidth=1.25, strokeDash=[3, 3], opacity=0.75, tooltip=None
    )
    return [
        tint.encode(x=_x(frame), x2="x2:Q", y=_y(frame), y2="y2:Q"),
        line.encode(x=_x(frame), y=_y(frame), order="order:Q"),
    ]


def path(points: Sequence[Point], frame: Frame, look: Theme) -> list[Any]:
    """A line through the points in their order."""
    rows = [{"x": p.x, "y": p.y, "order": p.number} for p in points]
    line = alt.Chart(values(rows)).mark_line(color=look.muted, strokeWidth=1, tooltip=None)
    return [line.encode(x=_x(frame), y=_y(frame), order="order:Q")]


def intervals(points: Sequence[Point], frame: Frame, look: Theme) -> list[Any]:
    """A bar across and one up for each point, faint where there are many."""
    faint = 0.6 if len(points) <= 12 else 0.35
    bars = alt.Chart(_points(points)).mark_rule(strokeWidth=1.5, opacity=faint)
    colour = _scaled(alt.Color, look.front, look.behind)
    return [
        bars.encode(x=_x(frame, "x_low"), x2="x_high:Q", y=_y(frame), color=colour),
        bars.encode(x=_x(frame), y=_y(frame, "y_low"), y2="y_high:Q", color=colour),
    ]


def dots(points: Sequence[Point], frame: Frame, look: Theme, linked: bool) -> Any:
    """Filled circles on the front, hollow diamonds behind it, each with what it stands for."""
    told = {"helpful": "helpfulness", "harmless": "harmlessness", "base": "trained from"}
    fields = ("model", "helpful", "harmless", "state", "base", "training")
    encoding = {
        "x": _x(frame),
        "y": _y(frame),
        "color": _scaled(alt.Color, look.front, look.behind),
        "fill": _scaled(alt.Fill, look.front, look.ground),
        "shape": _scaled(alt.Shape, "circle", "diamond"),
        "tooltip": [alt.Tooltip(f"{f}:N", title=told.get(f, f)) for f in fields],
    }
    if linked:
        encoding["href"] = alt.Href("href:N")
    mark = alt.Chart(_points(points)).mark_point(size=75, strokeWidth=1.75, opacity=1)
    return mark.encode(**encoding)


def arrows(points: Sequence[Point], frame: Frame, look: Theme) -> list[Any]:
    """From each base model to the models trained from it, where both are drawn and not too near."""
    rows = []
    for (x, y), (x2, y2) in _steps_of_training(points, frame):
        length = math.hypot(x2 - x, y2 - y)
        if length <= 2 * _GAP + _HEAD:
            continue
        dx, dy = (x2 - x) / length, (y2 - y) / length
        start = frame.percent(x + _GAP * dx, y + _GAP * dy)
        end = frame.percent(x2 - (_GAP + _HEAD / 2) * dx, y2 - (_GAP + _HEAD / 2) * dy)
        angle = math.degrees(math.atan2(dx, -dy))
        rows.append({"x": start[0], "y": start[1], "x2": end[0], "y2": end[1], "angle": angle})
    shafts = alt.Chart(values(rows)).mark_rule(color=look.trained, strokeWidth=1.5, tooltip=None)
    heads = alt.Chart(values(rows)).mark_point(
        shape="triangle", size=45, filled=True, color=look.trained, opacity=1, tooltip=None
    )
    turned = alt.Angle("angle:Q", scale=alt.Scale(domain=[0, 360], range=[0, 360]), legend=None)
    return [
        shafts.encode(x=_x(frame), x2="x2:Q", y=_y(frame), y2="y2:Q"),
        heads.encode(x=_x(frame, "x2"), y=_y(frame, "y2"), angle=turned),
    ]


def names(
    points: Sequence[Point], texts: Sequence[str], frame: Frame, look: Theme, joined: bool = False
) -> list[Any]:
    """A text for each point, beside it where nothing else is, or led to it by a thin line. `joined`:
    the points have a `path`."""
    at = [frame.pixel(p.x, p.y) for p in points]
    placed = place(at, texts, list(_obstacles(points, frame, joined)), frame.area, SIZE)
    rows, leaders = [], []
    for (x, y), text, (box, led) in zip(at, texts, placed, strict=True):
        middle = (box.left + box.right) / 2
        # Of text that is wider than it was thought to be, the end away from the point gives
        side = 1 if abs(middle - x) < 3 else 0 if middle > x else 2
        anchor = (box.left, middle, box.right)[side]
        tx, ty = frame.percent(anchor, (box.top + box.bottom) / 2)
        rows.append({"x": tx, "y": ty, "text": text, "side": _SIDES[side]})
        if led:
            near = min(max(x, box.left), box.right), min(max(y, box.top + 2), box.bottom - 2)
            (x1, y1), (x2, y2) = frame.percent(x, y), frame.percent(*near)
            leaders.append({"x": x1, "y": y1, "x2": x2, "y2": y2})
    lines = alt.Chart(values(leaders)).mark_rule(color=look.muted, strokeWidth=0.75, tooltip=None)
    layers = [lines.encode(x=_x(frame), x2="x2:Q", y=_y(frame), y2="y2:Q")]
    for align in _SIDES:
        mine = alt.Chart(values([r for r in rows if r["side"] == align]))
        told: dict[str, Any] = {
            "align": align,
            "baseline": "middle",
            "fontSize": SIZE,
            "tooltip": None,
        }
        # What a label must lie on stays legible: each has a rim of the ground's colour
        rim = mine.mark_text(
            stroke=look.ground, strokeWidth=2.5, strokeJoin="round", opacity=0.7, **told
        )
        layers += [
            text.encode(x=_x(frame), y=_y(frame), text="text:N")
            for text in (rim, mine.mark_text(color=look.ink, **told))
        ]
    return layers


def key(points: Sequence[Point], look: Theme, height: int) -> Any:
    """The numbers of the points with their models, in columns as high as the plane."""
    line = 17
    per_column = max(1, height // line)
    columns = -(-len(points) // per_column)
    texts = [f"{p.number}  {p.name}" for p in points]
    wide = max(text_width(t, SIZE) for t in texts) + 14
    rows = [
        {"x": (i // per_column) * wide, "y": (i % per_column + 0.5) * line, "text": text}
        for i, text in enumerate(texts)
    ]
    scales = [alt.Scale(domain=[0, n], nice=False) for n in (columns * wide, height)]
    return (
        alt.Chart(values(rows))
        .mark_text(align="left", baseline="middle", color=look.ink, fontSize=SIZE)
        .encode(
            x=alt.X("x:Q", scale=scales[0], axis=None),
            y=alt.Y("y:Q", scale=scales[1], axis=None, sort="descending"),
            text="text:N",
        )
        .properties(width=columns * wide, height=height)
    )


def _points(points: Sequence[Point]) -> Any:
    return values([asdict(p) for p in points])


def _x(frame: Frame, field: str = "x") -> Any:
    scale = alt.Scale(domain=list(frame.x), nice=False, zero=False)
    axis = alt.Axis(tickCount=max(2, frame.width // 80))
    return alt.X(f"{field}:Q", scale=scale, axis=axis, title="helpfulness (%)")


def _y(frame: Frame, field: str = "y") -> Any:
    scale = alt.Scale(domain=list(frame.y), nice=False, zero=False)
    axis = alt.Axis(tickCount=max(2, frame.height // 60))
    return alt.Y(f"{field}:Q", scale=scale, axis=axis, title="harmlessness (%)")


def _scaled(channel: Any, on: str, behind: str) -> Any:
    scale = alt.Scale(domain=list(STATES), range=[on, behind])
    return channel(
        "state:N", scale=scale, legend=alt.Legend(title=None, orient="top", symbolOpacity=1)
    )


def _steps_of_training(
    points: Sequence[Point], frame: Frame
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Pixels of base and child."""
    by_model = {p.model: p for p in points}
    pairs = [(by_model[p.base], p) for p in points if p.base in by_model and p.base != p.model]
    return [(frame.pixel(a.x, a.y), frame.pixel(b.x, b.y)) for a, b in pairs]


def _obstacles(points: Sequence[Point], frame: Frame, joined: bool) -> list[Box]:
    """What text should not lie on: intervals, the front, arrows, the path."""
    segments = []
    for p in points:
        segments.append((frame.pixel(p.x_low, p.y), frame.pixel(p.x_high, p.y)))
        segments.append((frame.pixel(p.x, p.y_low), frame.pixel(p.x, p.y_high)))
    corners = [frame.pixel(*c) for c in steps([(p.x, p.y) for p in points], frame.x[0], frame.y[0])]
    segments += list(pairwise(corners))
    segments += _steps_of_training(points, frame)
    if joined:
        segments += list(pairwise(frame.pixel(p.x, p.y) for p in points))
    return [box for segment in segments for box in _along(*segment)]


def _along(start: tuple[float, float], end: tuple[float, float]) -> list[Box]:
    """Small boxes that cover a line; one where it is upright or level."""
    (x, y), (x2, y2) = start, end
    if abs(x - x2) < 1 or abs(y - y2) < 1:
        return [Box(min(x, x2) - 1, min(y, y2) - 1, max(x, x2) + 1, max(y, y2) + 1)]
    parts = max(1, int(math.hypot(x2 - x, y2 - y) / 4))
    middles = [(x + (x2 - x) * i / parts, y + (y2 - y) * i / parts) for i in range(parts + 1)]
    return [Box(a - 2, b - 2, a + 2, b + 2) for a, b in middles]
