"""What a model was trained on, once more: the chosen responses of its recipe's pairs as token ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bfpo_bench.engines.subject import Subject, load_tokenizer
from bfpo_bench.errors import UserError
from bfpo_bench.training.recipe import Recipe, validated
from bfpo_bench.training.reference import Scored


@dataclass(frozen=True)
class Trained:
    """A model's recipe, and the first of what it was trained on, in the training's own order."""

    recipe: Recipe
    examples: list[Scored]
    data_sha256: str


def recipe_of(model: Subject) -> Recipe:
    """The recipe in the model's training manifest. Raises UserError where there is none of pairs."""
    if model.adapter is not None:
        raise UserError(
            f"{model.name} is an adapter, and scores are of whole weights: train the patch without "
            "lora."
        )
    if model.training is None or model.training.recipe is None:
        reason = model.training_fault or f"{model.name} does not say what it was trained on"
        raise UserError(f"{reason.rstrip('.')}: give a model of `bfpo-bench train`.")
    recipe = validated(f"of {model.name}", model.training.recipe)
    if recipe.stage != "preference":
        raise UserError(
            f"{model.name} was trained on conversations, and scores are of the chosen responses of pairs: "
            "give a model of the preference stage."
        )
    return recipe


def trained_on(model: Subject, limit: int) -> Trained:
    """The first `limit` pairs that the model was trained on; of each prompt and chosen response.

    Raises UserError for data that are not those of the training any more.
    """
    from datasets import Dataset

    from bfpo_bench.training.dataset import encode_dataset
    from bfpo_bench.training.encode import Lengths, pair_columns
    from bfpo_bench.training.training_data import load_data

    recipe = recipe_of(model)
    data = load_data(recipe)
    assert model.training is not None
    if data.sha256 != model.training.data_sha256:
        raise UserError(
            f"The data of {model.name}'s recipe are not those that it was trained on (their hash has "
            "changed): restore them."
        )
    pairs = Dataset.from_dict(pair_columns(data.pairs[:limit]))
    tokenizer: Any = load_tokenizer(model.base.materialise())
    lengths = Lengths(recipe.max_length, recipe.prompt_length)
    encoded, _ = encode_dataset(pairs, "training", tokenizer, lengths, margin=False)
    examples = [(row["prompt_ids"], row["chosen_ids"]) for row in encoded]
    return Trained(recipe, examples, data.sha256)
