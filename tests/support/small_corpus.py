"""The demo's corpus in the small, for tests that train on it and do not look at what is learnt."""

from __future__ import annotations

import pytest

from bfpo_bench.demo import compare
from bfpo_bench.demo import model as demo
from bfpo_bench.demo.corpus import taught
from bfpo_bench.demo.methods import make, places
from bfpo_bench.demo.pairs import helpfulness_pairs, safety_pairs

TINY = demo.Recipe(
    vocabulary=1024,
    hidden=64,
    heads=1,
    layers=1,
    feed_forward=64,
    steps=3,
    warm_up=1,
    batch=4,
)


def small_corpus(patch: pytest.MonkeyPatch) -> None:
    """Every 20th example and every 20th pair: all kinds of them are left."""
    examples = taught("helpful")[::20]
    pairs = {"safety_pairs": safety_pairs()[::20], "helpfulness_pairs": helpfulness_pairs()[::20]}
    patch.setattr(compare, "taught", lambda variant: examples)
    for module in (compare, places, make):
        for name, found in pairs.items():
            patch.setattr(module, name, lambda found=found: found)
