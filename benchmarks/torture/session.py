"""One command under torture: started, killed at its moment or told to stop, and waited for."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.torture.workload import Workload

INSIDE = Path(__file__).with_name("inside")
ROOT = Path(__file__).resolve().parents[2]
LONGEST = 600
"""Seconds after which a session counts as hung."""


@dataclass(frozen=True)
class Moment:
    """When a session is killed, and whose process: the words of inside/sitecustomize.py."""

    part: str
    event: str
    count: float
    victim: str
    file: str | None = None


@dataclass(frozen=True)
class Ended:
    """How a session went. `log`: its lines in the log; `left`: processes of it that were still there
    ten seconds after its end; `seconds` until its end, or since it was told to stop."""

    code: int
    out: str
    err: str
    seconds: float
    log: list[list[str]]
    left: int
    hung: bool = False

    @property
    def struck(self) -> bool:
        return any(words[0] == "kill" for words in self.log)

    @property
    def file(self) -> str:
        """The file that was being replaced at the kill: its name, without a draft's number."""
        [name] = [words[4] for words in self.log if words[0] == "kill"]
        return re.sub(r"^\.(.+)\.\d+\.tmp$", r"\1", name)


class Session:
    """A started command, in a session of its own, with all that it starts marked as its."""

    def __init__(
        self,
        workload: Workload,
        cwd: Path,
        command: tuple[str, ...],
        moment: Moment | None = None,
        pause: float = 0.0,
        log: Path | None = None,
    ) -> None:
        """`log`: a file outside of `cwd` for what the session says, where `cwd` cannot hold it."""
        self.log_file = log or cwd / "torture.log"
        self._from = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._mark = uuid.uuid4().hex
        told: dict[str, Any] = {"log": str(self.log_file), "pause": pause}
        environment = workload.environment(
            TORTURE=json.dumps(told | (vars(moment) if moment else {})),
            TORTURE_MARK=self._mark,
            # Of its own: a verdict that another run left in the cache would not be asked for
            BFPO_BENCH_CACHE=str(log.with_suffix(".cache") if log else cwd / "cache"),
            PYTHONPATH=os.pathsep.join([str(INSIDE), str(ROOT)]),
        )
        # Files, and no pipes: a process that is left over would hold those open
        self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._err = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*workload.program, *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )

    def log(self) -> list[list[str]]:
        """The complete lines that this session has written into the log so far."""
        if not self.log_file.exists():
            return []
        with self.log_file.open("rb") as file:
            file.seek(self._from)
            lines = file.read().decode().split("\n")[:-1]
        return [line.split(" ") for line in lines]

    def wait(self) -> Ended:
        """Its end. What is left of it then is killed, and counted."""
        hung = False
        try:
            self.process.wait(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            hung = True
            self.process.kill()
            self.process.wait()
        seconds = time.monotonic() - self.started
        left = self._wait_for_the_rest()
        out, err = _said(self._out), _said(self._err)
        return Ended(self.process.returncode, out, err, seconds, self.log(), left, hung)

    def _wait_for_the_rest(self) -> int:
        until = time.monotonic() + 10
        while (left := self._alive()) and time.monotonic() < until:
            time.sleep(0.05)
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        return len(left)

    def _alive(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TORTURE_MARK") == self._mark:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


def _said(file: IO[str]) -> str:
    with file:
        file.seek(0)
        return file.read()


def _hear_ctrl_c() -> None:
    """A job that a shell started in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
