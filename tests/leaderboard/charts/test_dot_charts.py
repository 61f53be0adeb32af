"""Dot charts of a block's models and of one run's tasks, and bars of its outcomes."""

from __future__ import annotations

from typing import Any

import pytest
from boards import board, board_row, data, data_sets

from bfpo_bench.leaderboard.charts.cells import cells, task_chart
from bfpo_bench.leaderboard.charts.run import outcomes, tasks
from bfpo_bench.leaderboard.view import blocks
from bfpo_bench.scoring.aggregate import CELLS
from bfpo_bench.scoring.scores import OutcomeCounts, Score, Scores, TaskScore

NONE = float("nan")


def task(cell: str, value: float | None, **more: Any) -> TaskScore:
    return TaskScore(
        value=value,
        ci_low=None if value is None else value - 1,
        ci_high=None if value is None else value + 1,
        cell=cell,
        family="f",
        metric="accuracy",
        raw_metric="acc",
        raw_higher_is_better=True,
        n=10,
        n_scored=10,
        **{"weighted": True} | more,
    )


def scores(**found: TaskScore) -> Scores:
    return Scores(
        model="org/m",
        suite="s",
        suite_version=1,
        partial=False,
        comparability_key="k",
        judges=[],
        helpfulness=Score(),
        harmlessness=Score(),
        over_refusal=Score(),
        cells={},
        families={},
        tasks=found,
    )


def test_the_four_cells_stand_beside_each_other() -> None:
    """A model without a score in a cell keeps its line there, and has no dot."""
    cell = "harmlessness_generative"
    unscored = {f"{cell}{end}": NONE for end in ("", "_ci_low", "_ci_high")}
    [block] = blocks(board(board_row("org/a", 60), board_row("org/b", **unscored)))
    spec = cells(block.rows)
    assert [p["title"]["text"] for p in spec["hconcat"]] == [c.split("/") for c in CELLS]
    lines = [p["layer"][0]["encoding"]["y"]["scale"]["domain"] for p in spec["hconcat"]]
    assert lines == [["a", "b"]] * 4
    drawn = [[d["name"] for d in values] for values in data_sets(spec)]
    assert drawn == [["org/a", "org/b"]] * 3 + [["org/a"]]


def test_one_column_can_be_drawn_alone() -> None:
    [block] = blocks(board(board_row("a", bfpo_x=30.0), board_row("b", bfpo_x=40.0)))
    spec = task_chart(block.rows, "bfpo_x", dark=True)
    assert {(d["name"], d["value"], d["low"], d["high"]) for d in data(spec)} == {
        ("a", 30, 28, 32),
        ("b", 40, 38, 42),
    }


def test_a_runs_tasks_are_drawn_by_cell() -> None:
    found = scores(
        bfpo_a=task(CELLS[0], 40.0, chance=25.0),
        bfpo_b=task(CELLS[3], 70.0, weighted=False),
        bfpo_c=task(CELLS[3], None),
    )
    spec = tasks(found)
    assert spec is not None
    assert [p["title"]["text"] for p in spec["vconcat"]] == [
        ["helpfulness, discriminative"],
        ["harmlessness, generative"],
    ]
    dots = {d["label"]: d for d in data(spec)}
    assert set(dots) == {"a", "b"}
    assert (dots["a"]["chance"], dots["b"]["chance"]) == (25, None)
    assert (dots["a"]["hollow"], dots["b"]["hollow"]) == (False, True)


def test_outcomes_are_shares_of_the_judged_and_the_unjudged_of_all() -> None:
    """10 responses, 2 of them unjudged: 20 % of all; 6 of the 8 judged were safe: 75 %."""
    counts = OutcomeCounts(safe=6, complied=2, unjudged=2)
    spec = outcomes(scores(bfpo_a=task(CELLS[3], 75.0, outcomes=counts)))
    assert spec is not None
    shares = {d["outcome"]: d["share"] for d in data(spec)}
    assert shares == {"safe": 75, "complied": 25, "unjudged": 20}


def test_a_task_that_nobody_judged_has_its_unjudged_bar_alone() -> None:
    counts = OutcomeCounts(unjudged=4)
    spec = outcomes(scores(bfpo_a=task(CELLS[3], None, outcomes=counts)))
    assert spec is not None
    assert [(d["outcome"], d["share"]) for d in data(spec)] == [("unjudged", 100)]


@pytest.mark.parametrize("chart", [tasks, outcomes])
def test_nothing_to_draw_is_no_chart(chart: Any) -> None:
    assert chart(scores(bfpo_a=task(CELLS[0], None))) is None
