"""Two runs on the same documents: paired differences, intervals and tests.

Documents are drawn again with replacement, each with all its samples and with the answers of both
runs, and every score is computed anew: a paired percentile bootstrap (Efron and Tibshirani 1993,
chapters 8 and 13). What the intervals of a single run assume (`intervals.weighted_mean`) holds here
too: tasks are independent, but for tasks of a family on the same data. Of those, tasks that ask the
very same documents are drawn together, document by document; the others count as fully correlated.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bfpo_bench.scoring.intervals import LEVEL
from bfpo_bench.scoring.paired_tests import Test, bootstrap_p, difference_test

RESAMPLES = 10_000
_CELLS = 1 << 22
# Drawing how often each kind of row comes costs as much as drawing this many documents one by one
_DRAW = 16

Array = np.ndarray
Measure = Literal["points", "higher", "distance_from_half", "complement"]
"""How a score follows from the mean of a task's values: points are percent already, the others are
the orientations of a task."""


def score(mean: float | Array, measure: Measure) -> float | Array:
    """Percent from a mean: of points, or of a raw metric in 0..1."""
    if measure == "points":
        return mean
    if measure == "higher":
        return 100 * mean
    if measure == "complement":
        return 100 - 100 * mean
    return 100 - 2 * np.abs(100 * mean - 50)


@dataclass(frozen=True)
class Pairs:
    """One task's pairs: [pairs] `documents` (numbers), and the values of either run, NaN where unjudged.

    Values are points of 0 to 100, or a raw metric of 0 to 1. Tasks with the same `source` draw on
    the same data; where their `population` is the same as well, equal numbers are equal documents.
    """

    name: str
    measure: Measure
    documents: Array
    a: Array
    b: Array
    source: str
    population: str

    @cached_property
    def judged(self) -> Array:
        """[pairs] whether both values are there."""
        found: Array = ~(np.isnan(self.a) | np.isnan(self.b))
        return found

    @cached_property
    def clusters(self) -> tuple[Array, Array]:
        """Different documents among the judged pairs, in order, and [documents, 3] for each the sum
        of a's values, of b's, and their count."""
        documents, place = np.unique(self.documents[self.judged], return_inverse=True)
        columns = (self.a[self.judged], self.b[self.judged], np.ones(len(place)))
        return documents, np.stack(
            [np.bincount(place, column, len(documents)) for column in columns], axis=1
        )


@dataclass(frozen=True)
class Paired:
    """A score of both runs over their judged pairs, in percent, and its difference b - a in points.

    The difference lies within `bound_low` and `bound_high` whatever the `left_out` pairs are judged
    as. `resampled`: [RESAMPLES] differences, of which `low` and `high` are the 95 % percentiles.
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


def paired(tasks: Sequence[Pairs]) -> dict[str, Paired]:
    """Task -> its difference. Each has a judged pair. Equal data and names give equal numbers."""
    groups: dict[str, list[Pairs]] = defaultdict(list)
    for task in tasks:
        groups[task.source].append(task)
    found: dict[str, Array] = {}
    for members in groups.values():
        found |= _resampled(members)
    return {task.name: _paired(task, found[task.name]) for task in tasks}


def _paired(task: Pairs, resampled: Array) -> Paired:
    sums = task.clusters[1].sum(axis=0)
    a, b = (float(score(total / sums[2], task.measure)) for total in sums[:2])
    p, test = difference_test(task.clusters[1], resampled, tested=task.measure)
    low, high = _bounds(task)
    return _with_interval(
        (a, b), resampled, p, test, int(sums[2]), len(task.a) - int(sums[2]), (low, high)
    )


def _with_interval(
    sides: tuple[float, float],
    resampled: Array,
    p: float,
    test: Test,
    n_pairs: int,
    left_out: int,
    bounds: tuple[float, float],
) -> Paired:
    difference = sides[1] - sides[0]
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Paired(
        a=sides[0],
        b=sides[1],
        difference=difference,
        low=min(float(low), difference),
        high=max(float(high), difference),
        p=p,
        test=test,
        n_pairs=n_pairs,
        left_out=left_out,
        bound_low=bounds[0],
        bound_high=bounds[1],
        resampled=resampled,
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
    return _with_interval(
        (mean(one.a for one in found), mean(one.b for one in found)),
        resampled,
        bootstrap_p(resampled),
        "bootstrap",
        sum(one.n_pairs for one in found),
        sum(one.left_out for one in found),
        (mean(one.bound_low for one in found), mean(one.bound_high for one in found)),
    )


def _resampled(members: Sequence[Pairs]) -> dict[str, Array]:
    """Task -> [RESAMPLES] differences, of tasks whose errors are correlated."""
    first = members[0]
    if all(_same_documents(first, other) for other in members[1:]):
        return _drawn(members)
    # Sorted alike, their quantiles add up: that is what fully correlated means
    order = _generator("order", members).permutation(RESAMPLES)
    return {one.name: np.sort(_drawn([one])[one.name])[order] for one in members}


def _same_documents(one: Pairs, other: Pairs) -> bool:
    return one.population == other.population and np.array_equal(one.clusters[0], other.clusters[0])


def _drawn(members: Sequence[Pairs]) -> dict[str, Array]:
    """Draw the documents that the members share; their differences in each draw."""
    if len(members[0].clusters[0]) == 1:
        # One document says nothing of the spread: the interval is all that a difference can be
        signs = _generator("one document", members).integers(0, 2, RESAMPLES)
        return {one.name: 200.0 * signs - 100 for one in members}
    totals = _totals(np.hstack([one.clusters[1] for one in members]), _generator("", members))
    drawn = {}
    for i, one in enumerate(members):
        sum_a, sum_b, count = totals[:, 3 * i : 3 * i + 3].T
        drawn[one.name] = np.asarray(
            score(sum_b / count, one.measure) - score(sum_a / count, one.measure)
        )
    return drawn


def _totals(rows: Array, generator: np.random.Generator) -> Array:
    """[RESAMPLES, columns]: the rows' sums in each draw of as many rows with replacement.

    Where few rows differ, it is drawn how often each kind of row comes. Kinds keep the order in
    which they first come, so that the draws are the same with the two runs the other way round.
    """
    n = len(rows)
    _, first, times = np.unique(rows, axis=0, return_index=True, return_counts=True)
    if len(first) * _DRAW <= n:
        order = np.argsort(first)
        kinds, shares = rows[first[order]], times[order] / n
        return np.asarray(generator.multinomial(n, shares, RESAMPLES) @ kinds)
    step = max(1, _CELLS // n)
    parts = []
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = generator.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        parts.append(np.bincount(drawn.reshape(-1), minlength=size * n).reshape(size, n) @ rows)
    return np.concatenate(parts)


def _generator(purpose: str, members: Sequence[Pairs]) -> np.random.Generator:
    told = "\0".join(["paired", purpose, *(one.name for one in members)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big"))
