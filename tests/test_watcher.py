"""What a watcher does for the process that it forked: it ends with it, and like it, and alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import os, signal, sys, time
sys.path[:] = {path!r}
from bfpo_bench import watcher

owner, folder = int(sys.argv[1]), {folder!r}
if child := watcher.split():
    watcher.watch(child, owner)
os.close(owner)

def note(name):
    with open(os.path.join(folder, "." + name), "w") as file:
        file.write(str(os.getpid()))
    os.rename(os.path.join(folder, "." + name), os.path.join(folder, name))

{body}
"""


class Watched:
    """A process in which `body` runs under a watcher, whose owner is this one."""

    def __init__(self, folder: Path, body: str) -> None:
        self.folder = folder
        owner, self.held = os.pipe()
        code = SCRIPT.format(path=sys.path, folder=str(folder), body=body)
        arguments = [sys.executable, "-c", code, str(owner)]
        self.process = subprocess.Popen(arguments, pass_fds=(owner,), stderr=subprocess.PIPE)
        os.close(owner)

    def pid(self, name: str) -> int:
        while not (self.folder / name).exists():
            assert self.process.poll() is None
            time.sleep(0.01)
        return int((self.folder / name).read_text())

    def ended(self) -> int:
        return self.process.wait(timeout=60)


def test_it_ends_as_the_child_ends(tmp_path: Path) -> None:
    assert Watched(tmp_path, "sys.exit(7)").ended() == 7
    assert Watched(tmp_path, "").ended() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_also_by_the_same_signal(tmp_path: Path, number: signal.Signals) -> None:
    watched = Watched(tmp_path, f"os.kill(os.getpid(), {int(number)})")
    assert watched.ended() == -number


def test_it_heeds_no_signal_to_stop_and_the_child_does(tmp_path: Path) -> None:
    """A scheduler sends SIGTERM to every process of a job at once; who ends what was started then?"""
    watched = Watched(tmp_path, "note('child'); time.sleep(600)")
    child = watched.pid("child")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        watched.process.send_signal(number)
    assert psutil.pid_exists(child)
    os.kill(child, signal.SIGTERM)
    assert watched.ended() == -signal.SIGTERM


def test_it_asks_before_it_kills(tmp_path: Path) -> None:
    body = """
def end(*_):
    note("asked")
    os._exit(0)

signal.signal(signal.SIGTERM, end)
note("child")
time.sleep(600)
"""
    watched = Watched(tmp_path, body)
    child = watched.pid("child")
    os.close(watched.held)
    assert watched.ended() == 1
    assert watched.pid("asked") == child


def test_an_orphan_of_the_child_ends_with_the_owner(tmp_path: Path) -> None:
    """It has a session of its own and heeds nothing, and its parent is dead before the owner goes."""
    body = """
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        note("orphan")
        time.sleep(600)
    os._exit(0)
os.wait()
note("child")
time.sleep(600)
"""
    watched = Watched(tmp_path, body)
    child, orphan = watched.pid("child"), watched.pid("orphan")
    assert psutil.Process(orphan).ppid() == watched.process.pid
    os.close(watched.held)
    assert watched.ended() == 1
    assert not psutil.pid_exists(child)
    assert not psutil.pid_exists(orphan)


def test_the_child_goes_with_a_watcher_that_is_killed(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "note('child'); time.sleep(600)")
    child = psutil.Process(watched.pid("child"))
    watched.process.kill()
    watched.ended()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
