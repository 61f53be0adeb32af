"""A real `vllm serve` of a model on this machine, in float32 on a CPU."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

READY_SECONDS = 600


@contextmanager
def served(folder: str, context: int) -> Iterator[str]:
    """A `vllm serve` of the model, from its start on; its address up to /v1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", folder, "--served-model-name", "model", "--host", "127.0.0.1"]
    words += ["--port", str(port), "--dtype", "float32", "--enforce-eager"]
    words += ["--max-model-len", str(context), "--disable-uvicorn-access-log"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words],
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(url: str) -> None:
    """Raises SystemExit for a server that does not answer in time."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"vllm serve was not ready after {READY_SECONDS} s")
