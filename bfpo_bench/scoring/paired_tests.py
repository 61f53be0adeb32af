"""Two-sided p-values of paired differences: McNemar, sign flips, bootstrap; corrected by Holm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

Test = Literal["mcnemar", "sign-flip", "bootstrap"]
FLIPS = 10_000
_CELLS = 1 << 22
_DRAW = 16
_SEED = 2408_15313


def difference_test(
    documents: np.ndarray, resampled: np.ndarray, tested: str
) -> tuple[float, Test]:
    """The p-value that fits one task, and the name of its test.

    `documents`: [documents, 3] sums of a's and b's values and their count; `resampled`: the
    differences of the scores; `tested`: how the score follows from the mean. A score that is not a
    straight line in the mean (distance_from_half) is tested by its bootstrap: McNemar and sign flips
    would test the mean. Single answers with two values have McNemar's exact test, others sign flips.
    """
    a, b, count = documents.T
    if tested == "distance_from_half":
        return bootstrap_p(resampled), "bootstrap"
    values = np.unique(np.concatenate([a, b]))
    top = 100.0 if tested == "points" else 1.0
    if (count == 1).all() and np.isin(values, (0.0, top)).all():
        return mcnemar_p(int((a < b).sum()), int((a > b).sum())), "mcnemar"
    return sign_flip_p(b - a), "sign-flip"


def mcnemar_p(gained: int, lost: int) -> float:
    """McNemar's exact test: whether as many pairs went one way as the other (binomial, as in
    statsmodels). 1 where none changed."""
    from statsmodels.stats.contingency_tables import mcnemar

    return float(mcnemar([[0, gained], [lost, 0]], exact=True).pvalue)


def sign_flip_p(differences: np.ndarray) -> float:
    """The share of random signs whose sum is as far from 0 as that of `differences`, one a document.

    The paired permutation test (Fisher 1935), of 10,000 draws with a seed of its own; the data count
    as one of them (Phipson and Smyth 2010).
    """
    sizes = np.abs(differences[differences != 0])
    generator = np.random.default_rng(_SEED)
    observed = float(differences.sum())
    return chance_p(observed, signed_sums(sizes[:, None], generator)[:, 0])


def chance_p(observed: float, by_chance: np.ndarray) -> float:
    """The share of `by_chance` as far from 0 as what was observed, which counts as one of them."""
    # Sums of the same numbers in another order differ in their last digits
    least = abs(observed) - 1e-9 * max(1.0, abs(observed))
    return (1 + int((np.abs(by_chance) >= least).sum())) / (1 + len(by_chance))


def signed_sums(rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """[FLIPS, columns]: sums of `rows`, each row with a sign by chance.

    Kinds of rows keep the order in which they first come, so that the draws are the same for rows of
    the opposite sign.
    """
    _, first, times = np.unique(rows, axis=0, return_index=True, return_counts=True)
    if len(first) * _DRAW <= len(rows):
        order = np.argsort(first)
        kinds, times = rows[first[order]], times[order]
        return np.asarray((2 * generator.binomial(times, 0.5, (FLIPS, len(times))) - times) @ kinds)
    step = max(1, _CELLS // max(1, len(rows)))
    parts = []
    for start in range(0, FLIPS, step):
        shape = (min(step, FLIPS - start), len(rows))
        signs = 2.0 * generator.integers(0, 2, shape, dtype=np.int8) - 1
        parts.append(signs @ rows)
    return np.concatenate(parts)


def bootstrap_p(resampled: np.ndarray) -> float:
    """Twice the share of draws on the far side of 0 (Efron and Tibshirani 1993, section 15.4)."""
    n = len(resampled)
    # What is 0 but for rounding is no difference
    below, above = (resampled <= 1e-9).sum(), (resampled >= -1e-9).sum()
    return min(1.0, 2 * (1 + int(min(below, above))) / (1 + n))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values corrected for their number (Holm 1979, as in statsmodels)."""
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return {}
    corrected = multipletests(list(p_values.values()), method="holm")[1]
    return dict(zip(p_values, map(float, corrected), strict=True))
