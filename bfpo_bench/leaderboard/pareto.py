"""Which of several comparable rows nobody beats in both dimensions."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def on_front(points: Sequence[Point]) -> list[bool]:
    """Whether each point is Pareto-optimal, more being better: no other is at least as good in both
    coordinates and better in one. Equal points stand or fall together."""
    return [not any(_beats(other, point) for other in points) for point in points]


def _beats(a: Point, b: Point) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a != b


def steps(points: Sequence[Point], left: float, bottom: float) -> list[Point]:
    """The corners of the front as a stepped line, from the edge `left` down to the edge `bottom`.

    Left of and below it lies what some point is at least as good as, in both coordinates.
    """
    front = sorted({p for p, optimal in zip(points, on_front(points), strict=True) if optimal})
    corners: list[Point] = []
    edge = left
    for x, y in front:
        corners += [(edge, y), (x, y)]
        edge = x
    return [*corners, (edge, bottom)] if corners else []
