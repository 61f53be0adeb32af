"""What vLLM is told of a bias: where it lies, who subtracts it, and from which requests. No vLLM is
imported in here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from bfpo_bench.engines.base import BiasFile

CONFIG, KEY = "bfpo_bench_bias", "bfpo_bench_bias"
PROCESSOR = "bfpo_bench.engines.steering.on_vllm:BiasProcessor"


def bias_arguments(bias: BiasFile | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` of `vllm.LLM`, and beside what the user gave there what the bias needs."""
    if bias is None:
        return dict(arguments)
    told = {CONFIG: {"path": bias.path, "sha256": bias.sha256}}
    return {
        **arguments,
        "logits_processors": [*(arguments.get("logits_processors") or ()), PROCESSOR],
        "additional_config": {**(arguments.get("additional_config") or {}), **told},
    }


def bias_sampling(bias: BiasFile | None) -> dict[str, Any]:
    """Of the `vllm.SamplingParams` of a request that decodes with the bias; none without one."""
    return {} if bias is None else {"extra_args": {KEY: True}}


def set_bias_environment(bias: BiasFile | None) -> None:
    """vLLM's second model runner, which it takes by itself on a GPU, has another interface for logits
    processors: with a bias the first one runs."""
    if bias is not None:
        os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
