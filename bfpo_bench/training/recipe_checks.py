"""Which keys of a recipe go together. ValueErrors, which the recipe's model names the keys of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bfpo_bench.nearest import nearest
from bfpo_bench.training.ama.mask import WITHOUT_SEGMENTS
from bfpo_bench.training.midpo.checks import check_midpo
from bfpo_bench.training.policies import POLICIES

if TYPE_CHECKING:
    from bfpo_bench.training.recipe import Recipe

NEVER_UNSAFE = ("safedpo", "bso", "derta")
"""Objectives that have no meaning where an unsafe response is chosen over a safe one."""


def check_levels(recipe: Recipe) -> None:
    if recipe.stage == "preference":
        raise ValueError("levels is for the sft stage: a pair's responses are not told apart by it")
    if recipe.packing:
        raise ValueError(
            "packing takes rows apart, and levels belong to one response: leave it out"
        )
    if recipe.shares is not None:
        raise ValueError("shares mix groups of rows without levels: leave shares or levels out")


def check_preference(recipe: Recipe) -> None:
    if recipe.packing is not None:
        raise ValueError("packing is for the sft stage: pairs are not packed")
    if recipe.lora is not None and recipe.lora.lora_dropout:
        raise ValueError(
            "lora_dropout is for the sft stage: policy and reference are compared without dropout"
        )
    if recipe.objective is None or not isinstance(recipe.objective.get("name"), str):
        raise ValueError("the preference stage needs objective, such as {name: bfpo, tau: 0.01}")
    if recipe.pair_policy not in POLICIES:
        near = nearest(recipe.pair_policy, POLICIES)
        raise ValueError(f"there is no policy {recipe.pair_policy!r}{near}: {', '.join(POLICIES)}")
    if recipe.objective["name"] == "bfpo" and recipe.pair_policy != "helpful-only":
        raise ValueError(
            "bfpo reads the order by helpfulness from the pairs: leave policy out, which "
            "would order them by something else"
        )
    name = recipe.objective["name"]
    adapted = recipe.lora is not None or recipe.train_only is not None
    check_midpo(
        name,
        recipe.pair_policy,
        recipe.experts,
        adapted=adapted,
        live=recipe.reference == "live",
        buffered=bool(recipe.buffer),
    )
    if name in NEVER_UNSAFE and recipe.pair_policy != "safedpo":
        raise ValueError(f"the objective {name} is defined on pairs of policy: safedpo")
    if name == "ascent" and (recipe.pair_policy != "harmful" or recipe.buffer):
        raise ValueError(
            "the objective ascent unlearns every chosen response: give policy: harmful, which "
            "chooses unsafe ones, and no buffer"
        )
    if recipe.ama is not None and name in WITHOUT_SEGMENTS:
        raise ValueError(f"ama masks segments of the responses, and {name} learns other rows")
    if recipe.margin is not None and recipe.reference == "live":
        raise ValueError("margin scores the pairs once, before training: leave reference out")
    if recipe.prompt_length >= recipe.max_length:
        raise ValueError("max_prompt_length must be below max_length: a response needs room")
