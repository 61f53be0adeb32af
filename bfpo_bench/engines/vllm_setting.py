"""What surrounds a `vllm.LLM` of ours: the environment it is loaded in, and the processes it brings."""

from __future__ import annotations

import json
import math
import os
import select
from collections.abc import Callable, Mapping
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from bfpo_bench.engines.parallel import SIZES
from bfpo_bench.engines.select import cache_bytes

if TYPE_CHECKING:
    import psutil

ENGINE = "VLLM::EngineCor"
"""How the process is called that vLLM's client talks to, as far as the kernel keeps names."""


def set_environment(folder: str, tokens: int, arguments: Mapping[str, Any] = {}) -> None:
    """For a model whose longest request has `tokens`, under the user's engine `arguments`. vLLM must
    not have been imported yet; what the user set stays, and is what child processes get as well."""
    workers = math.prod(int(arguments.get(size) or 1) for size in SIZES)
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(_cpu_cache_gib(folder, tokens, workers)))
    if workers > _memory_nodes():
        # Its CPU build binds each worker to a memory node of its own, and ends where there are fewer
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    # Between its own processes alone
    os.environ.setdefault("VLLM_HOST_IP", "127.0.0.1")


def parallel(config: Any) -> dict[str, int]:
    """What of vLLM's ParallelConfig is not 1, for an engine's description."""
    return {size: found for size in SIZES if (found := getattr(config, size)) > 1}


def _memory_nodes() -> int:
    """NUMA nodes of this machine."""
    return len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1


def _cpu_cache_gib(folder: str, tokens: int, workers: int) -> int:
    """Float32 keys and values of 16 longest requests, for each worker: at least 1 GiB, and for all of
    them at most a quarter of what is free."""
    import psutil

    config = json.loads((Path(folder) / "config.json").read_text())
    most = psutil.virtual_memory().available // 4 // workers
    return max(1, math.ceil(min(16 * cache_bytes(config, tokens), most) / 2**30))


def started(start: Callable[[], Any]) -> tuple[Any, list[psutil.Process]]:
    """The `vllm.LLM` that `start` loads, with the processes that it brought; see `watch`."""
    # Python's own, which every process has one of and which is none of vLLM's
    resource_tracker.ensure_running()
    before = set(_children())
    llm = start()
    processes = [child for child in _children() if child not in before]
    watch(llm, processes)
    return llm, processes


def watch(llm: Any, processes: list[psutil.Process]) -> None:
    """Let who waits for an output of `llm` get EngineDeadError when its engine is killed.

    vLLM 0.32 closes its sockets then, and its client that is not asynchronous waits for ever.
    """
    from vllm.v1.engine.exceptions import EngineDeadError

    for engine in processes:
        if not _name(engine).startswith(ENGINE):
            continue
        outputs = llm.llm_engine.engine_core.outputs_queue
        # Not by waitpid, which would take the exit code from vLLM's own watch
        descriptor = os.pidfd_open(engine.pid)

        def wait(descriptor: int = descriptor, outputs: Any = outputs) -> None:
            dead = select.poll()
            dead.register(descriptor, select.POLLIN)
            dead.poll()
            os.close(descriptor)
            outputs.put_nowait(EngineDeadError())

        Thread(target=wait, daemon=True).start()


def _children() -> list[psutil.Process]:
    import psutil

    return psutil.Process().children(recursive=True)


def _name(process: psutil.Process) -> str:
    """Empty for one that is gone."""
    import psutil

    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""
