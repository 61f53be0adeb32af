"""Documents of two runs, drawn again with replacement or with their answers swapped by chance.

Documents come each with all their samples. Tasks of a family on the same data are not independent:
those that ask the very same documents are drawn together, document by document; the others count as
fully correlated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bfpo_bench.scoring.paired_tests import signed_sums

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


def together(
    members: Sequence[Pairs], draw: Callable[[Sequence[Pairs]], dict[str, Array]]
) -> dict[str, Array]:
    """Task -> [RESAMPLES] differences, of tasks whose errors are correlated."""
    first = members[0]
    if all(_same_documents(first, other) for other in members[1:]):
        return draw(members)
    # Sorted alike, their quantiles add up: that is what fully correlated means
    order = _generator("order", members).permutation(RESAMPLES)
    return {one.name: np.sort(draw([one])[one.name])[order] for one in members}


def _same_documents(one: Pairs, other: Pairs) -> bool:
    return one.population == other.population and np.array_equal(one.clusters[0], other.clusters[0])


def drawn(members: Sequence[Pairs]) -> dict[str, Array]:
    """Draw the documents that the members share; their differences in each draw."""
    if len(members[0].clusters[0]) == 1:
        # One document says nothing of the spread: the interval is all that a difference can be
        signs = _generator("one document", members).integers(0, 2, RESAMPLES)
        return {one.name: 200.0 * signs - 100 for one in members}
    totals = _totals(np.hstack([one.clusters[1] for one in members]), _generator("", members))
    found = {}
    for i, one in enumerate(members):
        sum_a, sum_b, count = totals[:, 3 * i : 3 * i + 3].T
        found[one.name] = np.asarray(
            score(sum_b / count, one.measure) - score(sum_a / count, one.measure)
        )
    return found


def by_chance(members: Sequence[Pairs]) -> dict[str, Array]:
    """The members' differences were there none: the two answers to each document are swapped or not.

    A bootstrap would call two documents that both changed for the better certain. Where a score is
    no straight line in the mean, equal scores are no equal answers that could be swapped: of such a
    one the bootstrap's draws, around 0.
    """
    rows = np.stack([one.clusters[1][:, 1] - one.clusters[1][:, 0] for one in members], axis=1)
    totals = signed_sums(rows, _generator("by chance", members))
    found = {}
    for one, total in zip(members, totals.T, strict=True):
        if one.measure == "distance_from_half":
            draws = drawn([one])[one.name]
            found[one.name] = draws - draws.mean()
        else:
            slope = {"points": 1, "higher": 100, "complement": -100}[one.measure]
            found[one.name] = slope * total / one.clusters[1][:, 2].sum()
    return found


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
