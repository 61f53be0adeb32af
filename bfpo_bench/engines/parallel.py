"""`auto`: over how many devices one model is split, and how often it is there. Pure arithmetic.

Where a model fits on one device, copies of it answer more than parts of it: parts wait for each
other in every layer. So a copy gets the fewest devices that hold it with a cache worth having.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.engines.footprint import GIB, WIDTHS, Shape, shape_of, weight_bytes
from bfpo_bench.errors import UserError

LONGEST = 16
"""So many requests of full length a cache should hold: fewer leave a GPU waiting for its memory."""
BESIDES = 2.0
"""GiB a device for activations, CUDA graphs and the communication between devices."""
SHARE = 0.9
"""Of a device's memory that may be counted on; vLLM's gpu_memory_utilization is 0.92 by itself."""
WITHIN_NODE = 8
"""Tensor parts talk after every layer: no more of them than one machine commonly has devices."""
SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
_UNTOLD = ("quantization", "cpu_offload_gb", "hf_overrides", "kv_cache_memory_bytes")
"""Arguments after which config.json and files no longer tell what a device must hold."""


@dataclass(frozen=True)
class Need:
    """What one copy of a model takes: GiB of weights, and bytes a number of the cache for requests of
    up to `tokens`. `exact` is False where an argument changes what cannot be counted here."""

    shape: Shape
    weights: float
    width: float
    tokens: int
    exact: bool = True

    def cache(self, tensor: int, pipeline: int, requests: int = LONGEST) -> float:
        """GiB on each device for so many requests of full length."""
        numbers = self.shape.cache_numbers(self.tokens, tensor)
        return requests * numbers * self.width / pipeline / GIB


@dataclass(frozen=True)
class Expected:
    """GiB on each device: weights, keys and values of LONGEST requests, and everything else."""

    weights: float
    cache: float
    besides: float = BESIDES

    @property
    def total(self) -> float:
        return self.weights + self.cache + self.besides


@dataclass(frozen=True)
class Split:
    """`data` copies of a model, each over `tensor` x `pipeline` of so many `devices` of `memory` GiB.

    `fits`: LONGEST requests of full length find room. `asked`: the user said so. `reason` is a clause.
    On a `cpu`, `memory` is what is free, and `expected` what the whole machine gives of it.
    """

    tensor: int
    pipeline: int
    data: int
    devices: int
    memory: float
    expected: Expected
    fits: bool
    reason: str = ""
    asked: bool = False
    cpu: bool = False

    @property
    def arguments(self) -> dict[str, int]:
        """What is added to the user's engine arguments: nothing to a split of their own, no ones."""
        sizes = (self.tensor, self.pipeline, self.data)
        return {} if self.asked else {k: n for k, n in zip(SIZES, sizes, strict=True) if n > 1}

    def describe(self) -> str:
        """One clause for people."""
        e = self.expected
        amounts = (
            f"about {_gib(e.weights)} GiB of weights, {_gib(e.cache)} GiB of cache and "
            f"{_gib(e.besides)} GiB besides"
        )
        sizes = self._sizes()
        if self.cpu:
            told = f"{sizes}{amounts}, of {_gib(self.memory)} GiB of memory free"
        else:
            each = " on each" if sizes else ""
            told = f"{self.devices} x {_gib(self.memory)} GiB: {sizes}{amounts}{each}"
        return f"{told} ({self.reason})" if self.reason else told

    def _sizes(self) -> str:
        """Empty where there is one device and one part."""
        parts = self.tensor * self.pipeline * self.data
        if parts == 1 and self.devices == 1:
            return ""
        pipeline = f"pipeline {self.pipeline}, " if self.pipeline > 1 else ""
        processes = f" in {parts} processes" if self.cpu else ""
        return f"tensor {self.tensor}, {pipeline}data {self.data}{processes}: "


def _gib(amount: float) -> str:
    return f"{amount:.0f}" if amount >= 10 else f"{amount:.1f}".removesuffix(".0")


def need_of(
    config: Mapping[str, Any],
    stored: int | None,
    context: int,
    arguments: Mapping[str, Any],
    dtype: str = "bfloat16",
) -> Need | None:
    """What a model of this config.json needs whose weight files have `stored` bytes; None where that
    cannot be told. `dtype` is what vLLM computes in where the arguments name none."""
    shape = shape_of(config)
    asked = str(arguments.get("dtype", "auto"))
    width = WIDTHS.get(dtype if asked == "auto" else asked, 2.0)
    weights = weight_bytes(config, stored, width)
    if shape is None or weights is None:
        return None
    kept = 1.0 if str(arguments.get("kv_cache_dtype", "")).startswith("fp8") else width
    tokens = min(context, shape.positions or context)
    exact = not any(arguments.get(name) for name in _UNTOLD)
    return Need(shape, weights / GIB, kept, tokens, exact)


def expected(need: Need, tensor: int, pipeline: int) -> Expected:
    """Weights divide evenly; the cache as `Shape.cache_numbers` has it."""
    return Expected(need.weights / (tensor * pipeline), need.cache(tensor, pipeline))


def choose_split(
    name: str,
    need: Need,
    devices: Sequence[float],
    share: float = SHARE,
    pipelines: Callable[[], bool] = lambda: True,
) -> Split:
    """How vLLM shall run the model `name` on `devices` (GiB of memory each). Whether `pipelines` of it
    are possible is asked only where nothing else holds it.

    Raises UserError where not even one request of full length fits, with the number of such devices
    that would hold it.
    """
    memory, count = min(devices), len(devices)
    room = share * memory
    ways = _ways(need.shape, count, stages=1)
    if count > 1 and not any(expected(need, *way).total <= room for way in ways) and pipelines():
        ways = _ways(need.shape, count, stages=count)
    for tensor, pipeline in ways:
        found = expected(need, tensor, pipeline)
        if found.total <= room:
            data = count // (tensor * pipeline)
            return Split(tensor, pipeline, data, count, memory, found, fits=True)
    least = [w for w in ways if _least(need, *w) <= room]
    if not least and need.exact:
        more = least_devices(need, memory, share, pipelines)
        raise UserError(_too_large(name, need, count, memory, more))
    # The most room of all: the ways with most devices
    tensor, pipeline = max(least or [(1, 1)], key=lambda way: (way[0] * way[1], way[0]))
    found = expected(need, tensor, pipeline)
    data = count // (tensor * pipeline)
    reason = f"fewer than {LONGEST} requests of {need.tokens} tokens fit at once"
    return Split(tensor, pipeline, data, count, memory, found, fits=False, reason=reason)


def _least(need: Need, tensor: int, pipeline: int) -> float:
    """GiB on each device below which vLLM does not start: room for one request of full length."""
    return need.weights / (tensor * pipeline) + need.cache(tensor, pipeline, 1) + BESIDES


def _ways(shape: Shape, count: int, stages: int) -> list[tuple[int, int]]:
    """(tensor, pipeline) for at most `count` devices and so many stages, the first that fits being the
    best: no pipeline before one, no idle device before one, few devices before many."""
    found = [
        (tensor, pipeline)
        for tensor in range(1, count + 1)
        if shape.divides(tensor)
        for pipeline in range(1, min(count // tensor, shape.layers, stages) + 1)
    ]
    return sorted(found, key=lambda w: (w[1] > 1, count % (w[0] * w[1]) > 0, w[0] * w[1]))


def least_devices(
    need: Need,
    memory: float,
    share: float = SHARE,
    pipelines: Callable[[], bool] = lambda: True,
) -> tuple[int, int] | None:
    """(tensor, pipeline) over few devices of `memory` GiB that hold one request of full length: within
    a machine as few as can be, else whole machines; None where none do."""
    tensors = [t for t in range(1, WITHIN_NODE + 1) if need.shape.divides(t)]
    within = [(tensor, 1) for tensor in tensors]
    machines = [(max(tensors), pipeline) for pipeline in range(2, need.shape.layers + 1)]
    for way in within + machines:
        if _least(need, *way) <= share * memory:
            return way if way[1] == 1 or pipelines() else None
    return None


def room_for_weights(devices: Sequence[float]) -> str:
    """A clause on the largest model over all devices (GiB each), with nothing left for a cache."""
    room = len(devices) * max(0.0, SHARE * min(devices) - BESIDES)
    over = f" over all {len(devices)}" if len(devices) > 1 else ""
    parameters = room * GIB / 2e9
    return f"{_gib(room)} GiB for weights and cache{over}: {parameters:.0f} B parameters in 16 bits"


def _too_large(
    name: str, need: Need, count: int, memory: float, least: tuple[int, int] | None
) -> str:
    here = f"{count} x {memory:.0f} GiB" if count > 1 else f"a device of {memory:.0f} GiB"
    told = f"{name} has about {_gib(need.weights)} GiB of weights and does not fit on {here}"
    if least is None:
        return f"{told}, nor on more such devices: take larger ones, or a quantised model."
    devices = least[0] * least[1]
    split = f"--engine-arg tensor_parallel_size={least[0]}"
    if least[1] > 1:
        split += f" --engine-arg pipeline_parallel_size={least[1]}"
    over = f" (several machines: {split} --engine-arg distributed_executor_backend=ray)"
    return (
        f"{told}: it takes {devices} such devices{over if devices > WITHIN_NODE else ''}, "
        "a smaller --engine-arg max_model_len, or a quantised model."
    )


def cpu_split(name: str, need: Need, free: float, arguments: Mapping[str, Any]) -> Split:
    """On a CPU of `free` GiB: one copy unless the user says otherwise.

    vLLM gets the cache that `vllm_setting.set_environment` grants it. Raises UserError where the
    weights alone need more than is free.
    """
    tensor, pipeline, data = (int(arguments.get(size, 1)) for size in SIZES)
    weights = need.weights * data
    if weights > free and need.exact:
        raise UserError(
            f"{name} has about {_gib(weights)} GiB of weights, and {_gib(free)} GiB of memory are "
            "free: free some, or take a smaller model."
        )
    workers = tensor * pipeline * data
    cache = workers * max(1.0, min(need.cache(1, 1), free / 4 / workers))
    found = Expected(weights, cache)
    fits = found.total <= free
    asked = any(size in arguments for size in SIZES)
    reasons = ["as asked"] * asked + ["that is more than is free"] * (not fits)
    reason = ", and ".join(reasons)
    return Split(tensor, pipeline, data, 1, free, found, fits, reason, asked, cpu=True)
