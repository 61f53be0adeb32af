"""Agreement, against tables that fit in a docstring."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.metrics.agreement import AnnotationTask

from bfpo_bench.scoring.agreement import (
    Alpha,
    agreement,
    detection,
    grouped,
    krippendorff_alpha,
)
from bfpo_bench.scoring.intervals import RESAMPLES

REFUSAL = ("refusal", "partial_refusal", "compliance")


def pairs(table: dict[tuple[str, str], int]) -> tuple[list[str], list[str]]:
    """Two label sequences with `table` as their confusion: (reference, given) -> count."""
    both = [cell for cell, count in table.items() for _ in range(count)]
    return [one for one, _ in both], [other for _, other in both]


def test_cohens_kappa_of_a_table_of_two() -> None:
    """50 items: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no. Observed 35/50 = 0.7; by chance
    (25 * 30 + 25 * 20) / 2500 = 0.5; kappa = 0.2 / 0.5 = 0.4."""
    table = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    found = agreement(*pairs(table), ("yes", "no"), "seed")
    assert found.confusion == ((20, 5), (10, 15))
    assert found.observed == 0.7
    assert found.kappa == pytest.approx(0.4)
    assert found.ci_low is not None
    assert found.ci_high is not None
    # The large-sample standard error is sqrt(0.7 * 0.3 / 50) / 0.5 = 0.13: about 0.15 .. 0.65
    assert found.ci_low == pytest.approx(0.15, abs=0.05)
    assert found.ci_high == pytest.approx(0.65, abs=0.05)


def test_the_confusion_keeps_the_order_of_labels_and_appends_others() -> None:
    """A judge that never says `partial_refusal` has a column of zeros; `degenerate`, which is none of
    the labels, comes last."""
    human = ["compliance", "partial_refusal", "refusal", "refusal"]
    judge = ["compliance", "refusal", "refusal", "degenerate"]
    found = agreement(human, judge, REFUSAL, "seed")
    assert found.labels == (*REFUSAL, "degenerate")
    assert found.confusion == ((1, 0, 0, 1), (1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0))


def test_unjudged_lowers_the_coverage_and_nothing_else() -> None:
    table = {("a", "a"): 6, ("a", "b"): 2, ("b", "b"): 4}
    human, judge = pairs(table)
    without = agreement(human, judge, ("a", "b"), "seed")
    found = agreement([*human, "a", "b"], [*judge, "unjudged", "unjudged"], ("a", "b"), "seed")
    assert (found.n, found.unjudged) == (12, 2)
    assert found.coverage == pytest.approx(12 / 14)
    assert (found.kappa, found.ci_low, found.ci_high) == (
        without.kappa,
        without.ci_low,
        without.ci_high,
    )


def test_kappa_is_undefined_where_both_say_one_thing() -> None:
    """Chance alone would agree on everything: 0 / 0."""
    found = agreement(["a", "a", "a"], ["a", "a", "unjudged"], ("a", "b"), "seed")
    assert (found.kappa, found.ci_low, found.ci_high) == (None, None, None)
    assert found.observed == 1
    assert found.undefined == "both say a of every item"


def test_kappa_is_undefined_where_nothing_was_judged() -> None:
    found = agreement(["a", "b"], ["unjudged", "unjudged"], ("a", "b"), "seed")
    assert (found.n, found.kappa, found.observed) == (0, None, None)
    assert found.coverage == 0
    assert found.undefined == "no item has a label from both"


def test_nothing_at_all() -> None:
    found = agreement([], [], ("a", "b"), "seed")
    assert (found.n, found.coverage, found.confusion) == (0, None, ((0, 0), (0, 0)))


def test_a_judge_that_says_one_thing_of_everything_agrees_by_chance_alone() -> None:
    """Observed 5/8; by chance (5 * 8 + 3 * 0) / 64 = 5/8; kappa 0."""
    found = agreement(["a"] * 5 + ["b"] * 3, ["a"] * 8, ("a", "b"), "seed")
    assert found.kappa == 0


def test_equal_texts_draw_equal_bounds_whatever_the_order() -> None:
    table = {("a", "a"): 7, ("a", "b"): 3, ("b", "a"): 2, ("b", "b"): 9}
    human, judge = pairs(table)
    found = agreement(human, judge, ("a", "b"), "seed")
    assert agreement(human[::-1], judge[::-1], ("a", "b"), "seed") == found
    other = agreement(human, judge, ("a", "b"), "another")
    assert other.kappa == found.kappa
    assert (other.ci_low, other.ci_high) != (found.ci_low, found.ci_high)


def test_answers_to_one_prompt_are_drawn_together() -> None:
    """Ten copies of the same 20 items say no more than the 20: drawn by prompt, the interval is that
    of the 20, and drawn by item about 1 / sqrt(10) as wide."""
    table = {("a", "a"): 7, ("a", "b"): 3, ("b", "a"): 2, ("b", "b"): 8}
    human, judge = pairs(table)
    labels, prompts = ("a", "b"), [n for _ in range(10) for n in range(20)]
    once = agreement(human, judge, labels, "seed")
    by_prompt = agreement(human * 10, judge * 10, labels, "seed", prompts)
    by_item = agreement(human * 10, judge * 10, labels, "seed")
    assert by_prompt.kappa == pytest.approx(once.kappa)
    assert (by_prompt.ci_low, by_prompt.ci_high) == pytest.approx((once.ci_low, once.ci_high))

    def width(low: float | None, high: float | None) -> float:
        assert low is not None
        assert high is not None
        return high - low

    narrow = width(by_item.ci_low, by_item.ci_high) / width(once.ci_low, once.ci_high)
    assert narrow == pytest.approx(10**-0.5, rel=0.15)


def test_the_draws_are_of_prompts_with_their_whole_tables() -> None:
    """Prompts of one to three items, drawn one by one with their counts of aa, ab, ba and bb."""
    items = [("a", "a"), ("a", "b"), ("b", "b"), ("a", "a"), ("b", "a"), ("b", "b"), ("a", "a")] * 3
    prompts = [f"prompt {n * n % 11}" for n in range(len(items))]
    human, judge = [a for a, _ in items], [b for _, b in items]
    found = agreement(human, judge, ("a", "b"), "seed", prompts)
    cells = [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    tables = np.array(
        [
            [
                sum(p == name and i == cell for p, i in zip(prompts, items, strict=True))
                for cell in cells
            ]
            for name in sorted(set(prompts))
        ]
    )
    kinds, times = np.unique(tables, axis=0, return_counts=True)
    seed = int.from_bytes(hashlib.sha256(b"seed").digest()[:8], "big")
    draws = np.random.default_rng(seed).multinomial(len(tables), times / times.sum(), RESAMPLES)
    kappas = []
    for aa, ab, ba, bb in draws @ kinds:
        n = aa + ab + ba + bb
        chance = ((aa + ab) * (aa + ba) + (ba + bb) * (ab + bb)) / n**2
        kappas.append(((aa + bb) / n - chance) / (1 - chance))
    assert (found.ci_low, found.ci_high) == pytest.approx(np.quantile(kappas, [0.025, 0.975]))


def test_one_prompt_says_nothing_of_the_spread() -> None:
    found = agreement(["a", "b", "b"], ["a", "b", "a"], ("a", "b"), "seed", ["p", "p", "p"])
    assert (found.ci_low, found.ci_high) == (-1, 1)


def test_lengths_must_fit() -> None:
    with pytest.raises(ValueError):
        agreement(["a"], ["a", "b"], ("a", "b"), "seed")
    with pytest.raises(ValueError):
        agreement(["a", "b"], ["a", "b"], ("a", "b"), "seed", ["p"])


_LABELS = st.sampled_from(["a", "b", "c", "unjudged"])


@settings(max_examples=25)
@given(st.lists(st.tuples(_LABELS, _LABELS), max_size=30))
def test_kappa_is_symmetric_and_lies_in_its_interval(cells: list[tuple[str, str]]) -> None:
    one, other = [a for a, _ in cells], [b for _, b in cells]
    found = agreement(one, other, ("a", "b", "c"), "seed")
    back = agreement(other, one, ("a", "b", "c"), "seed")
    assert found.n + found.unjudged == len(cells)
    assert sum(map(sum, found.confusion)) == found.n
    if found.kappa is None:
        assert back.kappa is None
        assert found.undefined
    else:
        assert back.kappa == pytest.approx(found.kappa)
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert -1 <= found.ci_low <= found.kappa <= found.ci_high <= 1


class TestDetection:
    def test_precision_and_recall(self) -> None:
        """8 harmful, of which 6 are called so, and 4 more besides: precision 6/10, recall 6/8,
        F1 = 2 * 6 / (8 + 10)."""
        table = {
            ("harmful", "harmful"): 6,
            ("harmful", "harmless"): 2,
            ("harmless", "harmful"): 4,
            ("harmless", "harmless"): 8,
        }
        found = detection(agreement(*pairs(table), ("harmful", "harmless"), "s"), "harmful")
        assert (found.n, found.called) == (8, 10)
        assert (found.precision, found.recall) == (0.6, 0.75)
        assert found.f1 == pytest.approx(12 / 18)

    def test_what_never_occurs_has_no_rate(self) -> None:
        found = detection(agreement(["b", "b"], ["b", "b"], ("a", "b"), "s"), "a")
        assert (found.precision, found.recall, found.f1) == (None, None, None)

    def test_what_is_never_called_has_no_precision(self) -> None:
        found = detection(agreement(["a", "b"], ["b", "b"], ("a", "b"), "s"), "a")
        assert (found.precision, found.recall, found.f1) == (None, 0, 0)


def test_labels_are_grouped_into_two_sides() -> None:
    members = ("partial_refusal", "refusal")
    said = [grouped(label, members, REFUSAL) for label in (*REFUSAL, "degenerate", "unjudged")]
    refused = "refusal or partial_refusal"
    assert said == [refused, refused, "compliance", "degenerate", "unjudged"]


def alpha(items: Sequence[tuple[str | None, ...]]) -> Alpha:
    """Of what the sources say of each item."""
    return krippendorff_alpha([(row, 1) for row in items])


class TestKrippendorff:
    def test_the_textbook_example_with_missing_values(self) -> None:
        """Krippendorff's four observers and twelve units; a dot is a missing value.

        Unit 12 has one value alone and is left out; the others have 40 values: 9 ones, 13 twos, 10
        threes, 5 fours, 3 fives. In a unit of m values each ordered pair weighs 1 / (m - 1). Units 2
        (2 2 3 2) and 8 (1 1 2 1) have 6 unequal pairs each, unit 6 (1 2 3 4) has 12, all of m = 4:
        (6 + 6 + 12) / 3 = 8. By chance: (40^2 - 81 - 169 - 100 - 25 - 9) / 39 = 1216 / 39.
        alpha = 1 - 8 * 39 / 1216 = 0.743421.
        """
        observers = (
            "1 2 3 3 2 1 4 1 2 . . .",
            "1 2 3 3 2 2 4 1 2 5 . 3",
            ". 3 3 3 2 3 4 2 2 5 1 .",
            "1 2 3 3 2 4 4 1 2 5 1 .",
        )
        units = list(zip(*(row.split() for row in observers), strict=True))
        found = alpha([tuple(None if v == "." else v for v in unit) for unit in units])
        assert found.n == 11
        assert found.value == pytest.approx(113 / 152)
        unjudged = [tuple("unjudged" if v == "." else v for v in unit) for unit in units]
        assert alpha(unjudged) == found

    def test_two_judges_that_swap_everything(self) -> None:
        """Two items, said a b and b a: all 4 ordered pairs within items are unequal, weight 1; by
        chance (16 - 4 - 4) / 3 = 8/3; alpha = 1 - 4 * 3 / 8 = -0.5."""
        found = alpha([("a", "b"), ("b", "a")])
        assert found.value == pytest.approx(-0.5)

    def test_one_label_alone_leaves_it_undefined(self) -> None:
        found = alpha([("a", "a"), ("a", "a")])
        assert (found.n, found.value) == (2, None)
        assert found.undefined == "all say a of every item"

    def test_labels_of_items_that_one_judge_alone_judged_do_not_count(self) -> None:
        """Item 2's label would be a second one, but nothing is there to hold it against."""
        found = alpha([("a", "a"), ("b", "unjudged")])
        assert (found.n, found.value) == (1, None)

    def test_nothing_to_compare(self) -> None:
        found = alpha([("a", None), (None, "a")])
        assert (found.n, found.value) == (0, None)
        assert found.undefined == "no item has labels from two"

    def test_equal_items_are_counted_once(self) -> None:
        """Half a million of each of two kinds of item, as quickly as one of each."""
        found = krippendorff_alpha([(("a", "a"), 500_000), (("b", "a"), 500_000)])
        # Unequal pairs within items 10^6, by chance 2 * 1.5 * 0.5 * 10^12 / (2 * 10^6 - 1)
        assert found == Alpha(1_000_000, pytest.approx(1 - (2e6 - 1) / 1.5e6))

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(*[st.sampled_from(["a", "b", "c", None])] * 4), max_size=20))
    def test_it_is_what_nltk_computes(self, items: list[tuple[str | None, ...]]) -> None:
        found = alpha(items)
        if found.value is None:
            return
        task = AnnotationTask(
            [
                (source, item, label)
                for item, row in enumerate(items)
                for source, label in enumerate(row)
                if label is not None and sum(one is not None for one in row) > 1
            ]
        )
        assert found.value == pytest.approx(task.alpha(), abs=1e-12)
