"""Task scores side by side, by cell."""

from __future__ import annotations

from measured import measured

from bfpo_bench.leaderboard.report.model import RunView
from bfpo_bench.leaderboard.report.tasks import by_cell
from bfpo_bench.scoring.scores import TaskScore

SIXTY = (60.0, 50.0, 70.0)


def task(cell: str, weighted: bool = True) -> TaskScore:
    return TaskScore(
        cell=cell,
        family="f",
        weighted=weighted,
        metric="accuracy",
        raw_metric="acc",
        raw_higher_is_better=True,
        n=4,
        n_scored=4,
    )


def view(name: str, **tasks: TaskScore) -> RunView:
    run = measured(name, SIXTY, SIXTY, tasks=tasks)
    return RunView(1, name, name, "row-1-1", run, None, None, ())


def test_a_task_stands_once_with_every_run_that_was_asked_it() -> None:
    a = view("a", both=task("helpfulness/generative"), mine=task("harmlessness/generative"))
    b = view("b", both=task("helpfulness/generative"))
    found = {cell.name: {row.name: row for row in cell.tasks} for cell in by_cell([a, b])}
    assert list(found) == ["helpfulness/generative", "harmlessness/generative"]
    assert [v.label for v, _ in found["helpfulness/generative"]["both"].scores] == ["a", "b"]
    assert [v.label for v, _ in found["harmlessness/generative"]["mine"].scores] == ["a"]


def test_a_task_that_counts_in_no_mean_says_so() -> None:
    [cell] = by_cell([view("a", other=task("helpfulness/generative", weighted=False))])
    assert not cell.tasks[0].weighted
