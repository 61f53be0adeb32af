"""The second command on a run folder is refused, and told of the first."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.runs.lock import run_lock, shown_command

HOLDER = """
import sys
sys.path[:] = {path!r}
from pathlib import Path
from bfpo_bench.runs.lock import run_lock

with run_lock(Path({folder!r})):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Another process that holds the folder until its stdin closes."""
    code = HOLDER.format(path=sys.path, folder=str(folder))
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as error, run_lock(folder):
        pass
    return str(error.value)


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    first = holder(tmp_path / "run", "run", "--model", "a/b")
    with first:
        said = refusal(tmp_path / "run")
    named = f"process {first.pid} on {socket.gethostname()}, since "
    assert said.startswith(f"Another bfpo-bench is working on {tmp_path / 'run'} ({named}")
    assert re.search(
        r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00: bfpo-bench run --model a/b\)", said
    )
    assert said.endswith(": wait for it or stop it.")


def test_nothing_is_said_of_a_folder_that_is_free(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".lock.json").exists()
    with run_lock(tmp_path):
        pass


def test_a_killed_holder_refuses_nobody(tmp_path: Path) -> None:
    """What it said of itself lies there still; its lock went with it."""
    first = holder(tmp_path)
    with first:
        first.send_signal(signal.SIGKILL)
    assert (tmp_path / ".lock.json").exists()
    with run_lock(tmp_path):
        assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    "facts",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        '{"pid": "x", "host": "h", "started": "s", "command": "c"}',
        "\xff",
    ],
)
def test_a_file_that_does_not_say_it_still_gives_a_sentence(
    tmp_path: Path, facts: str | None
) -> None:
    with run_lock(tmp_path):
        (tmp_path / ".lock.json").unlink()
        if facts is not None:
            (tmp_path / ".lock.json").write_bytes(facts.encode("latin-1"))
        assert refusal(tmp_path) == (
            f"Another bfpo-bench is working on {tmp_path}: wait for it or stop it."
        )


def test_a_process_that_is_no_more_is_not_named(tmp_path: Path) -> None:
    """The next holder has the lock already and has not written yet."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    with run_lock(tmp_path):
        facts = json.loads((tmp_path / ".lock.json").read_text())
        (tmp_path / ".lock.json").write_text(json.dumps(facts | {"pid": dead.pid}))
        assert "(" not in refusal(tmp_path)
        elsewhere = facts | {"pid": dead.pid, "host": "another"}
        (tmp_path / ".lock.json").write_text(json.dumps(elsewhere))
        assert f"(process {dead.pid} on another, since " in refusal(tmp_path)


def test_a_long_command_is_cut_and_shows_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["bfpo-bench", "run", "--judge-url", "https://me:secret@host/v1", *["--model=x"] * 99]
    monkeypatch.setattr(sys, "argv", words)
    with run_lock(tmp_path):
        command = json.loads((tmp_path / ".lock.json").read_text())["command"]
    assert command.startswith("bfpo-bench run --judge-url https://host/v1 --model=x ")
    assert command.endswith("...")
    assert len(command) == 203


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("http://user:pass@host:8000/v1", "http://host:8000/v1"),
        ("--judge-url=http://token@host/v1", "--judge-url=http://host/v1"),
        ("http://user:p@ss@host/v1", "http://host/v1"),
        ("http://host/v1?mail=a@b", "http://host/v1?mail=a@b"),
        ("model@1a2b3c", "model@1a2b3c"),
    ],
)
def test_urls_are_shown_without_who_asks(word: str, shown: str) -> None:
    assert shown_command([word]) == [shown]


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)), NotImplementedError("no flock")]
)
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def acquire(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    reason = "No locks available" if isinstance(fault, OSError) else "no flock"
    assert refusal(tmp_path) == (
        f"The run folder {tmp_path} cannot be locked ({reason}): give an --out on a file system that "
        "you may write to and that has locks."
    )


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be locked (Not a directory)" in refusal(tmp_path / "file" / "run")
