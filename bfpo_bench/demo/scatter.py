"""A scatter plot in plain text, for a terminal of 80 columns, readable without colour."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass

_MARGIN = 5
_MARKS = string.digits[1:] + string.ascii_uppercase


@dataclass(frozen=True)
class Point:
    """Where a model stands: `x` and `y` in percent."""

    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Axis:
    """`cells` places for values from `low` to `high`, tens both, with both ends included."""

    low: int
    high: int
    cells: int

    def cell(self, value: float) -> int:
        """The nearest place, from 0 at `low`."""
        return round((value - self.low) / (self.high - self.low) * (self.cells - 1))

    def ticks(self) -> dict[int, str]:
        """Place -> what is written there: every ten."""
        return {self.cell(value): str(value) for value in range(self.low, self.high + 1, 10)}


def axis(values: Sequence[float], cells: int) -> Axis:
    """From the ten below the least value to the ten above the greatest, 20 apart or more."""
    low = min(80, 10 * math.floor(min(values) / 10))
    return Axis(low, max(low + 20, 10 * math.ceil(max(values) / 10)), cells)


def scatter(
    points: Sequence[Point], *, across: str, up: str, width: int = 79, height: int = 17
) -> list[str]:
    """The plot's lines, at most `width` wide, with a mark for each of at most 35 points: 1 to 9, then A to Z.

    A mark stands at its value's nearest cell, or beside it where another mark stands there; its
    label stands to the right or the left of it where there is room. The lines below the plot name
    every mark, also those without a label.
    """
    x = axis([p.x for p in points], width - _MARGIN)
    y = axis([p.y for p in points], height)
    grid = [[" "] * x.cells for _ in range(y.cells)]
    marked = list(zip(_MARKS, points, strict=False))
    places = [_mark(grid, mark, x.cell(p.x), y.cell(p.y)) for mark, p in marked]
    for point, (column, row) in zip(points, places, strict=True):
        _label(grid[row], point.label, column)
    ticks = y.ticks()
    lines = [f"{up} (percent)"]
    for row in reversed(range(y.cells)):
        border = "+" if row in ticks else "|"
        lines.append(f"{ticks.get(row, ''):>{_MARGIN - 2}} {border}{''.join(grid[row])}".rstrip())
    return [*lines, *_foot(x), f"{across} (percent)".rjust(width), "", *_legend(points, across, up)]


def _mark(grid: list[list[str]], mark: str, column: int, row: int) -> tuple[int, int]:
    """Write the mark into the free cell of its row that is nearest, the right one first."""
    free = [c for c, cell in enumerate(grid[row]) if cell == " "]
    place = min(free, key=lambda c: (abs(c - column), -c))
    grid[row][place] = mark
    return place, row


def _label(row: list[str], label: str, column: int) -> None:
    for start in (column + 2, column - 1 - len(label)):
        # With a free cell on either side, so that no label runs into another or into a mark
        span = range(start - 1, start + len(label) + 1)
        inside = start >= 0 and start + len(label) <= len(row)
        if inside and all(row[c] == " " for c in span if 0 <= c < len(row) and c != column):
            row[start : start + len(label)] = label
            return


def _foot(x: Axis) -> list[str]:
    border, numbers = ["-"] * x.cells, [" "] * (x.cells + _MARGIN)
    for column, text in x.ticks().items():
        border[column] = "+"
        end = min(len(numbers), _MARGIN + column + (len(text) + 1) // 2)
        numbers[end - len(text) : end] = text
    return [" " * (_MARGIN - 1) + "+" + "".join(border), "".join(numbers).rstrip()]


def _legend(points: Sequence[Point], across: str, up: str) -> list[str]:
    longest = max(len(point.label) for point in points)
    return [
        f"  {mark} {p.label:<{longest}}  {across} {p.x:5.1f}  {up} {p.y:5.1f}"
        for mark, p in zip(_MARKS, points, strict=False)
    ]
