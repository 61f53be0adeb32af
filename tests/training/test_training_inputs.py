"""What a training reads, by name: told of every model, and decided by keys of its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from experts import experts
from recipes import recipe

from bfpo_bench.training.inputs import DECIDED_BY, identities, models_of
from bfpo_bench.training.recipe import Recipe
from bfpo_bench.training.training_data import TrainingData


@pytest.mark.usefixtures("hub")
def test_every_model_is_told_by_commit_or_hash(tmp_path: Path) -> None:
    """Of a recipe that names one of every kind. The margin's is a LoRA adapter, that of the safety
    expert: it and its base make up the margin."""
    base, found = experts(tmp_path)
    given = recipe(
        tmp_path / "o",
        model=base,
        objective={"name": "midpo_router"},
        experts={role: str(folder) for role, folder in found.items()},
        margin={"model": str(found["safety"])},
    )
    told = identities(models_of(given, lambda text: None), TrainingData(reports=()))
    assert told.keys() == DECIDED_BY.keys()
    assert told["margin model"] == f"{told['base model']} + {told['safety expert']}"
    assert told["safety expert"] != told["helpfulness expert"]


def test_what_decides_them_are_keys_of_a_recipe() -> None:
    assert {key.partition(".")[0] for keys in DECIDED_BY.values() for key in keys} <= set(
        Recipe.model_fields
    )
