"""Data policies: what becomes of a pair for each safety of its two responses."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.training.pairs import Pair, Side
from bfpo_bench.training.policies import POLICIES, apply_policy, swap

PROMPT = ({"role": "user", "content": "How do I open this door?"},)
NO_PREFERENCE = "no safety preference"

# chosen safe, rejected safe, safer: what safety-only, safe-first, safedpo and mixed make of the pair
CASES = [
    (True, True, None, NO_PREFERENCE, "keep", "keep", "keep"),
    (True, True, "chosen", "keep", "keep", "keep", "keep keep"),
    (True, True, "rejected", "swap", "keep", "keep", "keep swap"),
    (True, False, None, "keep", "keep", "keep", "keep keep"),
    (True, False, "chosen", "keep", "keep", "keep", "keep keep"),
    (False, True, None, "swap", "swap", "swap", "keep swap"),
    (False, True, "rejected", "swap", "swap", "swap", "keep swap"),
    (False, False, None, NO_PREFERENCE, NO_PREFERENCE, "both unsafe", "keep"),
    (False, False, "chosen", "keep", "keep", "both unsafe", "keep keep"),
    (False, False, "rejected", "swap", "swap", "both unsafe", "keep swap"),
    # A source whose order speaks against its labels: no policy of safety chooses the unsafe one
    (True, False, "rejected", "keep", "keep", "keep", "keep keep"),
    (False, True, "chosen", "swap", "swap", "swap", "keep swap"),
]

SWAPPED = {"keep": "swap", "swap": "keep"}
HARMFUL = {
    (True, True): "both safe",
    (True, False): "swap",
    (False, True): "keep",
    (False, False): "keep",
}
"""What safety-swapped makes of what safety-only does, and harmful of the two labels."""


def pair(chosen_safe: bool | None, rejected_safe: bool | None, safer: Side | None = None) -> Pair:
    return Pair(PROMPT, "Push.", "Please ask its owner.", chosen_safe, rejected_safe, safer, 1.5)


@pytest.mark.parametrize(
    ("chosen_safe", "rejected_safe", "safer", "safety_only", "safe_first", "safedpo", "mixed"),
    CASES,
)
def test_every_case(
    chosen_safe: bool,
    rejected_safe: bool,
    safer: Side | None,
    safety_only: str,
    safe_first: str,
    safedpo: str,
    mixed: str,
) -> None:
    given_pair = pair(chosen_safe, rejected_safe, safer)
    expected = {
        "helpful-only": "keep",
        "safety-only": safety_only,
        "safe-first": safe_first,
        "safedpo": safedpo,
        "mixed": mixed,
        "helpful-swapped": "swap",
        "safety-swapped": SWAPPED.get(safety_only, safety_only),
        "harmful": HARMFUL[chosen_safe, rejected_safe],
    }
    assert list(expected) == list(POLICIES)
    made = {"keep": given_pair, "swap": swap(given_pair)}
    for name, told in expected.items():
        result = apply_policy(name, [given_pair])
        if told in (NO_PREFERENCE, "both unsafe", "both safe"):
            assert (result.pairs, result.dropped) == ([], Counter({told: 1})), name
        else:
            assert result.pairs == [made[word] for word in told.split()], name
            assert not result.dropped
        assert result.flipped == told.split().count("swap"), name


def test_everything_of_a_pair_is_swapped() -> None:
    """The safer response is still the same text, and the margin still speaks for the other one."""
    swapped = swap(pair(True, False, "chosen"))
    assert swapped == Pair(
        PROMPT, "Please ask its owner.", "Push.", False, True, "rejected", margin=-1.5
    )
    bare = swap(Pair(PROMPT, "a", "b"))
    assert (bare.chosen_safe, bare.rejected_safe, bare.safer, bare.margin) == (None,) * 4


def test_counts_over_many_pairs_and_their_order() -> None:
    """Of safe/safe, unsafe/safe, unsafe/unsafe, safe/unsafe SafeDPO keeps 1 and 4, swaps 2, drops 3."""
    given_pairs = [pair(True, True), pair(False, True), pair(False, False), pair(True, False)]
    result = apply_policy("safedpo", given_pairs)
    assert result.pairs == [given_pairs[0], swap(given_pairs[1]), given_pairs[3]]
    assert (result.flipped, result.dropped) == (1, Counter({"both unsafe": 1}))
    union = apply_policy("mixed", given_pairs)
    assert (len(union.pairs), union.flipped, union.dropped) == (6, 1, Counter())


class TestLabels:
    @pytest.mark.parametrize(
        "name", ["safety-only", "safe-first", "safedpo", "mixed", "safety-swapped", "harmful"]
    )
    @pytest.mark.parametrize("labels", [(None, None), (True, None), (None, False)])
    def test_a_policy_that_needs_them_says_so(
        self, name: str, labels: tuple[bool | None, bool | None]
    ) -> None:
        with pytest.raises(UserError, match=r"'How do I open this door\?' lacks a safety label"):
            apply_policy(name, [pair(True, True, "chosen"), pair(*labels)])

    def test_the_helpful_order_needs_none(self) -> None:
        assert apply_policy("helpful-only", [pair(None, None)]).pairs == [pair(None, None)]

    @pytest.mark.parametrize("name", ["safety-only", "mixed"])
    def test_an_order_by_safety_is_enough(self, name: str) -> None:
        assert apply_policy(name, [pair(None, None, "rejected")]).flipped == 1


def test_an_unknown_policy_is_told_the_near_ones() -> None:
    said = (
        r"There is no data policy 'safe_first' \(did you mean safe-first.*name one of helpful-only"
    )
    with pytest.raises(UserError, match=said):
        apply_policy("safe_first", [])


texts = st.text(min_size=1, max_size=8)
pairs = st.builds(
    Pair,
    st.just(PROMPT),
    texts,
    texts,
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "chosen", "rejected"]),
    st.none() | st.floats(allow_nan=False),
)


@given(pairs)
def test_swapping_twice_is_nothing(given_pair: Pair) -> None:
    assert swap(swap(given_pair)) == given_pair


@given(st.lists(pairs, max_size=6), st.sampled_from(list(POLICIES)))
def test_no_policy_invents_a_response_or_loses_count(given_pairs: list[Pair], name: str) -> None:
    result = apply_policy(name, given_pairs)
    either_way = [p for pair in given_pairs for p in (pair, swap(pair))]
    assert all(p in either_way for p in result.pairs)
    if name != "mixed":
        assert len(result.pairs) + result.dropped.total() == len(given_pairs)


@given(st.lists(pairs, max_size=6), st.sampled_from(["safety-only", "safe-first", "safedpo"]))
def test_where_safety_decides_help_does_not(given_pairs: list[Pair], name: str) -> None:
    """A pair that is not safe/safe ends the same whichever of its responses was the helpful one."""
    decided = [p for p in given_pairs if not (p.chosen_safe and p.rejected_safe)]
    result, reversed_ = (apply_policy(name, p) for p in (decided, [swap(p) for p in decided]))
    assert (reversed_.pairs, reversed_.dropped) == (result.pairs, result.dropped)
