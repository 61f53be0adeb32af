"""Dot charts: a line a thing, a dot for its score, a bar for its 95 % interval. Altair charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from bfpo_bench.leaderboard.charts.labels import text_width
from bfpo_bench.leaderboard.charts.theme import SMALL, Theme

LINE = 22
"""Height of a line, in pixels."""


@dataclass(frozen=True)
class Dot:
    """A score in percent with its interval. `label` is unlike those of other lines, `name` is given in
    full; `hollow`: it counts in no mean; `chance`: what guessing would score."""

    label: str
    name: str
    value: float
    low: float
    high: float
    hollow: bool = False
    chance: float | None = None


def dot_panel(
    dots: Sequence[Dot],
    labels: Sequence[str],
    look: Theme,
    width: int,
    heading: Sequence[str],
    labelled: bool = True,
) -> Any:
    """A panel of 0 to 100 percent. `labels`: the lines from the top, also those without a dot, so that
    panels beside each other have the same ones; `labelled`: whether they are written. `heading` is a
    line or several."""
    chart = alt.Chart(alt.Data(values=[{**asdict(d), "told": _told(d)} for d in dots]))
    y = lines_axis(labels, look, labelled)
    hollow = alt.condition("datum.hollow", alt.value(look.ground), alt.value(look.front))
    told = [alt.Tooltip("name:N"), alt.Tooltip("told:N", title="score")]
    bars = chart.mark_rule(color=look.front, strokeWidth=2, opacity=0.6, tooltip=None)
    marks = chart.mark_point(
        color=look.front, size=60 if width >= 180 else 36, strokeWidth=1.75, opacity=1
    )
    layers = [
        bars.encode(y=y, x=_percent("low", width), x2="high:Q"),
        marks.encode(y=y, x=_percent("value", width), fill=hollow, tooltip=told),
    ]
    if any(d.chance is not None for d in dots):
        ticks = chart.mark_tick(color=look.muted, thickness=1.5, size=13, tooltip=None)
        layers.insert(0, ticks.encode(y=y, x=_percent("chance", width)))
    size = {"width": width, "height": LINE * max(1, len(labels))}
    return alt.layer(*layers).properties(title=panel_title(heading), **size)


def lines_axis(labels: Sequence[str], look: Theme, labelled: bool) -> Any:
    """A band for each label, from the top."""
    shown = {"labelLimit": 400, "labelColor": look.ink} if labelled else {"labels": False}
    axis = alt.Axis(grid=True, labelPadding=8, **shown)
    return alt.Y("label:N", title=None, axis=axis, scale=alt.Scale(domain=list(labels)))


def panel_title(lines: Sequence[str]) -> Any:
    return alt.TitleParams(
        list(lines), anchor="start", frame="group", fontSize=SMALL + 1, fontWeight=600, offset=6
    )


def label_room(labels: Sequence[str]) -> int:
    """Pixels that the labels of lines take."""
    return int(max((text_width(text, SMALL) for text in labels), default=0)) + 12


def _percent(field: str, width: int) -> Any:
    axis = alt.Axis(tickCount=5 if width >= 180 else 3)
    return alt.X(f"{field}:Q", title=None, axis=axis, scale=alt.Scale(domain=[0, 100]))


def _told(dot: Dot) -> str:
    return f"{dot.value:.1f} [{dot.low:.1f}, {dot.high:.1f}]"
