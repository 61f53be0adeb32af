"""One writer a run: a second command on the same run is refused at once, and told of the first."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.runs.jsonl import write_atomically

_COMMAND_LENGTH = 200
_USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold the folder `path`, which is made where it is missing.

    The system's lock on `path/.lock` decides, which dies with its process; `path/.lock.json` only says
    who holds it. Raises UserError, naming the process that holds the folder, or where it cannot be
    locked at all.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path / ".lock")
    owner = path / ".lock.json"
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"Another bfpo-bench is working on {path}{_told(owner)}: wait for it or stop it."
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"The run folder {path} cannot be locked ({reason}): give an --out on a file system that "
            "you may write to and that has locks."
        ) from error
    try:
        write_atomically(owner, json.dumps(_facts(), ensure_ascii=False) + "\n")
        yield
    finally:
        with suppress(OSError):
            owner.unlink(missing_ok=True)
        lock.release()


def shown_command(words: Sequence[str]) -> list[str]:
    """A command line without users and passwords in its URLs (`https://user:password@host`)."""
    return [_USER_INFO.sub("", word) for word in words]


def _facts() -> dict[str, str | int]:
    command = " ".join(["bfpo-bench", *shown_command(sys.argv[1:])])
    if len(command) > _COMMAND_LENGTH:
        command = f"{command[:_COMMAND_LENGTH]}..."
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }


def _told(owner: Path) -> str:
    """Who holds the lock, in brackets; nothing where the file does not say, or says it of a process
    that is no more."""
    try:
        facts = json.loads(owner.read_text(encoding="utf-8"))
        pid, host = int(facts["pid"]), str(facts["host"])
        started, command = str(facts["started"]), str(facts["command"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if host == socket.gethostname() and not psutil.pid_exists(pid):
        return ""
    return f" (process {pid} on {host}, since {started}: {command})"
