"""Rows of runs and of a CSV in one table, and in blocks that are never mixed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from measured import block, measured

from bfpo_bench.leaderboard.add import run_row
from bfpo_bench.leaderboard.report.rows import (
    as_leaderboard,
    block_views,
    run_ids,
    table,
)
from bfpo_bench.leaderboard.rows import add_row, read_leaderboard, to_csv
from bfpo_bench.names import NULL_ENGINE

SIXTY = (60.0, 50.0, 70.0)
EQUAL = (SIXTY, SIXTY)
NOTHING = read_leaderboard(Path("none.csv"))


def stored(path: Path, *runs: object) -> pd.DataFrame:
    for run in runs:
        add_row(path, run_row(run))  # type: ignore[arg-type]
    return read_leaderboard(path)


def test_a_run_takes_the_place_of_its_own_row_and_other_rows_stay(tmp_path: Path) -> None:
    old = stored(
        tmp_path / "a.csv", measured("mine", (10, 5, 15), SIXTY), measured("other", SIXTY, SIXTY)
    )
    found = table([measured("mine", SIXTY, SIXTY)], old)
    assert found[["model", "helpfulness", "run_id"]].to_numpy().tolist() == [
        ["mine", 60.0, "mine-aaaa"],
        ["other", 60.0, ""],
    ]


def test_two_runs_of_one_model_and_key_are_two_rows_told_apart_by_run() -> None:
    rows = block(
        measured("m", SIXTY, SIXTY, run_id="m-11111111"),
        measured("m", (50, 40, 60), SIXTY, run_id="m-22222222"),
    ).rows
    assert [r.label for r in rows] == ["m (m-11111111)", "m (m-22222222)"]


def test_two_folders_of_one_run_are_two_rows_and_both_in_the_csv(tmp_path: Path) -> None:
    """The same command on two machines gives one run id, and numbers that may differ."""
    runs = [measured("m", SIXTY, SIXTY), measured("m", (50, 40, 60), SIXTY), measured("n", *EQUAL)]
    assert run_ids(runs) == ["m-aaaa", "m-aaaa-2", "n-aaaa"]
    found = table(runs, NOTHING)
    told = [(r.label, r.run_id, r.scores["helpfulness"].value) for r in block(*runs).rows]
    assert told[:2] == [("m (m-aaaa)", "m-aaaa", 60.0), ("n", "n-aaaa", 60.0)]
    assert told[2] == ("m (m-aaaa-2)", "m-aaaa-2", 50.0)
    path = tmp_path / "taken-along.csv"
    path.write_text(to_csv(as_leaderboard(found)))
    names = ["m (m-aaaa)", "m (m-aaaa-2)", "n"]
    assert read_leaderboard(path)["model"].tolist() == names


def test_other_keys_stand_apart_with_what_differs_in_words() -> None:
    a, b = measured("a", SIXTY, SIXTY), measured("b", SIXTY, SIXTY, key="bbbb", limit=50)
    keys = {r.scores.comparability_key: r.manifest.comparability for r in (a, b)}
    first, second = block_views(table([a, b], NOTHING), keys)
    assert (list(first.apart), list(second.apart)) == ([], ["limit: none there, 50 here"])
    assert [r.rank for r in (*first.rows, *second.rows)] == [1, 1]


def test_what_is_not_known_of_a_key_is_said_so() -> None:
    views = block_views(
        table([measured("a", SIXTY, SIXTY), measured("b", SIXTY, SIXTY, key="b")], NOTHING), {}
    )
    assert views[1].apart == ["another comparability key, whose parts are not known here"]


def test_partial_rows_of_one_key_stand_apart() -> None:
    first, second = block_views(
        table([measured("a", SIXTY, SIXTY, partial=True), measured("b", SIXTY, SIXTY)], NOTHING), {}
    )
    assert (first.partial, second.partial) == (False, True)
    assert "partial" in second.apart[0]


def test_a_row_lists_judges_missing_tasks_and_what_it_rests_on() -> None:
    found = block(measured("a", SIXTY, None, missing=["bfpo_alert", "bfpo_advbench"]))
    assert list(found.embedded) == ["harm", "refusal"]
    assert list(found.missing) == ["bfpo_advbench", "bfpo_alert"]
    assert not found.null
    [row] = found.rows
    assert (row.rank, row.scores["harmlessness"].value, row.date) == (None, None, "2026-01-02")


def test_a_partial_block_says_what_of_the_suite_it_has() -> None:
    run = measured("a", SIXTY, SIXTY, partial=True, limit=10)
    keys = {run.scores.comparability_key: run.manifest.comparability}
    [known] = block_views(table([run], NOTHING), keys)
    [unknown] = block_views(table([run], NOTHING), {})
    assert (known.part, unknown.part) == ("1 task, at most 10 documents of it", "")


def test_a_row_of_the_null_engine_is_marked_and_has_no_rank() -> None:
    """Also with its run's id behind the name, which tells two runs of one model apart."""
    name = f"a{NULL_ENGINE}"
    found = block(
        *(measured(name, SIXTY, SIXTY, run_id=i) for i in "xy"), measured("b", SIXTY, SIXTY)
    )
    assert found.null
    assert [(r.label, r.rank) for r in found.rows] == [
        ("b", 1),
        (f"{name} (x)", None),
        (f"{name} (y)", None),
    ]


def test_an_empty_leaderboard_has_no_block() -> None:
    assert block_views(table([], NOTHING), {}) == []


def test_a_name_that_a_spreadsheet_would_run_is_neutral() -> None:
    [row] = block(measured("=cmd()", SIXTY, SIXTY)).rows
    assert row.label == "'=cmd()"
