"""Run a stage in its own process: its memory is returned, and nothing of it survives its parent."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from bfpo_bench import watcher
from bfpo_bench.errors import DISK_FAULTS, UserError, disk_sentence, first_line
from bfpo_bench.progress import ALOUD, Progress, Report
from bfpo_bench.stages.silence import Silence

T = TypeVar("T")

_WATCH_SECONDS = 0.5
_CLOSING_SECONDS = 20
_TELL_SECONDS = 0.1


class StageCrash(Exception):
    """The stage ended without a result: killed, out of memory, hanging, or a bug. `log` says more."""

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
    stall_seconds: float | None = None,
) -> T:
    """`target(job, report)` in a spawned process; returns what it returns.

    What the stage prints goes to `log`. A stage that tells of no progress for `stall_seconds` (see
    `Silence`; None: for ever) is ended. Raises UserError as the stage raised it, StageCrash when
    the process died or hung; on KeyboardInterrupt the stage and all it started are ended first.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    context = multiprocessing.get_context("spawn")
    _quiet_tracker()
    ours, theirs = context.Pipe(duplex=False)
    # The stage's watcher reads from this pipe and gets EOF when this process is gone, however it went
    owner_read, owner_write = context.Pipe(duplex=False)
    process = context.Process(
        target=_main, args=(target, job, theirs, owner_read, str(log), environment or {})
    )
    try:
        _start(process)
        theirs.close()
        owner_read.close()
        result = _receive(name, ours, process, log, report, Silence(stall_seconds))
        # Its result is here: let it close its engine in peace, but not for ever
        process.join(timeout=_CLOSING_SECONDS)
        return result
    finally:
        owner_write.close()
        ours.close()
        _end(process)


def _start(process: Any) -> None:
    """In a thread, because Ctrl-C interrupts the main one: half started, a process complains aloud."""

    def start() -> None:
        # The child begins with them blocked: Ctrl-C reaches the whole group of a terminal
        signal.pthread_sigmask(signal.SIG_BLOCK, watcher.STOPS)
        process.start()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(start).result()


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


def _receive(
    name: str, ours: Connection, process: Any, log: Path, report: Report, silence: Silence
) -> Any:
    wait = min(_WATCH_SECONDS, silence.limit)
    while True:
        # A process that the stage forked may hold the pipe open after the stage is dead: no EOF then
        while not ours.poll(wait) and process.is_alive():
            if silence.lasts(wait):
                raise StageCrash(name, silence.reason(), log)
        try:
            if not ours.poll():
                raise EOFError
            kind, value = ours.recv()
        except (EOFError, OSError):
            process.join()
            raise StageCrash(name, _exit_reason(process.exitcode), log) from None
        if kind == "progress":
            silence.heard(value)
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


def _end(process: Any) -> None:
    """The watcher ends all that the stage started. Where the watcher itself was killed, or cannot, the
    group goes."""
    if process.pid is None:
        return
    with suppress(ProcessLookupError):
        if os.getpgid(process.pid) != process.pid:
            # Still importing: it watches nothing yet, and has started nothing
            process.kill()
    process.join(timeout=watcher.ENDING_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.is_alive():
        process.kill()
        process.join(timeout=1)


def _main(
    target: Callable[[Any, Report], Any],
    job: Any,
    results: Connection,
    owner: Connection,
    log: str,
    environment: dict[str, str],
) -> None:
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if stage := watcher.split():
        results.close()
        watcher.watch(stage, owner.fileno())
    owner.close()
    telling = _Telling(results)
    for handler in (_Aloud(telling), logging.StreamHandler()):
        logging.getLogger(ALOUD).addHandler(handler)
    try:
        results.send(("result", target(job, telling)))
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


class _Telling:
    """The stage's report: at most ten a second go over the pipe, and always a phase's first and last."""

    def __init__(self, results: Connection) -> None:
        self._results = results
        self._told = Progress("")
        self._last = 0.0
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        turned = progress.phase != self._told.phase or progress.done == progress.total > 0
        if turned or now - self._last >= _TELL_SECONDS:
            self._told, self._last = progress, now
            self._send(progress)

    def say(self, text: str) -> None:
        """At once, with the progress that was told last."""
        self._send(replace(self._told, said=text))

    def _send(self, progress: Progress) -> None:
        # Other threads may have something to say
        with self._lock:
            self._results.send(("progress", progress))


class _Aloud(logging.Handler):
    """What is said aloud in the stage, to its owner."""

    def __init__(self, telling: _Telling) -> None:
        super().__init__()
        self._telling = telling

    def emit(self, record: logging.LogRecord) -> None:
        self._telling.say(record.getMessage())
