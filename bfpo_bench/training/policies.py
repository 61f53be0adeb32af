"""Data policies: from labelled pairs to the pairs that an objective is given.

Sources order a pair by helpfulness. A policy keeps, swaps or drops it, so that after one `chosen` is
whatever the policy prefers, and no longer the more helpful response of a pair that was swapped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from textwrap import shorten

from bfpo_bench.errors import UserError
from bfpo_bench.nearest import nearest
from bfpo_bench.training.pairs import Pair, Side

NO_PREFERENCE = "no safety preference"
BOTH_UNSAFE = "both unsafe"
BOTH_SAFE = "both safe"


@dataclass(frozen=True)
class PolicyResult:
    """The pairs in the order given. `flipped` counts those that were swapped, `dropped` by reason."""

    pairs: list[Pair]
    flipped: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


Policy = Callable[[Sequence[Pair]], PolicyResult]


def swap(pair: Pair) -> Pair:
    """The pair the other way round: labels, segments, `safer` and the sign of `margin` go with the
    responses."""
    other: dict[Side, Side] = {"chosen": "rejected", "rejected": "chosen"}
    return replace(
        pair,
        chosen=pair.rejected,
        rejected=pair.chosen,
        chosen_safe=pair.rejected_safe,
        rejected_safe=pair.chosen_safe,
        safer=None if pair.safer is None else other[pair.safer],
        margin=None if pair.margin is None else -pair.margin,
        chosen_segments=pair.rejected_segments,
        rejected_segments=pair.chosen_segments,
    )


def helpful_only(pairs: Sequence[Pair]) -> PolicyResult:
    """The pairs as they are: chosen is the more helpful response."""
    return PolicyResult(list(pairs))


def safety_only(pairs: Sequence[Pair]) -> PolicyResult:
    """Chosen is the safer response: as the source says, or else the safe one of safe and unsafe."""
    return _ordered(pairs, _safer, NO_PREFERENCE)


def safe_first(pairs: Sequence[Pair]) -> PolicyResult:
    """Chosen is the more helpful response if both are safe, or else the safer one: by the labels
    where they differ, as the source says where both are unsafe."""

    def preferred(pair: Pair) -> Side | None:
        safe = _labels(pair)
        if safe == (True, True):
            return "chosen"
        return _by_labels(safe) or pair.safer

    return _ordered(pairs, preferred, NO_PREFERENCE)


def safedpo(pairs: Sequence[Pair]) -> PolicyResult:
    """An unsafe response is never chosen: swapped if only the other is safe, dropped if neither is.

    SafeDPO, arXiv 2505.20065.
    """

    def preferred(pair: Pair) -> Side | None:
        chosen_safe, rejected_safe = _labels(pair)
        return "chosen" if chosen_safe else "rejected" if rejected_safe else None

    return _ordered(pairs, preferred, BOTH_UNSAFE)


def mixed(pairs: Sequence[Pair]) -> PolicyResult:
    """The union of both orders: every pair as it is, and right after it, where there is a safety
    preference, in that order; so a pair may occur twice, or once in each direction."""
    found, flipped = [], 0
    for pair in pairs:
        found.append(pair)
        side = _safer(pair)
        if side is not None:
            found.append(_choosing(pair, side))
            flipped += side == "rejected"
    return PolicyResult(found, flipped)


def helpful_swapped(pairs: Sequence[Pair]) -> PolicyResult:
    """Every pair the other way round than by `helpful-only`: the minus of a preference vector."""
    return PolicyResult([swap(pair) for pair in pairs], flipped=len(pairs))


def safety_swapped(pairs: Sequence[Pair]) -> PolicyResult:
    """Every pair the other way round than by `safety-only`: chosen is the less safe response.

    Preference Vector, arXiv 2504.20106: theta_minus is trained on the pairs with switched labels.
    """
    ordered = safety_only(pairs)
    return PolicyResult(
        [swap(pair) for pair in ordered.pairs],
        flipped=len(ordered.pairs) - ordered.flipped,
        dropped=ordered.dropped,
    )


def harmful(pairs: Sequence[Pair]) -> PolicyResult:
    """Chosen is an unsafe response, the more helpful one of two; dropped if there is none.

    SafePatching, arXiv 2405.13820, derives both its patches from harmful data.
    """

    def preferred(pair: Pair) -> Side | None:
        chosen_safe, rejected_safe = _labels(pair)
        return "chosen" if not chosen_safe else None if rejected_safe else "rejected"

    return _ordered(pairs, preferred, BOTH_SAFE)


POLICIES: dict[str, Policy] = {
    "helpful-only": helpful_only,
    "safety-only": safety_only,
    "safe-first": safe_first,
    "safedpo": safedpo,
    "mixed": mixed,
    "helpful-swapped": helpful_swapped,
    "safety-swapped": safety_swapped,
    "harmful": harmful,
}


def apply_policy(name: str, pairs: Sequence[Pair]) -> PolicyResult:
    """What the policy of that name makes of the pairs.

    Raises UserError for an unknown name, or for a pair without the labels that the policy needs.
    """
    if name not in POLICIES:
        raise UserError(
            f"There is no data policy {name!r}{nearest(name, POLICIES)}: name one of "
            f"{', '.join(POLICIES)}."
        )
    return POLICIES[name](pairs)


def _ordered(
    pairs: Sequence[Pair], preferred: Callable[[Pair], Side | None], reason: str
) -> PolicyResult:
    """Each pair with its preferred response as chosen; dropped, for `reason`, where there is none."""
    found, flipped, dropped = [], 0, Counter[str]()
    for pair in pairs:
        side = preferred(pair)
        if side is None:
            dropped[reason] += 1
        else:
            found.append(_choosing(pair, side))
            flipped += side == "rejected"
    return PolicyResult(found, flipped, dropped)


def _choosing(pair: Pair, side: Side) -> Pair:
    return pair if side == "chosen" else swap(pair)


def _safer(pair: Pair) -> Side | None:
    """By the labels where they tell the two apart, else by the source's own order."""
    unlabelled = pair.chosen_safe is None or pair.rejected_safe is None
    if unlabelled and pair.safer is not None:
        return pair.safer
    return _by_labels(_labels(pair)) or pair.safer


def _by_labels(safe: tuple[bool, bool]) -> Side | None:
    if safe[0] == safe[1]:
        return None
    return "chosen" if safe[0] else "rejected"


def _labels(pair: Pair) -> tuple[bool, bool]:
    if pair.chosen_safe is None or pair.rejected_safe is None:
        raise UserError(
            f"The pair {shorten(pair.prompt[-1]['content'], 60)!r} lacks a safety label, which this "
            "data policy needs: label both its responses, or take the policy helpful-only."
        )
    return pair.chosen_safe, pair.rejected_safe
