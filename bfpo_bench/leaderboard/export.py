"""The leaderboard in other forms."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd

from bfpo_bench.leaderboard.columns import AGGREGATES
from bfpo_bench.leaderboard.latex import to_latex
from bfpo_bench.leaderboard.notes import EMPTY, Keys, notes
from bfpo_bench.leaderboard.page import to_html
from bfpo_bench.leaderboard.parquet import to_parquet
from bfpo_bench.leaderboard.rows import to_csv
from bfpo_bench.leaderboard.view import blocks, cell_text
from bfpo_bench.names import code


def to_markdown(table: pd.DataFrame, keys: Keys = EMPTY) -> str:
    """One section a block, its rows ranked, each score with its 95 % interval, and the block's notes."""
    sections = []
    for block in blocks(table):
        partial = ", partial" if block.partial else ""
        lines = [f"## {code(block.suite)}{partial} (key {code(block.key)})", ""]
        aggregates = (a.replace("_", " ") for a in AGGREGATES)
        head = ["rank", "model", *aggregates, "base", "training", "judges", "missing"]
        lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for _, row in block.rows.iterrows():
            rank = "–" if pd.isna(row["rank"]) else str(row["rank"])
            cells = [
                rank,
                code(row["model"]),
                *(cell_text(row, a) for a in AGGREGATES),
                *(code(row[text]) for text in ("base", "training", "judges", "missing")),
            ]
            lines.append("| " + " | ".join(cells) + " |")
        if told := notes(block, keys):
            lines += ["", " ".join(told)]
        sections.append("\n".join(lines))
    note = "\nScores in percent with 95 % intervals; higher is better, except over refusal.\n"
    return "\n\n".join(sections) + "\n" + note


def to_json(table: pd.DataFrame) -> str:
    """A list of blocks, each with suite, key, partial and its ranked rows; missing scores are null."""
    found = [
        {
            "suite": block.suite,
            "comparability_key": block.key,
            "partial": block.partial,
            "rows": json.loads(block.rows.to_json(orient="records", double_precision=4)),
        }
        for block in blocks(table)
    ]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[..., str | bytes]] = {
    "csv": to_csv,
    "markdown": to_markdown,
    "html": to_html,
    "latex": to_latex,
    "json": to_json,
    "parquet": to_parquet,
}
"""Each takes a table and gives text, or bytes where a terminal could not show them."""
TELLING = ("markdown", "html", "latex")
"""Those that also take `keys`: they have sentences beside their tables, which say what is partial."""
