"""Bias files that tests make, and what a model would say under one, computed without any engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bfpo_bench.engines.base import BiasFile, GenerationRequest
from bfpo_bench.engines.steering.file import PromptSource, Provenance, write_bias
from bfpo_bench.runs.identity import ModelIdentity

MODEL = ModelIdentity(name="org/safe", weights="w", adapter=None, tokenizer="t", chat_template=None)


def provenance(**changes: Any) -> Provenance:
    told: dict[str, Any] = {
        "model": MODEL,
        "reference": MODEL.model_copy(update={"name": "org/base", "weights": "v"}),
        "vocabulary": "v",
        "difference": "logprobs",
        "continuation": "greedy answers of the model",
        "chat_template": False,
        "prompts": PromptSource(sha256="p", prompts=3),
        "counts": (3, 2),
        "engine": {"engine": "transformers"},
        "version": "0",
        "created": "2026-01-31T00:00:00+00:00",
    }
    return Provenance(**told | changes)


def bias_of(path: Path, values: Any, **changes: Any) -> BiasFile:
    """The file of these numbers, (positions, vocabulary)."""
    stored = write_bias(path, np.asarray(values, dtype=np.float32), provenance(**changes))
    return BiasFile(str(path), stored.sha256)


def expected(
    folder: str, requests: Sequence[GenerationRequest], values: Any, stop: Sequence[int]
) -> list[tuple[int, ...]]:
    """Greedy answers, one request and one token at a time, from plain logits without a cache: at
    position t the largest of logits - values[t]."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = torch.from_numpy(np.asarray(values, dtype=np.float32))
    found = []
    for request in requests:
        said: list[int] = []
        while len(said) < request.max_new_tokens:
            with torch.inference_mode():
                logits = model(torch.tensor([[*request.prompt, *said]])).logits[0, -1]
            if len(said) < len(rows):
                logits = logits - rows[len(said)]
            token = int(logits.argmax())
            if token in stop:
                break
            said.append(token)
        found.append(tuple(said))
    return found
