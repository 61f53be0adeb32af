"""Stages for tests of the process around them; importable, because a stage is spawned."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.progress import ALOUD
from bfpo_bench.stages.process import Progress, Report
from bfpo_bench.stages.respond import RespondJob, RespondResult, respond

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def add(job: tuple[int, int], report: Report) -> dict[str, int]:
    report(Progress("adding", 1, 2))
    report(Progress("adding", 2, 2))
    return {"sum": job[0] + job[1], "process": os.getpid()}


def speak_up(job: Any, report: Report) -> None:
    report(Progress("asking", 1, 9))
    logging.getLogger(ALOUD).warning("%s is away", "somebody")
    report(Progress("asking", 9, 9))


def name_a_mend(job: Any, report: Report) -> None:
    raise UserError("The thing is wrong: mend it.")


def exit_with(status: int, report: Report) -> None:
    os._exit(status)


def be_killed(job: Any, report: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def have_a_bug(job: Any, report: Report) -> None:
    print("about to divide", flush=True)
    raise ZeroDivisionError("there is a bug\nand more about it")


def answer_with_a_lock(job: Any, report: Report) -> Any:
    import threading

    return threading.Lock()


def fill_the_disk(job: str, report: Report) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), job)


def write_to_the_full_device(job: Any, report: Report) -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"verdict")


def miss_a_file(job: str, report: Report) -> None:
    Path(job).read_text()


def read_variable(job: str, report: Report) -> str | None:
    return os.environ.get(job)


def leave_children(job: str, report: Report) -> None:
    """Start two processes, write all three ids into the file `job`, and sleep.

    One is a program of its own; the other is forked, as engines do, and holds all that this holds.
    """
    program = subprocess.Popen(SLEEPER)
    forked = os.fork()
    if forked == 0:
        time.sleep(600)
        os._exit(0)
    ids = f"{os.getpid()} {program.pid} {forked}"
    _write(job, ids)
    report(Progress("sleeping"))
    time.sleep(600)


def leave_children_and_return(job: str, report: Report) -> str:
    program = subprocess.Popen(SLEEPER)
    Path(job).write_text(f"{os.getpid()} {program.pid}")
    return "done"


def leave_a_fork_and_die(job: str, report: Report) -> None:
    """The child keeps the pipe to the parent open after its own parent is dead."""
    forked = os.fork()
    if forked == 0:
        time.sleep(600)
        os._exit(0)
    Path(job).write_text(f"{os.getpid()} {forked}")
    os._exit(7)


def leave_a_daemon(job: str, report: Report) -> None:
    """Start a process that leaves session and group, heeds no SIGTERM and loses its parent, as daemons
    do; write the ids of this one and of that into the file `job`, and sleep."""
    stage = os.getpid()
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setpgid(0, 0)
            _write(job, f"{stage} {os.getpid()}")
            time.sleep(600)
        os._exit(0)
    time.sleep(600)


def leave_a_daemon_and_die(job: str, report: Report) -> None:
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _write(job, str(os.getpid()))
        time.sleep(600)
    while not Path(job).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGSEGV)


def _write(path: str, text: str) -> None:
    """In one step: a reader sees all of it or no file."""
    draft = Path(path + ".draft")
    draft.write_text(text)
    draft.rename(path)


def tell(job: list[Progress], report: Report) -> None:
    for progress in job:
        report(progress)


def tell_and_hang(job: tuple[Progress, str], report: Report) -> None:
    report(job[0])
    leave_children(job[1], lambda _: None)


def respond_and_die(job: RespondJob, report: Report) -> RespondResult:
    """The respond stage; asking the stories model, its process breaks off at the third response."""

    def told(progress: Progress) -> None:
        report(progress)
        if progress.phase == "responses" and progress.done == 3 and "stories" in job.run.name:
            os.kill(os.getpid(), signal.SIGSEGV)

    return respond(job, told)
