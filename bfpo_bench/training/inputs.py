"""What a training reads: its models, found and checked before any is loaded, and its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bfpo_bench.engines.routed.folder import Routing
from bfpo_bench.engines.subject import Subject
from bfpo_bench.runs.identity import digest
from bfpo_bench.training.midpo.experts import experts_in, routing_of
from bfpo_bench.training.prepare import base_of, margin_of, tokenizer_of
from bfpo_bench.training.recipe import Recipe
from bfpo_bench.training.training_data import TrainingData

DECIDED_BY = {
    "data": ("stage", "data", "buffer", "shares", "levels", "ama", "seed"),
    "base model": ("model",),
    "tokenizer": ("model",),
    "chat template": ("model", "chat_template"),
    "safety expert": ("experts.safety",),
    "helpfulness expert": ("experts.helpfulness",),
    "margin model": ("margin.model",),
}
"""Of each input that `identities` tells the keys of a recipe that say what it is."""


@dataclass(frozen=True)
class Models:
    """`base` is trained, or the `routing` over its experts; `margin` scores the pairs' margins."""

    base: Subject
    tokenizer: Any
    routing: Routing | None
    margin: Subject | None


def models_of(recipe: Recipe, progress: Callable[[str], None]) -> Models:
    """From metadata and small files. Raises UserError for each that is not there or does not fit the
    base: no training could begin."""
    base = base_of(recipe, progress)
    routing = routing_of(recipe.experts, base)
    return Models(base, tokenizer_of(recipe, base), routing, margin_of(recipe, base))


def identities(models: Models, data: TrainingData) -> dict[str, str]:
    """Commits and hashes by name: a training that goes on has the same."""
    base = models.base.identity
    found = {
        "data": data.sha256,
        "base model": base.weights,
        "tokenizer": base.tokenizer,
        "chat template": digest(models.tokenizer.chat_template),
        **{f"{role} expert": one.weights for role, one in experts_in(models.routing).items()},
    }
    if models.margin is not None:
        margin = models.margin.identity
        found["margin model"] = " + ".join(filter(None, (margin.weights, margin.adapter)))
    return found
