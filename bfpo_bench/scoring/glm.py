"""The regression behind length-controlled win rates, on arrays.

A logistic regression without intercept, with an L1 penalty whose strength is chosen by 5-fold
cross-validation, fitted to shares instead of labels: each row counts once as a win with its share as
weight and once as a loss with the rest (Dubois et al. 2024, arXiv 2404.04475; alpaca_eval 0.6.6,
metrics/glm_winrate.py, whose solver, seed, folds and strengths these are).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

Array = NDArray[np.float64]
Positions = NDArray[np.int64]

FOLDS = 5
_STRENGTHS = np.logspace(-4, 4, 10)
_SEED = 123
_TINY = 1e-15


@dataclass(frozen=True)
class Rows:
    """What is fitted: `features` (rows, features), `shares` of a win in 0..1 and `weights` (rows,)."""

    features: Array
    shares: Array
    weights: Array

    def part(self, positions: Positions) -> Rows:
        """These of the rows."""
        return Rows(self.features[positions], self.shares[positions], self.weights[positions])


def fit(rows: Rows) -> Array:
    """The coefficients (features,). At least `FOLDS` rows, and not `one_sided`."""
    doubled = _doubled(rows)
    losses = np.zeros(len(_STRENGTHS))
    for train, held_out in _folds(len(rows.shares)):
        # A row and its double lie in the same fold, and have the same loss
        part = held_out[held_out < len(rows.shares)]
        # liblinear draws: one generator a fold, as scikit-learn's LogisticRegressionCV has it
        random = np.random.RandomState(_SEED)
        for i, strength in enumerate(_STRENGTHS):
            losses[i] += _log_loss(rows, part, _solve(doubled.part(train), strength, random))
    return _solve(doubled, _STRENGTHS[losses.argmin()], np.random.RandomState(_SEED))


def one_sided(rows: Rows) -> bool:
    """Whether one of the fits would see nothing but wins, or nothing but losses."""
    parts = [_doubled(rows).part(train) for train, _ in _folds(len(rows.shares))]
    return any(p.weights[p.shares == side].sum() == 0 for p in parts for side in (0, 1))


def logistic(logits: Array) -> Array:
    """Probabilities, also where exp(-logit) would overflow."""
    result: Array = np.exp(-np.logaddexp(0, -logits))
    return result


def influence(rows: Rows, coefficients: Array, gradient: Array) -> Array:
    """How far each row (rows,) moves a smooth function of the coefficients that has this gradient.

    gradient . H^-1 . w (y - p) x, with H = sum of w p (1 - p) x x^T: the terms of the sandwich
    variance of a regression of shares (Papke and Wooldridge 1996). The penalty, which is weak at the
    strengths that cross-validation picks, is left out.
    """
    p = logistic(rows.features @ coefficients)
    curvature = (rows.features.T * (rows.weights * p * (1 - p))) @ rows.features
    # Least squares, because features may depend on each other, which leaves the answer what it is
    direction = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
    moved: Array = rows.weights * (rows.shares - p) * (rows.features @ direction)
    return moved


def _doubled(rows: Rows) -> Rows:
    """All rows as wins and then all as losses, each weighted by its share of that."""
    return Rows(
        np.vstack([rows.features, rows.features]),
        np.repeat([1.0, 0.0], len(rows.shares)),
        np.concatenate([rows.weights * rows.shares, rows.weights * (1 - rows.shares)]),
    )


def _folds(n: int) -> Iterator[tuple[Positions, Positions]]:
    """Positions in the doubled rows to fit on and to hold out."""
    groups = np.tile(np.arange(n), 2)
    yield from GroupKFold(FOLDS).split(groups, groups=groups)


def _solve(doubled: Rows, strength: float, random: np.random.RandomState) -> Array:
    model = LogisticRegression(
        C=strength, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=random
    )
    model.fit(doubled.features, doubled.shares.astype(int), sample_weight=doubled.weights)
    coefficients: Array = model.coef_[0]
    return coefficients


def _log_loss(rows: Rows, part: Positions, coefficients: Array) -> float:
    held_out = rows.part(part)
    p = np.clip(logistic(held_out.features @ coefficients), _TINY, 1 - _TINY)
    losses = held_out.shares * np.log(p) + (1 - held_out.shares) * np.log(1 - p)
    return float(-np.mean(held_out.weights * losses))
