"""The front of a sweep's points: who is on it, and what the intervals say of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.columns import INTERVAL
from bfpo_bench.leaderboard.pareto import on_front
from bfpo_bench.leaderboard.rows import neutral, to_csv
from bfpo_bench.names import of_null_engine
from bfpo_bench.sweep.grid import Point

AXES = ("helpfulness", "harmlessness")
_COMPARED = ("comparability_key", "partial", "missing")


@dataclass(frozen=True)
class Placed:
    """A point and its leaderboard row, None where it was not measured. `on_front` is None for a point
    that is not compared, and `left_out` says why."""

    point: Point
    row: Mapping[str, Any] | None = None
    run: str | None = None
    on_front: bool | None = None
    left_out: str = ""

    def interval(self, axis: str) -> tuple[float, float]:
        assert self.row is not None
        low, high = (self.row[f"{axis}{end}"] for end in INTERVAL)
        return float(low), float(high)


@dataclass(frozen=True)
class Front:
    """All points of the sweep, in its order."""

    points: tuple[Placed, ...]

    @property
    def compared(self) -> list[Placed]:
        return [p for p in self.points if p.on_front is not None]

    @property
    def rows(self) -> pd.DataFrame:
        """Those of the compared points, each called by its point's label."""
        return pd.DataFrame([{**p.row, "model": p.point.label} for p in self.compared if p.row])


def front_of(
    points: Sequence[Point], measured: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> Front:
    """`measured`: a point's name -> its run's id and row.

    Only rows that are comparable are compared: of those with both scores the largest group that shares
    comparability key and missing tasks, of equally large ones the first.
    """
    reasons = {p.name: _unplaced(measured.get(p.name)) for p in points}
    groups = {
        p.name: tuple(measured[p.name][1][c] for c in _COMPARED)
        for p in points
        if not reasons[p.name]
    }
    largest = max(groups.values(), key=Counter(groups.values()).__getitem__, default=None)
    alike = [name for name, group in groups.items() if group == largest]
    flags = on_front([tuple(measured[n][1][a] for a in AXES) for n in alike])
    best = dict(zip(alike, flags, strict=True))
    return Front(
        tuple(
            Placed(
                point=p,
                row=measured[p.name][1] if p.name in measured else None,
                run=measured[p.name][0] if p.name in measured else None,
                on_front=best.get(p.name),
                left_out=reasons[p.name] or ("" if p.name in best else "not comparable"),
            )
            for p in points
        )
    )


def _unplaced(found: tuple[str, Mapping[str, Any]] | None) -> str:
    """Why a point has no place among the others; empty for one that has."""
    if found is None:
        return "not measured"
    if of_null_engine(str(found[1]["model"])):
        return "of the null engine, which measures nothing"
    if lacking := [axis for axis in AXES if pd.isna(found[1][axis])]:
        return f"without {' and '.join(lacking)}"
    return ""


def told(front: Front) -> list[str]:
    """What may be said of the front, in sentences."""
    compared = front.compared
    if not compared:
        return ["No point has a place: there is no front."]
    best = [p.point.label for p in compared if p.on_front]
    lines = [
        f"{len(best)} of {len(compared)} points {'is' if len(best) == 1 else 'are'} on the front: "
        f"{'; '.join(best)}."
    ]
    pairs = list(combinations(compared, 2))
    apart = {axis: sum(_apart(a, b, axis) for a, b in pairs) for axis in AXES}
    if pairs and not any(apart.values()):
        lines.append(
            "The intervals of all points overlap in both scores: this tells none of them from another."
        )
    elif pairs:
        counted = (f"{count} in {axis}" for axis, count in apart.items())
        lines.append(
            f"Of {len(pairs)} pairs of points so many have intervals apart: {', '.join(counted)}."
        )
        lines += _told_behind(compared)
    if missing := [p for p in front.points if p.on_front is None]:
        named = "; ".join(f"{p.point.label} ({p.left_out})" for p in missing)
        lines.append(f"Not on the picture, and no part of the front: {named}.")
    return lines


def _told_behind(compared: Sequence[Placed]) -> list[str]:
    behind = [p for p in compared if not p.on_front]
    beaten = [p for p in behind if any(_above(other, p) for other in compared)]
    if not behind:
        return []
    return [
        f"Behind the front: {len(behind)}, of which {len(beaten)} by intervals that lie below another "
        "point's in both scores."
    ]


def _apart(a: Placed, b: Placed, axis: str) -> bool:
    (low, high), (other_low, other_high) = a.interval(axis), b.interval(axis)
    return high < other_low or other_high < low


def _above(a: Placed, b: Placed) -> bool:
    return all(a.interval(axis)[0] > b.interval(axis)[1] for axis in AXES)


def csv_of(front: Front) -> str:
    """A line a point: its values, both scores with their intervals, on the front or not, its run."""
    columns = [f"{axis}{end}" for axis in AXES for end in ("", *INTERVAL)]
    rows = [
        {
            "point": p.point.name,
            **{neutral(key): _cell(value) for key, value in p.point.values.items()},
            **{column: p.row[column] if p.row else None for column in columns},
            "on_front": p.on_front,
            "left_out": p.left_out,
            "run": p.run,
        }
        for p in front.points
    ]
    return to_csv(pd.DataFrame(rows).astype({column: float for column in columns}))


def _cell(value: Any) -> str:
    """A number as it was given, and not to four decimals; a text that is no formula."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else neutral(str(value))
