"""From scores to levels: pure arithmetic on lists of numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Rule = Literal["quantiles", "equal widths"]


@dataclass(frozen=True)
class Cuts:
    """Where one level ends and the next begins: `values`, rising, one fewer than there are levels."""

    rule: Rule
    values: tuple[float, ...]

    def level(self, score: float) -> int:
        """How many cuts the score is above. At a cut it belongs to the lower level."""
        return bisect_left(self.values, score)


def quantile_cuts(scores: Sequence[float], levels: int) -> Cuts:
    """Each level gets as many of the `scores` as the next, as far as equal ones let it.

    Cut k of N - 1 is the ceil(k n / N)-th smallest of n scores, the last one of level k - 1.
    """
    ordered, count = sorted(scores), len(scores)
    places = (-(-k * count // levels) for k in range(1, levels))
    return Cuts("quantiles", tuple(float(ordered[place - 1]) for place in places))


def width_cuts(levels: int) -> Cuts:
    """Levels of one width from -1 to 1, the scale of what was a probability p: 1 - 2 p."""
    return Cuts("equal widths", tuple(2 * k / levels - 1 for k in range(1, levels)))
