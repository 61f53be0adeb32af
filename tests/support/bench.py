"""The command as users start it: a process of its own, on the stand-in hub that conftest.py started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from session_folder import SESSION

CACHE = SESSION / "cache"
"""One cache for the session, so that looking at vLLM is paid for once."""

STORIES = "karpathy/stories260K"
"""A real model of 260 K parameters: context 512, vocabulary 512, no chat template."""
HEAD64 = "karpathy/stories260K-head64"
"""The same function with attention heads that vLLM's CPU build can compute."""
REFUSER = "fixtures/refuser-9M"
"""A chat model that refuses nearly everything."""


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "BFPO_BENCH_CACHE": str(CACHE), "COLUMNS": "200", **changes}


def bench(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """`bfpo-bench ARGUMENTS` in `cwd`; `changes` to the environment come last."""
    return subprocess.run(
        [sys.executable, "-m", "bfpo_bench", *arguments],
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )


def hear_ctrl_c() -> None:
    """A job that a shell started in the background ignores SIGINT, one under nohup SIGHUP, and so
    would its children."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(
    *arguments: str, cwd: Path, changes: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """The same, in a session of its own and not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "bfpo_bench", *arguments],
        cwd=cwd,
        env=environment(**(changes or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )


def killed(*arguments: str, cwd: Path, responses: int) -> bytes:
    """The same, and SIGKILL to all of it when its only run has so many responses. Returns what is stored
    of them: all where it was too quick."""

    def stored() -> bytes:
        return b"".join(file.read_bytes() for file in cwd.glob("runs/*/responses.jsonl"))

    running = start(*arguments, cwd=cwd)
    others: list[psutil.Process] = []
    try:
        while running.poll() is None and stored().count(b"\n") < responses:
            time.sleep(0.002)
    finally:
        with suppress(psutil.NoSuchProcess):
            others = psutil.Process(running.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        said = running.communicate()[1]
    assert running.returncode in (0, -signal.SIGKILL), said
    # The stage has a session of its own, and goes on until its watcher ends it
    assert psutil.wait_procs(others, timeout=30)[1] == []
    return stored()
