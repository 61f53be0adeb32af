"""The model card: what the hub reads of it, and what a person does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from recipes import recipe

from bfpo_bench.runs.training_manifest import Base, Parameters, TrainingManifest
from bfpo_bench.training.card import model_card
from bfpo_bench.training.pairs import DataReport
from bfpo_bench.training.recipe import Recipe

SHA = "1a2b3c4d" * 8
COMMIT = "ff7ba91063016c78a225b0f74e1c0860bb18230f"
HUB = Base(name="org/base", commit="a" * 40)


def report(origin: str, revision: str | None, **cases: int) -> dict[str, Any]:
    found = DataReport("any", origin, revision, "train", rows=40, taken=30, used=25)
    found.dropped.update({"equal responses": 3, "empty response": 2})
    found.cases.update({case.replace("_", "/"): count for case, count in cases.items()})
    return found.dump()


def card(base: Base = HUB, small: Recipe | None = None, **changes: Any) -> tuple[dict, str]:
    """(front matter, text)."""
    values = {
        "format": 1,
        "stage": "preference",
        "objective": "bfpo",
        "objective_args": {"tau": 0.1},
        "data": (report("org/pairs", COMMIT, safe_safe=20, unsafe_safe=5),),
        "buffer": (report("mine.jsonl", None, safe_safe=25),),
        "data_sha256": SHA,
        "parameters": Parameters(trained=1658880, all=9404480),
        "steps": 7,
    }
    manifest = TrainingManifest.model_validate(values | {"base": base} | changes)
    _, head, text = model_card(small or recipe(Path("o")), manifest).split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_hub_learns_base_data_and_kind() -> None:
    """A user's own file is no data set of the hub."""
    head, _ = card()
    assert head == {
        "base_model": "org/base",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["bfpo-bench", "bfpo"],
        "datasets": ["org/pairs"],
    }


def test_an_adapter_is_peft_s() -> None:
    head, _ = card(small=recipe(Path("o"), lora={"r": 4}))
    assert head["library_name"] == "peft"


def test_the_hub_is_told_of_models_that_it_has() -> None:
    """A revision is no part of an id, and a folder has none."""
    head, text = card(Base(name="org/base@v1", commit="a" * 40))
    assert head["base_model"] == "org/base"
    assert "org/base@v1, trained by" in text
    head, text = card(Base(name="mistral-7b-sft@1a2b3c4d", weights="b" * 16))
    assert "base_model" not in head
    assert "mistral-7b-sft@1a2b3c4d, trained by" in text


def test_a_person_reads_what_was_trained_on_what() -> None:
    _, text = card()
    assert text.startswith("# small\n")
    assert (
        "org/base, trained by `bfpo-bench train` (bfpo tau=0.1 on 1a2b3c4d): 7 steps, 1,658,880 of "
        "9,404,480 parameters."
    ) in text
    assert f"`{SHA}`" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table == [
        "| source | revision | used | dropped | safe/safe | safe/unsafe | unsafe/safe | unsafe/unsafe |",
        "|---|---|---|---|---|---|---|---|",
        f"| org/pairs | {COMMIT} | 25 of 40 | 5 | 20 | 0 | 5 | 0 |",
        "| mine.jsonl (buffer) |  | 25 of 40 | 5 | 25 | 0 | 0 | 0 |",
    ]


def test_conversations_have_no_safety_cases() -> None:
    supervised = recipe(
        Path("o"), stage="sft", objective=None, data=[{"source": "ultrachat"}], packing=False
    )
    head, text = card(small=supervised, stage="sft", objective=None, objective_args={}, buffer=())
    assert head["tags"] == ["bfpo-bench", "sft"]
    assert "(sft on 1a2b3c4d)" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0] == "| source | revision | used | dropped |"
    assert table[2] == f"| org/pairs | {COMMIT} | 25 of 40 | 5 |"


@pytest.mark.parametrize("name", ["small", "Größer als 3: 5 %"])
def test_the_recipe_is_in_it_whole(name: str) -> None:
    small = recipe(Path("o"), name=name)
    _, text = card(small=small)
    told = text.split("```yaml\n")[1].split("```")[0]
    assert Recipe.model_validate(yaml.safe_load(told)) == small
    assert name in told


@pytest.mark.parametrize(
    ("cells", "best"),
    [
        ({"0,2": 3, "1,2": 4, "2,2": 0}, "[helpful=1][harmless=2]"),
        ({"2,0": 3, "0,2": 4}, "[helpful=0][harmless=2]"),
        ({"2,1": 3, "0,2": 4}, "[helpful=2][harmless=1]"),
    ],
)
def test_the_highest_levels_are_ones_that_it_learnt(cells: dict[str, int], best: str) -> None:
    """By their sum, and of equal sums the safer: no response at 2,2 was learnt."""
    _, text = card(levels={"count": 3, "cells": cells})
    assert f"`{best}` are the highest that it learnt." in text
