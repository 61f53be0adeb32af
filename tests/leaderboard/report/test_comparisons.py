"""Which runs a report compares."""

from __future__ import annotations

from measured import measured

from bfpo_bench.leaderboard.report.comparisons import comparison_views, pairs
from bfpo_bench.leaderboard.report.model import RunView
from bfpo_bench.scoring.finished import FinishedRun

SIXTY = (60.0, 50.0, 70.0)
A, B, C = (measured(name, SIXTY, SIXTY) for name in "abc")
TRAINED = measured("trained", SIXTY, SIXTY, base="b")
ELSEWHERE = measured("elsewhere", SIXTY, SIXTY, key="bbbb", limit=50)


def named(runs: list[FinishedRun], baseline: FinishedRun | None = None) -> list[str]:
    return [f"{b.name} against {a.name}" for a, b in pairs(runs, baseline)]


def test_of_two_runs_the_first_is_the_baseline() -> None:
    assert named([A, B]) == ["b against a"]


def test_a_trained_model_is_held_against_its_base_wherever_it_stands() -> None:
    assert named([TRAINED, B]) == ["trained against b"]
    assert named([A, TRAINED, B]) == ["trained against b"]


def test_of_several_unrelated_runs_none_is_a_baseline() -> None:
    assert named([A, B, C]) == []


def test_a_named_baseline_is_held_against_every_other_run() -> None:
    assert named([A, B, C], B) == ["a against b", "c against b"]


def test_runs_that_were_not_measured_alike_are_not_compared_and_told_why() -> None:
    assert named([A, ELSEWHERE]) == []
    runs = [A, ELSEWHERE]
    views = [
        RunView(n, r.run_id, r.name, f"row-{n}", r, None, None, ()) for n, r in enumerate(runs)
    ]
    [view] = comparison_views(runs, views, A)
    assert view.comparison is None
    assert view.refused == (
        "Not compared, since they were not measured alike: limit: none there, 50 here."
    )
