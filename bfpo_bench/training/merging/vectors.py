"""Preference vectors: theta = base + sum_i eta_i (plus_i - minus_i), as weights of a soup.

arXiv 2504.20106: plus_i is trained by DPO on the pairs of one preference, minus_i on the same pairs with
their labels swapped, both from the base that the vectors are added to.
"""

from __future__ import annotations

import math

from bfpo_bench.errors import UserError


def vector_weights(text: str, count: int) -> tuple[float, ...]:
    """Weights of `count` models BASE PLUS MINUS [PLUS MINUS ...] from one eta a vector: 1, eta, -eta, ...

    Raises UserError for text that is no list of finite numbers, or not of so many.
    """
    try:
        etas = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"--vectors {text} is not a list of numbers: give one a vector, like .5 or .5,1."
        ) from error
    if not all(map(math.isfinite, etas)):
        raise UserError(f"--vectors {text} are not all finite: give finite numbers.")
    if count != 1 + 2 * len(etas):
        raise UserError(
            f"--vectors {text} takes {1 + 2 * len(etas)} models, and there are {count}: give the base, "
            "then PLUS and MINUS of each vector."
        )
    return (1.0, *(weight for eta in etas for weight in (eta, -eta)))
