"""A process is watched: when it ends, or its owner does, nothing of what it started is left."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import psutil

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a user, a scheduler or a closing terminal sends. The owner heeds them, a watcher does not."""

GRACE_SECONDS = 2.0
"""What is asked to end may take so long before it is killed: engines have shared memory to remove."""

_GIVE_UP_SECONDS = 3.0

ENDING_SECONDS = GRACE_SECONDS + _GIVE_UP_SECONDS + 1
"""How long a watcher may take whose owner is gone."""

_LOOK_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def split() -> int:
    """Fork, in a session of its own: 0 in the child, which goes on, and its id in the watcher.

    Orphans of the child's become the watcher's (prctl(2), PR_SET_CHILD_SUBREAPER), so it finds also
    what left the session and the group. The child is killed when the watcher is.
    """
    os.setsid()
    system = ctypes.CDLL(None)
    system.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    heard = {*STOPS, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    watcher = os.getpid()
    child = os.fork()
    if child == 0:
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != watcher:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)
    return child


def watch(child: int, owner: int) -> NoReturn:
    """Wait until the child ends or the owner is gone, end all that is left, and end as the child did.

    `owner` is the reading end of a pipe whose other end the owner alone holds: however the owner
    goes, the system closes it.
    """
    # Now, while there is memory
    import psutil  # noqa: F401

    gone = select.poll()
    gone.register(owner, select.POLLIN | select.POLLHUP)
    status = None
    while status is None and not gone.poll(0):
        signal.sigtimedwait({signal.SIGCHLD}, _LOOK_SECONDS)
        status = _reap(child)
    _end_all()
    if status is None:
        os._exit(1)
    _end_like(os.waitstatus_to_exitcode(status))


def _reap(child: int) -> int | None:
    """Take the dead off the table; returns the child's status when it is among them."""
    found = None
    with suppress(ChildProcessError):
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            if dead[0] == child:
                found = dead[1]
    return found


def _end_all() -> None:
    """Ask every descendant to end, then kill it; what the system holds fast is given up."""
    import psutil

    began = time.monotonic()
    asked: set[psutil.Process] = set()
    while left := _descendants():
        passed = time.monotonic() - began
        if passed > GRACE_SECONDS + _GIVE_UP_SECONDS:
            return
        for process in left:
            with suppress(psutil.Error):
                if passed > GRACE_SECONDS:
                    process.kill()
                elif process not in asked:
                    process.terminate()
        asked.update(left)
        time.sleep(0.02)


def _descendants() -> list[psutil.Process]:
    import psutil

    _reap(0)
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _end_like(code: int) -> NoReturn:
    """`code` as `os.waitstatus_to_exitcode` gives it: below 0 for the signal that ended the child."""
    if code < 0:
        # The child has left a core file where it was to leave one
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
