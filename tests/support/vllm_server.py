"""A real `vllm serve` on 127.0.0.1, one a test session and model, stopped by its process id.

    url = vllm_url()                       # stories260K-head64, as "tiny"; skips where vLLM cannot run
    url = vllm_url(REFUSER, "refuser", 2049)

It needs the stand-in hub: tests take the `hub` fixture first. A server that did not come up fails
every test that wants it, at once.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from bench import HEAD64
from serving import need_vllm

from bfpo_bench.engines.subject import resolve_subject

NAME = "tiny"
LENGTH = 513
"""Tokens: the context of stories260K-head64, and one that is predicted after it."""
_SECONDS = 400
_SETTING = {
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
}


def vllm_url(model: str = HEAD64, name: str = NAME, length: int = LENGTH) -> str:
    """Where `model` (a folder, or a name of the hub's) is served as `name`, up to `/v1`."""
    need_vllm()
    found = _started(model, name, length)
    if isinstance(found, str):
        return found
    raise found


@functools.cache
def _started(model: str, name: str, length: int) -> str | Exception:
    folder = resolve_subject(model).base.materialise()
    port = free_port()
    log = Path(tempfile.mkstemp(prefix="bfpo-bench-vllm-serve-", suffix=".log")[1])
    process = serve(str(folder), name, length, port, log)
    atexit.register(stop, process)
    if not is_up(process, port):
        stop(process)
        return RuntimeError(f"vllm serve did not come up: {log.read_text()[-3000:]}")
    atexit.register(log.unlink, missing_ok=True)
    return f"http://127.0.0.1:{port}/v1"


@contextmanager
def vllm_served(model: str = HEAD64, name: str = NAME, length: int = LENGTH) -> Iterator[str]:
    """The same, up between `with` and its end, for tests that end it on the way."""
    need_vllm()
    folder = resolve_subject(model).base.materialise()
    with tempfile.TemporaryDirectory(prefix="bfpo-bench-vllm-serve-") as logs:
        port, log = free_port(), Path(logs) / "log"
        process = serve(str(folder), name, length, port, log)
        try:
            if not is_up(process, port):
                pytest.fail(f"vllm serve did not come up: {log.read_text()[-3000:]}")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            stop(process)


def serve(folder: str, name: str, length: int, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts loading; in a session of its own, so that `stop` reaches vLLM's own processes."""
    # What `vllm serve` runs, whose command asks for the metadata of a package called vllm: the CPU
    # build has another name
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder]
    command += ["--served-model-name", name, "--max-model-len", str(length)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "64"]
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            env={**os.environ, **_SETTING},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_up(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for GET /health; false where the process ends before it, or takes too long."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    return False
