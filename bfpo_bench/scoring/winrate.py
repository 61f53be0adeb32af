"""Win rates from pairwise preferences, as AlpacaEval counts them.

A preference compares a model with a baseline on one instruction: 1 says that the baseline's answer is
better, 2 the model's, 0 or 1.5 a draw, and a weighted annotator gives anything from 1 to 2 (Dubois et
al. 2024, arXiv 2404.04475; alpaca_eval 0.6.6, metrics/helpers.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bfpo_bench.scoring.intervals import rate_or_mean

DRAW = 1.5


@dataclass(frozen=True)
class WinRate:
    """A win rate in percent with its 95 % interval, and what it was counted from.

    The numbers are None where `n` is 0, the standard error also where it is 1.
    n = n_wins + n_wins_base + n_draws counts the valid preferences; the invalid ones are dropped.
    """

    value: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    n: int
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_invalid: int


def valid_preference(value: object) -> float | None:
    """The preference as a number in 1..2 with draws at 1.5; None for anything that is none.

    >>> [valid_preference(v) for v in (1, 1.75, 0, None, -1, 3, "2", True)]
    [1.0, 1.75, 1.5, None, None, None, None, None]
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value == 0:
        return DRAW
    return float(value) if 1 <= value <= 2 else None


def win_rate(preferences: Sequence[object], seed_text: str = "win rate") -> WinRate:
    """The mean of (preference - 1), in percent, over the valid preferences.

    Five preferences 2, 1, 0, 1.75 and None are the shares 1, 0, 0.5 and 0.75: their mean is 2.25 / 4,
    so the win rate is 56.25; one win more (1.75 > 1.5), one loss, one draw, one invalid.

    The standard error is the sample's standard deviation (n - 1) over the root of n, in percent: here
    the squared distances from 0.5625 sum to 0.546875, so sqrt(0.546875 / 3 / 4) = 0.213478, 21.3478.
    The interval is Wilson's where nothing but wins and losses occurs, else a percentile bootstrap
    whose draws `seed_text` fixes.
    """
    valid = [p for p in map(valid_preference, preferences) if p is not None]
    n = len(valid)
    shares = [p - 1 for p in valid]
    wins, losses = sum(p > DRAW for p in valid), sum(p < DRAW for p in valid)
    counts = (n, wins, losses, n - wins - losses, len(preferences) - n)
    if n == 0:
        return WinRate(None, None, None, None, *counts)
    estimate = rate_or_mean(shares, seed_text)
    return WinRate(
        100 * estimate.value,
        100 * estimate.low,
        100 * estimate.high,
        standard_error(shares),
        *counts,
    )


def standard_error(shares: Sequence[float]) -> float | None:
    """The standard error of the mean, in percent; None for a single value, which has no spread."""
    n = len(shares)
    if n < 2:
        return None
    mean = math.fsum(shares) / n
    return 100 * math.sqrt(math.fsum((s - mean) ** 2 for s in shares) / (n - 1) / n)
