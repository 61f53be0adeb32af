"""A grade of 1 to 10."""

from __future__ import annotations

import pytest

from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.rating.parser import parse


@pytest.mark.parametrize("grade", range(1, 11))
def test_a_whole_number_of_1_to_10_is_the_score(grade: int) -> None:
    found = parse(Reply(f"Good enough.\nRating: {grade}", "stop", None, 1, 1))
    assert (found.label, found.score, found.error) == ("rated", grade, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "rating: 0",
        "rating: 11",
        "rating: 100",
        "rating: -3",
        "rating: 7.5",
        "rating: 7/10",
        "rating: seven",
        "rating: N",
        "rating: 7\nrating: 8",
        "rating: 7\nThat is all.",
        "Rating: [[7]]",
        "I would rather not grade this.",
    ],
)
def test_anything_else_is_no_grade(text: str) -> None:
    found = parse(Reply(text, "stop", None, 1, 1))
    assert (found.label, found.score) == ("unjudged", None)
    assert found.raw == text
    assert found.error
