"""Length-controlled win rates: what the win rate would be if both answers were equally long.

Annotators like long answers. A regression of the preference on the difference in length tells that
share apart, and is then asked for a difference of zero (Dubois et al. 2024, arXiv 2404.04475):

    length_controlled_v1       logit p = a tanh(d) + b difficulty + c
    length_controlled_minimal  logit p = a tanh(d) + c

with d the baseline's length less the model's, in characters, over its standard deviation. The first is
the leaderboard's, also fitted to the gamed baselines of glm_inputs.py (their c is 0), and tied to its
805 instructions; the second is AlpacaEval's for all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from bfpo_bench.scoring.glm_inputs import GlmInputs
from bfpo_bench.scoring.intervals import LEVEL
from bfpo_bench.scoring.winrate import valid_preference

if TYPE_CHECKING:
    from bfpo_bench.scoring.glm import Array, Positions, Rows

PUBLISHED = "length_controlled_v1"
MINIMAL = "length_controlled_minimal"
# Five comparisons in each of the five folds
_FEWEST = 25
# 0.2 in all for the two gamed baselines
_GAMED_WEIGHT = 0.1


@dataclass(frozen=True)
class LengthControlled:
    """A length-controlled win rate in percent with its 95 % interval.

    The numbers are None where it could not be computed: `method` then starts with `not computed` and
    says why, and names the form of the regression otherwise. The standard error is that of the
    estimate over instructions, unlike AlpacaEval's `lc_standard_error`, which is the spread of the
    predictions alone and 0 in the minimal form.
    """

    value: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    method: str


def length_controlled(
    preferences: Sequence[object],
    model_lengths: Sequence[int],
    baseline_lengths: Sequence[int],
    inputs: GlmInputs | None = None,
) -> LengthControlled:
    """The length-controlled win rate of preferences as in winrate.py; lengths are in characters.

    The published form where `inputs` are given, which the rows must follow one for one: they are then
    AlpacaEval's 805 in their order. Invalid preferences are not fitted, but their lengths count for
    the standard deviation and their instructions for the mean, as published.

    Raises ValueError for sequences of different lengths.
    """
    columns = [
        preferences,
        model_lengths,
        baseline_lengths,
        *([inputs.difficulty] if inputs else []),
    ]
    if len({len(column) for column in columns}) > 1:
        raise ValueError("preferences, lengths and difficulties differ in number")
    shares = [None if (p := valid_preference(v)) is None else p - 1 for v in preferences]
    deltas = [b - m for b, m in zip(baseline_lengths, model_lengths, strict=True)]
    reason = _refused([(s, d) for s, d in zip(shares, deltas, strict=True) if s is not None])
    if reason:
        return _not_computed(reason)
    from bfpo_bench.scoring.glm import fit, one_sided

    features, rows, fitted = _rows(shares, deltas, inputs)
    if one_sided(rows):
        return _not_computed("wins or losses are too few for a cross-validation")
    return _at_equal_length(features, rows, fitted, fit(rows), PUBLISHED if inputs else MINIMAL)


def _not_computed(reason: str) -> LengthControlled:
    return LengthControlled(None, None, None, None, f"not computed: {reason}")


def _refused(valid: Sequence[tuple[float, int]]) -> str | None:
    """Why no regression can be fitted to these shares and differences in length, if it cannot."""
    if len(valid) < _FEWEST:
        return f"{len(valid)} valid preferences, and a 5-fold cross-validation needs {_FEWEST}"
    if all(share == 1 for share, _ in valid):
        return "the model wins every comparison"
    if all(share == 0 for share, _ in valid):
        return "the model loses every comparison"
    if len({delta for _, delta in valid}) == 1:
        return "the difference in length is the same everywhere"
    return None


def _rows(
    shares: Sequence[float | None], deltas: Sequence[int], inputs: GlmInputs | None
) -> tuple[Array, Rows, Positions]:
    """The features of all comparisons, the rows to fit, and which comparison each of those is.

    The positions are -1 for the rows of gamed baselines, which come first, as published.
    """
    import numpy as np

    from bfpo_bench.scoring.glm import Rows

    delta = np.asarray(deltas, dtype=float)
    columns = [np.tanh(delta / delta.std(ddof=1)), np.ones(len(delta))]
    if inputs:
        columns.insert(1, np.asarray(inputs.difficulty))
    features = np.column_stack(columns)
    fitted = np.asarray([i for i, s in enumerate(shares) if s is not None])
    rows = Rows(
        features[fitted],
        np.asarray([s for s in shares if s is not None]),
        np.ones(len(fitted)),
    )
    if not inputs:
        return features, rows, fitted
    gamed = np.asarray([(math.tanh(g.std_delta_length), g.difficulty, 0.0) for g in inputs.gamed])
    rows = Rows(
        np.vstack([gamed, rows.features]),
        np.concatenate([[g.share for g in inputs.gamed], rows.shares]),
        np.concatenate([np.full(len(gamed), _GAMED_WEIGHT), rows.weights]),
    )
    return features, rows, np.concatenate([np.full(len(gamed), -1), fitted])


def _at_equal_length(
    features: Array, rows: Rows, fitted: Positions, coefficients: Array, method: str
) -> LengthControlled:
    """The mean prediction at a difference of 0, with the interval taken on the scale of the logit.

    The standard error is the root of the summed squares of what each instruction adds: through the
    fit, and through its own prediction's distance from the mean.
    """
    import numpy as np

    from bfpo_bench.scoring.glm import influence, logistic

    equal = features.copy()
    equal[:, 0] = 0
    p = logistic(equal @ coefficients)
    value = float(p.mean())
    added = (p - value) / len(p)
    through_fit = influence(rows, coefficients, (p * (1 - p)) @ equal / len(p))
    ours = fitted >= 0
    added[fitted[ours]] += through_fit[ours]
    error = float(np.sqrt((added**2).sum() + (through_fit[~ours] ** 2).sum()))
    reach = NormalDist().inv_cdf((1 + LEVEL) / 2) * error / (value * (1 - value))
    middle = math.log(value / (1 - value))
    low, high = 100 * logistic(np.asarray([middle - reach, middle + reach]))
    return LengthControlled(100 * value, float(low), float(high), 100 * error, method)
