"""Safety data in groups, each a share of the general data (FDC, arXiv 2502.11555)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any, TypeVar

from bfpo_bench.errors import UserError
from bfpo_bench.training.data.spec import SAFETY_GROUPS, DataSpec, Group
from bfpo_bench.training.pairs import DataReport
from bfpo_bench.training.recipe_parts import Shares

T = TypeVar("T")
Reader = Callable[[Sequence[DataSpec], int], tuple[list[T], list[DataReport]]]
"""Rows of sources, shuffled together by a seed, and a report of each source."""


@dataclass(frozen=True)
class Drawn:
    """What one group gave: `taken` of its `rows`, which is `came_out` of the general rows, where
    `asked` was the share. The general data are taken whole, and ask for nothing. `kept` is what the
    recipe's policy made of those taken, `kept_share` that of the general ones: None where it kept none."""

    group: Group
    rows: int
    taken: int
    asked: float | None
    came_out: float
    kept: int
    kept_share: float | None

    def dump(self) -> dict[str, Any]:
        return dict(vars(self))


def read_mixture(
    specs: Sequence[DataSpec],
    shares: Shares | None,
    seed: int,
    read: Reader[T],
    kept: Callable[[Sequence[T]], int] = len,
) -> tuple[list[T], list[DataReport], tuple[Drawn, ...]]:
    """The rows of all sources, a report of each, and what was drawn of each group.

    Of a safety group the first rows are taken of those that `read` shuffled by `seed`: as many as its
    share of the general rows, to the nearest, halves up. All are then shuffled together by `seed`.
    `kept` counts what the recipe's policy will make of rows. Without `shares` nothing is drawn. Raises UserError for a group with too few rows, or of whose
    share no row comes.
    """
    if shares is None:
        rows, reports = read(specs, seed)
        return rows, reports, ()
    found, reports = read([spec for spec in specs if spec.group == "general"], seed)
    general = len(found)
    general_kept = kept(found)
    drawn = [
        Drawn("general", general, general, None, 1.0, general_kept, 1.0 if general_kept else None)
    ]
    for group in SAFETY_GROUPS:
        share = getattr(shares, group)
        if not share:
            continue
        rows, more = read([spec for spec in specs if spec.group == group], seed)
        count = _count(group, share, general, len(rows))
        taken = rows[:count]
        left = kept(taken)
        found += taken
        reports += more
        after = left / general_kept if general_kept else None
        drawn.append(Drawn(group, len(rows), count, share, count / general, left, after))
    Random(seed).shuffle(found)
    return found, reports, tuple(drawn)


def check_groups(specs: Sequence[DataSpec], shares: Shares | None) -> None:
    """Raise ValueError for groups without shares, shares without groups, and a group without a source."""
    if shares is None:
        if any(spec.group is not None for spec in specs):
            raise ValueError(
                "a source has a group, which shares alone ask for: add shares: {} for the recommended "
                "ones, or leave group out"
            )
        return
    for place, spec in enumerate(specs):
        if spec.group is None:
            raise ValueError(
                f"data.{place} has no group, and shares are of groups: say general, "
                f"{', '.join(SAFETY_GROUPS)}"
            )
    sources = Counter(spec.group for spec in specs)
    if not sources["general"]:
        raise ValueError("shares are of the general data, and no source has group: general")
    for group in SAFETY_GROUPS:
        share = getattr(shares, group)
        if share and not sources[group]:
            raise ValueError(
                f"shares ask for {share:g} of group {group}, of which there is no source: give one, or "
                f"set shares.{group} to 0"
            )
        if sources[group] and not share:
            raise ValueError(f"shares.{group} is 0, and a source has that group: leave it out")


def _count(group: Group, share: float, general: int, rows: int) -> int:
    wanted = Decimal(str(share)) * general
    count = int(wanted.to_integral_value(ROUND_HALF_UP))
    if count > rows:
        raise UserError(
            f"shares.{group} {share:g} of {general:,} general rows are {count:,}, and group {group} has "
            f"{rows:,}: give it more rows, or a share of at most {_possible(rows, general)}."
        )
    if not count:
        raise UserError(
            f"shares.{group} {share:g} of {general:,} general rows is less than half a row: give more "
            f"general data, or a share of at least {1 / general:.2g}."
        )
    return count


def _possible(rows: int, general: int) -> str:
    """The largest share that so many rows are enough for, rounded down to three digits."""
    share = Decimal(rows) / Decimal(general)
    return f"{share.quantize(Decimal(10) ** (share.adjusted() - 2), rounding='ROUND_DOWN'):f}"
