"""Try something in a child process: what it may hang, crash or kill is the child alone."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bfpo_bench import watcher

MARK = "@@bfpo-bench-answer@@"
"""Begins the line with the answer: libraries log to the same stdout."""

EXIT_SECONDS = 10
"""How long a child may take to end once it has answered."""

SIGNALS = {
    "SIGILL": "an illegal instruction",
    "SIGSEGV": "a memory fault",
    "SIGKILL": "killed, as a rule for want of memory",
}
ERROR_LINE = re.compile(r"(?:^|\s)((?:\w+\.)*[A-Z]\w*(?:Error|Exception): .+)$")


@dataclass(frozen=True)
class Trial:
    """What the child answered, or None and one clause that says why it did not.

    `signal` is the name of the signal that ended the child, "" where none did.
    """

    answer: dict[str, Any] | None
    reason: str = ""
    signal: str = ""


def attempt(
    look: Callable[[], dict[str, Any]],
    *,
    timeout: float,
    environ: Mapping[str, str] | None = None,
) -> Trial:
    """Call `look` in a fresh Python, for `timeout` seconds at most, and hand back its answer.

    `look` is a function at the top of an importable module; its answer must fit into JSON.
    `environ` is added to this process's environment.
    """
    owner, held = os.pipe()
    # The child gets this process's path: in a folder that holds a clone of vLLM, `-c` alone would
    # import the clone.
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from bfpo_bench.engines.trial import _answer; "
        f"_answer({look.__module__!r}, {look.__name__!r}, {owner})"
    )
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        # A file and not a pipe: a grandchild that survives the child would hold the pipe open.
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            pass_fds=(owner,),
        )
        os.close(owner)
        try:
            code_returned: int | None = child.wait(timeout)
        except subprocess.TimeoutExpired:
            code_returned = None
        finally:
            os.close(held)
            _end(child)
        said.seek(0)
        lines = said.read().splitlines()
    if code_returned is None:
        return Trial(None, f"no answer within {timeout:g} s")
    return _read(lines, code_returned)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Its watcher ends what it left behind. Where the watcher itself was killed, the group goes."""
    with suppress(subprocess.TimeoutExpired):
        child.wait(watcher.ENDING_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _answer(module: str, name: str, owner: int) -> None:
    """What runs in the child; `owner` is a pipe that closes with the process that waits for it."""
    if child := watcher.split():
        watcher.watch(child, owner)
    os.close(owner)
    answer = getattr(importlib.import_module(module), name)()
    print(f"\n{MARK}{json.dumps(answer)}", flush=True)
    # A library whose clean-up hangs at exit has answered all the same.
    last = threading.Timer(EXIT_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()


def _read(lines: list[str], returned: int) -> Trial:
    for line in reversed(lines):
        if line.startswith(MARK):
            return Trial(json.loads(line.removeprefix(MARK)))
    if returned < 0:
        name = signal.Signals(-returned).name
        meaning = f", {SIGNALS[name]}" if name in SIGNALS else ""
        return Trial(None, f"the process died of {name}{meaning}", name)
    return Trial(None, root_error(lines) or f"the process ended with code {returned}")


def root_error(lines: list[str]) -> str:
    """The last error among log lines that does not merely point at another one; "" for none."""
    errors = [match[1].strip() for line in lines if (match := ERROR_LINE.search(line))]
    causes = [error for error in errors if "root cause" not in error.lower()]
    return (causes or errors or [""])[-1].rstrip(".")[:300]
