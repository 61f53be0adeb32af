"""The common table in docs/methods.md, from leaderboards/demo.csv.

    python docs/methods_table.py

What stands between the two marks of the page is replaced: the rows, best first, and what their numbers say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bfpo_bench.demo.methods.listed import Table
from bfpo_bench.demo.words import Measured, Side, overview
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.leaderboard.view import Block, blocks, cell_text

ROOT = Path(__file__).resolve().parents[1]
BOARD = ROOT / "leaderboards" / "demo.csv"
PAGE = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- from leaderboards/demo.csv -->", "<!-- to here -->"
COLUMNS = ("helpfulness", "harmlessness", "harmlessness_generative", "over_refusal")


def row_name(model: str) -> str:
    """What `demo --all` calls the row of this model: without its hash, its bias by its name."""
    [bias] = (row.bias for row in Table().rows if row.bias is not None)
    return re.sub(r" \(bias [0-9a-f]{8}\)", f" + {bias}", re.sub("@[0-9a-f]{8}", "", model))


def markdown() -> str:
    """Every row of the leaderboard, and the sentences on those of the largest block: rows of another
    comparability key have no rank and are in none."""
    first, *others = sorted(blocks(read_leaderboard(BOARD)), key=lambda block: -len(block.rows))
    head = "| # | method | helpful | harmless | harmless, generated | over-refusal ↓ |"
    lines = [head, "|--:|---|--:|--:|--:|--:|", *_rows(first, ranked=True)]
    lines += [line for block in others for line in _rows(block, ranked=False)]
    told = overview([_measured(row) for _, row in first.rows.iterrows()], Table().subject)
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in told)])


def _rows(block: Block, *, ranked: bool) -> Iterator[str]:
    for _, row in block.rows.iterrows():
        cells = (cell_text(row, column) for column in COLUMNS)
        rank = row["rank"] if ranked else "–"
        yield f"| {rank} | {row_name(row['model'])} | {' | '.join(cells)} |"


def _measured(row: Any) -> Measured:
    sides = [
        Side(*(row[f"{side}{end}"] for end in ("", "_ci_low", "_ci_high")))
        for side in ("helpfulness", "harmlessness")
    ]
    return Measured(row_name(row["model"]), *sides)


def with_table(page: str) -> str:
    """The page's text with the table that the leaderboard gives."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{markdown()}\n\n{END}{rest.split(END)[1]}"


def write() -> None:
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
