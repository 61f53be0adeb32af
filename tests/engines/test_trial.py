"""A child may chatter, hang, raise or die: each gives an answer or one clause saying why not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bfpo_bench.engines.trial import attempt, root_error

Written = Callable[[str], Callable[[], dict[str, Any]]]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Make a function `look` with this body, in a module that only this process's path reaches."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(body: str) -> Callable[[], dict[str, Any]]:
        (tmp_path / "written_for_a_trial.py").write_text(f"import os, sys, time\n\n{body}\n")
        module = ModuleType("written_for_a_trial")
        exec("def look(): ...", module.__dict__)
        look: Callable[[], dict[str, Any]] = module.look
        return look

    return write


def test_the_answer_is_found_among_what_libraries_print(written: Written) -> None:
    look = written("""
def look():
    print("INFO loading", end="")
    os.write(2, b"WARNING")
    return {"answer": [1, 2]}
""")
    assert attempt(look, timeout=30).answer == {"answer": [1, 2]}


def test_the_environment_is_added_to(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "kept")
    look = written("def look(): return {n: os.environ[n] for n in ('OURS', 'NEW')}")
    assert attempt(look, timeout=30, environ={"NEW": "added"}).answer == {
        "OURS": "kept",
        "NEW": "added",
    }


def test_a_signal_is_named(written: Written) -> None:
    trial = attempt(written("def look(): os.kill(os.getpid(), 4)"), timeout=30)
    assert trial.answer is None
    assert trial.signal == "SIGILL"
    assert trial.reason == "the process died of SIGILL, an illegal instruction"


def test_an_exception_gives_its_last_line(written: Written) -> None:
    trial = attempt(written("def look(): raise ValueError('two heads of size 8')"), timeout=30)
    assert trial.reason == "ValueError: two heads of size 8"


def test_a_quiet_exit_gives_its_code(written: Written) -> None:
    assert attempt(written("def look(): os._exit(7)"), timeout=30).reason == (
        "the process ended with code 7"
    )


def test_a_hanging_child_is_ended_with_its_children(written: Written, tmp_path: Path) -> None:
    pid_file = tmp_path / "grandchild"
    look = written(f"""
def look():
    pid = os.fork()
    if pid:
        open({str(pid_file)!r}, "w").write(str(pid))
    time.sleep(3600)
""")
    assert attempt(look, timeout=3).reason == "no answer within 3 s"
    assert _gone(int(pid_file.read_text()))


def test_a_child_ends_with_the_process_that_waits_for_it(written: Written, tmp_path: Path) -> None:
    """Also where that is killed, and has no time to end anything."""
    pid_file = tmp_path / "child"
    written(f"""
def look():
    open({str(pid_file)!r}, "w").write(str(os.getpid()))
    time.sleep(3600)
""")
    script = f"""
import sys
sys.path[:] = {sys.path!r}
from bfpo_bench.engines.trial import attempt
from written_for_a_trial import look
attempt(look, timeout=3600)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as waiting:
        while not (pid_file.exists() and pid_file.read_text()):
            assert waiting.poll() is None
            time.sleep(0.01)
        waiting.kill()
    assert _gone(int(pid_file.read_text()))


def test_a_child_that_answers_and_then_hangs_has_answered(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = written("""
def look():
    import atexit
    from bfpo_bench.engines import trial
    trial.EXIT_SECONDS = 0.1
    atexit.register(time.sleep, 60)
    return {"tokens": 2}
""")
    assert attempt(look, timeout=30).answer == {"tokens": 2}


def test_the_root_error_is_not_the_one_that_points_at_it() -> None:
    lines = [
        "(EngineCore pid=1) ERROR [core.py:1] RuntimeError: head_dim=16 is not supported.",
        "vllm.exceptions.EngineDeadError: see the stack trace above for the root cause.",
        "leaked shared_memory objects",
    ]
    assert root_error(lines) == "RuntimeError: head_dim=16 is not supported"
    assert root_error(["all quiet"]) == ""


def _gone(pid: int) -> bool:
    """Whether the process has ended, which may take a moment after the signal."""
    status = Path(f"/proc/{pid}/status")
    for _ in range(100):
        if not status.exists() or "State:\tZ" in status.read_text():
            return True
        time.sleep(0.05)
    return False
