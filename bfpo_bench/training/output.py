"""A training's output folder: what it is of, whether it is finished, and what it says of itself.

.lock                     held while a training writes here
recipe.yaml               the resolved recipe, written first
checkpoints/              transformers' checkpoints
config.json, ...          the model (or adapter_config.json, ...), once it is trained
README.md                 the model card
metrics.jsonl             everything logged
training_manifest.json    written last: where it is, the training is finished
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bfpo_bench.errors import UserError
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.training_manifest import TrainingManifest, read_training_manifest
from bfpo_bench.training.guards import last_checkpoint
from bfpo_bench.training.recipe import Recipe

RECIPE = "recipe.yaml"
INPUTS = "inputs.json"
CHECKPOINTS = "checkpoints"


def is_finished(recipe: Recipe) -> bool:
    """Whether the recipe's output folder holds this training, finished already.

    A recipe without a checkpoint is of a training that never got so far as to have something to
    lose: another one may take its place. Raises UserError for a folder that holds another training,
    or something else.
    """
    folder, kept = recipe.output, recipe.output / RECIPE
    finished = (folder / TrainingManifest.FILE).is_file()
    if not kept.is_file() and _visible(folder):
        raise UserError(
            f"The output folder {folder} is not empty and holds no {RECIPE}: name another (output=DIR)."
        )
    if finished or last_checkpoint(folder / CHECKPOINTS):
        _check_same(recipe, kept)
    if finished:
        read_training_manifest(folder / TrainingManifest.FILE, str(folder))
    return finished


def _visible(folder: Path) -> bool:
    """Whether there is anything in it but hidden files: the lock, or a draft of the recipe."""
    return folder.is_dir() and any(not p.name.startswith(".") for p in folder.iterdir())


@contextmanager
def claimed(recipe: Recipe) -> Iterator[None]:
    """The output folder, marked with the recipe, for this training alone.

    Raises UserError where it cannot be written, or another training is at work in it.
    """
    from filelock import FileLock, Timeout

    folder = recipe.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"Another training is at work in {folder}: wait for it, stop it or name another folder "
            "(output=DIR)."
        ) from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    with lock:
        # Whoever held the lock until now may have left something
        is_finished(recipe)
        text = yaml.safe_dump(recipe.dump(), sort_keys=False, allow_unicode=True)
        try:
            write_atomically(folder / RECIPE, text)
        except OSError as error:
            raise _unwritable(folder, error) from error
        yield


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"The output folder {folder} cannot be written ({error.strerror}): name another (output=DIR)."
    )


def _check_same(recipe: Recipe, kept: Path) -> None:
    try:
        before = yaml.safe_load(kept.read_text(encoding="utf-8"))
        different = recipe.differences(before)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise UserError(f"{kept} cannot be read: restore it, or name another output.") from error
    if different:
        raise UserError(
            f"The output folder {kept.parent} holds a training with another {', '.join(different)}: "
            "name another (output=DIR), or delete it."
        )


def check_inputs(folder: Path, inputs: dict[str, str], write: bool) -> None:
    """Hold what a training reads against what it read before; written down, if `write`, where there
    is nothing to lose yet.

    Raises UserError where a checkpoint or a finished model is of other inputs: a recipe names files
    and repositories, and what lies there may have changed. What an older version did not write down
    is not held against it.
    """
    kept = folder / INPUTS
    lost = last_checkpoint(folder / CHECKPOINTS) or (folder / TrainingManifest.FILE).is_file()
    if not lost or not kept.is_file():
        if write and not (folder / TrainingManifest.FILE).is_file():
            write_atomically(kept, json.dumps(inputs, indent=1))
        return
    before = json.loads(kept.read_text())
    changed = [name for name in inputs if name in before and before[name] != inputs[name]]
    if changed:
        raise UserError(
            f"The {' and the '.join(changed)} changed since the training in {folder} began: restore "
            "what it was, name another folder (output=DIR), or delete this one."
        )


def write_manifest(folder: Path, manifest: TrainingManifest) -> None:
    told = manifest.model_dump(mode="json")
    write_atomically(folder / TrainingManifest.FILE, json.dumps(told, indent=1, ensure_ascii=False))


def write_metrics(folder: Path, history: list[dict[str, Any]]) -> None:
    """One line a log entry, as transformers' trainer keeps them."""
    write_atomically(folder / "metrics.jsonl", "".join(json.dumps(e) + "\n" for e in history))
