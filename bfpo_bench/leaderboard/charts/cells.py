"""The models of one block beside each other: by cell of the grid, or in one column of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.charts.labels import short_models
from bfpo_bench.leaderboard.charts.theme import finished, theme
from bfpo_bench.leaderboard.columns import CELL_COLUMNS

WIDTH = 720
_LONGEST = 30
_GAP = 18
_NARROWEST = 70


def cells(
    block_rows: pd.DataFrame, *, dark: bool = False, title: Sequence[str] = (), width: int = WIDTH
) -> dict[str, Any]:
    """Four panels, one a cell of the grid: a dot and a 95 % interval a model, the best rank on top.

    `block_rows` are those of one `view.Block`; `width` is about that of the whole, in pixels. A model
    without a score keeps its line, and has no dot in it.
    """
    headings = {column: cell.split("/") for cell, column in CELL_COLUMNS.items()}
    return _panels(block_rows, headings, dark, title, width)


def task_chart(
    block_rows: pd.DataFrame,
    task: str,
    *,
    dark: bool = False,
    title: Sequence[str] = (),
    width: int = WIDTH,
) -> dict[str, Any]:
    """The same for one task, or any other column that has `_ci_low` and `_ci_high` beside it."""
    return _panels(block_rows, {task: [task]}, dark, title, width)


def _panels(
    rows: pd.DataFrame, headings: dict[str, list[str]], dark: bool, title: Sequence[str], width: int
) -> dict[str, Any]:
    import altair as alt

    from bfpo_bench.leaderboard.charts.dots import dot_panel, label_room

    look = theme(dark)
    labels = short_models([str(m) for m in rows["model"]], _LONGEST)
    across = width - label_room(labels) - _GAP * (len(headings) - 1)
    each = max(_NARROWEST, across // len(headings))
    panels = [
        dot_panel(_dots(rows, labels, column), labels, look, each, heading, labelled=not number)
        for number, (column, heading) in enumerate(headings.items())
    ]
    what = ", ".join(" ".join(heading) for heading in headings.values())
    told = f"Dot plot of {what}: scores of {len(rows)} models, in percent with 95 % intervals."
    return finished(alt.hconcat(*panels, spacing=_GAP), look, title, told)


def _dots(rows: pd.DataFrame, labels: Sequence[str], column: str) -> list[Any]:
    from bfpo_bench.leaderboard.charts.dots import Dot

    return [
        Dot(
            label=label,
            name=str(row["model"]),
            value=float(row[column]),
            low=float(row[f"{column}_ci_low"]),
            high=float(row[f"{column}_ci_high"]),
        )
        for label, (_, row) in zip(labels, rows.iterrows(), strict=True)
        if pd.notna(row[column])
    ]
