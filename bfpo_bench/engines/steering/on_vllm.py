"""The bias in vLLM's decoding: a logits processor of its V1 interface, loaded by its workers by name.

vLLM applies it to the whole batch, one row a request that is asked with `REQUEST`; the others, which are
those of log-likelihoods, keep the model's own logits. The position of a row is the number of tokens
that its request has put out, which vLLM keeps in a list that the processor was given a reference to: a
prompt in chunks leaves it empty, and a request that was preempted comes back with a list of all it has
(vllm 0.32, `v1/worker/gpu_input_batch.py`, `v1/worker/gpu_model_runner.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.sample.logits_processor.interface import BatchUpdate, LogitsProcessor

from bfpo_bench.engines.steering.file import read_bias
from bfpo_bench.engines.steering.vllm_asking import CONFIG, KEY


def _outputs(params: Any, prompt: list[int] | None, outputs: list[int]) -> list[int] | None:
    """What is kept of a request that joins: its running outputs, or None where it wants no bias."""
    return outputs if (params.extra_args or {}).get(KEY) else None


class BiasProcessor(LogitsProcessor):
    """Subtracts `bias[position]`, float32, (positions, vocabulary), from the logits of each row."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        told: Mapping[str, str] = vllm_config.additional_config[CONFIG]
        values = read_bias(Path(told["path"]), told["sha256"]).values
        size = vllm_config.model_config.get_vocab_size()
        if values.shape[1] != size:
            raise ValueError(
                f"the bias has {values.shape[1]} entries a position and the model's vocabulary {size}"
            )
        self.bias = torch.from_numpy(values).to(device)
        self.outputs: dict[int, list[int]] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        # vLLM's own bookkeeping of who joined, left and moved, as its built-in processors use it
        process_dict_updates(self.outputs, batch_update, _outputs)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """In place. `logits`: float32, (requests in the batch, vocabulary)."""
        reach = self.bias.shape[0]
        at = [(row, len(out)) for row, out in self.outputs.items() if len(out) < reach]
        if at:
            rows, positions = torch.tensor(at, device=logits.device).T
            logits.index_add_(0, rows, self.bias[positions], alpha=-1)
        return logits
