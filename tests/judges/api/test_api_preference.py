"""A preference from the probabilities of two names, read for the order in which they were shown."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.judges.api.preference import label_of, read_preference
from bfpo_bench.judges.api.reply import Reply


def reply(text: str, probabilities: Mapping[str, float] | None = None) -> Reply:
    logprobs = None
    if probabilities is not None:
        logprobs = {t: math.log(p) if p else -math.inf for t, p in probabilities.items()}
    return Reply(text, "length", logprobs, 1, 1)


@pytest.mark.parametrize(
    ("probabilities", "score", "label"),
    [
        # 1 + 0.2 / (0.6 + 0.2) = 1.25
        ({"m": 0.6, "M": 0.2, "The": 0.1}, 1.25, "worse"),
        ({"m": 0.2, "M": 0.6}, 1.75, "better"),
        ({"m": 0.4, "M": 0.4}, 1.5, "draw"),
        ({"m": 0.9, "The": 0.05}, 1.0, "worse"),
        ({"M": 0.9, "The": 0.05}, 2.0, "better"),
        # A name with a space before it is the same name: 1 + 0.3 / (0.2 + 0.1 + 0.3) = 1.5
        ({"m": 0.2, " m": 0.1, "M": 0.3}, 1.5, "draw"),
    ],
)
def test_the_share_of_the_second_name(
    probabilities: dict[str, float], score: float, label: str
) -> None:
    found = read_preference(reply("m", probabilities))
    assert found.score == pytest.approx(score)
    assert found.label == label


@pytest.mark.parametrize(
    "probabilities",
    [
        {"The": 0.9, "I": 0.1},
        {"I": 0.9, "m": 0.05, "M": 0.01},  # it was about to refuse
        {"mm": 0.5, "Mr": 0.4},
        {"m": 0.0, "M": 0.0},
        {},
    ],
)
def test_a_judge_that_meant_something_else_has_no_preference(
    probabilities: dict[str, float],
) -> None:
    found = read_preference(reply("I", probabilities))
    assert (found.label, found.score) == ("unjudged", None)
    assert "neither answer" in (found.error or "")


@pytest.mark.parametrize(("text", "score"), [("m", 1.0), ("M", 2.0), (" M\n", 2.0)])
def test_without_log_probabilities_the_text_is_read(text: str, score: float) -> None:
    assert read_preference(reply(text)).score == score


@pytest.mark.parametrize("text", ["", "m is better", "Answer M", "model m", "mM", "1", "µ"])
def test_without_log_probabilities_other_words_are_no_preference(text: str) -> None:
    assert read_preference(reply(text)).label == "unjudged"


def test_a_draw_is_exact_but_for_rounding() -> None:
    assert [label_of(p) for p in (1.5, 1.5 + 1e-9, 1.5 - 1e-9)] == ["draw"] * 3
    assert [label_of(p) for p in (1.50001, 1.49999)] == ["better", "worse"]


@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0))
def test_exchanging_the_names_mirrors_the_preference(one: float, other: float) -> None:
    first = read_preference(reply("m", {"m": one, "M": other}))
    second = read_preference(reply("m", {"m": other, "M": one}))
    assert first.label == "unjudged" if first.score is None else 1 <= first.score <= 2
    assert (first.score is None) == (second.score is None)
    if first.score is not None and second.score is not None:
        assert first.score + second.score == pytest.approx(3)
