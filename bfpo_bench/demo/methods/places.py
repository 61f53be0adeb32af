"""Where each model of the common table is kept: in a folder whose name changes with all that made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.demo import compare
from bfpo_bench.demo.compare import HELPFULNESS, SAFETY, Comparison, folder_name
from bfpo_bench.demo.methods.models import Bias, Made, Trained
from bfpo_bench.demo.pairs import helpfulness_pairs, safety_pairs, segmented
from bfpo_bench.training.pairs import Pair

if TYPE_CHECKING:
    from bfpo_bench.training.recipe import Recipe

# Raise it when the code changes what is made: it is part of the folders' names
CODE_VERSION = 1
BIAS = "bias.safetensors"


def places(cache: Path, comparison: Comparison, made: Sequence[Made]) -> dict[str, Path]:
    """Name -> folder (of a bias its file): the five of `demo --compare` where that keeps them, and each
    of `made` in one that what it follows from names as well."""
    shared = cache / folder_name(comparison)
    found = {name: shared / name for name in comparison.names}
    for entry in made:
        told = [CODE_VERSION, *_identity(entry, cache, comparison, found)]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]
        found[entry.name] = cache / f"method-{digest}" / entry.name
        if isinstance(entry, Bias):
            found[entry.name] /= BIAS
    return found


def _identity(
    entry: Made, cache: Path, comparison: Comparison, found: Mapping[str, Path]
) -> list[Any]:
    from_cache = {name: folder.relative_to(cache) for name, folder in found.items()}
    if not isinstance(entry, Trained):
        return [asdict(entry), [str(from_cache[name]) for name in entry.needs]]
    pairs = segmented_files() if entry.segments else {}
    told = recipe(entry, Path(entry.name), comparison, from_cache)
    return [told.dump(), {name: [p.dump() for p in some] for name, some in pairs.items()}]


def recipe(
    entry: Trained, output: Path, comparison: Comparison, found: Mapping[str, Path]
) -> Recipe:
    """The recipe that makes `entry` of `found`, with its result in `output`: as `demo --compare` has it
    for a method of its own, but for what the entry says."""
    from bfpo_bench.training.objective import resolve_objective
    from bfpo_bench.training.recipe import Recipe

    shared = found[compare.SFT].parent
    values = compare.recipe_values(entry, shared, comparison)
    values |= {"model": str(found[entry.start]), "output": str(output)}
    if entry.margin is not None:
        values["margin"] = {"model": str(found[entry.margin]), "beta": entry.objective["beta"]}
    if entry.segments:
        values["ama"] = {}
        values["data"] = [d | {"path": str(output.parent / _name(d))} for d in values["data"]]
    arguments = {key: value for key, value in entry.objective.items() if key != "name"}
    if not resolve_objective(entry.objective["name"], arguments).needs_reference:
        del values["reference_cache"]
    return Recipe.model_validate(values)


def _name(data: Mapping[str, Any]) -> str:
    return Path(data["path"]).name


def segmented_files() -> dict[str, list[Pair]]:
    """File -> the corpus's pairs with the rewards of their segments."""
    return {
        SAFETY: segmented(safety_pairs(), benign=False),
        HELPFULNESS: segmented(helpfulness_pairs(), benign=True),
    }
