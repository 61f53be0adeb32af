"""The bias in transformers' own decoding: a LogitsProcessor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import BiasFile
from bfpo_bench.engines.steering.file import read_bias
from bfpo_bench.errors import UserError


def load_bias(bias: BiasFile | None, device: Any) -> Any:
    """The tensor, float32, (positions, vocabulary), on `device`; None for no bias."""
    if bias is None:
        return None
    import torch

    return torch.from_numpy(read_bias(Path(bias.path), bias.sha256).values).to(device)


def subtracting(bias: Any, width: int) -> Any:
    """A LogitsProcessorList for a batch whose prompts are padded to `width`; empty without a bias.

    Every row is at the same position of its response. What it subtracts stands before any sampling.
    """
    from transformers import LogitsProcessor, LogitsProcessorList

    if bias is None:
        return LogitsProcessorList()

    class Subtract(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            position = input_ids.shape[1] - width
            if position >= bias.shape[0]:
                return scores
            if scores.shape[-1] != bias.shape[1]:
                raise UserError(
                    f"The bias has {bias.shape[1]:,} entries a position and the model's logits "
                    f"{scores.shape[-1]:,}: estimate one for this model with `bfpo-bench bias`."
                )
            return scores - bias[position]

    return LogitsProcessorList([Subtract()])
