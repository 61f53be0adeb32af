"""Charts of the page: in both themes, with words beside them, and none where nothing can be drawn."""

from __future__ import annotations

import json
from pathlib import Path

from boards import data
from measured import block, measured

from bfpo_bench.leaderboard.report.charts import run_view, standing
from bfpo_bench.leaderboard.report.model import Interval
from bfpo_bench.leaderboard.report.rows import as_leaderboard, block_views, table
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.names import NULL_ENGINE
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.scores import OutcomeCounts, TaskScore

SIXTY = (60.0, 50.0, 70.0)


def test_the_plane_is_there_in_both_themes_and_widths_and_in_words() -> None:
    found = standing(block(measured("a", SIXTY, (80, 70, 90)))).plane
    assert found is not None
    assert found.summary.endswith("a: 60.0 [50.0, 70.0], 80.0 [70.0, 90.0]")
    looks = [found.light, found.dark, found.narrow["light"], found.narrow["dark"]]
    assert len({json.dumps(look, allow_nan=False) for look in looks}) == 4


def test_a_block_without_both_scores_has_no_plane_and_names_who_lacks_one() -> None:
    found = standing(block(measured("a", SIXTY, None)))
    assert (found.plane, found.cells, found.undrawn) == (None, None, ["a"])


def test_a_run_without_scored_tasks_has_no_charts() -> None:
    run = measured("a", SIXTY, SIXTY)
    view = run_view(1, run, block(run).rows[0], [])
    assert (view.tasks, view.outcomes) == (None, None)


def test_the_null_engine_alone_has_no_plane() -> None:
    found = standing(block(measured(f"n{NULL_ENGINE}", SIXTY, SIXTY)))
    assert (found.plane, list(found.undrawn)) == (None, [])


def turning(tokens: int | None, value: float | None) -> TaskScore:
    return TaskScore(
        value=value,
        ci_low=None if value is None else value - 2,
        ci_high=None if value is None else value + 2,
        cell="harmlessness/generative",
        family="late_refusal",
        weighted=True,
        metric="safe rate",
        raw_metric="attack success rate",
        raw_higher_is_better=False,
        n=4,
        n_scored=4,
        outcomes=OutcomeCounts(safe=2, safe_refused=2, complied=2),
        started_tokens=tokens,
    )


def late(model: str, values: dict[int, float | None], **more: str) -> FinishedRun:
    """A run whose tasks start answers with so many tokens, with these scores."""
    tasks = {f"bfpo_late_refusal_k{k}": turning(k, value) for k, value in values.items()}
    return measured(model, None, None, tasks=tasks, **more)


def test_scores_after_several_numbers_of_tokens_are_a_curve_in_words_and_numbers() -> None:
    runs = [late("a", {0: 90.0, 25: 20.0}), late("b", {0: 80.0, 25: None})]
    [found] = standing(block(*runs), runs).curves
    assert (found.name, found.measure, list(found.tokens)) == (
        "late_refusal",
        "turned back",
        [0, 25],
    )
    assert found.rows == {
        "a": {0: Interval(90, 88, 92), 25: Interval(20, 18, 22)},
        "b": {0: Interval(80, 78, 82), 25: Interval()},
    }
    assert found.chart.summary.endswith(
        "a: 90.0 [88.0, 92.0] after 0, 20.0 [18.0, 22.0] after 25; "
        "b: 80.0 [78.0, 82.0] after 0, – after 25"
    )
    looks = [found.chart.light, found.chart.dark, *found.chart.narrow.values()]
    assert len({json.dumps(look, allow_nan=False) for look in looks}) == 4
    drawn = {(d["name"], d["tokens"]) for d in data(found.chart.light)}
    assert drawn == {("a", 0), ("a", 25), ("b", 0)}


def test_runs_of_another_key_have_a_curve_of_their_own() -> None:
    runs = [late("a", {0: 90.0, 5: 20.0}), late("b", {0: 80.0, 5: 10.0}, key="bbbb")]
    views = block_views(table(runs, read_leaderboard(Path("none.csv"))), {})
    found = [[list(curve.rows) for curve in standing(view, runs).curves] for view in views]
    assert found == [[["a"]], [["b"]]]


def test_what_a_run_of_another_key_says_of_a_task_does_not_hold() -> None:
    """A task of the same name may start no answers there."""
    names = [f"bfpo_late_refusal_k{k}" for k in (0, 5)]
    plain = measured("b", None, None, key="bbbb", tasks={n: turning(None, 9.0) for n in names})
    assert not standing(block(plain), [late("a", {0: 90.0, 5: 20.0}), plain]).curves


def test_a_row_that_a_leaderboard_alone_knows_is_in_the_curve_of_its_key() -> None:
    """The CSV does not say how many tokens a task starts answers with: a run of the same key does."""
    mine, theirs = late("a", {0: 90.0, 5: 20.0}), late("b", {0: 80.0, 5: 10.0})
    stored = as_leaderboard(table([theirs], read_leaderboard(Path("none.csv"))))
    [both] = block_views(table([mine], stored), {})
    [found] = standing(both, [mine]).curves
    assert list(found.rows) == ["a", "b"]
    assert not standing(both, []).curves


def test_there_is_no_curve_without_scores_at_two_numbers_of_tokens() -> None:
    for values in ({5: 20.0}, {0: 90.0, 5: None}, {0: None, 5: None}):
        runs = [late("a", values)]
        assert not standing(block(*runs), runs).curves
    plain = [
        measured(
            "a", SIXTY, SIXTY, tasks={"bfpo_k0": turning(None, 9), "bfpo_k5": turning(None, 9)}
        )
    ]
    assert not standing(block(*plain), plain).curves


def test_the_null_engine_has_no_line() -> None:
    runs = [late("a", {0: 90.0, 5: 20.0}), late(f"n{NULL_ENGINE}", {0: 0.0, 5: 0.0})]
    [found] = standing(block(*runs), runs).curves
    assert list(found.rows) == ["a"]
