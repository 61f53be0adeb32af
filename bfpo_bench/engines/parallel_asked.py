"""The user's own split: `tensor_parallel_size`, `pipeline_parallel_size`, `data_parallel_size`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bfpo_bench.engines.footprint import Shape
from bfpo_bench.engines.parallel import SHARE, SIZES, Need, Split, expected
from bfpo_bench.errors import UserError

_UTILISATION = "gpu_memory_utilization"
_BACKENDS = ("distributed_executor_backend", "data_parallel_backend")
_ELSEWHERE = ("nnodes", "node_rank", "data_parallel_address", "data_parallel_rank")
"""Arguments of vLLM that say that other machines take part."""


def check_sizes(arguments: Mapping[str, Any], shape: Shape | None, devices: int | None) -> None:
    """Raises UserError for sizes that are no numbers, that do not divide the model, or that are more
    than the `devices` of this machine (None: not counted), where they are not for several machines."""
    for size in SIZES:
        asked = arguments.get(size, 1)
        if not isinstance(asked, int) or isinstance(asked, bool) or asked < 1:
            raise UserError(f"--engine-arg {size} must be a number from 1 on, not {asked!r}.")
    tensor, pipeline, data = (arguments.get(size, 1) for size in SIZES)
    if shape is not None and shape.heads % tensor:
        raise UserError(
            f"--engine-arg tensor_parallel_size={tensor} does not divide the model's {shape.heads} "
            "attention heads: give a number that does."
        )
    wanted = tensor * pipeline * data
    if devices is None or wanted <= devices or _over_nodes(arguments):
        return
    named = " ".join(f"{size}={arguments[size]}" for size in SIZES if size in arguments)
    here = "1 device" if devices == 1 else f"{devices} devices"
    raise UserError(
        f"--engine-arg {named} takes {wanted} devices, and this machine shows {here}: give smaller "
        "sizes, or distributed_executor_backend=ray for several machines."
    )


def asked_share(arguments: Mapping[str, Any]) -> float:
    """The share of a device's memory that vLLM may take. Raises UserError for what is none."""
    asked = arguments.get(_UTILISATION, SHARE)
    if not isinstance(asked, int | float) or isinstance(asked, bool) or not 0 < asked <= 1:
        raise UserError(
            f"--engine-arg {_UTILISATION} must be a number above 0 and at most 1, not {asked!r}."
        )
    return float(asked)


def _over_nodes(arguments: Mapping[str, Any]) -> bool:
    return any(arguments.get(b) == "ray" for b in _BACKENDS) or any(
        arguments.get(name) is not None for name in _ELSEWHERE
    )


def asked_split(
    arguments: Mapping[str, Any], need: Need, devices: Sequence[float], share: float = SHARE
) -> Split | None:
    """The split that the user's own arguments make, None where they name no size."""
    if not any(size in arguments for size in SIZES):
        return None
    tensor, pipeline, data = (int(arguments.get(size, 1)) for size in SIZES)
    found, memory = expected(need, tensor, pipeline), min(devices)
    fits = found.total <= share * memory
    made = Split(tensor, pipeline, data, len(devices), memory, found, fits, "as asked", asked=True)
    return made if fits else replace(made, reason="as asked, and more than that may hold")
