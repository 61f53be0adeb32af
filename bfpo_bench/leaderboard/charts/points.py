"""A block's rows as points of the helpfulness-harmlessness plane, and the plane's axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bfpo_bench.leaderboard.charts.labels import Box, short_models
from bfpo_bench.leaderboard.pareto import on_front
from bfpo_bench.leaderboard.view import cell_text, drawn

STATES = ("on the Pareto front", "behind it")
_LONGEST = 30


@dataclass(frozen=True)
class Point:
    """One model. `number` is its place among those drawn, from 1; `x` is its helpfulness and `y` its
    harmlessness, in percent, with 95 % intervals; `helpful` and `harmless` are their texts."""

    model: str
    name: str
    number: int
    state: str
    base: str
    training: str
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    helpful: str
    harmless: str
    href: str


@dataclass(frozen=True)
class Frame:
    """The plane's axes in percent, and their lengths in pixels, counted from the upper left corner."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int

    @property
    def area(self) -> Box:
        return Box(0, 0, self.width, self.height)

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        (left, right), (low, high) = self.x, self.y
        across, down = (x - left) / (right - left), (high - y) / (high - low)
        return across * self.width, down * self.height

    def percent(self, x: float, y: float) -> tuple[float, float]:
        (left, right), (low, high) = self.x, self.y
        return left + x / self.width * (right - left), high - y / self.height * (high - low)


def points_of(rows: pd.DataFrame, links: Mapping[str, str]) -> list[Point]:
    """A point for each row that has both scores and is not the null engine's, in their order."""
    found = rows[drawn(rows)].fillna({"base": "", "training": ""}).to_dict("records")
    names = short_models([str(r["model"]) for r in found], _LONGEST)
    front = on_front([(r["helpfulness"], r["harmlessness"]) for r in found])
    return [
        Point(
            model=str(row["model"]),
            name=name,
            number=number,
            state=STATES[0 if best else 1],
            base=str(row.get("base", "")),
            training=str(row.get("training", "")),
            x=float(row["helpfulness"]),
            x_low=float(row["helpfulness_ci_low"]),
            x_high=float(row["helpfulness_ci_high"]),
            y=float(row["harmlessness"]),
            y_low=float(row["harmlessness_ci_low"]),
            y_high=float(row["harmlessness_ci_high"]),
            helpful=cell_text(row, "helpfulness"),
            harmless=cell_text(row, "harmlessness"),
            href=links.get(str(row["model"]), ""),
        )
        for number, (row, name, best) in enumerate(zip(found, names, front, strict=True), 1)
    ]


def frame_of(points: Sequence[Point], width: int, height: int) -> Frame:
    """Axes that hold every interval."""
    across = _extent([p.x_low for p in points], [p.x_high for p in points])
    up = _extent([p.y_low for p in points], [p.y_high for p in points])
    return Frame(across, up, width, height)


def _extent(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """Round ends around all intervals with some room, within 0..100."""
    if not lows:
        return 0.0, 100.0
    low, high = min(lows), max(highs)
    room = max(0.08 * (high - low), (10 - (high - low)) / 2, 1.0)
    unit = 5 if high - low + 2 * room > 24 else 2 if high - low + 2 * room > 10 else 1
    return (
        max(0.0, unit * math.floor((low - room) / unit)),
        min(100.0, unit * math.ceil((high + room) / unit)),
    )
