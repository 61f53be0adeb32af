"""Figures of a leaderboard for papers: PDF, PNG, SVG. Drawn without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.charts.cells import WIDTH as CELLS_WIDTH
from bfpo_bench.leaderboard.charts.cells import cells
from bfpo_bench.leaderboard.charts.plane import WIDTH, plane
from bfpo_bench.leaderboard.charts.theme import SMALL, wrapped
from bfpo_bench.leaderboard.notes import embedded_note
from bfpo_bench.leaderboard.view import Block, blocks, measured
from bfpo_bench.nearest import nearest
from bfpo_bench.runs.jsonl import write_atomically

SUFFIXES = (".pdf", ".png", ".svg")
CHARTS = ("plane", "cells")
_PIXELS = 2
"""Of a PNG for each pixel of the chart."""


def check_suffix(path: Path) -> None:
    """Raises UserError for a name that does not end as one of the formats."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{path} does not say its format: let the name end in {', '.join(SUFFIXES)}."
        )


def choose_block(table: pd.DataFrame, key: str | None) -> Block:
    """The block with comparability key `key`, or the one with the most rows, the null engine's not counted:
    partial ones only where no others are. Raises UserError where there is none."""
    found = blocks(table)
    if not found:
        raise UserError("The leaderboard has no rows to draw: run a model first.")
    if key is not None:
        keys = list(dict.fromkeys(b.key for b in found))
        found = [b for b in found if b.key == key]
        if not found:
            raise UserError(
                f"No row has the comparability key {key}{nearest(key, keys)}: give one of "
                f"{', '.join(keys)}."
            )
    full = [b for b in found if not b.partial]
    return max(full or found, key=lambda b: int(measured(b.rows).sum()))


def figure(block: Block, chart: str, width: int | None) -> dict[str, Any]:
    """The Vega-Lite specification of `chart`, one of CHARTS, under the block's name. `width`: of the axes
    of the plane, of the whole of the cells, in pixels."""
    told = about(block)
    if chart == "cells":
        across = width or CELLS_WIDTH
        lines = wrapped(f"{told}. Bars are 95 % intervals.", SMALL, across)
        return cells(block.rows, title=("The four cells", *lines), width=across)
    across = width or WIDTH
    title = ("Helpfulness and harmlessness", *wrapped(told, SMALL, across))
    return plane(block.rows, title=title, width=across, height=across * 3 // 4)


def about(block: Block) -> str:
    """What the block's rows have in common, for a subtitle; without a full stop at its end."""
    partial = ", partial" if block.partial else ""
    judges = sorted({j for cell in block.rows["judges"] for j in str(cell).split()})
    told = f"{block.suite}{partial}, key {block.key}; judges: {', '.join(judges) or 'none'}"
    if note := embedded_note(judges):
        told += f". {note.rstrip('.')}"
    return told


def write_figure(spec: dict[str, Any], path: Path) -> None:
    """Draw the specification into `path`, in the format that its name ends in. Raises UserError where
    the file cannot be written."""
    try:
        write_atomically(path, _drawn(spec, path.suffix.lower()))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): give another --out."
        ) from error


def _drawn(spec: dict[str, Any], suffix: str) -> str | bytes:
    import altair as alt
    import vl_convert

    # The specifications are altair's, and vl-convert knows several versions of Vega-Lite
    major, minor, *_ = alt.VEGALITE_VERSION.split(".")
    version = f"{major}.{minor}"
    if suffix == ".svg":
        return vl_convert.vegalite_to_svg(spec, vl_version=version)
    if suffix == ".pdf":
        return vl_convert.vegalite_to_pdf(spec, vl_version=version)
    return vl_convert.vegalite_to_png(spec, vl_version=version, scale=_PIXELS)
