"""However a command is told to stop: one line, exit code 130, no traceback, and that within seconds."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from bench import hear_ctrl_c

from bfpo_bench.cli.stopping import SENTENCE, stopping

SCRIPT = """
import os, signal, subprocess, sys, threading, time
sys.path[:] = {path!r}
from bfpo_bench.cli import app, stopping

def here():
    os.write(1, b"here" + os.linesep.encode())

def command():
{body}

app.app = command
{setting}
app.main()
"""


def start(body: str, setting: str = "", **options: Any) -> subprocess.Popen[str]:
    """A command whose work is `body`; it has come to `here()` when this returns."""
    code = SCRIPT.format(
        path=sys.path, body=textwrap.indent(textwrap.dedent(body), "    "), setting=setting
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": hear_ctrl_c}
    process: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-c", code], text=True, **(pipes | options)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = process.communicate(timeout=60)[1]
    return process.returncode, said


STOPPED = (130, f"{SENTENCE}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_all_stop_it_alike(number: signal.Signals) -> None:
    process = start("here(); time.sleep(60)")
    process.send_signal(number)
    assert ended(process) == STOPPED


def test_a_second_signal_does_not_disturb_what_is_put_in_order(tmp_path: Path) -> None:
    process = start(
        f"""
        try:
            here()
            time.sleep(60)
        finally:
            here()
            time.sleep(1)
            open({str(tmp_path / "ordered")!r}, "w").close()
        """
    )
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == STOPPED
    assert (tmp_path / "ordered").exists()


def test_nor_the_end_of_the_interpreter() -> None:
    """Once while it calls its exit functions, once when it has put handlers of signals away."""
    process = start(
        """
        import atexit

        class Late:
            def __del__(self, kill=os.kill, me=os.getpid(), number=signal.SIGINT):
                kill(me, number)

        sys.late = Late()
        atexit.register(lambda: [here(), time.sleep(0.5)])
        here()
        time.sleep(60)
        """
    )
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert ended(process) == STOPPED


@pytest.mark.parametrize(
    "body",
    [
        # A library that goes on, a thread that the interpreter would wait for, and a main thread that
        # sleeps outside Python, in a system call that begins again after every signal
        "here()\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass",
        "threading.Thread(target=time.sleep, args=(60,)).start()\nhere()\ntime.sleep(60)",
        "import ctypes\nhere()\nsystem = ctypes.CDLL(None)\nwhile True:\n    system.usleep(60000000)",
    ],
    ids=["swallowed", "thread", "library"],
)
def test_what_does_not_heed_it_is_ended(body: str) -> None:
    process = start(body, "stopping.PATIENCE_SECONDS = 0.5")
    process.send_signal(signal.SIGTERM)
    assert ended(process) == STOPPED


def test_what_fails_on_the_way_out_is_not_shown() -> None:
    process = start(
        """
        try:
            here()
            time.sleep(60)
        except KeyboardInterrupt:
            raise OSError("the terminal is gone")
        """
    )
    process.send_signal(signal.SIGHUP)
    assert ended(process) == STOPPED


FINALISER = """
class Left:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
Left()
"""
FORK = """
block = signal.pthread_sigmask
def blocked(how, numbers):
    before = block(how, numbers)
    if how == signal.SIG_BLOCK and numbers:
        os.kill(os.getpid(), signal.SIGTERM)
    return before
signal.pthread_sigmask = blocked
os.fork() or os._exit(0)
"""


@pytest.mark.parametrize("lost", [FINALISER, FORK], ids=["finaliser", "fork"])
def test_one_that_comes_where_python_lets_no_exception_through_is_told_again(lost: str) -> None:
    """Python prints what is raised there and goes on, and the command would with it, until it is ended
    without putting anything in order. A fork holds signals back until its last hook."""
    body = ["here()", "try:", textwrap.indent(lost, "    "), "    time.sleep(60)", "finally:"]
    process = start("\n".join([*body, "    print('in order', file=sys.stderr)"]))
    assert ended(process) == (130, f"in order\n{SENTENCE}\n")


def test_one_that_comes_when_the_command_has_ended_changes_nothing() -> None:
    """While its error is said, and while signals become what they were."""
    process = start(
        """
        here()
        class Late(Exception):
            def __str__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                return "mended by you"
        from bfpo_bench.errors import UserError
        raise type("Late", (Late, UserError), {})()
        """
    )
    assert ended(process) == (2, "error: mended by you\n")


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """As SIGHUP is under nohup, so that a run outlives its terminal."""

    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = start("here(); time.sleep(0.5); print('done', file=sys.stderr)", preexec_fn=nohup)
    process.send_signal(signal.SIGHUP)
    assert ended(process) == (0, "done\n")


def test_a_forked_process_stops_as_it_likes() -> None:
    """A data loader's worker is ended by SIGTERM, which is none of the command's affair; also by one
    that comes before the fork has run a line of its own."""
    process = start(
        """
        here()
        ends = set()
        for _ in range(50):
            child = os.fork()
            if child == 0:
                time.sleep(20)
                os._exit(9)
            os.kill(child, signal.SIGTERM)
            ends.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(*ends, file=sys.stderr)
        time.sleep(1)
        """,
        "stopping.PATIENCE_SECONDS = 0.1",
    )
    assert ended(process) == (0, f"-{int(signal.SIGTERM)}\n")


def test_a_terminal_gets_its_line_and_cursor_back() -> None:
    """Stopped in the middle of a progress bar, which hides the cursor."""
    ours, theirs = pty.openpty()
    process = start(
        """
        from bfpo_bench.cli.ui import RichUi
        from bfpo_bench.progress import Progress
        with RichUi().stage("work") as report:
            report(Progress("responses", 3, 9))
            here()
            time.sleep(60)
        """,
        stderr=theirs,
    )
    os.close(theirs)
    process.send_signal(signal.SIGTERM)
    shown = b""
    while SENTENCE.encode() not in shown:
        shown += os.read(ours, 4096)
    assert process.wait(timeout=60) == 130
    os.close(ours)
    last = shown.decode().rsplit("responses", 1)[1]
    assert "\x1b[2K" in last
    assert last.rindex("\x1b[?25h") > last.rfind("\x1b[?25l")


def test_afterwards_signals_are_what_they_were() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with stopping() as stop:
        assert signal.getsignal(signal.SIGTERM) not in before
    assert not stop.asked
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_command_in_another_thread_leaves_signals_alone() -> None:
    """Where Python takes no handlers."""
    import threading

    found = []

    def inside() -> None:
        with stopping() as stop:
            found.append(stop.asked)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [False]
