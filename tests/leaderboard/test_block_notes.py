"""What is said beside a table: what is partial, which judges are embedded, whose rows have no rank."""

from __future__ import annotations

import json
from typing import Any

import pytest
from boards import board, board_row

from bfpo_bench.leaderboard.charts.plane import plane, undrawn
from bfpo_bench.leaderboard.export import FORMATS, TELLING
from bfpo_bench.leaderboard.figure import choose_block, figure
from bfpo_bench.leaderboard.notes import NULL, partial_part
from bfpo_bench.leaderboard.view import blocks
from bfpo_bench.names import NULL_ENGINE

OF_NULL = f"org/a{NULL_ENGINE}"
KEYS = {"k": {"settings": {"tasks": dict.fromkeys("abcde", "1"), "limit": 10}}}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (KEYS["k"]["settings"], "5 tasks, at most 10 documents of each"),
        ({"tasks": {"a": "1"}, "limit": 1}, "1 task, at most 1 document of it"),
        ({"tasks": {"a": "1", "b": "1"}, "limit": None}, "2 tasks asked"),
        ({"tasks": 5, "limit": 10}, ""),
        ({"limit": 10}, ""),
        (None, ""),
    ],
)
def test_what_is_partial_is_said_as_far_as_it_is_known(settings: Any, told: str) -> None:
    assert partial_part(settings) == told


@pytest.mark.parametrize("form", TELLING)
def test_every_form_says_what_is_partial_and_what_is_a_first_look(form: str) -> None:
    told = "Partial: 5 tasks, at most 10 documents of each."
    look = "Embedded judges (harm, refusal) are a first look."
    partial = board(board_row("a", partial=True))
    assert told in FORMATS[form](partial, keys=KEYS)
    assert told not in FORMATS[form](board(board_row("a")), keys=KEYS)
    assert "Partial:" not in FORMATS[form](partial)
    assert look in FORMATS[form](partial)
    assert "first look" not in FORMATS[form](board(board_row("a", judges="wildguard")))


@pytest.mark.parametrize("form", TELLING)
def test_every_form_says_that_the_null_engine_measures_nothing(form: str) -> None:
    told = NULL.replace("'", "&#39;") if form == "html" else NULL
    assert told in FORMATS[form](board(board_row("b"), board_row(OF_NULL)))
    assert "measure nothing" not in FORMATS[form](board(board_row("b")))


def test_the_null_engine_has_no_rank_and_is_last() -> None:
    """Its mean of 99 would have won; that it lacks other tasks takes no rank from the rest."""
    best = board_row(OF_NULL, 99, 99, missing="bfpo_x")
    [block] = blocks(board(best, board_row("b", 40, 60), board_row("c", 70, 60)))
    assert block.rows["model"].tolist() == ["c", "b", OF_NULL]
    assert block.rows["rank"].fillna(0).tolist() == [1, 2, 0]


def test_the_null_engine_is_not_on_the_plane_and_beats_nobody_there() -> None:
    [block] = blocks(board(board_row(OF_NULL, 99, 99), board_row("b", 40, 60)))
    spec = plane(block.rows)
    assert spec["description"].endswith("of 1 models. On the Pareto front: b.")
    assert "the null engine's rows, which measure nothing" in json.dumps(spec)
    assert undrawn(block.rows) == []
    assert "null engine" not in json.dumps(plane(block.rows.iloc[:1]))


def test_rows_of_the_null_engine_do_not_choose_what_is_drawn() -> None:
    many = [board_row(f"{m}{NULL_ENGINE}", comparability_key="null") for m in "xyz"]
    block = choose_block(board(*many, board_row("a")), None)
    assert block.key == "k"


def test_a_figure_says_that_judges_are_a_first_look() -> None:
    [block] = blocks(board(board_row("a")))
    for chart in ("plane", "cells"):
        told = " ".join(figure(block, chart, None)["title"]["subtitle"])
        assert "Embedded judges (harm, refusal) are a first look" in told
