"""Ctrl-C, SIGTERM and a closed terminal stop a command in one way, and within seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from bfpo_bench.cli.complain import complain
from bfpo_bench.watcher import STOPS

EXIT_CODE = 130
PATIENCE_SECONDS = 6.0
_LOOK_SECONDS = 0.1
SENTENCE = "stopped; the same command goes on from here"

_CLEAR_LINE_AND_SHOW_CURSOR = "\r\x1b[2K\x1b[?25h"
_before: dict[signal.Signals, Any] = {}
_masks = threading.local()


class Stop:
    """`asked`: the user, a scheduler or a closing terminal wants the command to end. `lost`: that was
    told where Python lets no exception through. `ended`: the command has come to its end by itself, and
    what is asked from then on changes nothing."""

    def __init__(self) -> None:
        self.asked = self.lost = self.ended = False
        self._said = False

    def say(self) -> None:
        """The last line of a stopped command, once. A terminal that is gone hears nothing."""
        if self._said:
            return
        self._said = True
        with suppress(OSError):
            if sys.stderr.isatty():
                sys.stderr.write(_CLEAR_LINE_AND_SHOW_CURSOR)
            complain(SENTENCE, "yellow")


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within it, the first of these signals is KeyboardInterrupt; those that follow change nothing.

    A command that has not ended `PATIENCE_SECONDS` later (it waits in a library for a download, say)
    is ended as it is: what was finished is stored, and stages end with it. A signal that was ignored
    before, as under nohup, stays ignored.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def hear(number: int, frame: FrameType | None) -> None:
        if not stop.ended and (stop.lost or not stop.asked):
            stop.asked, stop.lost = True, False
            raise KeyboardInterrupt

    unraisable = sys.unraisablehook

    def lose(told: Any) -> None:
        """Of what is raised in `__del__`, say, Python complains and goes on."""
        if stop.asked and told.exc_type is KeyboardInterrupt:
            # Where it came to a fork they may still be held back
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            stop.lost = True
        else:
            unraisable(told)

    # Told by the system at once, while handlers wait for the main thread to come back to Python
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    heard = (reading, stop, threading.get_ident())
    threading.Thread(target=_end_late, args=heard, daemon=True).start()
    sys.unraisablehook = lose
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:
            _before[number] = signal.signal(number, hear)
    try:
        yield stop
    finally:
        stop.ended = True
        if stop.asked:
            # The end of the interpreter is not disturbed either: Python would undo handlers first
            for number in _before:
                signal.signal(number, signal.SIG_IGN)
        else:
            sys.unraisablehook = unraisable
            _restore(wakeup)
            os.close(writing)


def _restore(wakeup: int) -> None:
    signal.set_wakeup_fd(wakeup)
    for number, handler in _before.items():
        signal.signal(number, handler)
    _before.clear()


def _end_late(reading: int, stop: Stop, main: int) -> None:
    """The thread that waits for a signal, and then for the command to end. What the main thread lost is
    told it again."""
    with open(reading, "rb", buffering=0) as signals:
        while (number := signals.read(1)) and number[0] not in STOPS:
            pass
        if not number:
            return
        # With the pipe open: Python complains of signals that it cannot write
        late = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < late:
            time.sleep(_LOOK_SECONDS)
            if stop.lost:
                signal.pthread_kill(main, number[0])
        if stop.asked or not stop.ended:
            stop.say()
            os._exit(EXIT_CODE)


def _fork() -> None:
    """Signals wait: one that came to a fork before its handlers are restored would be lost."""
    # In steps: each call may hear of a signal, and raise when it has done what it is to do
    _masks.before = None
    if _before:
        _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def _forked() -> None:
    if _masks.before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _fork_begins() -> None:
    """A process forked from this one, as data loaders do, is no command and stops as it likes."""
    if _before:
        _restore(-1)
    _forked()


os.register_at_fork(before=_fork, after_in_parent=_forked, after_in_child=_fork_begins)
