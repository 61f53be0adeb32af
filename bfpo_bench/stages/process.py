"""Run a stage in its own process: its memory is returned, and nothing of it survives its parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from bfpo_bench.errors import DISK_FAULTS, UserError, disk_sentence, first_line
from bfpo_bench.progress import Progress, Report

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_WATCH_SECONDS = 0.5


class StageCrash(Exception):
    """The stage's process ended without a result: killed, out of memory, or a bug. `log` says more."""

    def __init__(self, stage: str, reason: str, log: Path) -> None:
        super().__init__(f"stage {stage} {reason}; its log is {log}")
        self.stage, self.reason, self.log = stage, reason, log


def run_stage(
    name: str,
    target: Callable[[Any, Report], T],
    job: Any,
    *,
    log: Path,
    report: Report,
    environment: dict[str, str] | None = None,
) -> T:
    """`target(job, report)` in a spawned process; returns what it returns.

    What the stage prints goes to `log`. Raises UserError as the stage raised it, StageCrash when
    the process died; on KeyboardInterrupt the stage and all its children are killed first.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    _quiet_tracker()
    ours, theirs = context.Pipe(duplex=False)
    # The stage's guard reads from this pipe and gets EOF when this process is gone, however it went
    guard_read, guard_write = context.Pipe(duplex=False)
    process = context.Process(
        target=_main,
        args=(target, job, theirs, guard_read, str(log), environment or {}, os.getpid()),
    )
    process.start()
    theirs.close()
    guard_read.close()
    try:
        result = _receive(name, ours, process, log, report)
        # Its result is here: let it close its engine in peace, but not for ever
        process.join(timeout=20)
        return result
    finally:
        guard_write.close()
        ours.close()
        _kill_group(process)


def _quiet_tracker() -> None:
    """Start multiprocessing's resource tracker without its warnings.

    It outlives the stages and removes the shared memory that a killed engine leaves, which is what
    it is for; saying so on the user's terminal is not.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _receive(name: str, ours: Connection, process: Any, log: Path, report: Report) -> Any:
    while True:
        # A process that the stage forked may hold the pipe open after the stage is dead: no EOF then
        while not ours.poll(_WATCH_SECONDS) and process.is_alive():
            pass
        try:
            if not ours.poll():
                raise EOFError
            kind, value = ours.recv()
        except (EOFError, OSError):
            process.join()
            raise StageCrash(name, _exit_reason(process.exitcode), log) from None
        if kind == "progress":
            report(value)
        elif kind == "result":
            return value
        elif kind == "user_error":
            raise UserError(value)
        else:
            raise StageCrash(name, f"failed ({value})", log)


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"ended with exit status {code}"


def _kill_group(process: Any) -> None:
    """The stage leads its own group: whatever it started and left behind goes with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join(timeout=0)
    if process.is_alive():
        process.kill()
        process.join()


def _main(
    target: Callable[[Any, Report], Any],
    job: Any,
    results: Connection,
    guard: Connection,
    log: str,
    environment: dict[str, str],
    parent: int,
) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    _start_guard(guard)

    def report(progress: Progress) -> None:
        results.send(("progress", progress))

    try:
        results.send(("result", target(job, report)))
    except UserError as error:
        traceback.print_exc()
        results.send(("user_error", str(error)))
    except OSError as error:
        traceback.print_exc()
        full = error.errno in DISK_FAULTS
        sentence = disk_sentence(error) if full else f"{type(error).__name__}: {error}"
        results.send(("user_error" if full else "crash", sentence))
    except Exception as error:
        traceback.print_exc()
        results.send(("crash", f"{type(error).__name__}: {first_line(error)}"))


def _start_guard(guard: Connection) -> None:
    """A shell that waits for the parent's end of the pipe to close, then kills this process group.

    PDEATHSIG ends the stage alone; engines start processes of their own, which this reaches.
    """
    subprocess.Popen(
        ["/bin/sh", "-c", f"read _ <&{guard.fileno()}; kill -9 0"],
        pass_fds=(guard.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    guard.close()
