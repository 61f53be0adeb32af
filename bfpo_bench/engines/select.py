"""`--engine`: which engine serves this model here, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from bfpo_bench.errors import UserError
from bfpo_bench.nearest import nearest

if TYPE_CHECKING:
    from bfpo_bench.engines.base import Engine, ModelFiles
    from bfpo_bench.engines.parallel import Split
    from bfpo_bench.engines.probe import VllmProbe

ENGINES = ("auto", "vllm", "transformers", "server", "ray", "null")

ON_VLLM = ("vllm", "ray")
"""Those that load a model into vLLM."""


@dataclass(frozen=True)
class EngineChoice:
    """`reason` is a clause to print after the name. `split` is how vLLM runs the model on the devices
    here, where that can be told."""

    name: str
    reason: str
    split: Split | None = None

    @property
    def told(self) -> str:
        """The reason, and the split with what it takes."""
        return f"{self.reason}; {self.split.describe()}" if self.split else self.reason

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The engine's: the user's, and those of the split where they name none."""
        return {**(self.split.arguments if self.split else {}), **given}


def head_size(config: dict[str, Any]) -> int | None:
    """Dimensions of one attention head, from a model's config.json; None where it does not say."""
    text = config.get("text_config") or config
    if text.get("head_dim"):
        return int(text["head_dim"])
    size, heads = text.get("hidden_size"), text.get("num_attention_heads")
    return int(size) // int(heads) if size and heads else None


def cache_bytes(config: dict[str, Any], context: int) -> int:
    """Bytes of float32 keys and values for one full context of a model of this config.json."""
    text = config.get("text_config") or config
    heads = text.get("num_key_value_heads") or text.get("num_attention_heads") or 1
    size = head_size(config) or 128
    tokens = min(context, int(text.get("max_position_embeddings") or context))
    return 2 * 4 * int(text.get("num_hidden_layers") or 1) * int(heads) * size * tokens


def vllm_objection(config: dict[str, Any], context: int, probe: VllmProbe) -> str | None:
    """Why vLLM cannot serve a model of this config.json at this context here; None when it can."""
    if not probe.usable:
        return probe.reason
    architectures = config.get("architectures") or []
    if not any(a in probe.architectures for a in architectures):
        return (
            f"vLLM {probe.version} does not know the architecture {', '.join(architectures) or '?'}"
        )
    size = head_size(config)
    if probe.head_sizes and size is not None and size not in probe.head_sizes:
        allowed = ", ".join(str(s) for s in probe.head_sizes)
        return (
            f"vLLM on this {probe.platform} serves head sizes {allowed}, and the model's is {size}"
        )
    free = psutil.virtual_memory().available
    if probe.platform == "cpu" and cache_bytes(config, context) > free // 4:
        return f"one context of {context} tokens needs more cache than vLLM may take of this memory"
    return None


def check_engine(wanted: str) -> None:
    """Raises UserError for an engine that `--engine` does not take."""
    if wanted not in ENGINES:
        raise UserError(
            f"There is no engine {wanted!r}{nearest(wanted, ENGINES)}: "
            f"--engine takes {', '.join(ENGINES)}."
        )


def check_loads(wanted: str, what: str) -> None:
    """Raises UserError for an engine that is no name of one, and for servers: `what` makes its models
    itself, and no server has those."""
    check_engine(wanted)
    if wanted == "server":
        raise UserError(
            f"{what} makes its own models, which no server has yet: leave --engine out, or give auto, "
            "vllm or transformers."
        )


def choose_engine(wanted: str, name: str, config: dict[str, Any], context: int) -> EngineChoice:
    """The engine for one model. `auto` takes vLLM where it can serve the model, else transformers.

    Raises UserError for an unknown engine, and for one on vLLM by name where that cannot serve the model.
    """
    check_engine(wanted)
    if wanted == "transformers":
        return EngineChoice("transformers", "as asked")
    if wanted == "null":
        return EngineChoice("null", "which asks no model: what it answers measures nothing")
    from bfpo_bench.cache import default_cache
    from bfpo_bench.engines.probe import probe_vllm

    probe = probe_vllm(cache=default_cache())
    objection = vllm_objection(config, context, probe)
    if objection is None:
        if wanted in ON_VLLM:
            return EngineChoice(wanted, "as asked")
        return EngineChoice("vllm", f"vLLM {probe.version} can serve it on this {probe.platform}")
    if wanted in ON_VLLM:
        raise UserError(
            f"The {wanted} engine cannot serve {name}: {objection}; use --engine transformers."
        )
    return EngineChoice("transformers", objection)


def load_engine(name: str, files: ModelFiles) -> Engine:
    """The engine of that name with the model loaded. Call it in the process that shall own the model."""
    if name == "null":
        from bfpo_bench.engines.null import NullEngine

        return NullEngine()
    if name == "server":
        from bfpo_bench.engines.server.engine import ServerEngine

        return ServerEngine.connect(files)
    if name == "ray":
        from bfpo_bench.engines.ray.engine import RayEngine

        return RayEngine.start(files)
    if name == "vllm":
        from bfpo_bench.engines.vllm import VllmEngine

        return VllmEngine.load(files)
    from bfpo_bench.engines.transformers import TransformersEngine

    return TransformersEngine.load(files)
