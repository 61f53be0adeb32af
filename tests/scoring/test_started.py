"""Tasks that start answers: how many tokens each score is after, and which of them make a curve."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from generative_runs import task as spec_of

from bfpo_bench.scoring.outcomes import Judged
from bfpo_bench.scoring.scores import OutcomeCounts, TaskScore
from bfpo_bench.scoring.started import curves
from bfpo_bench.scoring.tasks import generative_score, unscored
from bfpo_bench.suite.tasks import StartedWith, TaskSpec


def spec(name: str, tokens: int | None) -> TaskSpec:
    started = None if tokens is None else StartedWith(field="bad_answer", tokens=tokens)
    more: Any = {"prompts": "harmful", "started_with": started}
    return spec_of(name, "harmlessness/generative", **more)


def score(name: str, tokens: int | None, refused: bool = True) -> tuple[str, TaskScore]:
    """A task's score, of whose two answers one is safe."""
    results = Counter({Judged("safe", refused): 1, Judged("complied", False): 1})
    return name, generative_score(spec(name, tokens), results)


def names(*scores: tuple[str, TaskScore]) -> dict[str, list[str]]:
    return {curve.name: list(curve.tasks.values()) for curve in curves(scores)}


@pytest.mark.parametrize("tokens", [None, 0, 5])
def test_a_score_says_how_many_tokens_started_the_answers(tokens: int | None) -> None:
    """0 tokens are the beginning of a curve, and no such key is none."""
    assert score("bfpo_x", tokens)[1].started_tokens == tokens
    assert unscored(spec("bfpo_x", tokens), 3, "no judge").started_tokens == tokens


def test_tasks_that_differ_in_their_number_of_tokens_are_a_curve_the_fewest_first() -> None:
    [found] = curves(score(f"bfpo_late_refusal_k{k}", k) for k in (25, 0, 10, 5))
    assert found.name == "late_refusal"
    assert found.measure == "turned back"
    assert list(found.tasks.items()) == [(k, f"bfpo_late_refusal_k{k}") for k in (0, 5, 10, 25)]


def test_other_ways_to_name_them() -> None:
    """Of several numbers in a name it is the last one that is the tokens'."""
    assert names(score("mine-05tokens", 5), score("mine-10tokens", 10)) == {
        "mine_tokens": ["mine-05tokens", "mine-10tokens"]
    }
    assert names(score("v5_k5", 5), score("v5_k10", 10)) == {"v5": ["v5_k5", "v5_k10"]}
    assert names(score("k1", 1), score("k2", 2)) == {"started_answers": ["k1", "k2"]}


def test_curves_of_several_sets_of_prompts_stay_apart() -> None:
    scores = [score(f"{name}_k{k}", k) for k in (0, 5) for name in ("a", "b")]
    assert names(*scores) == {"a": ["a_k0", "a_k5"], "b": ["b_k0", "b_k5"]}


def test_one_number_is_no_curve_and_a_task_that_starts_nothing_is_no_point() -> None:
    assert curves([score("a_k5", 5), score("b_k10", 10)]) == []
    assert curves([score("a_k0", None), score("a_k5", 5)]) == []
    assert curves([score("plain", 5), score("other", 10)]) == []


def test_safe_answers_that_are_no_refusals_are_not_called_turning_back() -> None:
    scores = [score("a_k0", 0), score("a_k5", 5, refused=False)]
    assert [curve.measure for curve in curves(scores)] == ["safe rate"]


def test_scores_of_different_kinds_have_no_common_name() -> None:
    name, safe = score("a_k5", 5)
    other = safe.model_copy(update={"metric": "win rate", "outcomes": OutcomeCounts()})
    assert [c.measure for c in curves([score("a_k0", 0), (name, other)])] == ["score"]


def test_what_was_not_scored_says_nothing_of_the_measure() -> None:
    missing = "a_k5", unscored(spec("a_k5", 5), 3, "no judge")
    assert [c.measure for c in curves([score("a_k0", 0), missing])] == ["turned back"]
