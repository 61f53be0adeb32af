"""Paired differences: their intervals, p-values and corrections, by arithmetic done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from bfpo_bench.scoring.paired import mean_difference, paired
from bfpo_bench.scoring.paired_draws import Pairs
from bfpo_bench.scoring.paired_tests import bootstrap_p, holm, mcnemar_p, sign_flip_p

NAN = float("nan")


def pairs(a: Any, b: Any, name: str = "task", **more: Any) -> Pairs:
    fields: dict[str, Any] = {
        "measure": "points",
        "documents": np.arange(len(a)),
        "source": name,
        "population": name,
    }
    return Pairs(name, a=np.array(a, float), b=np.array(b, float), **fields | more)


def one(a: Any, b: Any, **more: Any) -> Any:
    return paired([pairs(a, b, **more)])["task"]


def test_a_difference_is_b_minus_a() -> None:
    """a: 1 of 4 safe, 25; b: 3 of 4, 75; the difference 50 points."""
    found = one([0, 0, 0, 100], [0, 100, 100, 100])
    assert (found.a, found.b, found.difference, found.n_pairs) == (25, 75, 50, 4)


def test_two_documents_have_an_interval_that_can_be_counted() -> None:
    """One document gains 100 points, one stays. A draw of two is (gain, gain) or (stay, stay), each
    with 1/4, else mixed: differences 100, 0 and 50. The 2.5 % percentile is 0, the 97.5 % one 100."""
    found = one([0, 100], [100, 100])
    assert (found.difference, found.low, found.high) == (50, 0, 100)
    shares = [float((found.resampled == value).mean()) for value in (0, 50, 100)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_equal_runs_differ_by_nothing() -> None:
    found = one([0, 100, 100], [0, 100, 100])
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_one_document_says_nothing_of_the_spread() -> None:
    """Its interval is all that a difference can be, also in a mean of two tasks: half of it and 0."""
    found = paired([pairs([0], [100]), pairs([0, 0], [0, 0], "other")])
    assert (found["task"].difference, found["task"].low, found["task"].high) == (100, -100, 100)
    mean = mean_difference(found, {"task": 1, "other": 1})
    assert (mean.difference, mean.low, mean.high) == (50, -50, 50)


def test_percent_of_stereotypes_is_best_at_a_half() -> None:
    """p of a is 1: 100 - 2 |100 - 50| = 0. p of b is 3/4: 100 - 2 * 25 = 50."""
    found = one([1, 1, 1, 1], [1, 1, 1, 0], measure="distance_from_half")
    assert (found.a, found.b, found.test) == (0, 50, "bootstrap")


def test_a_complement_is_better_where_the_metric_falls() -> None:
    """100 - 100 p: p 1/2 is 50 and p 0 is 100."""
    found = one([1, 0], [0, 0], measure="complement")
    assert (found.a, found.b, found.difference, found.test) == (50, 100, 50, "mcnemar")


def test_the_unjudged_are_left_out_and_bounded() -> None:
    """Judged pairs: 0 to 100 and 100 to 100, a difference of 50. The third is 100 in a and unjudged
    in b: (100 + 0 - 100) / 3 = 0 at least, (100 + 0 + 0) / 3 at most."""
    found = one([0, 100, 100], [100, 100, NAN])
    assert (found.n_pairs, found.left_out, found.difference) == (2, 1, 50)
    assert (found.bound_low, found.bound_high) == pytest.approx((0, 100 / 3))


def test_a_document_unjudged_in_both_may_go_either_way() -> None:
    found = one([100, NAN], [100, NAN])
    assert (found.bound_low, found.bound_high) == (-50, 50)


def test_samples_of_a_document_are_drawn_together() -> None:
    """Two documents of two samples each: one gains in both, the other in none. Drawn apart, 3 of 4
    gains would come; drawn together the difference is 0, 50 or 100."""
    found = one([0, 0, 0, 0], [100, 100, 0, 0], documents=np.array([0, 0, 1, 1]))
    assert set(np.unique(found.resampled)) == {0, 50, 100}
    assert found.test == "sign-flip"


def test_several_samples_are_no_pair_for_mcnemar() -> None:
    """Their sums of 0 and 100 look like single answers."""
    found = one([0, 0, 100, 0], [0, 100, 100, 0], documents=np.array([0, 0, 1, 1]))
    assert found.test == "sign-flip"


def test_tasks_on_the_same_documents_are_drawn_together() -> None:
    """Where one task gains the other loses: their mean never moves. Drawn apart it would."""
    gains, loses = ([0] * 8, [100, 0] * 4), ([100] * 8, [0, 100] * 4)
    together = {"source": "s", "population": "p"}
    found = paired([pairs(*gains, "x", **together), pairs(*loses, "y", **together)])
    mean = mean_difference(found, {"x": 1, "y": 1})
    assert (mean.low, mean.high) == (0, 0)
    apart = paired([pairs(*gains, "x"), pairs(*loses, "y")])
    assert mean_difference(apart, {"x": 1, "y": 1}).low < -5


def test_tasks_on_other_documents_of_the_same_data_are_fully_correlated() -> None:
    """Their intervals add up: the mean of two equal tasks is as wide as either."""
    values = ([0] * 50, [0, 100] * 25)
    found = paired([pairs(*values, "x", source="s"), pairs(*values, "y", source="s")])
    mean = mean_difference(found, {"x": 1, "y": 1})
    width = found["x"].high - found["x"].low
    assert mean.high - mean.low == pytest.approx(width, rel=0.1)
    apart = mean_difference(paired([pairs(*values, "x"), pairs(*values, "y")]), {"x": 1, "y": 1})
    assert apart.high - apart.low == pytest.approx(width / 2**0.5, rel=0.1)


def test_weights_are_those_of_the_means() -> None:
    """(3 * 100 + 1 * 0) / 4 = 75."""
    found = paired([pairs([0, 0], [100, 100], "x"), pairs([0, 0], [0, 0], "y")])
    assert mean_difference(found, {"x": 3, "y": 1}).difference == 75


def test_equal_data_give_equal_numbers() -> None:
    a, b = [0, 100] * 30, [0, 0, 100] * 20
    assert one(a, b).low == one(a, b).low
    assert (one(a, b).resampled == one(a, b).resampled).all()


@given(st.lists(st.tuples(st.sampled_from([0, 100, 50]), st.sampled_from([0, 100])), min_size=2))
def test_the_other_way_round_every_sign_turns(values: list[tuple[float, float]]) -> None:
    a, b = zip(*values, strict=True)
    there, back = one(a, b), one(b, a)
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert (there.p, there.test) == (pytest.approx(back.p), back.test)
    means = [mean_difference({"task": found}, {"task": 1}) for found in (there, back)]
    assert means[0].p == means[1].p
    assert there.low <= there.difference <= there.high


def test_kinds_of_rows_are_drawn_alike_the_other_way_round() -> None:
    """64 documents of four kinds, which sort in another order when the runs change sides."""
    a = [100] * 20 + [0] * 30 + [100] * 8 + [0] * 6
    b = [0] * 20 + [100] * 38 + [0] * 6
    assert (one(a, b).resampled == -one(b, a).resampled).all()


def test_drawing_kinds_of_rows_is_drawing_rows() -> None:
    """64 documents of two kinds are drawn by kind; a hair of noise makes them 64 kinds."""
    a = np.zeros(64)
    b = np.array([100.0] * 20 + [0.0] * 44)
    noisy = b + np.linspace(0, 1e-6, 64)
    found, other = one(a, b), one(a, noisy)
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=1.6)
    assert found.resampled.std() == pytest.approx(other.resampled.std(), rel=0.05)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """200 simulated pairs of runs on 120 documents: b is right where a is wrong on 15 % and wrong where
    a is right on 5 %, so the true difference is 10 points. 95 % of 200 is 190, give or take 3 * 3.1."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        kind = generator.choice(4, 120, p=[0.15, 0.05, 0.5, 0.3])
        a = np.where((kind == 1) | (kind == 2), 100, 0)
        b = np.where((kind == 0) | (kind == 2), 100, 0)
        found = one(a, b)
        covered += found.low <= 10 <= found.high
    assert 181 <= covered <= 199


def test_an_interval_without_width_says_what_it_cannot_see() -> None:
    """Of 60 documents none changed: up to 3/60 of all may, by 100 points each, 5 points. Where all 60
    gain 100, some 3/60 may lose 100 instead: 200 points each, 10. One that differs is seen."""
    assert one([0] * 60, [0] * 60).unseen == 5
    assert one([1] * 60, [1] * 60, measure="higher").unseen == 5
    assert one([0] * 60, [100] * 60).unseen == 10
    assert one([1, 0] * 30, [1, 0] * 30, measure="distance_from_half").unseen == 10
    assert one([0] * 60, [0] * 59 + [100]).unseen is None
    assert one([0], [0]).unseen is None


def test_samples_do_not_make_more_documents() -> None:
    """Two documents of 30 samples: everything is possible."""
    assert one([0] * 60, [0] * 60, documents=np.repeat([0, 1], 30)).unseen == 100


def test_a_mean_sees_as_little_as_its_least_certain_part() -> None:
    """x: 3/60 of 100 points, half of that 2.5; y: 3/300, half of that 0.5."""
    found = paired([pairs([0] * 60, [0] * 60, "x"), pairs([0] * 300, [0] * 300, "y")])
    assert mean_difference(found, {"x": 1, "y": 1}).unseen == 2.5
    assert mean_difference(found, {"x": 0, "y": 1}).unseen == 1
    seen = found | paired([pairs([0] * 60, [0] * 59 + [100], "x")])
    assert mean_difference(seen, {"x": 1, "y": 1}).unseen is None


def test_a_mean_of_few_documents_is_not_certain() -> None:
    """Two tasks of two documents, and all four gain: of 2 ** 4 signs two are as far, p = 2 / 16. All
    draws of the bootstrap are alike, which would make it certain."""
    found = paired([pairs([0, 0], [100, 100], "x"), pairs([0, 0], [100, 100], "y")])
    mean = mean_difference(found, {"x": 1, "y": 1})
    assert (mean.p, mean.test) == (pytest.approx(2 / 16, abs=0.015), "sign-flip")
    assert mean_difference(found, {"x": 1, "y": 0}).p == pytest.approx(2 / 4, abs=0.02)


def test_a_mean_of_the_same_documents_has_no_more_of_them() -> None:
    """Two tasks on the same three documents: 2 / 2 ** 3, not 2 / 2 ** 6."""
    same = {"source": "s", "population": "p"}
    found = paired([pairs([0] * 3, [100] * 3, name, **same) for name in ("x", "y")])
    assert mean_difference(found, {"x": 1, "y": 1}).p == pytest.approx(2 / 8, abs=0.02)


def test_a_mean_is_tested_by_the_direction_of_its_parts() -> None:
    """A metric that rises is a gain for x and a loss for its complement y: together nothing."""
    same = {"source": "s", "population": "p"}
    x = pairs([0] * 6, [1] * 6, "x", measure="higher", **same)
    y = pairs([0] * 6, [1] * 6, "y", measure="complement", **same)
    found = paired([x, y])
    assert mean_difference(found, {"x": 1, "y": 1}).p == 1
    assert np.ptp(found["x"].by_chance + found["y"].by_chance) == 0


def test_a_mean_of_equal_models_is_rarely_called_different() -> None:
    """100 pairs of equal models, on a task of 8 documents, one of 40 and a share of stereotypes of 40:
    p below 0.05 comes 5 times, give or take 3 * 2.2."""
    generator = np.random.default_rng(1)
    called = 0
    for _ in range(100):
        drawn = [(generator.integers(0, 2, (2, n)), n) for n in (8, 40, 40)]
        tasks = [
            pairs(*(100 * drawn[0][0]), "x"),
            pairs(*drawn[1][0], "y", measure="higher"),
            pairs(*drawn[2][0], "z", measure="distance_from_half"),
        ]
        called += mean_difference(paired(tasks), {"x": 2, "y": 1, "z": 1}).p < 0.05
    assert called <= 11


def test_mcnemar_counts_the_pairs_that_changed() -> None:
    """8 gained and 1 lost: twice the chance of at most 1 head in 9, (1 + 9) / 512, is 20 / 512."""
    assert mcnemar_p(8, 1) == pytest.approx(20 / 512)
    assert mcnemar_p(8, 1) == mcnemar_p(1, 8) == pytest.approx(2 * binom.cdf(1, 9, 0.5))
    assert mcnemar_p(0, 0) == 1
    found = one([0] * 8 + [100] + [0] * 91, [100] * 8 + [0] + [0] * 91)
    assert (found.p, found.test) == (pytest.approx(20 / 512), "mcnemar")


def test_sign_flips_find_the_exact_share() -> None:
    """Four gains of different sizes: only all signs alike are as far, 2 of 16."""
    assert sign_flip_p(np.array([10.0, 20, 30, 45])) == pytest.approx(2 / 16, abs=0.015)
    assert sign_flip_p(np.zeros(5)) == 1


def test_many_equal_sizes_are_flipped_as_one() -> None:
    """32 documents gain 10 points: of 2 ** 32 signs only two are as far, which 10,000 draws do not
    see; the data count as one draw."""
    assert sign_flip_p(np.full(32, 10.0)) == pytest.approx(1 / 10_001)
    assert sign_flip_p(np.array([10.0, -10.0] * 16)) == 1


def test_a_bootstrap_has_twice_the_tail() -> None:
    """3 of 99 draws are not above 0: 2 * (1 + 3) / 100."""
    assert bootstrap_p(np.array([-1.0] * 3 + [1.0] * 96)) == pytest.approx(0.08)
    assert bootstrap_p(np.zeros(99)) == 1


def test_holm_multiplies_the_smallest_by_all() -> None:
    """0.01 * 3 = 0.03; 0.03 * 2 = 0.06; 0.04 * 1 would be less than that: 0.06 again."""
    found = holm({"x": 0.04, "y": 0.01, "z": 0.03})
    assert found == pytest.approx({"x": 0.06, "y": 0.03, "z": 0.06})
    assert holm({}) == {}
