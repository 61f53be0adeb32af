"""The split of one model over the devices of this machine, from what is seen of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil

from bfpo_bench.engines.footprint import GIB, shape_of
from bfpo_bench.engines.parallel import Need, Split, choose_split, cpu_split, need_of
from bfpo_bench.engines.parallel_asked import asked_share, asked_split, check_sizes
from bfpo_bench.engines.pipelines import has_pipelines

if TYPE_CHECKING:
    from bfpo_bench.engines.probe import VllmProbe
    from bfpo_bench.engines.select import EngineChoice
    from bfpo_bench.engines.subject import Subject


def placed(
    choice: EngineChoice,
    subject: Subject,
    context: int,
    arguments: Mapping[str, Any],
    *,
    copies: bool = True,
) -> EngineChoice:
    """The choice with the split that vLLM gets here; any other engine's as it is.

    Without `copies` there is one, whatever the arguments say: a scorer's. Raises UserError for
    arguments that this machine cannot follow, and for a model that does not fit on it.
    """
    if choice.name != "vllm":
        return choice
    from bfpo_bench.cache import default_cache
    from bfpo_bench.engines.probe import probe_vllm

    given = {k: v for k, v in arguments.items() if copies or k != "data_parallel_size"}
    probe = probe_vllm(cache=default_cache())
    cpu = probe.platform == "cpu"
    check_sizes(given, shape_of(subject.config), None if cpu else len(probe.devices) or None)
    if not (cpu or probe.devices):
        return choice
    # What vLLM's "auto" makes of float32 weights on a GPU, and this engine's own on a CPU
    dtype = "float32" if cpu else "bfloat16"
    need = need_of(subject.config, subject.weight_bytes(), context, given, dtype)
    if need is None:
        return choice
    split = _split(subject, need, probe, given)
    return replace(choice, split=split if copies else replace(split, data=1))


def _split(subject: Subject, need: Need, probe: VllmProbe, given: Mapping[str, Any]) -> Split:
    if probe.platform == "cpu":
        return cpu_split(subject.name, need, psutil.virtual_memory().available / GIB, given)
    share = asked_share(given)
    asked = asked_split(given, need, probe.devices, share)
    if asked is not None:
        return asked
    named = subject.config.get("architectures") or []
    # vLLM takes the first that it knows
    mine = next((name for name in named if name in probe.architectures), None)

    def pipelines() -> bool:
        return mine is not None and has_pipelines(mine)

    return choose_split(subject.name, need, probe.devices, share, pipelines)
