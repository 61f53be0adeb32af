"""From scores to levels, with cuts worked by hand."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.training.control.cuts import Cuts, quantile_cuts, width_cuts


def levels(cuts: Cuts, scores: list[float]) -> list[int]:
    return [cuts.level(score) for score in scores]


def test_quantiles_of_ten_scores() -> None:
    """Two each in five levels: the cuts are the 2nd, 4th, 6th and 8th smallest, which belong to the
    level below them."""
    scores = [float(n) for n in range(10, 20)]
    cuts = quantile_cuts(Random(0).sample(scores, 10), 5)
    assert cuts.values == (11, 13, 15, 17)
    assert levels(cuts, scores) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_quantiles_where_they_do_not_come_out_even() -> None:
    """Seven scores in three levels: ceil(7/3) = 3 and ceil(14/3) = 5, so 3, 2 and 2 of them."""
    scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    cuts = quantile_cuts(scores, 3)
    assert cuts.values == (3, 5)
    assert levels(cuts, scores) == [0, 0, 0, 1, 1, 2, 2]


def test_equal_scores_stay_together_in_the_lowest_of_their_levels() -> None:
    """Of eight scores five are 2: cuts at the 2nd, 4th and 6th smallest are 2, 2 and 2."""
    scores = [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 4.0]
    cuts = quantile_cuts(scores, 4)
    assert cuts.values == (2, 2, 2)
    assert levels(cuts, scores) == [0, 0, 0, 0, 0, 0, 3, 3]


def test_equal_widths_of_probabilities() -> None:
    """1 - 2 p in four levels: cuts at -1/2, 0 and 1/2, which are p = 3/4, 1/2 and 1/4."""
    cuts = width_cuts(4)
    assert cuts.values == (-0.5, 0, 0.5)
    assert levels(cuts, [-1, -0.5, -0.49, 0, 0.01, 0.5, 0.51, 1]) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_labels_have_the_ends(count: int) -> None:
    """-1 is the least level and 1 the greatest; 0, a partial refusal, the middle or just below it."""
    assert levels(width_cuts(count), [-1, 0, 1]) == [0, (count - 1) // 2, count - 1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(2, 10))
def test_a_level_is_the_share_of_scores_below(scores: list[float], count: int) -> None:
    """Counted otherwise: level k or above is out of reach of at least k / count of all scores, and a
    higher score is at no lower level."""
    cuts = quantile_cuts(scores, count)
    found = levels(cuts, scores)
    assert len(cuts.values) == count - 1
    assert all(0 <= level < count for level in found)
    for score, level in zip(scores, found, strict=True):
        below = sum(other < score for other in scores)
        assert below * count >= level * len(scores)
        assert level == count - 1 or (below * count < (level + 1) * len(scores))
    ordered = sorted(zip(scores, found, strict=True))
    assert [level for _, level in ordered] == sorted(found)
