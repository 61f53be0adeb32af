"""Which segments of a response keep their gradient, and what that makes of its log-probability.

AMA, arXiv 2502.11555: L = E[alpha l(pi, r)], alpha in {0, 1}. Here alpha is a token's, and it acts on
the gradient alone: docs/methods.md says what the paper states and what is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any, Literal

from bfpo_bench.errors import UserError
from bfpo_bench.training.numbers import yaml_number
from bfpo_bench.training.pairs import Side

if TYPE_CHECKING:
    from torch import Tensor

Baseline = float | Literal["mean"]
"""A number in the unit of the rewards, or the mean over the segments of each response."""
WITHOUT_SEGMENTS = ("derta",)
"""Objectives whose rows are made of the responses anew, so that a mask of these means nothing there."""


def checked_baseline(value: Any) -> Baseline:
    """Raises UserError for what is neither `mean` nor a finite number."""
    if value == "mean":
        return "mean"
    try:
        number = float(value) if isinstance(value, str) else yaml_number(value)
    except ValueError:
        number = None
    if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number):
        return float(number)
    raise UserError(f"The baseline of segment rewards is {value!r}: give a number, or mean.")


def kept_segments(rewards: Sequence[float], side: Side, baseline: Baseline) -> list[bool]:
    """One a segment: of chosen those above the baseline, of rejected those below it.

    A segment at the baseline is neither, and not kept.
    """
    # Exact: equal rewards lie at their mean, whatever they are
    level = mean(rewards) if baseline == "mean" else baseline
    return [reward > level if side == "chosen" else reward < level for reward in rewards]


def masked_sums(log_probs: Tensor, kept: Tensor | None) -> Tensor:
    """sum_t [a_t lp_t + (1 - a_t) sg(lp_t)], sg without gradient: shape (sequences,), in nats.

    `log_probs` has shape (sequences, length - 1) and is 0 outside of the completions: its column t is
    of token t + 1. `kept`, a, has shape (sequences, length) and is 1 for tokens with a gradient; None
    keeps them all. The value is that of the plain sum, to the last digit.
    """
    if kept is None:
        return log_probs.sum(dim=1)
    return log_probs.where(kept[:, 1:].bool(), log_probs.detach()).sum(dim=1)
