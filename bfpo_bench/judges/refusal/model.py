"""The judge's small model: a logistic regression, read from a JSON file beside this one."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bfpo_bench.judges.refusal.features import Features

WEIGHTS = Path(__file__).with_name("weights.json")
GRAM_VALUE = 0.5  # what an n-gram that is there counts: half as free to move as a feature


@dataclass(frozen=True)
class Model:
    """P(any refusal) = sigmoid(intercept + sum of weights of what is there).

    `values`: weight per feature, per unit. `grams`: weight of each known n-gram that is there.
    """

    intercept: float
    values: dict[str, float]
    grams: dict[str, float]

    def probability(self, features: Features) -> float:
        """Of any refusal, full or partial: 0 to 1."""
        logit = self.intercept
        logit += sum(self.values[name] * value for name, value in features.values.items())
        # A set has another order in each process: only an exact sum is the same in all of them
        logit += math.fsum(self.grams[gram] for gram in features.grams & self.grams.keys())
        return 1 / (1 + math.exp(-logit))


@cache
def load_model() -> Model:
    weights = json.loads(WEIGHTS.read_text())
    return Model(weights["intercept"], weights["values"], weights["grams"])
