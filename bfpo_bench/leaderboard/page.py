"""The leaderboard as one HTML page that needs nothing else, and runs no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.columns import AGGREGATES
from bfpo_bench.leaderboard.notes import EMPTY, Keys, notes
from bfpo_bench.leaderboard.view import Block, blocks

_TEMPLATE = Path(__file__).with_name("page.html")


def to_html(table: pd.DataFrame, keys: Keys = EMPTY) -> str:
    """A table for each block, its rows ranked; every text escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    columns = [column.replace("_", " ") for column in AGGREGATES]
    return template.render(blocks=[_block(b, keys) for b in blocks(table)], columns=columns) + "\n"


def _block(block: Block, keys: Keys) -> dict[str, Any]:
    missing = sorted({m for cell in block.rows["missing"] for m in str(cell).split()})
    return {
        "suite": block.suite,
        "key": block.key,
        "partial": block.partial,
        "rows": [_row(row) for _, row in block.rows.iterrows()],
        "missing": ", ".join(missing),
        "notes": notes(block, keys),
    }


def _row(row: Any) -> dict[str, Any]:
    told = (row["training"], f"from {row['base']}" if row["base"] else "")
    return {
        "rank": "–" if pd.isna(row["rank"]) else row["rank"],
        "model": row["model"],
        "told": ", ".join(text for text in told if text),
        "scores": [_score(row, column) for column in AGGREGATES],
        "judges": row["judges"],
    }


def _score(row: Any, column: str) -> tuple[str, str]:
    if pd.isna(row[column]):
        return "–", ""
    interval = f"{row[f'{column}_ci_low']:.1f} to {row[f'{column}_ci_high']:.1f}"
    return f"{row[column]:.1f}", interval
