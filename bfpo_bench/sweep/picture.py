"""The front as a picture: the plane of the report, with the points of one sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bfpo_bench.leaderboard.charts.plane import WIDTH, plane
from bfpo_bench.leaderboard.charts.theme import SMALL, wrapped
from bfpo_bench.leaderboard.figure import about, write_figure
from bfpo_bench.leaderboard.view import Block
from bfpo_bench.sweep.front import Front

FILES = ("front.svg", "front.png")


def picture(front: Front, source: str) -> dict[str, Any]:
    """The Vega-Lite specification. Where one key is swept, a line joins the points in its order."""
    rows = front.rows
    first = rows.iloc[0]
    block = Block(
        str(first["suite"]), str(first["comparability_key"]), bool(first["partial"]), rows
    )
    keys = list(front.points[0].point.values)
    title = (f"{source} over {', '.join(keys)}", *wrapped(about(block), SMALL, WIDTH))
    return plane(rows, title=title, joined=keys[0] if len(keys) == 1 else "")


def draw(front: Front, source: str, out: Path) -> list[Path]:
    """Write FILES into `out`; none where no point has a place, and then none is left of before."""
    files = [out / name for name in FILES]
    if not front.compared:
        for file in files:
            file.unlink(missing_ok=True)
        return []
    spec = picture(front, source)
    for file in files:
        write_figure(spec, file)
    return files
