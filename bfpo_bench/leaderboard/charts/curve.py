"""Scores over the number of tokens that answers were started with: a line a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bfpo_bench.leaderboard.charts.labels import short_models, text_width
from bfpo_bench.leaderboard.charts.theme import SMALL, Theme, finished, theme

WIDTH, HEIGHT = 560, 320
TOGETHER = 8
"""Up to so many lines share their axes; of more, each has a panel of its own."""

_LONGEST = 30
_APART = 6
"""Between the points of two models at the same number of tokens, in pixels."""
_SPREAD = 0.6
"""What they may take in all of the way to the next number."""
_PANEL = (160, 110)
_BESIDE = 4
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")


@dataclass(frozen=True)
class Point:
    """A score in percent with its 95 % interval, after `tokens` tokens."""

    tokens: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """A model's points, by their tokens; one that was not scored is left out."""

    model: str
    points: Sequence[Point]


def curve(
    lines: Sequence[Line],
    measure: str,
    *,
    dark: bool = False,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> dict[str, Any]:
    """A Vega-Lite specification with its data inline. `measure`: what the scores are percentages of.

    `lines` have points at two numbers of tokens at least, among them all. `width` and `height` are of
    the axes, in pixels; of panels, `width` is about that of the whole. Points of several models at one
    number of tokens stand a little apart, so that none hides another's interval.
    """
    import altair as alt

    from bfpo_bench.leaderboard.charts.dots import panel_title

    look = theme(dark)
    names = short_models([line.model for line in lines], _LONGEST)
    ticks = sorted({point.tokens for line in lines for point in line.points})
    told = (
        f"Line chart of {len(lines)} models: {measure}, in percent with 95 % intervals, by the number "
        "of tokens that the answers were started with."
    )
    if len(lines) <= TOGETHER:
        chart: Any = _panel(lines, names, measure, ticks, look, width, height)
        return finished(chart, look, (), told)
    panels = [
        _panel([line], [name], measure, ticks, look, *_PANEL, small=True).properties(
            title=panel_title([name])
        )
        for line, name in zip(lines, names, strict=True)
    ]
    beside = max(1, min(_BESIDE, width // (_PANEL[0] - 30)))
    return finished(alt.concat(*panels, columns=beside, spacing=20), look, (), told)


def _panel(
    lines: Sequence[Line],
    names: Sequence[str],
    measure: str,
    ticks: Sequence[int],
    look: Theme,
    width: int,
    height: int,
    small: bool = False,
) -> Any:
    """The lines on common axes of 0 to 100 percent, with a legend. `small`: one of several panels, with
    neither legend nor titles of axes."""
    import altair as alt

    margin = _APART * (len(lines) + 2) / 2
    room = margin * (ticks[-1] - ticks[0]) / (width - 2 * margin)
    across = alt.X(
        "x:Q",
        title=None if small else "tokens that the answer was started with",
        scale=alt.Scale(domain=[ticks[0] - room, ticks[-1] + room], nice=False, zero=False),
        axis=alt.Axis(values=list(ticks), format="d", grid=False),
    )

    def up(field: str) -> Any:
        axis = alt.Axis(values=[0, 50, 100] if small else [0, 20, 40, 60, 80, 100])
        scale = alt.Scale(domain=[0, 100])
        return alt.Y(
            f"{field}:Q", title=None if small else f"{measure} (%)", axis=axis, scale=scale
        )

    chart = alt.Chart(alt.Data(values=_data(lines, names, ticks, room, width)))
    colour, shape = _looks(names, look, width, legend=not small)
    told = [
        alt.Tooltip("name:N", title="model"),
        alt.Tooltip("tokens:Q"),
        alt.Tooltip("told:N", title=measure),
    ]
    bars = chart.mark_rule(strokeWidth=1.5, opacity=0.6, tooltip=None)
    joined = chart.mark_line(strokeWidth=1.75, tooltip=None)
    dots = chart.mark_point(filled=True, size=70, opacity=1)
    return alt.layer(
        bars.encode(x=across, y=up("low"), y2="high:Q", color=colour),
        joined.encode(x=across, y=up("value"), color=colour),
        dots.encode(x=across, y=up("value"), color=colour, shape=shape, tooltip=told),
    ).properties(width=width, height=height)


def _looks(names: Sequence[str], look: Theme, width: int, legend: bool) -> tuple[Any, Any]:
    """Colour and shape of each name, which one legend below the axes explains."""
    import altair as alt

    widest = max(text_width(name, SMALL) for name in names) + 40
    shown = alt.Legend(
        title=None,
        orient="bottom",
        columns=max(1, int(width / widest)),
        labelLimit=400,
        symbolOpacity=1,
    )
    colours = [look.models[i % len(look.models)] for i in range(len(names))]
    shapes = [_SHAPES[i % len(_SHAPES)] for i in range(len(names))]

    def scaled(channel: Any, values: Sequence[str]) -> Any:
        scale = alt.Scale(domain=list(names), range=list(values))
        return channel("label:N", scale=scale, legend=shown if legend else None)

    return scaled(alt.Color, colours), scaled(alt.Shape, shapes)


def _data(
    lines: Sequence[Line], labels: Sequence[str], ticks: Sequence[int], room: float, width: int
) -> list[dict[str, Any]]:
    """A datum a point; `x` is its place on the axis, in tokens."""
    pixel = (ticks[-1] - ticks[0] + 2 * room) / width
    nearest = min(after - before for before, after in pairwise(ticks))
    apart = min(_APART * pixel, _SPREAD * nearest / len(lines))
    return [
        {
            "label": label,
            "name": line.model,
            "tokens": point.tokens,
            "x": point.tokens + (number - (len(lines) - 1) / 2) * apart,
            "value": point.value,
            "low": point.low,
            "high": point.high,
            "told": f"{point.value:.1f} [{point.low:.1f}, {point.high:.1f}]",
        }
        for number, (line, label) in enumerate(zip(lines, labels, strict=True))
        for point in line.points
    ]
