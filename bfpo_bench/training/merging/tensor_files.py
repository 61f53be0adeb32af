"""A safetensors checkpoint one tensor at a time: where each lies, reading it, writing shards of them.

A file of this format is the header's length (8 bytes, little-endian), the header (JSON, padded with
spaces to a multiple of 8 bytes) and the tensors' bytes without gaps; see
https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bfpo_bench.errors import UserError, first_line

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_DTYPES = {
    "I64": torch.int64,
    "F64": torch.float64,
    "F32": torch.float32,
    "I32": torch.int32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""In the order in which safetensors lays out a file, wide ones first, so that all are aligned."""
_RANK = {name: rank for rank, name in enumerate(_DTYPES)}
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the checkpoint `model` that lies in `file`; `stored_as` is the format's dtype."""

    model: str
    name: str
    file: Path
    stored_as: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        return _DTYPES[self.stored_as]

    @property
    def items(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.items * self.dtype.itemsize

    def read(self) -> Tensor:
        """The tensor, mapped from its file.

        The file is opened for it alone: pages of a mapping count as this process's memory for as
        long as the file stays open, so that one open file would come to hold all of it.
        """
        with safe_open(self.file, framework="pt") as opened:
            return opened.get_tensor(self.name)


def read_layout(folder: Path, model: str) -> dict[str, StoredTensor]:
    """Name -> tensor for the checkpoint in `folder`, from the headers of its files.

    model.safetensors goes before model.safetensors.index.json, as in transformers. Raises UserError,
    naming `model`, for files that are missing, damaged or quantised.
    """
    listed = {} if (folder / SINGLE).is_file() else _read_index(folder / INDEX, model)
    found: dict[str, StoredTensor] = {}
    for file in sorted(set(listed.values())) or [SINGLE]:
        found |= {stored.name: stored for stored in read_header(folder / file, model)}
    if lost := sorted(listed.keys() - found.keys()):
        raise UserError(
            f"{model}: its index names {lost[0]}, which {listed[lost[0]]} does not hold: "
            "restore the file."
        )
    if not found:
        raise UserError(f"{model} holds no tensors: give another checkpoint.")
    return found


def _read_index(file: Path, model: str) -> dict[str, str]:
    """Tensor -> file."""
    try:
        listed = json.loads(file.read_text())["weight_map"]
        return {str(name): str(shard) for name, shard in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{model}: {file.name} holds no weight_map: restore the file.") from error


def read_header(file: Path, model: str) -> list[StoredTensor]:
    """The tensors of one file. Raises UserError, naming `model`, for one that is missing or damaged."""
    try:
        with safe_open(file, framework="pt") as opened:
            slices = [(name, opened.get_slice(name)) for name in opened.keys()]  # noqa: SIM118
            found = [
                StoredTensor(model, name, file, s.get_dtype(), tuple(s.get_shape()))
                for name, s in slices
            ]
    except FileNotFoundError as error:
        raise UserError(f"{model} has no file {file.name}: finish its download.") from error
    except SafetensorError as error:
        raise UserError(
            f"{model}: {file.name} is damaged ({first_line(error)}): restore the file."
        ) from error
    for stored in found:
        if stored.stored_as not in _DTYPES:
            raise UserError(
                f"{model}: {stored.name} is stored as {stored.stored_as}, which is quantised: "
                "merge checkpoints that are not."
            )
    return found


def parse_size(text: str) -> int:
    """Bytes of "5GB", "200MB" or "1000"; a GB is 10^9, as in transformers. Raises UserError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(|KB|MB|GB|TB)", text.strip().upper())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < 1:
        raise UserError(f"--shard-size {text} is not a size: give one like 5GB or 200MB.")
    return size


def split_shards(tensors: Iterable[StoredTensor], limit: int) -> dict[str, list[StoredTensor]]:
    """File name -> its tensors, in the order given, at most `limit` bytes each.

    A tensor larger than that gets a file of its own. Names are those of transformers.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    by_name = {stored.name: stored for stored in tensors}
    split = split_state_dict_into_shards_factory(
        by_name,
        get_storage_size=lambda stored: stored.size,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=limit,
    )
    return {
        file: [by_name[name] for name in names] for file, names in split.filename_to_tensors.items()
    }


def write_shard(
    path: Path, tensors: Iterable[StoredTensor], value: Callable[[StoredTensor], Tensor]
) -> None:
    """A safetensors file with `value(tensor)` for each of `tensors`, one at a time.

    Each value has the dtype and shape that its tensor is stored with.
    """
    ordered = sorted(tensors, key=lambda stored: (_RANK[stored.stored_as], stored.name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for stored in ordered:
        start, end = end, end + stored.size
        header[stored.name] = {
            "dtype": stored.stored_as,
            "shape": stored.shape,
            "data_offsets": [start, end],
        }
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for stored in ordered:
            flat = value(stored).contiguous().reshape(-1)
            file.write(flat.view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())


def write_index(folder: Path, shards: Mapping[str, Iterable[StoredTensor]]) -> None:
    """model.safetensors.index.json beside the shards: which file holds which tensor."""
    files = {stored.name: file for file, tensors in shards.items() for stored in tensors}
    total = sum(stored.size for tensors in shards.values() for stored in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(files.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
