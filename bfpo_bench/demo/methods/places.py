"""Where each model of the common table is kept: in a folder whose name changes with all that made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.demo import compare
from bfpo_bench.demo.compare import HELPFULNESS, SAFETY, Comparison, Method, folder_name
from bfpo_bench.demo.methods.models import Bias, Conditioned, Iterated, Made, Trained
from bfpo_bench.demo.pairs import helpfulness_pairs, levelled, safety_pairs, segmented
from bfpo_bench.training.data.jsonl import record
from bfpo_bench.training.pairs import Pair

if TYPE_CHECKING:
    from bfpo_bench.training.recipe import Recipe

# Raise it when the code changes what is made: it is part of the folders' names
CODE_VERSION = 1
BIAS, LEVELLED, PROMPTS = "bias.safetensors", "levelled.jsonl", "prompts.jsonl"
Learnt = Trained | Conditioned | Iterated


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
    if not isinstance(entry, Learnt):
        return [asdict(entry), [str(from_cache[name]) for name in entry.needs]]
    told = recipe(entry, Path(entry.name), comparison, from_cache)
    more = [asdict(entry)] if isinstance(entry, Iterated) else []
    return [told.dump(), own_files(entry), *more]


def recipe(
    entry: Learnt, output: Path, comparison: Comparison, found: Mapping[str, Path]
) -> Recipe:
    """The recipe that makes `entry` of `found`, with its result in `output`: as `demo --compare` has it
    for a method of its own, but for what the entry says. Of what is made in rounds, that of each."""
    from bfpo_bench.training.recipe import Recipe

    if isinstance(entry, Conditioned):
        return Recipe.model_validate(_conditioned(entry, output, comparison, found))
    values = compare.recipe_values(entry, found[compare.SFT].parent, comparison)
    values |= {"model": str(found[entry.start]), "output": str(output)}
    if isinstance(entry, Iterated):
        values["training"] |= {"max_steps": comparison.steps // entry.rounds}
        del values["reference_cache"]
        return Recipe.model_validate(values)
    if entry.margin is not None:
        values["margin"] = {"model": str(found[entry.margin]), "beta": entry.objective["beta"]}
    if entry.segments:
        values["ama"] = {}
        values["data"] = [d | {"path": str(output.parent / _name(d))} for d in values["data"]]
    if entry.lora:
        values["lora"] = {"r": 16, "lora_alpha": 32, "target_modules": ["down_proj"]}
    if entry.experts is not None:
        safety, helpfulness = (str(found[name]) for name in entry.experts)
        values["experts"] = {"safety": safety, "helpfulness": helpfulness}
    if not _needs_reference(entry):
        del values["reference_cache"]
    return Recipe.model_validate(values)


def _needs_reference(entry: Trained) -> bool:
    from bfpo_bench.training.objective import resolve_objective

    arguments = {key: value for key, value in entry.objective.items() if key != "name"}
    return resolve_objective(entry.objective["name"], arguments).needs_reference


def _conditioned(
    entry: Conditioned, output: Path, comparison: Comparison, found: Mapping[str, Path]
) -> dict[str, Any]:
    """As many responses a step as the pairs of the others hold."""
    like = Method(entry.name, {}, entry.learning_rate, "mixed")
    values = compare.recipe_values(like, found[compare.SFT].parent, comparison)
    for key in ("policy", "objective", "reference_cache", "max_prompt_length"):
        del values[key]
    training = values["training"] | {"per_device_train_batch_size": 4 * comparison.pairs}
    return values | {
        "stage": "sft",
        "model": str(found[entry.start]),
        "output": str(output),
        "data": [{"source": "jsonl", "path": str(output.parent / LEVELLED)}],
        "levels": 2,
        "training": training,
    }


def _name(data: Mapping[str, Any]) -> str:
    return Path(data["path"]).name


def own_files(entry: Learnt) -> dict[str, list[dict[str, Any]]]:
    """File -> the rows that the training of `entry` needs beside the pairs that all are trained on."""
    if isinstance(entry, Iterated):
        return {PROMPTS: _prompts(entry.prompts)}
    if isinstance(entry, Conditioned):
        return {LEVELLED: [row for pair in _pairs() for row in levelled(pair)]}
    if not entry.segments:
        return {}
    found = {
        SAFETY: segmented(safety_pairs(), benign=False),
        HELPFULNESS: segmented(helpfulness_pairs(), benign=True),
    }
    return {name: [record(pair) for pair in pairs] for name, pairs in found.items()}


def _prompts(count: int) -> list[dict[str, Any]]:
    """So many of the pairs' own, half of them harmful, from the whole length of both lists."""
    found: list[dict[str, Any]] = []
    for pairs, harmful in ((safety_pairs(), True), (helpfulness_pairs(), False)):
        texts = list(dict.fromkeys(pair.prompt[-1]["content"] for pair in pairs))
        every = max(1, len(texts) // (count // 2))
        found += [{"prompt": text, "harmful": harmful} for text in texts[::every][: count // 2]]
    return found


def _pairs() -> list[Pair]:
    return [*safety_pairs(), *helpfulness_pairs()]
