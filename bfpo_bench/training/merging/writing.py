"""A model folder written tensor by tensor: shards, index, the files beside them, card and manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.training.merging.draft_folder import draft_folder
from bfpo_bench.training.merging.tensor_files import (
    StoredTensor,
    split_shards,
    write_index,
    write_shard,
)

_CARD = "README.md"


@dataclass(frozen=True)
class Merged:
    """What was written; `parameters` counts those of all tensors, tied ones once."""

    folder: Path
    tensors: int
    parameters: int
    shards: int


@dataclass(frozen=True)
class Plan:
    """A model to be written: `value(tensor)` for each of `layout`, and files of `source` to copy.
    `card` and `manifest` are asked for last: they may tell what the values were."""

    layout: Mapping[str, StoredTensor]
    value: Callable[[StoredTensor], Tensor]
    source: Path
    kept: Iterable[str]
    card: Callable[[], str]
    manifest: Callable[[], str]


def write_model(
    plan: Plan,
    out: Path,
    shard_bytes: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Merged:
    """The plan as the folder `out`, which is there when it is whole, or not at all.

    `report` hears how many tensors are done, of how many. Raises UserError where the disk lacks room,
    and what `plan.value` raises.
    """
    done, total = 0, len(plan.layout)
    shards = split_shards(plan.layout.values(), shard_bytes)

    def value(stored: StoredTensor) -> Tensor:
        nonlocal done
        result = plan.value(stored)
        done += 1
        report(done, total)
        return result

    with draft_folder(out) as draft:
        _check_room(out, draft, plan.layout.values())
        for name in plan.kept:
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(plan.source / name, target)
        for file, tensors in shards.items():
            write_shard(draft / file, tensors, value)
        if len(shards) > 1:
            write_index(draft, shards)
        (draft / _CARD).write_text(plan.card(), encoding="utf-8")
        (draft / TrainingManifest.FILE).write_text(plan.manifest(), encoding="utf-8")
    parameters = sum(stored.items for stored in plan.layout.values())
    return Merged(out, total, parameters, len(shards))


def _check_room(out: Path, draft: Path, tensors: Iterable[StoredTensor]) -> None:
    """Raises UserError where the disk of `draft`, which becomes `out`, lacks room for the tensors."""
    needed, free = sum(stored.size for stored in tensors), shutil.disk_usage(draft).free
    if free < needed:
        raise UserError(
            f"The merged weights take {needed / 1e9:.1f} GB and the disk of {out} has "
            f"{free / 1e9:.1f} GB: free some space, or name another --out."
        )
