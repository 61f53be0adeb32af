"""Where labels of points go, so that none lies on another, on a point or on a line. In pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_NARROW, _WIDE = set("fijlrtI.,:;'|!()[]/ -"), set("mwMWGOQ@%&")
_RADII = (9.0, 18.0, 30.0, 44.0, 60.0, 80.0)
_LEADER = 20.0
"""From this distance on, a line leads from the label to its point."""
_SIXTEENTHS = (0, 8, 4, 12, 2, 14, 1, 15, 6, 10, 3, 13, 5, 11, 7, 9)
"""Directions in sixteenths of a turn, against the clock from the right; earlier ones read better."""
_LABEL, _DOT, _LINE, _OUTSIDE = 6.0, 4.0, 1.0, 100.0
"""What a square pixel costs that lies on another label, on a point, on a line, outside."""
_ASTRAY = 150.0
"""What each point costs that is nearer to a label than the label's own: it would be taken for it."""


class Box(NamedTuple):
    """Left and top are the smaller numbers."""

    left: float
    top: float
    right: float
    bottom: float


class Placed(NamedTuple):
    """A label's box, and whether a line must lead to its point."""

    box: Box
    led: bool


def text_width(text: str, size: float) -> float:
    """About as wide as Arial is; characters of scripts that are not Latin count as square."""
    return sum(map(_width, text)) * size


def _width(character: str) -> float:
    if ord(character) >= 0x1100:
        return 1.0
    if character in _NARROW:
        return 0.32
    if character in _WIDE:
        return 0.84
    return 0.68 if character.isupper() else 0.56


def short_models(models: Sequence[str], longest: int) -> list[str]:
    """Models' names for a chart, each unlike the others, without their owners where that is so."""
    return _distinct([m.rstrip("/").rsplit("/", 1)[-1] or m for m in models], models, longest)


def short_tasks(tasks: Sequence[str], longest: int) -> list[str]:
    """The same for tasks, without our prefix."""
    return _distinct([t.removeprefix("bfpo_") for t in tasks], tasks, longest)


def _distinct(short: Sequence[str], full: Sequence[str], longest: int) -> list[str]:
    """Long names are cut in the middle, for it is their ends that tell checkpoints apart; a number
    follows where two would be alike for it."""
    times = Counter(short)
    cut = [_cut(s if times[s] == 1 else f, longest) for s, f in zip(short, full, strict=True)]
    times = Counter(cut)
    return [c if times[c] == 1 else f"{c} ({i})" for i, c in enumerate(cut, 1)]


def _cut(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    head = longest * 3 // 5
    return f"{name[:head]}…{name[head + 1 - longest :]}"


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    obstacles: Sequence[Box],
    area: Box,
    size: float,
) -> list[Placed]:
    """A place within `area` for the text of each point.

    Each label takes the place that covers least, of equally good ones the nearest; then each in turn
    may move, now that it knows of the others, until none wants to, or four times.
    """
    dots = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    choices, costs = [], []
    for point, text in zip(points, texts, strict=True):
        boxes, awkward = _around(point, text_width(text, size), size * 1.25)
        covered = _DOT * _overlap(boxes, dots) + _LINE * _overlap(boxes, obstacles)
        covered += _ASTRAY * _nearer(boxes, point, points)
        inside = _overlap(boxes, [area])
        outside = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) - inside
        choices.append(boxes)
        costs.append(awkward + covered + _OUTSIDE * outside)
    chosen: dict[int, int] = {}
    for _ in range(4):
        before = dict(chosen)
        for i, boxes in enumerate(choices):
            others = [Box(*choices[j][c]) for j, c in chosen.items() if j != i]
            chosen[i] = int((costs[i] + _LABEL * _overlap(boxes, others)).argmin())
        if chosen == before:
            break
    return [_placed(boxes, chosen[i]) for i, boxes in enumerate(choices)]


def _placed(boxes: NDArray[np.float64], choice: int) -> Placed:
    box = Box(*(float(edge) for edge in boxes[choice]))
    return Placed(box, _RADII[choice // len(_SIXTEENTHS)] >= _LEADER)


def _around(
    point: tuple[float, float], width: float, height: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes around a point (n, 4), nearest first, and what the distance and side of each cost (n)."""
    found, awkward = [], []
    for radius in _RADII:
        for order, sixteenth in enumerate(_SIXTEENTHS):
            dx, dy = math.cos(sixteenth * math.pi / 8), -math.sin(sixteenth * math.pi / 8)
            # The side or corner that faces the point is what lies at this distance
            left = point[0] + radius * dx - width * (1 - _side(dx)) / 2
            top = point[1] + radius * dy - height * (1 - _side(dy)) / 2
            found.append((left, top, left + width, top + height))
            awkward.append(1.5 * radius + order)
    return np.array(found), np.array(awkward)


def _side(direction: float) -> float:
    """-1, 0 or 1, and between them for directions that are hardly to that side."""
    return max(-1.0, min(1.0, 1.5 * direction))


def _nearer(
    boxes: NDArray[np.float64], own: tuple[float, float], points: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """For each of `boxes` (n, 4) how many of the points are nearer to it than its own (n)."""

    def distance(point: tuple[float, float]) -> NDArray[np.float64]:
        aside = np.maximum(boxes[:, 0] - point[0], point[0] - boxes[:, 2]).clip(0)
        above = np.maximum(boxes[:, 1] - point[1], point[1] - boxes[:, 3]).clip(0)
        return np.asarray(np.hypot(aside, above))

    nearer = np.zeros(len(boxes))
    for point in points:
        nearer += distance(point) < distance(own)
    return nearer


def _overlap(boxes: NDArray[np.float64], others: Sequence[Box]) -> NDArray[np.float64]:
    """For each of `boxes` (n, 4) the area that `others` cover of it, summed over them (n)."""
    there = np.array(others, dtype=float).reshape(-1, 4)
    wide = np.minimum(boxes[:, None, 2], there[:, 2]) - np.maximum(boxes[:, None, 0], there[:, 0])
    high = np.minimum(boxes[:, None, 3], there[:, 3]) - np.maximum(boxes[:, None, 1], there[:, 1])
    return (wide.clip(0) * high.clip(0)).sum(axis=1)
