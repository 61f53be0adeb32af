"""Models asked for levels of helpfulness and safety: a point for each pair, a line for each safety."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from bfpo_bench.leaderboard.charts.labels import short_models
from bfpo_bench.leaderboard.charts.theme import SMALL, Theme, finished, theme
from bfpo_bench.leaderboard.levelled import Cell, alike
from bfpo_bench.levels import asked_for

SIDE = 380
_LONGEST = 40
_BESIDE = 2
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")
_Score = tuple[float, float, float]


def drawn_cells(cells: Sequence[Cell]) -> list[Cell]:
    """Those with both scores, of models that have two such at least."""
    whole = [c for c in cells if c.helpful is not None and c.harmless is not None]
    models = [c.model for c in whole]
    return [c for c in whole if models.count(c.model) > 1]


def grid(cells: Sequence[Cell], *, dark: bool = False, side: int = SIDE) -> dict[str, Any]:
    """A Vega-Lite specification with its data inline: helpfulness across, harmlessness up, in percent
    with 95 % intervals, a panel a model on common axes.

    `cells` are `drawn_cells`, in `level_cells`' order. Points of one level of safety are joined in the
    order of their levels of helpfulness, which stand beside them; a model's whose rows lack different
    tasks are not joined. `side` is of a panel's axes, in pixels.
    """
    import altair as alt

    from bfpo_bench.leaderboard.charts.dots import panel_title

    look, models = theme(dark), list(dict.fromkeys(c.model for c in cells))
    domain, safety = _domain(cells), sorted({c.levels.safety for c in cells})
    names = short_models(models, _LONGEST)
    panels = [
        _panel(list(mine), safety, domain, look, side).properties(title=panel_title([name]))
        for name, (_, mine) in zip(names, groupby(cells, lambda c: c.model), strict=True)
    ]
    told = (
        f"Line chart of {len(models)} models: helpfulness (across) and harmlessness (up) of generated "
        "answers, in percent with 95 % intervals, at each pair of levels that was asked for."
    )
    chart: Any = alt.concat(*panels, columns=_BESIDE if side == SIDE else 1, spacing=24)
    return finished(chart, look, (), told)


def _domain(cells: Sequence[Cell]) -> tuple[int, int]:
    """Both axes', to whole tens, and 20 points at least."""
    ends = [end for c in cells for score in (c.helpful, c.harmless) if score for end in score]
    low, high = 10 * math.floor(min(ends) / 10), 10 * math.ceil(max(ends) / 10)
    return (low, high) if high - low >= 20 else (max(0, low - 10), min(100, high + 10))


def _panel(
    cells: Sequence[Cell], safety: Sequence[int], domain: tuple[int, int], look: Theme, side: int
) -> Any:
    import altair as alt

    def axis(channel: Any, field: str, title: str) -> Any:
        scale = alt.Scale(domain=list(domain), nice=False, zero=False)
        return channel(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5))

    def across(field: str) -> Any:
        return axis(alt.X, field, "helpful, generated answers (%)")

    def up(field: str) -> Any:
        return axis(alt.Y, field, "harmless, generated answers (%)")

    legend = alt.Legend(title="level of safety", orient="bottom", symbolOpacity=1)
    colours = [_between(look.trained, look.front, level, safety) for level in safety]
    shapes = [_SHAPES[place % len(_SHAPES)] for place in range(len(safety))]
    colour = alt.Color("safety:O", scale=alt.Scale(domain=safety, range=colours), legend=legend)
    shape = alt.Shape("safety:O", scale=alt.Scale(domain=safety, range=shapes), legend=legend)
    tooltip = [
        alt.Tooltip("helpfulness:O", title="level of helpfulness"),
        alt.Tooltip("safety:O", title="level of safety"),
        alt.Tooltip("helpful:N"),
        alt.Tooltip("harmless:N"),
    ]
    chart = alt.Chart(alt.Data(values=[_datum(cell) for cell in cells]))
    bars = chart.mark_rule(strokeWidth=1.25, opacity=0.4, tooltip=None)
    joined = chart.mark_line(strokeWidth=1.75, tooltip=None)
    dots = chart.mark_point(filled=True, size=75, opacity=1)
    texts = chart.mark_text(
        align="left", baseline="bottom", dx=6, dy=-4, fontSize=SMALL, color=look.ink, tooltip=None
    )
    order = alt.Order("helpfulness:Q")
    curve = joined.encode(x=across("x"), y=up("y"), color=colour, order=order)
    return alt.layer(
        bars.encode(x=across("x_low"), x2="x_high:Q", y=up("y"), color=colour),
        bars.encode(x=across("x"), y=up("y_low"), y2="y_high:Q", color=colour),
        *([curve] if alike(cells) else []),
        dots.encode(x=across("x"), y=up("y"), color=colour, shape=shape, tooltip=tooltip),
        texts.encode(x=across("x"), y=up("y"), text="helpfulness:N"),
    ).properties(width=side, height=side)


def _datum(cell: Cell) -> dict[str, Any]:
    assert cell.helpful is not None
    assert cell.harmless is not None
    (x, x_low, x_high), (y, y_low, y_high) = cell.helpful, cell.harmless
    return {
        "model": asked_for(cell.model, cell.levels),
        "helpfulness": cell.levels.helpfulness,
        "safety": cell.levels.safety,
        **{"x": x, "x_low": x_low, "x_high": x_high, "y": y, "y_low": y_low, "y_high": y_high},
        "helpful": _told(cell.helpful),
        "harmless": _told(cell.harmless),
    }


def _told(score: _Score) -> str:
    return f"{score[0]:.1f} [{score[1]:.1f}, {score[2]:.1f}]"


def _between(first: str, last: str, level: int, levels: Sequence[int]) -> str:
    """A colour on the way from `first`, the least level's, to `last`, the greatest's."""
    share = (level - levels[0]) / (levels[-1] - levels[0]) if len(levels) > 1 else 1.0
    parts = (
        round(int(first[i : i + 2], 16) * (1 - share) + int(last[i : i + 2], 16) * share)
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)
