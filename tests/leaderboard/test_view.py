"""Blocks of comparable rows, ranked within each."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from bfpo_bench.leaderboard.columns import AGGREGATES
from bfpo_bench.leaderboard.view import blocks, cell_text

NAN = float("nan")


def leaderboard(*rows: tuple[str, float, float] | dict[str, Any]) -> pd.DataFrame:
    """Rows of (model, helpfulness, harmlessness), in one block unless a mapping says otherwise."""
    found = []
    for given in rows:
        named = (
            given
            if isinstance(given, dict)
            else dict(zip(("model", *AGGREGATES), given, strict=False))
        )
        common = {"suite": "s@1", "partial": False, "comparability_key": "k", "engine": "e"}
        scores = {f"{a}{end}": 50.0 for a in AGGREGATES for end in ("", "_ci_low", "_ci_high")}
        found.append({**common, "judges": "refusal", "date": "d", "missing": "", **scores, **named})
    return pd.DataFrame(found)


def ranked(table: pd.DataFrame) -> list[list[tuple[str, int | None]]]:
    return [
        [
            (model, None if pd.isna(rank) else int(rank))
            for model, rank in zip(b.rows["model"], b.rows["rank"], strict=True)
        ]
        for b in blocks(table)
    ]


def test_the_best_mean_of_helpfulness_and_harmlessness_comes_first() -> None:
    """a (90 + 10) / 2 = 50, b (60 + 60) / 2 = 60, c (0 + 98) / 2 = 49."""
    table = leaderboard(("a", 90, 10), ("b", 60, 60), ("c", 0, 98))
    assert ranked(table) == [[("b", 1), ("a", 2), ("c", 3)]]


def test_equal_means_share_a_rank_and_the_next_is_passed_over() -> None:
    """b and c both have 60: ranks 1, 1, 3, in the order of the file."""
    table = leaderboard(("a", 50, 50), ("b", 50, 70), ("c", 60, 60))
    assert ranked(table) == [[("b", 1), ("c", 1), ("a", 3)]]


@pytest.mark.parametrize("lacking", [(NAN, 99.0), (99.0, NAN), (NAN, NAN)])
def test_a_row_that_lacks_a_dimension_is_last_and_unranked(lacking: tuple[float, float]) -> None:
    table = leaderboard(("a", *lacking), ("b", 1, 1))
    assert ranked(table) == [[("b", 1), ("a", None)]]


def test_rows_that_lack_different_tasks_have_no_rank() -> None:
    """b lacks a task that a was asked: its mean is of less. c, which has no harmlessness, is not held
    against either. The order of the names counts for nothing."""
    a, b = ({"model": m, "missing": f"bfpo_{m} bfpo_x"} for m in "ab")
    c = {"model": "c", "harmlessness": NAN, "missing": ""}
    assert ranked(leaderboard(a, b, c)) == [[("a", None), ("b", None), ("c", None)]]
    same = b | {"missing": "bfpo_x bfpo_a"}
    assert ranked(leaderboard(a, same, c)) == [[("a", 1), ("b", 1), ("c", None)]]


@pytest.mark.parametrize("other", [{"suite": "s@2"}, {"comparability_key": "other"}])
def test_what_is_not_comparable_is_ranked_apart(other: dict[str, Any]) -> None:
    table = leaderboard(
        {"model": "a", "helpfulness": 10.0},
        {"model": "b", "helpfulness": 90.0, **other},
        {"model": "c", "helpfulness": 20.0},
    )
    assert ranked(table) == [[("c", 1), ("a", 2)], [("b", 1)]]


def test_partial_rows_are_a_block_of_their_own_after_the_full_ones() -> None:
    table = leaderboard(
        {"model": "trial", "partial": True, "helpfulness": 100.0},
        {"model": "full"},
        {"model": "other", "comparability_key": "j"},
    )
    assert ranked(table) == [[("full", 1)], [("other", 1)], [("trial", 1)]]
    assert [(b.suite, b.key, b.partial) for b in blocks(table)] == [
        ("s@1", "k", False),
        ("s@1", "j", False),
        ("s@1", "k", True),
    ]


def test_an_empty_leaderboard_has_no_blocks() -> None:
    assert blocks(leaderboard(("a", 1, 1)).iloc[:0]) == []


def test_cells_have_one_decimal_or_a_dash() -> None:
    row = {"a": 71.25, "a_ci_low": 69.04, "a_ci_high": 73.36, "b": NAN}
    assert cell_text(row, "a") == "71.2 [69.0, 73.4]"
    assert cell_text(row, "b") == "–"
