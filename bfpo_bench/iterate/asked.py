"""What the user asked `iterate` to do, and which recipes can be trained in rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.compare.gate import Rules
from bfpo_bench.runs.identity import digest
from bfpo_bench.training.recipe import Recipe

_UNUSED = ("data", "output", "reference_cache")
"""Keys of the recipe that say nothing about what its rounds come to."""
ENGINES = ("auto", "vllm", "transformers", "ray")
"""Those that load the model that a round has just trained."""


@dataclass(frozen=True)
class Asked:
    """An iteration. `out` is its folder, `runs` that of the runs which measure its models.

    `temperature` and `max_new_tokens` are of the responses that pairs are made of; `suite`, `tasks`
    and `limit` say what each round is measured by, `judges` who judges either. `rules` None stops
    where a round is shown worse (`gate.default_rules`).
    """

    recipe: Recipe
    rounds: int
    prompts: Path
    out: Path
    rules: Rules | None = None
    temperature: float = 0.7
    max_new_tokens: int = 512
    judges: tuple[str, ...] = ()
    suite: str = "bfpo"
    tasks: str | None = None
    limit: int | None = None
    engine: str = "auto"
    engine_arguments: dict[str, Any] = field(default_factory=dict)
    runs: Path = Path("runs")
    leaderboard: Path | None = None

    def settings(self, prompts: str) -> dict[str, Any]:
        """What no round may change, as plain values; `prompts` is the hash of their contents."""
        recipe = {k: v for k, v in self.recipe.dump().items() if k not in _UNUSED}
        return {
            "recipe": recipe,
            "prompts": prompts,
            "judge": list(self.judges),
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens,
            "suite": self.suite,
            "tasks": self.tasks,
            "limit": self.limit,
        }

    def differences(self, before: Mapping[str, Any], prompts: str) -> list[str]:
        """The settings that are not those of `before`, in words; a recipe's by its keys."""
        mine = self.settings(prompts)
        recipe = before.get("recipe")
        keys = self.recipe.differences(recipe) if isinstance(recipe, dict) else ["recipe"]
        found = [key for key in keys if key not in _UNUSED]
        others = [key for key in mine if key != "recipe" and mine[key] != before.get(key)]
        return found + ["--" + key.replace("_", "-") for key in others]


def check(asked: Asked) -> None:
    """Raises UserError for what no round could be made of; reads no file and loads no model."""
    if asked.rounds < 1:
        raise UserError(f"--rounds {asked.rounds} is none: give 1 or more.")
    if not 0 < asked.temperature < float("inf"):
        raise UserError(
            f"At --temperature {asked.temperature:g} both responses to a prompt would be the same: "
            "give a number above 0."
        )
    if asked.engine not in ENGINES:
        raise UserError(
            f"--engine {asked.engine} does not load the model that a round has trained: give one of "
            f"{', '.join(ENGINES)}."
        )
    if (reason := _unfit(asked.recipe)) is not None:
        raise UserError(f"Recipe {asked.recipe.name} cannot be iterated: {reason}.")


def _unfit(recipe: Recipe) -> str | None:
    """Why the recipe cannot be trained on pairs of a model's own responses, round after round."""
    if recipe.stage != "preference":
        return (
            f"its stage is {recipe.stage}, and rounds train on pairs: give one of stage preference"
        )
    if recipe.lora is not None:
        return (
            "lora leaves an adapter, and the next round begins with whole weights: give train_only, or "
            "lora=null"
        )
    if recipe.experts is not None:
        return (
            "experts leave a router over adapters, and the next round begins with whole weights: give "
            "another objective, and no experts"
        )
    if recipe.chat_template is not None:
        return (
            "chat_template is for training alone, and a round's responses are asked through the "
            "model's own: save the template with the model's tokenizer, and leave it out"
        )
    for key, what in (("ama", "segments with rewards"), ("shares", "groups")):
        if getattr(recipe, key) is not None:
            return f"{key} asks for {what}, which a round's pairs do not have: leave it out"
    if recipe.margin is None and _needs_margin(recipe):
        return (
            f"the objective {recipe.objective_name} asks for a margin, which a round's pairs do not "
            "have: name the model that gives it (margin: {model: ...})"
        )
    return None


def _needs_margin(recipe: Recipe) -> bool:
    from bfpo_bench.training.objective import resolve_objective

    found = resolve_objective(str(recipe.objective_name), recipe.objective_args)
    return "margin" in found.inputs


def pair_seed(seed: int, number: int) -> int:
    """Of the responses of round `number`, from the recipe's seed: below 2**32, another each round."""
    return int(digest(["iterate", seed, number])[:8], 16)
