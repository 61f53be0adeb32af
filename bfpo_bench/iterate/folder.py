"""An iteration's folder: what lies where, and the recipe of each round.

.lock                        held while a command works here
iteration.json               what was asked, and what each round came to
prompts.jsonl                the user's prompts, as they were when it began
round-K/pairs/               the responses of round K with their verdicts, and pairs.jsonl
round-K/NAME-round-K/        the model that round K trained, as `train` leaves it
round-K/train.log            what the training's process printed

NAME is the folder's own, so that a row's model says which iteration and round it is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bfpo_bench.training.data.spec import DataSpec
from bfpo_bench.training.recipe import Recipe


@dataclass(frozen=True)
class Folder:
    """Paths only. Rounds count from 1; 0 is the recipe's own model."""

    path: Path

    @property
    def state_file(self) -> Path:
        return self.path / "iteration.json"

    @property
    def prompts_file(self) -> Path:
        return self.path / "prompts.jsonl"

    def pairs(self, number: int) -> Path:
        return self._round(number) / "pairs"

    def pairs_file(self, number: int) -> Path:
        return self.pairs(number) / "pairs.jsonl"

    def model(self, number: int) -> Path:
        return self._round(number) / f"{self.path.resolve().name}-round-{number}"

    def train_log(self, number: int) -> Path:
        return self._round(number) / "train.log"

    def _round(self, number: int) -> Path:
        return self.path / f"round-{number}"


def model_of(recipe: Recipe, folder: Folder, number: int) -> str:
    """The model after round `number`, as `run --model` takes it."""
    return recipe.model if number == 0 else str(folder.model(number))


def round_recipe(recipe: Recipe, folder: Folder, number: int) -> Recipe:
    """The recipe of a round, numbered from 1: trained from the model of the round before, which is its
    reference as well, on this round's pairs in place of the recipe's `data`."""
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-round-{number}",
            "model": model_of(recipe, folder, number - 1),
            "output": folder.model(number),
            "data": [DataSpec(source="jsonl", path=folder.pairs_file(number))],
        }
    )
