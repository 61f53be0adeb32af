"""Which finished trainings have a common front: what each read, held against what its recipe says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recipes import recipe

from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.sweep.trainings import Trainings
from bfpo_bench.training.output import INPUTS, claimed, write_manifest
from bfpo_bench.training.recipe import Recipe

ROUTER: dict[str, Any] = {
    "objective": {"name": "midpo_router"},
    "experts": {"safety": "a", "helpfulness": "h"},
}
MARGIN: dict[str, Any] = {"objective": {"name": "modpo"}, "margin": {"model": "m", "beta": 0.1}}
SUPERVISED: dict[str, Any] = {"stage": "sft", "objective": None}


def trained(folder: Path, changes: dict[str, Any], **inputs: str) -> Recipe:
    """A finished training by the recipe, which read `inputs` beside what all of them read."""
    made = recipe(folder, **changes)
    with claimed(made):
        pass
    write_manifest(made.output, TrainingManifest(format=1, stage=made.stage))
    common = {"data": "1a", "base model": "2b", "tokenizer": "3c", "chat template": "4d"}
    told = common | {name.replace("_", " "): value for name, value in inputs.items()}
    (made.output / INPUTS).write_text(json.dumps(told))
    return made


def check(*recipes: Recipe) -> None:
    Trainings({str(number): one for number, one in enumerate(recipes)}, ()).check_alike()


@pytest.mark.parametrize(
    ("point", "other", "read"),
    [
        (ROUTER, {"experts": {"safety": "b", "helpfulness": "h"}}, "safety expert"),
        (ROUTER, {"experts": {"safety": "a", "helpfulness": "i"}}, "helpfulness expert"),
        (MARGIN, {"margin": {"model": "n", "beta": 0.1}}, "margin model"),
        (SUPERVISED, {"levels": 2}, "data"),
        ({}, {"seed": 7}, "data"),
        ({}, {"buffer": [{"source": "ultrafeedback", "assume_safe": True}]}, "data"),
        ({}, {"model": "org/other"}, "base model"),
        ({}, {"chat_template": "org/other"}, "chat template"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_swept_may_be_read_otherwise(
    point: dict[str, Any], other: dict[str, Any], read: str, tmp_path: Path
) -> None:
    """And what is not may not: neither by a point that says the same, nor any other of the inputs."""
    name = read.replace(" ", "_")
    one = trained(tmp_path / "one", point, **{name: "x"})
    two = trained(tmp_path / "two", point | other, **{name: "y"})
    check(one, two)
    again = trained(tmp_path / "again", point | {"training": {"learning_rate": 1.0}}, **{name: "z"})
    with pytest.raises(UserError) as error:
        check(one, two, again)
    assert str(error.value) == (
        f"The {read} changed between the trainings in {one.output} and {again.output}: restore what it "
        "was and delete the one that is not of it."
    )
    if read != "base model":
        moved = trained(tmp_path / "moved", point | other, **{name: "y", "base_model": "z"})
        with pytest.raises(UserError, match=r"^The base model changed between"):
            check(one, moved)


def test_points_of_other_betas_have_one_model_for_their_margins(tmp_path: Path) -> None:
    other = {"margin": {"model": "m", "beta": 0.2}}
    recipes = [
        trained(tmp_path / "one", MARGIN, margin_model="x"),
        trained(tmp_path / "two", MARGIN | other, margin_model="y"),
    ]
    with pytest.raises(UserError, match=r"^The margin model changed between"):
        check(*recipes)
