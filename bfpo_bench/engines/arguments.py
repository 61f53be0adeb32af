"""`--engine-arg`: what an engine does not take, as far as that is known before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bfpo_bench.engines.select import ON_VLLM
from bfpo_bench.engines.transformers import check_arguments
from bfpo_bench.errors import UserError

_OTHERS = {
    "workers": "give --engine ray, which has them, or vLLM's own data_parallel_size",
    "batch_size": "that is the transformers engine's, and vLLM's own is max_num_seqs",
    "device": "that is the transformers engine's, and CUDA_VISIBLE_DEVICES chooses vLLM's GPUs",
    "concurrency": "that is the server engine's, and vLLM's own is max_num_seqs",
    "timeout": "that is the server engine's, so leave it out",
    "api": "that is the server engine's, so leave it out",
}
"""Arguments of single engines of ours that vLLM 0.32 has not (`vllm.EngineArgs`) -> the mend."""


def check_engine_arguments(engine: str, arguments: Mapping[str, Any]) -> None:
    """Raises UserError for arguments that the engine of this name does not take.

    vLLM's own are for vLLM to judge: it is told here what is another engine's.
    """
    if engine == "transformers":
        check_arguments(dict(arguments))
    if engine not in ON_VLLM:
        return
    for name, mend in _OTHERS.items():
        if name in arguments and (engine, name) != ("ray", "workers"):
            raise UserError(f"The {engine} engine takes no --engine-arg {name}: {mend}.")
