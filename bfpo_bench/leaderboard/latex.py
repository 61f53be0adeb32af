"""The leaderboard as LaTeX: a table a block, of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.columns import AGGREGATES
from bfpo_bench.leaderboard.notes import EMPTY, Keys, notes
from bfpo_bench.leaderboard.view import Block, blocks

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_HEADINGS = (
    ("", r"\#"),
    ("", "model"),
    ("", "helpful"),
    ("", "harmless"),
    ("helpful", "discr."),
    ("helpful", "gener."),
    ("harmless", "discr."),
    ("harmless", "gener."),
    ("over-", "refusal"),
)
"""Over two lines: rank, model, and AGGREGATES in their order."""


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is, on one line. Quotation marks want the font encoding T1."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    # Two hyphens or two of a quotation mark would be drawn as one sign
    flat = re.sub(r"(?<=([-'`,]))(?=\1)", "\0", flat)
    return "".join(_SPECIAL.get(c, c) for c in flat).replace("\0", "{}")


def to_latex(table: pd.DataFrame, keys: Keys = EMPTY) -> str:
    """A `table` for each block: a line a model, below each score its 95 % interval."""
    told = "% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}.\n"
    return told + "".join(f"\n{_table(block, keys)}" for block in blocks(table))


def _table(block: Block, keys: Keys) -> str:
    heading = [_line(words) for words in zip(*_HEADINGS, strict=True)]
    rows = [line for _, row in block.rows.iterrows() for line in _row(row)]
    return "\n".join(
        (
            r"\begin{table}",
            r"\centering\small",
            rf"\begin{{tabular}}{{rl{'r' * len(AGGREGATES)}}}",
            r"\toprule",
            *heading,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{_caption(block, keys)}}}",
            r"\end{table}",
            "",
        )
    )


def _row(row: Any) -> tuple[str, str]:
    """The scores, and below them their intervals."""
    rank = "--" if pd.isna(row["rank"]) else str(row["rank"])
    scores = ["--" if pd.isna(row[a]) else f"{row[a]:.1f}" for a in AGGREGATES]
    return _line((rank, escaped(row["model"]), *scores)), _line(
        ("", "", *(_interval(row, a) for a in AGGREGATES))
    )


def _interval(row: Any, column: str) -> str:
    if pd.isna(row[column]):
        return ""
    return rf"\scriptsize {row[f'{column}_ci_low']:.1f}--{row[f'{column}_ci_high']:.1f}"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _caption(block: Block, keys: Keys) -> str:
    partial = ", partial rows" if block.partial else ""
    judges = ", ".join(sorted({j for cell in block.rows["judges"] for j in str(cell).split()}))
    missing = ", ".join(sorted({m for cell in block.rows["missing"] for m in str(cell).split()}))
    told = [
        f"{escaped(block.suite)}{partial}, comparability key {escaped(block.key)}.",
        r"Percent with 95\,\% intervals; higher is better, except for over-refusal.",
        f"Judges: {escaped(judges) or 'none'}.",
        *map(escaped, notes(block, keys)),
    ]
    if missing:
        told.append(f"Not scored, and left out of the means: {escaped(missing)}.")
    return " ".join(told)
