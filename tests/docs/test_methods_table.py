"""The common table of docs/methods.md says what leaderboards/demo.csv does, of every row and no other."""

from __future__ import annotations

import runpy

import pytest
from pages import ROOT

from bfpo_bench.demo.methods.listed import ROWS
from bfpo_bench.leaderboard.keys import read_keys
from bfpo_bench.leaderboard.rows import read_leaderboard

BOARD = ROOT / "leaderboards" / "demo.csv"
WRITER = runpy.run_path(str(ROOT / "docs" / "methods_table.py"))


def test_the_leaderboard_has_every_row_once_and_whole() -> None:
    """`read_leaderboard` holds every cell against the schema."""
    table = read_leaderboard(BOARD)
    names = [WRITER["row_name"](model) for model in table["model"]]
    assert sorted(names) == sorted(row.name for row in ROWS)
    assert not table["partial"].any()
    assert table[["helpfulness", "harmlessness", "over_refusal"]].notna().all(axis=None)
    assert set(table["missing"]) == {""}


def test_all_were_asked_alike_but_for_what_their_bias_changes() -> None:
    table = read_leaderboard(BOARD)
    plain = table[~table["model"].str.contains("(bias", regex=False)]
    assert plain["comparability_key"].nunique() == 1
    assert set(table["comparability_key"]) == set(read_keys(BOARD))
    assert set(table["judges"]) == {"harm refusal"}


def test_the_page_shows_it() -> None:
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert WRITER["with_table"](page) == page, "python docs/methods_table.py writes it anew"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("sft@85790242", "sft"),
        ("sft@85790242 + instruction", "sft + instruction"),
        ("dpo-safety-only@1dfb0cc7 (bias 8f9a5057)", "dpo-safety-only + tsdi"),
        ("control-tokens@0a1b2c3d + levels 1,1", "control-tokens + levels 1,1"),
    ],
)
def test_a_row_has_the_name_that_the_demo_gives_it(model: str, name: str) -> None:
    assert WRITER["row_name"](model) == name
