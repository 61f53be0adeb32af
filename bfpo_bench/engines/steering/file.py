"""A bias on this disk: what decoding subtracts from the logits of a response's first positions.

A safetensors file with one float32 tensor, `bias`, of shape (positions, vocabulary), and where it comes
from as JSON in its metadata. Its hash is the tensor's: the same numbers are the same bias.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.names import shortened
from bfpo_bench.runs.identity import ModelIdentity
from bfpo_bench.runs.jsonl import write_atomically

TENSOR, METADATA = "bias", "bfpo_bench"
Difference = Literal["logprobs", "probs"]


class PromptSource(BaseModel):
    """`sha256` is that of the file's bytes; `random` how many prompts were drawn from its words, None
    where its own were asked."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    prompts: int
    random: int | None = None
    seed: int | None = None


class Provenance(BaseModel):
    """`vocabulary` is the hash of the tokenizer's vocabulary, `counts` how many prompts each position is
    the mean over. `created` and `version` tell when and by what, and are in no hash."""

    model_config = ConfigDict(frozen=True)

    model: ModelIdentity
    reference: ModelIdentity
    vocabulary: str
    difference: Difference
    continuation: str
    chat_template: bool
    prompts: PromptSource
    counts: tuple[int, ...]
    engine: dict[str, Any]
    version: str
    created: str


@dataclass(frozen=True)
class StoredBias:
    """`values` is a numpy array of float32, (positions, vocabulary)."""

    values: Any
    provenance: Provenance
    sha256: str

    @property
    def positions(self) -> int:
        return int(self.values.shape[0])

    @property
    def vocabulary_size(self) -> int:
        return int(self.values.shape[1])


def tensor_hash(values: Any) -> str:
    """sha256 over the shape and the float32 numbers, in little-endian bytes."""
    rows, columns = values.shape
    told = f"{rows}x{columns}\n".encode() + values.astype("<f4").tobytes()
    return hashlib.sha256(told).hexdigest()


def vocabulary_hash(tokenizer: Any) -> str:
    """sha256 over every token with its id: what the columns of a bias stand for."""
    pairs = sorted(tokenizer.get_vocab().items(), key=lambda pair: (pair[1], pair[0]))
    return hashlib.sha256("\n".join(f"{i} {t!r}" for t, i in pairs).encode()).hexdigest()


def write_bias(path: Path, values: Any, provenance: Provenance) -> StoredBias:
    """Replace `path` in one step. `values` as in `StoredBias`."""
    from safetensors.numpy import save

    metadata = {METADATA: provenance.model_dump_json()}
    write_atomically(path, save({TENSOR: values}, metadata=metadata))
    return StoredBias(values, provenance, tensor_hash(values))


def read_bias(path: Path, sha256: str | None = None) -> StoredBias:
    """Raises UserError for a file that cannot be read or holds no bias, and where one with this
    `sha256` is wanted for one that has another."""
    values, metadata = _content(path)
    _check(path, values)
    try:
        provenance = Provenance.model_validate_json(metadata.get(METADATA, ""))
    except ValidationError as error:
        raise _no_bias(path, "it does not say what it was estimated from") from error
    found = tensor_hash(values)
    if sha256 is not None and found != sha256:
        raise UserError(
            f"The bias {shortened(str(path))} has changed since the run was planned: give the same "
            "command again."
        )
    return StoredBias(values, provenance, found)


def _content(path: Path) -> tuple[Any, Mapping[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            if TENSOR not in file.keys():  # noqa: SIM118
                raise _no_bias(path, f"it has no tensor {TENSOR!r}")
            if file.get_slice(TENSOR).get_dtype() != "F32":
                raise _no_bias(path, "its numbers are not float32")
            return file.get_tensor(TENSOR), file.metadata() or {}
    except OSError as error:
        raise UserError(
            f"The bias {shortened(str(path))} cannot be read ({error.strerror or first_line(error)}): "
            "give a file that `bfpo-bench bias` wrote."
        ) from error
    except SafetensorError as error:
        raise _no_bias(path, first_line(error)) from error


def _check(path: Path, values: Any) -> None:
    import numpy as np

    if values.ndim != 2 or 0 in values.shape:
        shape = " x ".join(map(str, values.shape)) or "one number"
        raise _no_bias(path, f"its shape is {shape}, not positions x vocabulary")
    if not np.isfinite(values).all():
        raise _no_bias(path, "some of its numbers are not finite")


def _no_bias(path: Path, reason: str) -> UserError:
    return UserError(
        f"{shortened(str(path))} is no bias ({reason}): give a file that `bfpo-bench bias` wrote."
    )
