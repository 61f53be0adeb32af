"""A batch of pairs: what it holds beside what TRL's holds, and the loss over main data and buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import pad

from bfpo_bench.training.encode import LABELS

MASKS = ("chosen_kept", "rejected_kept")
"""Columns of an encoded row, 1 for each of the completion's tokens that has a gradient (AMA)."""
LABELLED = (*LABELS, "buffered", "margin", "row")
"""Keys of a batch that a model must not see: most swallow what they do not know without a word."""


@dataclass
class PairCollator(DataCollatorForPreference):
    """TRL's collator of prompt_ids, chosen_ids and rejected_ids, and each pair's labels as tensors of
    shape (pairs,): chosen_safe, rejected_safe, buffered (1 for the buffer), margin, row (an index).
    Where the rows have masks, `kept` of input_ids' shape is 1 for tokens with a gradient."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        if MASKS[0] in examples[0]:
            batch["kept"] = self._kept(examples)
        return batch | label_tensors(examples)

    def _kept(self, examples: list[dict[str, Any]]) -> Tensor:
        rows = [
            torch.tensor([0] * len(example["prompt_ids"]) + example[name])
            for name in MASKS
            for example in examples
        ]
        kept: Tensor = pad(
            rows, padding_value=0, padding_side="right", pad_to_multiple_of=self.pad_to_multiple_of
        )
        return kept


def label_tensors(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Those of LABELLED that the examples have, each of shape (pairs,)."""
    present = [name for name in LABELLED if name in examples[0]]
    return {name: torch.tensor([example[name] for example in examples]) for name in present}


def mixed_mean(losses: Tensor, buffered: Tensor) -> Tensor:
    """The mean over the pairs of the main data plus the mean over those of the buffer, if any."""
    main = ((1 - buffered) * losses).sum() / (1 - buffered).sum().clamp(min=1)
    return main + (buffered * losses).sum() / buffered.sum().clamp(min=1)
