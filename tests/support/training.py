"""`bfpo-bench train` in the small: seven steps of a chat model of 9 M parameters on a few pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import REFUSER, STORIES
from commands import Said, command
from safetensors.torch import load_file
from torch import Tensor

SMALL = (
    "two-cores/bfpo",
    f"model={REFUSER}",
    *("data.0.limit=12", "buffer.0.limit=10"),
    *("max_length=128", "max_prompt_length=64"),
    *("training.learning_rate=3e-5", "training.warmup_steps=0", "training.max_steps=7"),
    *("training.per_device_train_batch_size=4", "training.gradient_accumulation_steps=1"),
    "training.save_steps=2",
)
"""Three steps make an epoch, and the buffer is exhausted in each: both begin anew on the way."""
TINY = (
    *SMALL,
    *(f"model={STORIES}", f"chat_template={REFUSER}"),
    *("training.max_steps=2", "training.learning_rate=1e-3"),
)
"""Two steps of a model of 260 K parameters that has no chat template of its own."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
"""Changes to the environment: sums come out the same, whatever else the machine does."""


def train(*arguments: str) -> Said:
    """`bfpo-bench train ARGUMENTS` where this process is."""
    return command("train", *arguments, cwd=Path.cwd())


@dataclass(frozen=True)
class Trained:
    """An output folder."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "training_manifest.json").read_text())
        return found

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The entries of steps; the last one, of the whole training, is left out."""
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if "loss" in entry]

    @property
    def weights(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = load_file(self.folder / "model.safetensors")
        return found


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference of two weights of one name."""
    assert one.keys() == other.keys()
    return max((value - other[name]).abs().max().item() for name, value in one.items())
