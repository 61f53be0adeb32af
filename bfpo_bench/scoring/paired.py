"""Two runs on the same documents: paired differences, intervals and tests.

Documents are drawn again with replacement, each with all its samples and with the answers of both
runs, and every score is computed anew: a paired percentile bootstrap (Efron and Tibshirani 1993,
chapters 8 and 13). What the intervals of a single run assume (`intervals.weighted_mean`) holds here
too: tasks are independent, but for tasks of a family on the same data (see `paired_draws`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bfpo_bench.scoring.intervals import LEVEL
from bfpo_bench.scoring.paired_draws import Array, Pairs, by_chance, drawn, score, together
from bfpo_bench.scoring.paired_tests import Test, chance_p, difference_test

# Draws that differ by no more are equal but for rounding
_NOTHING = 1e-9


@dataclass(frozen=True)
class Paired:
    """A score of both runs over their judged pairs, in percent, and its difference b - a in points.

    The difference lies within `bound_low` and `bound_high` whatever the `left_out` pairs are judged
    as. `resampled`: [RESAMPLES] differences, of which `low` and `high` are the 95 % percentiles;
    `by_chance`: [RESAMPLES] as they would be were there none, with which means are tested.
    Where all draws are equal the interval has no width, and `unseen` says how many points the
    difference may change by all the same (`_unseen`).
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    test: Test
    n_pairs: int
    left_out: int
    bound_low: float
    bound_high: float
    resampled: Array
    by_chance: Array
    unseen: float | None = None


def paired(tasks: Sequence[Pairs]) -> dict[str, Paired]:
    """Task -> its difference. Each has a judged pair. Equal data and names give equal numbers."""
    groups: dict[str, list[Pairs]] = defaultdict(list)
    for task in tasks:
        groups[task.source].append(task)
    found: dict[str, Array] = {}
    chance: dict[str, Array] = {}
    for members in groups.values():
        found |= together(members, drawn)
        chance |= together(members, by_chance)
    return {task.name: _paired(task, found[task.name], chance[task.name]) for task in tasks}


def _paired(task: Pairs, resampled: Array, chance: Array) -> Paired:
    sums = task.clusters[1].sum(axis=0)
    a, b = (float(score(total / sums[2], task.measure)) for total in sums[:2])
    p, test = difference_test(task.clusters[1], resampled, tested=task.measure)
    bounds, unseen = _bounds(task), _unseen(task, resampled)
    return _with_interval(
        (a, b),
        (resampled, chance),
        (p, test),
        (int(sums[2]), len(task.a) - int(sums[2])),
        bounds,
        unseen,
    )


def _unseen(task: Pairs, resampled: Array) -> float | None:
    """Points by which the difference may change though no draw shows it; None where draws differ.

    By the rule of three (Hanley and Lippman-Hand 1983): what none of n documents did may be true of
    up to about 3/n of all. Each of them may do so by as much as values can.
    """
    if np.ptp(resampled) > _NOTHING:
        return None
    sums = task.clusters[1]
    a, b, count = sums.sum(axis=0)
    unit = 1 if task.measure == "points" else 100
    # One point of the mean is two of such a score
    slope = 2 if task.measure == "distance_from_half" else 1
    most = slope * (100 + unit * abs(b - a) / count)
    return float(min(3 / len(sums), 1) * most)


def _with_interval(
    sides: tuple[float, float],
    draws: tuple[Array, Array],
    tested: tuple[float, Test],
    pairs: tuple[int, int],
    bounds: tuple[float, float],
    unseen: float | None,
) -> Paired:
    difference = sides[1] - sides[0]
    low, high = np.quantile(draws[0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Paired(
        a=sides[0],
        b=sides[1],
        difference=difference,
        low=min(float(low), difference),
        high=max(float(high), difference),
        p=tested[0],
        test=tested[1],
        n_pairs=pairs[0],
        left_out=pairs[1],
        bound_low=bounds[0],
        bound_high=bounds[1],
        resampled=draws[0],
        by_chance=draws[1],
        unseen=unseen,
    )


def _bounds(task: Pairs) -> tuple[float, float]:
    """The least and the greatest difference of the scores that verdicts on all pairs could give.

    Only points are ever unjudged: they are 0 to 100, and the score is their mean.
    """
    if task.judged.all():
        a, b = (float(score(values.mean(), task.measure)) for values in (task.a, task.b))
        return b - a, b - a
    least = np.nan_to_num(task.b, nan=0.0) - np.nan_to_num(task.a, nan=100.0)
    greatest = np.nan_to_num(task.b, nan=100.0) - np.nan_to_num(task.a, nan=0.0)
    return float(least.mean()), float(greatest.mean())


def mean_difference(parts: Mapping[str, Paired], weights: Mapping[str, float]) -> Paired:
    """The weighted mean of scores: a family of its tasks, a cell of its families, and so on.

    `weights` by the names of `parts`, at least one above 0.
    """
    total = sum(weights[name] for name in parts)
    shares = [weights[name] / total for name in parts]
    found = list(parts.values())

    def mean(values: Iterable[float]) -> float:
        return sum(share * value for share, value in zip(shares, values, strict=True))

    resampled = np.stack([one.resampled for one in found], axis=1) @ np.array(shares)
    chance = np.stack([one.by_chance for one in found], axis=1) @ np.array(shares)
    return _with_interval(
        (mean(one.a for one in found), mean(one.b for one in found)),
        (resampled, chance),
        (chance_p(mean(one.difference for one in found), chance), "sign-flip"),
        (sum(one.n_pairs for one in found), sum(one.left_out for one in found)),
        (mean(one.bound_low for one in found), mean(one.bound_high for one in found)),
        _unseen_of_mean(found, shares),
    )


def _unseen_of_mean(parts: Sequence[Paired], shares: Sequence[float]) -> float | None:
    """That of the part where it is greatest, alone: three documents in a hundred of every part at
    once would not have gone unseen."""
    told = [(share, one.unseen) for share, one in zip(shares, parts, strict=True) if share]
    found = [share * unseen for share, unseen in told if unseen is not None]
    return max(found) if len(found) == len(told) else None
