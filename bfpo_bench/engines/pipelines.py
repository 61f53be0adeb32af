"""Whether vLLM can run a model as a pipeline over devices. Asked of vLLM itself, in a child process."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from bfpo_bench.engines.trial import attempt

LOOK_SECONDS = 180.0
_ASKED = "BFPO_BENCH_ARCHITECTURE"


@cache
def has_pipelines(architecture: str) -> bool:
    """Of models of this architecture. Takes half a minute; later, when vLLM remembers, its import's ten
    seconds. Not of one that vLLM fails to look at, which it could not load either."""
    trial = attempt(
        look_at_architecture,
        timeout=LOOK_SECONDS,
        environ={_ASKED: architecture, "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"},
    )
    return trial.answer is not None and bool(trial.answer["pipelines"])


def look_at_architecture() -> dict[str, Any]:
    """Runs in a child: whether the class implements `SupportsPP`. vLLM 0.32 asks the same of it in
    `_ModelRegistry.is_pp_supported_model`, which wants a whole model's configuration as well."""
    from vllm import ModelRegistry

    found = ModelRegistry.models[os.environ[_ASKED]].inspect_model_cls()
    return {"pipelines": found.supports_pp}
