"""A folder of SNIP scores: scores.safetensors, and scores.json that says of which model, on which data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from bfpo_bench.errors import UserError
from bfpo_bench.training.merging.draft_folder import draft_folder
from bfpo_bench.training.merging.tensor_files import StoredTensor, read_header, write_shard

_TENSORS = "scores.safetensors"
_STORED_AS = {torch.float32: "F32", torch.float64: "F64"}


class ScoresManifest(BaseModel):
    """scores.json. `weights` is the model's identity, `loss` the mean over the examples in nats a token."""

    FILE: ClassVar[str] = "scores.json"
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    format: Literal[1] = 1
    model: str
    weights: str
    examples: Annotated[int, Field(ge=1)]
    loss: float
    data_sha256: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)


def write_scores(out: Path, scores: Mapping[str, Tensor], manifest: ScoresManifest) -> None:
    """The folder `out`, which is there when it is whole, or not at all. Raises UserError where it is not
    vacant or cannot be written."""
    stored = [
        StoredTensor(manifest.model, name, out, _STORED_AS[value.dtype], tuple(value.shape))
        for name, value in scores.items()
    ]
    with draft_folder(out) as draft:
        write_shard(draft / _TENSORS, stored, lambda one: scores[one.name].cpu())
        told = manifest.model_dump_json(indent=2)
        (draft / ScoresManifest.FILE).write_text(told + "\n", encoding="utf-8")


def read_scores(folder: Path) -> tuple[ScoresManifest, dict[str, StoredTensor]]:
    """What the scores are of, and where each lies. Raises UserError for a folder that holds none."""
    path = folder / ScoresManifest.FILE
    try:
        manifest = ScoresManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{folder} holds no scores ({ScoresManifest.FILE}: {error.strerror}): make them with "
            "`bfpo-bench snip`."
        ) from error
    except ValidationError as error:
        raise UserError(
            f"{path} does not say what the scores are of: make them again with `bfpo-bench snip`."
        ) from error
    tensors = read_header(folder / _TENSORS, str(folder))
    return manifest, {stored.name: stored for stored in tensors}


def check_scores_of(folder: Path, manifest: ScoresManifest, name: str, weights: str) -> None:
    """Raises UserError where the scores are not of the model `name`, whose identity is `weights`."""
    if manifest.weights != weights:
        raise UserError(
            f"The scores in {folder} are of {manifest.model}, and {name} has other weights: make its own "
            "with `bfpo-bench snip`."
        )
