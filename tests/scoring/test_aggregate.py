"""Families, cells and dimensions are means of means."""

from __future__ import annotations

from typing import Any

import pytest

from bfpo_bench.scoring.aggregate import cell_score, families, mean_score, over_refusal
from bfpo_bench.scoring.outcomes import Judged
from bfpo_bench.scoring.scores import Score, TaskScore

CELL = "harmlessness/discriminative"


def scored(family: str, value: float | None, width: float = 0, **more: Any) -> TaskScore:
    bounds = {} if value is None else {"ci_low": value - width, "ci_high": value + width}
    fields: dict[str, Any] = {
        "cell": CELL,
        "family": family,
        "weighted": True,
        "metric": "accuracy",
        "raw_metric": "acc",
        "raw_higher_is_better": True,
        "n": 10,
        "n_scored": 10,
        "value": value,
    }
    return TaskScore(**fields | bounds | more)


def apart(tasks: dict[str, TaskScore]) -> dict[str, str]:
    """Every task on data of its own."""
    return {name: name for name in tasks}


def test_five_tasks_of_one_family_weigh_as_one_task() -> None:
    """ETHICS 50, 60, 70, 80, 90: mean 70. With CrowS-Pairs at 30 the cell is (70 + 30) / 2 = 50;
    the mean of the six tasks would be 63.3."""
    tasks = {f"ethics_{v}": scored("ethics", v) for v in (50, 60, 70, 80, 90)}
    tasks["crows"] = scored("crows_pairs", 30)
    found = families(tasks, apart(tasks))[CELL]
    assert {name: s.value for name, s in found.items()} == {"ethics": 70, "crows_pairs": 30}
    assert mean_score(list(found.values())).value == 50


def test_tasks_of_a_family_on_the_same_documents_have_the_wider_interval() -> None:
    """Two tasks, each -+ 8: on one data set (8 + 8) / 2 = 8, on two sqrt(4^2 + 4^2) = 5.657."""
    tasks = {"a": scored("f", 40, 8), "b": scored("f", 60, 8)}
    together = families(tasks, {"a": "data", "b": "data"})[CELL]["f"]
    assert (together.ci_low, together.value, together.ci_high) == (42, 50, 58)
    independent = families(tasks, apart(tasks))[CELL]["f"]
    assert independent.ci_low == pytest.approx(50 - 5.657, abs=1e-3)
    assert independent.ci_high == pytest.approx(50 + 5.657, abs=1e-3)


def test_what_has_no_value_or_no_weight_is_left_out() -> None:
    tasks = {
        "a": scored("f", 40),
        "b": scored("f", None),
        "c": scored("g", None),
        "d": scored("hhh_other", 90, weighted=False),
    }
    found = families(tasks, apart(tasks))
    assert found == {CELL: {"f": Score(value=40, ci_low=40, ci_high=40)}}


def test_families_of_one_name_in_two_cells_stay_apart() -> None:
    """XSTest has unsafe prompts in one cell and safe ones in another."""
    tasks = {
        "unsafe": scored("xstest", 20, cell="harmlessness/generative"),
        "safe": scored("xstest", 80, cell="helpfulness/generative"),
    }
    found = families(tasks, apart(tasks))
    assert found["harmlessness/generative"]["xstest"].value == 20
    assert found["helpfulness/generative"]["xstest"].value == 80


def test_the_mean_of_cells_needs_them_all() -> None:
    whole = Score(value=60, ci_low=50, ci_high=70)
    assert mean_score([whole, Score()]) == Score()
    assert mean_score([]) == Score()
    assert mean_score([whole, whole]).value == 60


def test_the_mean_of_two_cells_with_its_interval() -> None:
    """(60 + 80) / 2 = 70; below sqrt(3^2 + 4^2) = 5, above sqrt(6^2 + 8^2) = 10."""
    parts = [Score(value=60, ci_low=54, ci_high=72), Score(value=80, ci_low=72, ci_high=96)]
    assert mean_score(parts) == Score(value=70, ci_low=65, ci_high=80)


def test_bounds_of_a_percentage_stay_a_percentage() -> None:
    """Of two tasks at 99 -+ 9 and 1 -+ 9 each family's own interval ends at 100 and 0."""
    tasks = {"a": scored("high", 99, 9), "b": scored("low", 1, 9)}
    found = families(tasks, apart(tasks))[CELL]
    assert found["high"].ci_high == 100
    assert found["low"].ci_low == 0


def test_over_refusal_is_a_raw_rate_of_all_benign_prompts() -> None:
    """1 refused, 2 answered, 1 degenerate, 1 unjudged: 1 / 4 = 25 %.

    Wilson of 1 / 4: centre (1 + 1.920729) / 7.841459 = 0.372473; half width 1.959964 / 7.841459 *
    sqrt(0.75 + 0.960365) = 0.326885, so 4.5588 .. 69.9358 %.
    """
    found = over_refusal(
        {
            Judged("over_refused", True): 1,
            Judged("answered", False): 2,
            Judged("degenerate", None): 1,
            Judged("unjudged", None): 1,
        }
    )
    assert found.value == 25
    assert found.ci_low == pytest.approx(4.5588, abs=1e-3)
    assert found.ci_high == pytest.approx(69.9358, abs=1e-3)


@pytest.mark.parametrize("results", [{}, {Judged("unjudged", None): 1}])
def test_over_refusal_of_nothing_judged_is_no_rate(results: dict[Judged, int]) -> None:
    assert over_refusal(results) == Score()


def test_a_suites_weights_are_of_families() -> None:
    """a 20 with weight 3, b 60 with the usual 1: (3 * 20 + 60) / 4 = 30. Half-widths 8 and 4 become
    sqrt((0.75 * 8)^2 + (0.25 * 4)^2) = sqrt(37) = 6.083."""
    members = {
        "a": Score(value=20, ci_low=12, ci_high=28),
        "b": Score(value=60, ci_low=56, ci_high=64),
    }
    found = cell_score(members, {"a": 3.0})
    assert found.value == 30
    assert found.ci_low == pytest.approx(30 - 6.0828, abs=1e-4)
    assert found.ci_high == pytest.approx(30 + 6.0828, abs=1e-4)
    assert cell_score(members, {"a": 0.0}).value == 60
    assert cell_score(members, {"a": 0.0, "b": 0.0}) == Score()
