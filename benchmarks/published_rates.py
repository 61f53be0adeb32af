"""Published throughput of language models on one GPU, and what follows for other sizes: GPU-hours."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A published row: requests of so many tokens in and out, and output tokens a second of one GPU."""

    tokens_in: float
    tokens_out: float
    rate: float


@dataclass(frozen=True)
class Speed:
    """Tokens a second of one GPU, busy with many requests."""

    prefill: float
    decode: float

    def seconds(self, tokens_in: float, tokens_out: float) -> float:
        """GPU-seconds for so many tokens."""
        return tokens_in / self.prefill + tokens_out / self.decode


@dataclass(frozen=True)
class Anchor:
    """A model of `parameters` on `device`: two rows at full load, from which prefill and decode are
    solved, and one of a plain `vllm serve`, below which nothing should fall."""

    device: str
    parameters: float
    reading: Row
    writing: Row
    served: Row

    @property
    def fast(self) -> Speed:
        """The speed at which both rows take what they took: in / prefill + out / decode."""
        a, b = self.reading, self.writing
        ratio = b.tokens_out / a.tokens_out
        prefill = (ratio * a.tokens_in - b.tokens_in) / (
            ratio * a.tokens_out / a.rate - b.tokens_out / b.rate
        )
        decode = b.tokens_out / (b.tokens_out / b.rate - b.tokens_in / prefill)
        return Speed(prefill, decode)

    @property
    def slow(self) -> Speed:
        """`fast`, less by as much as the server's row lies below what `fast` predicts for it."""
        row, fast = self.served, self.fast
        share = row.rate * fast.seconds(row.tokens_in, row.tokens_out) / row.tokens_out
        return Speed(fast.prefill * share, fast.decode * share)


_CHATS = (205.0, 137.0)
"""Mean tokens in and out of the 320 ShareGPT prompts of Lambda's measurements."""

ANCHORS = (
    # TensorRT-LLM 1.0, FP8, H100 SXM 80 GB, Llama 3.1 8B on one, 3.3 70B on two; Lambda: vLLM 0.5.4, FP8
    Anchor("h100", 8e9, Row(2048, 128, 3450), Row(128, 2048, 22714), Row(*_CHATS, 3400.4)),
    Anchor(
        "h100", 70e9, Row(2048, 128, 762 / 2), Row(128, 2048, 6651 / 2), Row(*_CHATS, 1727.69 / 2)
    ),
    # TensorRT-LLM 0.6.1, FP16, A100 SXM 80 GB, Llama 7B on one, 70B on four; Lambda: vLLM 0.5.4, FP8
    Anchor("a100", 7e9, Row(2048, 128, 591), Row(128, 2048, 1928), Row(*_CHATS, 1517.54)),
    Anchor("a100", 70e9, Row(2048, 128, 79), Row(128, 2048, 525), Row(*_CHATS, 662.64 / 2)),
)
"""github.com/NVIDIA/TensorRT-LLM docs/source/performance/perf-overview.md at 00f3768 (1.0) and
docs/source/performance.md at 138f96d (0.6.1); github.com/LambdaLabsML/vllm-benchmark benchmark_v0.md."""
DEVICES = tuple(dict.fromkeys(a.device for a in ANCHORS))


def speeds(device: str, parameters: float) -> tuple[Speed, Speed]:
    """(slow, fast) for a dense model of that size, from the nearest anchor: time grows with the
    parameters. Below the smallest anchor the slow one gains with their square root alone, since the
    host becomes the limit."""
    near = min(
        (a for a in ANCHORS if a.device == device),
        key=lambda a: abs(math.log(a.parameters / parameters)),
    )
    gain = near.parameters / parameters
    small = parameters < min(a.parameters for a in ANCHORS if a.device == device)
    slow, fast = near.slow, near.fast
    kept = math.sqrt(gain) if small else gain
    return (
        Speed(slow.prefill * kept, slow.decode * kept),
        Speed(fast.prefill * gain, fast.decode * gain),
    )


def gpus_a_copy(parameters: float, gib: float = 80, bytes_a_parameter: float = 2) -> int:
    """The GPUs, a power of two, that hold the weights with a quarter more for cache and activations."""
    needed = parameters * bytes_a_parameter * 1.25 / (gib * 2**30 * 0.9)
    return 2 ** max(0, math.ceil(math.log2(needed)))


@dataclass(frozen=True)
class Hours:
    """GPU-hours, from the fast speed to the slow one."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{two_figures(self.low)} to {two_figures(self.high)}"


def together(parts: Iterable[Hours]) -> Hours:
    found = list(parts)
    return Hours(sum(h.low for h in found), sum(h.high for h in found))


def hours_on(gpus: int, hours: Hours, copy: int) -> str:
    """By the clock on so many GPUs, all of them busy; where a `copy` of the model takes more of them it
    cannot be."""
    return str(Hours(hours.low / gpus, hours.high / gpus)) if gpus >= copy else "too few"


def gpu_hours(device: str, parameters: float, tokens_in: float, tokens_out: float) -> Hours:
    slow, fast = speeds(device, parameters)
    found = sorted(s.seconds(tokens_in, tokens_out) / 3600 for s in (slow, fast))
    return Hours(found[0], found[1])


def two_figures(value: float) -> str:
    """To two figures."""
    if value == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"
