"""The leaderboard as people read it: blocks of comparable rows, ranked within each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bfpo_bench.names import of_null_engine


@dataclass(frozen=True)
class Block:
    """Rows of one suite and comparability key, all full or all partial, the best first.

    `rows` has the leaderboard's columns and `rank`: the position by the mean of helpfulness and
    harmlessness, None for a row that lacks either, and for the null engine's, which come last. Equal
    means share a rank. Where rows lack different tasks their means are not alike: then no row has a
    rank.
    """

    suite: str
    key: str
    partial: bool
    rows: pd.DataFrame


def blocks(table: pd.DataFrame) -> list[Block]:
    """The table's blocks, full ones first, in the order of their first rows."""
    found = []
    for (suite, key, partial), rows in table.groupby(
        ["suite", "comparability_key", "partial"], sort=False
    ):
        mean = ((rows["helpfulness"] + rows["harmlessness"]) / 2).where(measured(rows))
        rank = mean.rank(ascending=False, method="min").astype("Int64")
        ordered = rows.assign(rank=rank if lack_the_same(rows) else rank.mask(rank.notna())).loc[
            mean.sort_values(ascending=False, na_position="last", kind="stable").index
        ]
        found.append(Block(str(suite), str(key), bool(partial), ordered))
    return sorted(found, key=lambda b: b.partial)


def measured(rows: pd.DataFrame) -> pd.Series:
    """Whether each row is of a model that answered, and not the null engine's."""
    return ~rows["model"].map(lambda model: of_null_engine(str(model))).astype(bool)


def drawn(rows: pd.DataFrame) -> pd.Series:
    """Whether each row has a place among the others: both helpfulness and harmlessness, and measured."""
    return rows[["helpfulness", "harmlessness"]].notna().all(axis=1) & measured(rows)


def lack_the_same(rows: pd.DataFrame) -> bool:
    """Whether the rows that can be ranked lack the same tasks."""
    return (
        len({frozenset(str(missing).split()) for missing in rows.loc[drawn(rows), "missing"]}) < 2
    )


def cell_text(row: Any, column: str) -> str:
    """'71.2 [69.0, 73.3]', or a dash where there is no score."""
    value = row[column]
    if pd.isna(value):
        return "–"
    return f"{value:.1f} [{row[f'{column}_ci_low']:.1f}, {row[f'{column}_ci_high']:.1f}]"
